use super::super::harness::*;
use super::super::*;

fn deep() -> Bench {
    let mut bench = Bench::flowing(delivered(Policy {
        lane_depth: 2,
        ..policy()
    }));
    bench.pop("a a a b b b c c c");
    assert_eq!(bench.pull(1), "0 1 3 4 6 7");
    bench.open(2);
    bench.forget();
    bench
}

// Nothing is withdrawn for a lane that moves, and its order is kept.
#[test]
fn idle_stream_takes_a_lane_over_once_its_live_records_are_settled() {
    let mut bench = deep();
    assert_eq!(bench.pull(2), "");
    bench.ack("0");
    assert_eq!(bench.pull(1), "", "the lane that moves gives nothing new");
    assert_eq!(bench.pull(2), "");
    bench.ack("1");
    assert_eq!(bench.pull(2), "2");
    assert!(bench.lines("withdrawn").is_empty());
}

#[test]
fn one_lane_moves_at_a_time_and_not_back() {
    let mut bench = deep();
    bench.pull(2);
    bench.ack("0 1");
    assert_eq!(bench.pull(2), "2");
    bench.ack("3 4 6 7");
    assert_eq!(bench.pull(1), "5 8");
    assert_eq!(bench.pull(1), "");
    bench.ack("2");
    assert_eq!(bench.pull(2), "");
}

#[test]
fn lane_on_its_way_to_a_stream_that_closes_is_for_anybody() {
    let mut bench = deep();
    bench.pull(2);
    bench.close(2);
    bench.ack("0 1");
    assert_eq!(bench.pull(1), "2");
}
