use super::super::harness::*;
use super::super::*;

// B40
#[test]
fn what_a_stream_held_comes_again_in_order_when_it_ends() {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::Partition,
        lane_depth: 10,
        ..policy()
    }));
    bench.pop("- - - -");
    bench.pull(1);
    bench.ack("1");
    bench.forget();
    bench.close(1);
    bench.open(2);
    assert!(
        bench.lines("withdrawn").is_empty(),
        "nobody is there to be told"
    );
    assert_eq!(bench.pull(2), "0*2 2*2 3*2");
}

#[test]
fn frame_is_freed_with_its_last_live_delivery() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.pull(1);
    bench.forget();
    bench.ack("0");
    assert!(bench.lines("free frame").is_empty());
    bench.ack("1");
    assert_eq!(bench.lines("free frame").len(), 1);
    assert_eq!(bench.core.held_bytes(), 0);
}

#[test]
fn little_that_lives_in_a_large_frame_is_copied_out_when_the_budget_is_half_used() {
    let mut bench = Bench::flowing(Settings {
        in_flight_bytes_max: 1500,
        ..settings()
    });
    bench.pop("a b c d e f g h i j");
    bench.pull(1);
    bench.forget();
    bench.ack("0 1 2 3 4 5 6");
    assert!(bench.lines("copy").is_empty());
    bench.ack("7");
    assert_eq!(bench.lines("copy"), ["copy 8 9"]);
    assert_eq!(bench.core.held_bytes(), 200);
    bench.ack("8");
    assert_eq!(bench.lines("free records"), ["free records 8"]);
    bench.retry("9");
    assert!(bench.lines("copy").is_empty(), "it has a copy of its own");
    assert_eq!(bench.core.held_bytes(), 100);
}
