use super::super::harness::*;
use super::super::*;

// I-O2
#[test]
fn records_of_a_key_go_one_by_one_and_others_pass_them() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a a b - -");
    assert_eq!(bench.pull(1), "0 2 3 4");
    bench.ack("2 3 4");
    assert_eq!(bench.pull(1), "");
    bench.ack("0");
    assert_eq!(bench.pull(1), "1");
}

// I-O1
#[test]
fn partition_is_one_lane_as_deep_as_configured() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: 2,
        ..policy()
    }));
    bench.open(2);
    bench.pop("a b c");
    assert_eq!(bench.pull(1), "0 1");
    assert_eq!(bench.pull(2), "");
    bench.ack("0");
    assert_eq!(
        bench.pull(2),
        "",
        "the lane sticks to the stream that holds some of it"
    );
    assert_eq!(bench.pull(1), "2");
}

// I-O3
#[test]
fn without_order_everything_goes() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::None,
        ..policy()
    }));
    bench.pop("a a a");
    assert_eq!(bench.pull(1), "0 1 2");
}

// M17
#[test]
fn later_record_of_a_key_never_passes_one_that_backs_off() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a a");
    bench.pull(1);
    bench.retry("0");
    assert_eq!(bench.pull(1), "");
    bench.pass(millis(500));
    assert_eq!(bench.pull(1), "0*2");
    assert_eq!(bench.pull(1), "");
}
