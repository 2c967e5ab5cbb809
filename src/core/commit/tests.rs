use super::super::harness::*;
use super::super::*;
use std::time::Duration;

fn delivered(settings: Settings) -> Bench {
    let mut bench = Bench::flowing(settings);
    bench.pop("a b c d e f");
    bench.pull(1);
    bench.forget();
    bench
}

fn failing() -> CommitError {
    CommitError::Transient("away".to_owned())
}

/// Two partitions with two records each in flight, 0 and 1 of partition 0, 1/0 and 1/1 of partition 1.
fn two_delivered() -> Bench {
    let mut bench = Bench::flowing(settings());
    bench.assign(&[1]);
    bench.pop("a b");
    bench.pop_on(partition(1), "c d");
    assert_eq!([bench.pull(1), bench.pull(1)], ["0 1", "1/0 1/1"]);
    bench.forget();
    bench.answers.commits = false;
    bench
}

fn first_fails(index: i32) -> Result<(), CommitError> {
    if index == 0 { Err(failing()) } else { Ok(()) }
}

// I-S1, G2
#[test]
fn commit_carries_the_watermark_and_what_is_finished_above_it() {
    let mut bench = delivered(settings());
    bench.ack("0 2 3 5");
    bench.pass(seconds(1));
    assert_eq!(bench.lines("commit"), ["commit 0@1+2..4+5..6"]);
}

#[test]
fn commits_keep_their_interval_and_nothing_is_committed_twice() {
    let mut bench = delivered(settings());
    bench.ack("0");
    bench.forget();
    bench.pass(millis(400));
    bench.ack("1");
    bench.pass(millis(599));
    assert!(bench.lines("commit").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("commit"), ["commit 0@2"]);
    bench.ack("0 1");
    bench.pass(seconds(10));
    assert!(bench.lines("commit").is_empty());
}

#[test]
fn without_marks_a_watermark_that_stands_is_not_committed_again() {
    let mut bench = delivered(Settings {
        commit_metadata: false,
        ..settings()
    });
    bench.ack("0");
    bench.pass(seconds(2));
    bench.ack("2 3");
    bench.pass(seconds(5));
    assert_eq!(bench.lines("commit"), ["commit 0@1"]);
}

#[test]
fn one_request_is_out_and_the_newest_snapshot_follows_it() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("0", 1);
    bench.ack("1");
    bench.ack("2");
    bench.pass(seconds(5));
    assert_eq!(bench.lines("commit"), ["commit 0@1"]);
    bench.commit_answered(Ok(()));
    assert_eq!(bench.lines("commit"), ["commit 0@3"]);
}

// I-S8
#[test]
fn waiting_caller_hears_yes_when_a_commit_covers_it_by_offset_or_by_marks() {
    let mut bench = delivered(settings());
    bench.ack_and_wait("0", 1);
    bench.ack_and_wait("3", 2);
    assert_eq!(bench.lines("awaited"), ["awaited 1 true", "awaited 2 true"]);
}

#[test]
fn waiting_caller_hears_no_when_only_the_offset_is_kept() {
    let mut bench = delivered(Settings {
        commit_metadata: false,
        ..settings()
    });
    bench.ack_and_wait("3", 1);
    bench.ack_and_wait("0", 2);
    assert_eq!(
        bench.lines("awaited"),
        ["awaited 1 false", "awaited 2 true"]
    );
}

#[test]
fn waiting_caller_hears_no_when_its_commit_fails_whatever_an_older_one_carried() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("3", 1);
    bench.commit_answered(Err(failing()));
    assert_eq!(bench.lines("awaited"), ["awaited 1 false"]);
}

#[test]
fn waiting_caller_hears_no_when_refused_or_lost() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("1", 1);
    bench.lose(&[0]);
    bench.commit_answered(Ok(()));
    bench.ack_and_wait("2", 2);
    assert_eq!(
        bench.lines("awaited"),
        ["awaited 1 false", "awaited 2 false"]
    );
}

// B18 to B21
#[test]
fn failed_commit_stays_due_and_changes_no_assignment() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("0", 1);
    bench.commit_answered(Err(CommitError::NotMember("generation".to_owned())));
    assert!(bench.ack("1").is_empty());
    bench.pass(seconds(2));
    assert_eq!(bench.lines("commit"), ["commit 0@1", "commit 0@2"]);
    bench.commit_answered(Ok(()));
    assert_eq!(bench.lines("event CommitRecovered").len(), 1);
}

#[test]
fn result_of_another_request_is_ignored() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("0", 1);
    let (request, entries) = bench.requests[0].clone();
    let results = vec![(entries[0].assignment, Ok(()))];
    let request = CommitId(request.0 + 7);
    bench.input(Input::CommitDone { request, results });
    assert!(bench.lines("awaited").is_empty());
    assert_eq!(bench.status(0).committed, Some(0));
}

// B22
#[test]
fn metadata_that_the_broker_refuses_is_left_out_step_by_step() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack_and_wait("0 2", 1);
    assert!(bench.requests[0].1[0].metadata.len() > 40);
    for header in [true, false] {
        bench.commit_answered(Err(CommitError::MetadataTooLarge));
        bench.pass(seconds(2));
        assert_eq!(bench.requests[0].1[0].metadata.is_empty(), !header);
        assert_eq!(bench.requests[0].1[0].offset, 1);
    }
    let lines = bench.lines("commit");
    assert_eq!(lines, ["commit 0@1+2..3", "commit 0@1", "commit 0@1"]);
}

// B26
#[test]
fn stale_commits_stop_new_deliveries_until_one_succeeds() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack("0");
    bench.pop("g");
    for _ in 0..61 {
        bench.pass(seconds(1));
        if !bench.requests.is_empty() {
            bench.commit_answered(Err(failing()));
        }
    }
    assert_eq!(bench.lines("event CommitsStale").len(), 1);
    assert_eq!(bench.pull(1), "");
    assert!(bench.ack("1").is_empty(), "settlements are still taken");
    bench.forget();
    bench.answers.commits = true;
    while !bench.requests.is_empty() {
        bench.commit_answered(Ok(()));
    }
    bench.pass(seconds(10));
    assert!(bench.lines("wake").contains(&"wake 1".to_owned()));
    assert_eq!(bench.pull(1), "6");
}

// B26
#[test]
fn partition_that_cannot_be_committed_stops_alone() {
    let mut bench = two_delivered();
    bench.ack("0 1/0");
    for _ in 0..70 {
        bench.pass(seconds(1));
        if !bench.requests.is_empty() {
            bench.commit_answered_by(first_fails);
        }
    }
    assert_eq!(
        bench.lines("event CommitsStale"),
        ["event CommitsStale { partitions: [PartitionId { topic: TopicIndex(0), partition: 0 }] }"]
    );
    assert_eq!(bench.status(0).blocked, Some(Blocked::CommitsStale));
    assert_eq!(bench.status(1).blocked, None);
    bench.pop("g");
    bench.pop_on(partition(1), "h");
    assert_eq!([bench.pull(1), bench.pull(1)], ["1/2", ""]);

    bench.answers.commits = true;
    while !bench.requests.is_empty() {
        bench.commit_answered(Ok(()));
    }
    bench.pass(seconds(10));
    assert_eq!(bench.lines("event CommitsFresh").len(), 1);
    assert_eq!(bench.status(0).blocked, None);
    assert!(bench.lines("wake").contains(&"wake 1".to_owned()));
    assert_eq!(bench.pull(1), "2");
}

#[test]
fn partition_that_cannot_be_committed_holds_no_other_back() {
    let mut bench = two_delivered();
    bench.ack("0 1/0");
    bench.pass(seconds(1));
    bench.commit_answered_by(first_fails);
    for _ in 0..6 {
        bench.pass(seconds(6));
        bench.commit_answered_by(first_fails);
    }
    bench.forget();
    // Partition 0 backs off for seconds by now; whoever waits for partition 1 does not wait for that.
    bench.ack_and_wait("1/1", 1);
    assert_eq!(bench.lines("commit"), ["commit 1@2"]);
    bench.commit_answered_by(first_fails);
    assert_eq!(bench.lines("awaited"), ["awaited 1 true"]);
    bench.forget();
    bench.ack_and_wait("1", 2);
    assert!(bench.lines("commit").is_empty(), "it still backs off");
    bench.pass(seconds(6));
    assert_eq!(bench.lines("commit"), ["commit 0@2"]);
    bench.commit_answered_by(first_fails);
    assert_eq!(bench.lines("awaited"), ["awaited 2 false"]);
}

#[test]
fn request_that_fails_whole_backs_everything_off() {
    let mut bench = two_delivered();
    bench.ack("0");
    for _ in 0..7 {
        bench.pass(seconds(6));
        bench.commit_answered(Err(failing()));
    }
    bench.pass(seconds(6));
    bench.commit_answered(Err(failing()));
    bench.forget();
    bench.ack_and_wait("1/0", 1);
    bench.pass(millis(2400));
    assert!(bench.lines("commit").is_empty(), "2.5 s at least");
    bench.pass(millis(2600));
    assert_eq!(bench.lines("commit"), ["commit 0@1 1@1"]);
}

#[test]
fn commits_are_not_stale_for_what_left() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.ack("0");
    bench.pass(seconds(2));
    bench.lose(&[0]);
    bench.commit_answered(Err(failing()));
    bench.assign(&[0]);
    bench.answers.commits = true;
    bench.pass(seconds(120));
    assert!(bench.lines("event CommitsStale").is_empty());
    assert!(bench.core.status().stale_partitions == 0);
}

// B15
#[test]
fn after_a_jump_nothing_is_delivered_or_confirmed_until_a_probe_succeeds() {
    let mut bench = delivered(settings());
    bench.pop("g");
    bench.pass(seconds(5));
    bench.forget();
    bench.answers.commits = false;
    bench.now = bench.now.plus(seconds(60));
    assert_eq!(bench.pull(1), "");
    assert!(!bench.core.confirms());
    bench.pass(Duration::ZERO);
    assert_eq!(bench.lines("commit"), ["commit 0@0"]);
    bench.commit_answered(Ok(()));
    assert!(bench.core.confirms());
    assert!(bench.lines("wake").contains(&"wake 1".to_owned()));
    assert_eq!(bench.pull(1), "6");
}

#[test]
fn doubt_ends_though_one_partition_cannot_be_committed() {
    let mut bench = two_delivered();
    bench.pass(seconds(5));
    bench.jump(seconds(60));
    let no = || CommitError::Unauthorized("no".to_owned());
    bench.commit_answered_by(|index| if index == 0 { Err(no()) } else { Ok(()) });
    assert!(bench.core.confirms(), "the group took a commit of ours");
}

#[test]
fn doubt_lasts_while_the_probe_is_refused() {
    let mut bench = delivered(settings());
    bench.answers.commits = false;
    bench.jump(seconds(60));
    bench.commit_answered(Err(CommitError::NotMember("unknown".to_owned())));
    assert!(!bench.core.confirms());
    bench.lose(&[0]);
    assert!(bench.core.confirms(), "a rebalance event says what we are");
}

// B23, M13
#[test]
fn partition_whose_probe_was_not_allowed_flows_again_once_a_commit_is() {
    let mut bench = Bench::flowing(settings());
    bench.pass(seconds(5));
    bench.answers.commits = false;
    bench.jump(seconds(60));
    bench.commit_answered(Err(CommitError::Unauthorized("no".to_owned())));
    assert_eq!(bench.status(0).blocked, Some(Blocked::Unauthorized));
    // Membership is certain again, so no second probe repeats what is committed already.
    bench.assign(&[1]);
    bench.answers.commits = true;
    bench.pass(seconds(10));
    assert_eq!(bench.status(0).blocked, None);
}
