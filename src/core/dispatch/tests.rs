use super::super::harness::*;
use super::super::*;

// I-B1
#[test]
fn stream_holds_no_more_records_than_it_asked_for() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.in_flight_records_max = 3);
    bench.pop("a b c d");
    assert_eq!(bench.pull(2), "0 1 2");
    assert_eq!(bench.pull(2), "");
    bench.ack("1");
    assert_eq!(bench.pull(2), "3");
}

#[test]
fn stream_holds_no_more_bytes_than_it_asked_for() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.in_flight_bytes_max = 250);
    bench.pop("a b c");
    assert_eq!(bench.pull(2), "0 1");
    assert_eq!(bench.pull(2), "");
}

#[test]
fn idle_stream_takes_one_record_above_its_byte_limit() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.in_flight_bytes_max = 250);
    bench.pop("a:5000 b");
    assert_eq!(bench.pull(2), "0");
    assert_eq!(bench.pull(2), "");
}

#[test]
fn process_holds_no_more_records_than_configured() {
    let mut bench = Bench::flowing(Settings {
        in_flight_records_max: 2,
        ..settings()
    });
    bench.open(2);
    bench.pop("a b c");
    assert_eq!(bench.pull(1), "0 1");
    assert_eq!(bench.pull(2), "");
    bench.forget();
    bench.ack("0");
    assert!(bench.lines("wake").contains(&"wake 2".to_owned()));
    assert_eq!(bench.pull(2), "2");
}

#[test]
fn message_holds_no_more_than_a_batch() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.batch_records_max = 2);
    bench.open_with(3, |open| open.batch_bytes_max = 150);
    bench.pop("a b c d");
    assert_eq!(bench.pull(2), "0 1");
    assert_eq!(bench.pull(3), "2");
}

// B28
#[test]
fn record_too_large_for_every_stream_waits_visibly_until_one_can_take_it() {
    let mut bench = Bench::flowing(settings());
    bench.close(1);
    bench.open_with(2, |open| open.message_bytes_max = 1000);
    bench.pop("a:2000 a b");
    assert_eq!(bench.pull(2), "2");
    assert_eq!(bench.lines("event Oversize").len(), 1);
    assert_eq!(bench.status(0).blocked, Some(Blocked::Oversize));
    assert_eq!(bench.pull(2), "");
    bench.open_with(3, |open| open.message_bytes_max = 10_000);
    assert_eq!(bench.pull(3), "0");
    bench.ack("0");
    assert_eq!(bench.pull(2), "1");
    assert_eq!(bench.status(0).blocked, None);
}

#[test]
fn partitions_take_turns() {
    let mut bench = Bench::flowing(settings());
    bench.assign(&[1]);
    bench.open_with(2, |open| open.batch_records_max = 1);
    bench.pop("a b c");
    bench.pop_on(partition(1), "a b");
    let order: Vec<_> = (0..5).map(|_| bench.pull(2)).collect();
    assert_eq!(order, ["0", "1/0", "1", "1/1", "2"]);
}

#[test]
fn stream_gets_only_the_topics_it_wants() {
    let mut bench = Bench::flowing(settings());
    bench.assign_all(vec![other_topic(0)]);
    bench.open_with(2, |open| open.topics = Some([TopicIndex(1)].into()));
    bench.pop("a");
    assert_eq!(bench.pull(2), "");
    bench.pop_on(other_topic(0), "a");
    assert_eq!(bench.pull(2), "u0/0");
}

#[test]
fn message_that_is_not_full_waits_for_its_linger() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| open.batch_linger = millis(50));
    bench.pop("a");
    assert_eq!(bench.pull(2), "");
    bench.forget();
    bench.pass(millis(50));
    assert!(!bench.lines("wake 2").is_empty());
    assert_eq!(bench.pull(2), "0");
}

// on_delivery: handing over finishes, in-flight limits do not apply, settlements are no-ops.
#[test]
fn delivery_finishes_when_the_commit_mode_says_so() {
    let mut bench = Bench::flowing(Settings {
        commit_mode: CommitMode::OnDelivery,
        ..settings()
    });
    bench.open_with(2, |open| open.in_flight_records_max = 1);
    bench.pop("a a a");
    assert_eq!(bench.pull(2), "0 1 2");
    assert_eq!(bench.core.held_bytes(), 0);
    assert!(bench.retry("1").is_empty());
    bench.pass(seconds(1));
    assert_eq!(bench.lines("commit"), ["commit 0@3"]);
}
