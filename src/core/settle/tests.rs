use super::super::harness::*;
use super::super::*;

const RETRY: Outcome = Outcome::Retry { delay: None };

fn one_lane(depth: u32) -> Bench {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: depth,
        ..policy()
    }));
    bench.pop("- - - - -");
    bench.pull(1);
    bench.forget();
    bench
}

#[test]
fn acks_come_first_whatever_their_place() {
    let mut bench = one_lane(5);
    assert!(
        bench
            .settle(&[(RETRY, "1"), (Outcome::Ack, "2 3")])
            .is_empty()
    );
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 4 EarlierRetry"]);
}

// I-O1
#[test]
fn retry_withdraws_what_is_live_behind_it_in_its_lane_only() {
    let mut bench = one_lane(5);
    bench.retry("2");
    assert_eq!(bench.lines("withdrawn"), ["withdrawn 1: 3 4 EarlierRetry"]);
    assert_eq!(bench.ack("3"), ["stale 3"]);
    assert!(bench.ack("0 1").is_empty());
    bench.pass(millis(500));
    assert_eq!(bench.pull(1), "2*2 3*2 4*2");
}

#[test]
fn request_may_name_a_record_and_those_behind_it() {
    let mut bench = one_lane(5);
    assert!(bench.retry("0 1 2 3 4").is_empty());
    assert!(bench.lines("withdrawn").is_empty());
    bench.pass(millis(500));
    assert_eq!(bench.pull(1), "0*2 1*2 2*2 3*2 4*2");
}

#[test]
fn back_off_doubles_up_to_its_cap() {
    let mut bench = one_lane(1);
    for wait in [500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000] {
        bench.retry("0");
        bench.pass(millis(wait - 1));
        assert_eq!(bench.pull(1), "", "before {wait} ms");
        bench.pass(millis(1));
        assert!(bench.pull(1).starts_with("0*"), "after {wait} ms");
    }
}

#[test]
fn jitter_stays_within_its_share() {
    let mut bench = Bench::flowing(delivered(Policy {
        retry: Backoff {
            jitter: 0.2,
            ..policy().retry
        },
        ..policy()
    }));
    let mut waits = std::collections::BTreeSet::new();
    for offset in 0..50 {
        bench.pop("-");
        bench.pull(1);
        let before = bench.now;
        bench.retry(&offset.to_string());
        let due = bench
            .core
            .assignments
            .values()
            .next()
            .expect("one")
            .due(offset)
            .expect("due");
        waits.insert(due.since(before).as_millis());
    }
    assert!(waits.len() > 30);
    assert!(*waits.first().expect("some") >= 400 && *waits.last().expect("some") <= 600);
}

#[test]
fn own_delay_is_kept_up_to_the_cap() {
    let mut bench = one_lane(1);
    for (delay, wait) in [(7, 7), (600, 60)] {
        let delay = Some(seconds(delay));
        bench.settle(&[(Outcome::Retry { delay }, "0")]);
        bench.pass(millis(wait * 1000 - 1));
        assert_eq!(bench.pull(1), "");
        bench.pass(millis(1));
        assert!(bench.pull(1).starts_with("0*"));
    }
}

#[test]
fn released_record_goes_to_another_stream_at_once_and_to_the_same_after_the_first_back_off() {
    let mut bench = one_lane(1);
    bench.release("0");
    assert_eq!(bench.pull(1), "");
    bench.pass(millis(499));
    assert_eq!(bench.pull(1), "");
    bench.pass(millis(1));
    assert_eq!(bench.pull(1), "0*2");
    bench.release("0");
    bench.open(2);
    assert_eq!(bench.pull(2), "0*3");
}

// I-S4
#[test]
fn late_settlement_changes_nothing_but_the_count_of_stale_ones() {
    let mut bench = one_lane(1);
    bench.close(1);
    bench.open(2);
    let before = bench.status(0);
    assert_eq!(bench.ack("0"), ["stale 0"]);
    assert_eq!(bench.status(0).unfinished, before.unfinished);
    assert_eq!(bench.core.counters().stale_settlements, 1);
    assert_eq!(bench.pull(2), "0*2");
}
