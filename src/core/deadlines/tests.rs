use super::super::harness::*;
use super::super::*;

fn late(policy_of: Policy) -> Bench {
    let mut bench = Bench::flowing(delivered(Policy {
        deadline: seconds(10),
        failures_max: 2,
        ..policy_of
    }));
    bench.pop("a b");
    assert_eq!(bench.pull(1), "0 1");
    bench.pass(seconds(1));
    bench.pop("c");
    assert_eq!(bench.pull(1), "2");
    bench.forget();
    bench
}

// B39
#[test]
fn deliveries_are_taken_back_at_their_deadline_and_not_before() {
    let mut bench = late(policy());
    bench.pass(millis(8999));
    assert!(bench.lines("withdrawn").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 0 1 Deadline"]);
    assert_eq!(bench.ack("0"), ["stale 0"]);
    assert!(bench.ack("2").is_empty(), "it was delivered later");
    assert_eq!(bench.pull(1), "");
    bench.pass(millis(500));
    assert_eq!(bench.pull(1), "0*2 1*2");
}

#[test]
fn only_the_oldest_delivery_of_a_stream_counts_as_a_failure() {
    let mut bench = late(policy());
    bench.ack("2");
    for _ in 0..2 {
        bench.pass(seconds(11));
        bench.pull(1);
    }
    let parked = bench.core.parked(Scope::Everything, 10);
    assert_eq!(parked.len(), 1, "record 1 was never the oldest");
    assert_eq!((parked[0].offset, parked[0].failures), (0, 2));
}

#[test]
fn extension_moves_the_deadline_of_what_it_names() {
    let mut bench = late(policy());
    assert!(bench.extend("1", seconds(20)).is_empty());
    bench.pass(seconds(9));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 0 Deadline"]);
    bench.ack("2");
    bench.pass(millis(10_999));
    assert!(bench.lines("withdrawn").is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 Deadline"]);
}

#[test]
fn extension_may_also_shorten() {
    let mut bench = late(policy());
    bench.extend("1", seconds(1));
    bench.pass(seconds(1));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 Deadline"]);
}

#[test]
fn extension_of_dead_and_unknown_ids_is_refused() {
    let mut bench = late(policy());
    bench.ack("0");
    assert_eq!(bench.extend("0 1 2", seconds(20)), ["stale 0"]);
    let extend = Extend {
        ids: vec![IdRange { first: 1, last: 5 }, IdRange { first: 9, last: 3 }],
        by: seconds(1),
    };
    let refused = bench.settle_raw(&SettleRequest {
        extends: vec![extend],
        ..SettleRequest::default()
    });
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].reason, RefusalReason::Unknown);
}

#[test]
fn without_a_deadline_deliveries_live_and_extensions_are_accepted() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    bench.pull(1);
    assert!(bench.extend("0", seconds(1)).is_empty());
    bench.pass(seconds(3600));
    assert!(bench.lines("withdrawn").is_empty());
    assert!(bench.ack("0").is_empty());
}

#[test]
fn what_is_settled_or_extended_in_time_is_not_kept_to_be_looked_at() {
    let mut bench = late(policy());
    for number in 3..2003 {
        // The last extension is older than the last time that looks were tidied up.
        if number < 1800 {
            bench.extend("1", seconds(20));
            bench.pass(millis(1));
        }
        bench.pop("d");
        bench.pull(1);
        bench.ack(&number.to_string());
    }
    let looks = bench.core.streams.map.values();
    let looks: usize = looks.map(|stream| stream.deadlines.len()).sum();
    assert!(looks < 100, "{looks}");
    let timers = bench.core.timers.count(&Timer::Deadline(StreamId(1)));
    assert!(timers < 100, "{timers}");
    bench.pass(seconds(9));
    assert_eq!(
        bench.lines("withdrawn"),
        ["withdrawn 1: 0 Deadline", "withdrawn 1: 2 Deadline"],
        "what was not extended"
    );
    bench.pass(seconds(11));
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 1 Deadline"]);
}

// I-O1
#[test]
fn what_is_live_behind_a_late_record_in_its_lane_is_taken_back_with_it() {
    let mut bench = late(Policy {
        order: Order::Partition,
        lane_depth: 5,
        ..policy()
    });
    bench.ack("1");
    bench.pass(seconds(9));
    assert_eq!(
        bench.lines("withdrawn"),
        ["withdrawn 1: 0 Deadline", "withdrawn 1: 2 EarlierRetry"]
    );
}
