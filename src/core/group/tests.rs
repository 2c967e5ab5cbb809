use super::super::harness::*;
use super::super::*;

fn flowing() -> Bench {
    let mut bench = Bench::flowing(settings());
    bench.open_with(1000, |open| open.notice_partitions = true);
    bench.pop("a b b");
    bench.pull(1);
    bench.forget();
    bench
}

// I-L3, M4
#[test]
fn revocation_waits_for_live_deliveries_and_commits_what_they_finished() {
    let mut bench = flowing();
    bench.revoke(&[0]);
    assert!(bench.lines("answer").is_empty());
    assert!(bench.ack("0 1").is_empty());
    assert_eq!(bench.lines("commit"), ["commit 0@2"]);
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
}

#[test]
fn revocation_does_not_wait_for_back_offs_and_delivers_nothing_new() {
    let mut bench = flowing();
    bench.retry("0");
    bench.revoke(&[0]);
    assert_eq!(bench.pull(1), "");
    bench.ack("1");
    assert_eq!(bench.pull(1), "");
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
}

#[test]
fn revocation_ends_at_its_deadline_and_settlements_are_stale_then() {
    let mut bench = flowing();
    bench.revoke(&[0]);
    bench.pass(millis(4999));
    assert!(bench.ack("0").is_empty());
    assert!(bench.lines("answer").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 Revoked"]);
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
    assert_eq!(bench.ack("1"), ["stale 1"]);
    assert_eq!(bench.broker[&partition(0)].offset, 1);
}

#[test]
fn last_commit_is_waited_for_three_seconds_and_its_late_result_ignored() {
    let mut bench = flowing();
    bench.answers.commits = false;
    bench.revoke(&[0]);
    bench.ack("0 1");
    assert_eq!(bench.lines("commit"), ["commit 0@2"]);
    bench.pass(millis(2999));
    assert!(bench.lines("answer").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
    bench.commit_answered(Ok(()));
    assert!(
        bench
            .lines("notice")
            .iter()
            .all(|line| !line.contains("committed"))
    );
}

#[test]
fn last_commit_that_would_say_nothing_new_is_not_waited_for() {
    let mut bench = Bench::flowing(Settings {
        commit_metadata: false,
        ..settings()
    });
    bench.pop("a b c");
    bench.pull(1);
    bench.ack("1");
    bench.pass(seconds(2));
    bench.ack("2");
    bench.revoke(&[0]);
    bench.forget();
    bench.release("0");
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
}

// M11, B11
#[test]
fn other_partitions_go_on_during_a_revocation() {
    let mut bench = flowing();
    bench.assign(&[1]);
    bench.pop_on(partition(1), "x x");
    assert_eq!(bench.pull(1), "1/0");
    bench.revoke(&[0]);
    assert!(bench.ack("1/0").is_empty());
    assert_eq!(bench.pull(1), "1/1");
    bench.pass(seconds(9));
    assert!(bench.ack("1/1").is_empty());
}

// B12, I-S3
#[test]
fn lost_partition_is_never_committed() {
    let mut bench = flowing();
    bench.ack("0");
    bench.pop("c");
    bench.pull(1);
    bench.ack("1");
    bench.forget();
    bench.lose(&[0]);
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 3 Lost"]);
    assert_eq!(bench.lines("answer"), ["answer unassign 0"]);
    bench.pass(seconds(10));
    assert!(bench.lines("commit").is_empty());
}

// B14
#[test]
fn partition_that_comes_back_is_a_new_assignment() {
    let mut bench = flowing();
    bench.ack("0");
    bench.revoke(&[0]);
    bench.pass(seconds(8));
    bench.assign(&[0]);
    assert_eq!(bench.ack("1"), ["stale 1"]);
    assert_eq!(bench.client[&partition(0)].offset, 1);
    bench.pop("b b");
    assert_eq!(bench.pull(1), "1");
}

#[test]
fn starts_and_restarts_wait_while_a_rebalance_event_is_unanswered() {
    let mut bench = flowing();
    bench.assign(&[1]);
    bench.revoke(&[0]);
    bench.forget();
    bench.fetch_failed(1, FetchError::Transient("away".to_owned()));
    bench.pass(seconds(1));
    assert!(bench.lines("assign").is_empty() && bench.lines("unassign").is_empty());
    bench.ack("0 1");
    assert_eq!(bench.lines("assign"), ["assign 1@0"]);
}

#[test]
fn eager_group_sets_the_whole_list_under_new_fetches() {
    let mut bench = Bench::new(Settings {
        assign_mode: AssignMode::Whole,
        ..settings()
    });
    bench.open(1);
    bench.assign(&[0, 1]);
    bench.pop("a b");
    let before = bench.client[&partition(0)].fetch;
    bench.forget();
    bench.fetch_failed(1, FetchError::Transient("away".to_owned()));
    assert_eq!(bench.lines("assign"), ["assign 0@2 1@0"]);
    assert!(bench.client[&partition(0)].fetch > before);
    bench.pull(1);
    assert!(
        bench.ack("0 1").is_empty(),
        "what is live outlives its fetch"
    );
}

// B39
#[test]
fn group_is_joined_with_the_first_stream_and_left_long_after_the_last() {
    let mut bench = Bench::new(settings());
    bench.pass(seconds(60));
    assert!(bench.lines("join").is_empty());
    bench.open(1);
    assert_eq!(bench.lines("join"), ["join"]);
    bench.close(1);
    bench.pass(seconds(359));
    bench.open(2);
    bench.close(2);
    bench.pass(seconds(359));
    assert!(bench.lines("leave").is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    bench.input(Input::GroupLeft);
    bench.open(3);
    assert_eq!(bench.lines("join"), ["join"]);
}

#[test]
fn streams_that_come_and_go_leave_one_timer_behind() {
    let mut bench = Bench::new(settings());
    for stream in 1..50 {
        bench.open(stream);
        bench.close(stream);
        bench.pass(seconds(1));
    }
    assert_eq!(bench.core.timers.count(&Timer::Leave), 1);
    bench.pass(seconds(358));
    assert!(bench.lines("leave").is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("leave"), ["leave"]);
    assert_eq!(bench.core.timers.count(&Timer::Leave), 0);
}

#[test]
fn group_is_joined_at_the_start_if_told_to() {
    let mut bench = Bench::new(Settings {
        join: JoinWhen::AtStart,
        ..settings()
    });
    bench.pass(seconds(1));
    assert_eq!(bench.lines("join"), ["join"]);
}

#[test]
fn client_made_anew_joins_again_and_asks_again() {
    let mut bench = Bench::new(settings());
    bench.answers.topics = false;
    bench.open(1);
    bench.assign(&[0]);
    bench.forget();
    bench.client.clear();
    bench.input(Input::ClientRestarted);
    assert_eq!(bench.lines("join"), ["join"]);
    bench.answers.topics = true;
    bench.assign(&[0]);
    assert_eq!(bench.lines("assign"), ["assign 0@0"]);
}

#[test]
fn rebalances_leave_no_timers_behind() {
    let mut bench = Bench::flowing(settings());
    for _ in 0..50 {
        bench.lose(&[0]);
        bench.assign(&[0]);
        bench.pass(millis(100));
    }
    bench.pass(seconds(70));
    assert!(bench.core.timers.len() <= 3);
}

/// The client that was asked what the topic is was replaced before it answered.
#[test]
fn a_topic_is_described_to_the_client_that_replaces_another() {
    let mut bench = flowing();
    bench.answers.topics = false;
    bench.pass(seconds(5));
    assert!(!bench.lines("describe").is_empty());
    bench.forget();
    bench.input(Input::Rejoin);
    bench.revoke(&[0]);
    bench.pass(seconds(10));
    bench.input(Input::GroupLeft);
    bench.answers.topics = true;
    bench.assign(&[0]);
    assert!(bench.client.contains_key(&partition(0)), "it flows again");
}

/// New certificates came while an application was away: the group is joined again, and left as if nothing had happened.
#[test]
fn a_group_that_is_joined_again_without_a_stream_is_left_in_time() {
    let mut bench = Bench::flowing(settings());
    bench.forget();
    bench.input(Input::Rejoin);
    bench.close(1);
    bench.revoke(&[0]);
    bench.input(Input::GroupLeft);
    assert_eq!(bench.lines("join").len(), 1);
    assert_eq!(bench.lines("leave").len(), 1, "for the certificates");
    bench.pass(seconds(359));
    assert!(bench.lines("leave").is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("leave").len(), 1, "for being alone");
}

#[test]
fn a_group_whose_time_is_over_while_it_is_left_is_not_joined_again() {
    let mut bench = Bench::flowing(settings());
    bench.forget();
    bench.close(1);
    bench.pass(seconds(359));
    bench.input(Input::Rejoin);
    bench.pass(seconds(1));
    bench.input(Input::GroupLeft);
    assert!(bench.lines("join").is_empty());
    bench.open(2);
    assert_eq!(bench.lines("join").len(), 1);
}

#[test]
fn a_stream_that_opens_while_the_group_is_left_joins_though_the_client_dies() {
    let mut bench = Bench::flowing(settings());
    bench.forget();
    bench.close(1);
    bench.pass(seconds(360));
    assert_eq!(bench.lines("leave").len(), 1);
    bench.open(2);
    assert!(bench.lines("join").is_empty());
    bench.input(Input::ClientRestarted);
    assert_eq!(bench.lines("join").len(), 1);
}
