use super::super::harness::*;
use super::super::*;

// B40
#[test]
fn kept_deliveries_still_settle_and_are_withdrawn_when_their_time_is_over() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.keep_after_close = seconds(10));
    bench.pop("a b");
    bench.pull(2);
    bench.close(2);
    bench.pass(seconds(9));
    assert!(bench.ack("0").is_empty());
    assert_eq!(bench.pull(1), "");
    bench.pass(seconds(1));
    assert_eq!(bench.ack("1"), ["stale 1"]);
    assert_eq!(bench.pull(1), "1*2");
}

#[test]
fn half_closed_stream_releases_what_it_holds_and_ends_with_the_commit() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.pull(1);
    bench.answers.commits = false;
    bench.ack("0");
    bench.closing(1);
    assert_eq!(bench.ack("1"), ["conflict 1"]);
    assert!(bench.lines("end").is_empty());
    bench.commit_answered(Ok(()));
    assert_eq!(bench.lines("end"), ["end 1 Closed"]);
    bench.open(2);
    assert_eq!(bench.pull(2), "1*2");
}

#[test]
fn half_closed_stream_ends_after_three_seconds_without_a_commit() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    bench.pull(1);
    bench.answers.commits = false;
    bench.ack("0");
    bench.closing(1);
    bench.pass(millis(2999));
    assert!(bench.lines("end").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("end"), ["end 1 Closed"]);
}

#[test]
fn paused_stream_gets_nothing_and_is_woken_when_it_goes_on() {
    let mut bench = Bench::flowing(settings());
    let paused = |paused| FlowChange {
        paused: Some(paused),
        ..FlowChange::default()
    };
    bench.flow(1, paused(true));
    bench.pop("a");
    assert_eq!(bench.pull(1), "");
    bench.forget();
    bench.flow(1, paused(false));
    assert_eq!(bench.lines("wake"), ["wake 1"]);
    assert_eq!(bench.pull(1), "0");
}

#[test]
fn stream_is_told_what_it_asked_for() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| {
        open.notice_partitions = true;
        open.notice_committed = true;
        open.notice_caught_up = true;
    });
    assert_eq!(bench.lines("notice"), ["notice 2: assigned 0@0"]);
    bench.pop("a");
    bench.pull(1);
    bench.ack("0");
    bench.pass(seconds(1));
    let fetch = bench.client[&partition(0)].fetch;
    bench.input(Input::EndSampled {
        partition: partition(0),
        fetch,
        end: 1,
    });
    let told = ["notice 2: committed 0@1", "notice 2: caught up 0@1"];
    assert_eq!(bench.lines("notice"), told);
}

#[test]
fn delivery_unsettled_for_long_is_reported_once() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.pull(1);
    bench.ack("0");
    bench.pass(seconds(59));
    assert!(bench.lines("event Unsettled").is_empty());
    bench.pass(seconds(100));
    let lines = bench.lines("event Unsettled");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].contains("offset: 1"));
}

#[test]
fn each_message_has_its_own_time_and_a_stream_one_timer() {
    let mut bench = Bench::flowing(settings());
    for record in ["a", "b", "c", "d"] {
        bench.pop(record);
        bench.pull(1);
        bench.pass(seconds(10));
    }
    let looks = |bench: &Bench| bench.core.timers.count(&Timer::Unsettled(StreamId(1)));
    assert_eq!(looks(&bench), 1);
    bench.pass(seconds(25));
    assert_eq!(
        bench.lines("event Unsettled").len(),
        1,
        "after 65 s, 55 s, 45 s and 35 s"
    );
    bench.ack("1");
    bench.pass(seconds(20));
    let lines = bench.lines("event Unsettled");
    assert_eq!(lines.len(), 1, "the third; the second is settled");
    bench.pass(seconds(60));
    assert_eq!(bench.lines("event Unsettled").len(), 1);
    assert_eq!(looks(&bench), 0);
}
