use super::super::harness::*;
use super::super::*;

/// Stream 2 may hold 64 records, and does; more wait. Their offsets are those of records without order.
fn busy() -> Bench {
    let mut bench = Bench::flowing(delivered(Policy {
        order: Order::None,
        ..policy()
    }));
    bench.open_with(2, |open| open.in_flight_records_max = 64);
    bench.pop(&"- ".repeat(200));
    assert_eq!(bench.pull(2).split(' ').count(), 64);
    assert_eq!(bench.pull(2), "");
    bench
}

#[test]
fn little_room_is_filled_when_it_is_a_sixteenth() {
    let mut bench = busy();
    bench.forget();
    bench.ack("0 1 2");
    assert!(bench.lines("wake 2").is_empty());
    assert_eq!(bench.pull(2), "", "three of 64 are little");
    assert_eq!(bench.top_up(2), 0);
    bench.ack("3");
    assert_eq!(bench.lines("wake 2"), ["wake 2"]);
    assert_eq!(bench.pull(2), "64 65 66 67");
}

#[test]
fn whoever_acknowledges_together_gets_a_quarter_at_a_time() {
    let offsets = |from: u64, to: u64| {
        let all: Vec<String> = (from..to).map(|offset| offset.to_string()).collect();
        all.join(" ")
    };
    let mut bench = busy();
    for round in 0..6 {
        bench.ack(&offsets(round * 8, round * 8 + 8));
        bench.pull(2);
        bench.pass(millis(10));
        bench.pull(2);
    }
    assert_eq!(bench.pull(2), "");
    bench.forget();
    bench.ack(&offsets(48, 63));
    assert_eq!(bench.pull(2), "", "fifteen of 64 are little");
    bench.ack("63");
    assert_eq!(bench.pull(2), offsets(112, 128));
}

// R3
#[test]
fn little_room_is_filled_after_ten_milliseconds_though_the_rest_is_stuck() {
    let mut bench = busy();
    bench.forget();
    bench.ack("0");
    assert!(bench.lines("wake 2").is_empty());
    bench.pass(millis(10));
    assert!(!bench.lines("wake 2").is_empty());
    assert_eq!(bench.pull(2), "64");
    bench.ack("1");
    assert_eq!(bench.pull(2), "", "and each time anew");
    bench.pass(millis(10));
    assert_eq!(bench.pull(2), "65");
}

// R3
#[test]
fn stream_that_holds_nothing_is_served_at_once() {
    let mut bench = busy();
    bench.flow(
        2,
        FlowChange {
            in_flight_records_max: Some(1),
            ..FlowChange::default()
        },
    );
    let all: Vec<String> = (0..64).map(|offset| offset.to_string()).collect();
    bench.ack(&all.join(" "));
    assert_eq!(bench.pull(2), "64");
}

#[test]
fn few_bytes_are_little_room_too() {
    let mut bench = Bench::flowing(settings());
    bench.open_with(2, |open| {
        open.in_flight_bytes_max = 1600;
        open.batch_bytes_max = 1600;
    });
    bench.pop("a:790 b:750 c:40 d:40 e:40");
    assert_eq!(bench.pull(2), "0 1 2");
    bench.ack("2");
    assert_eq!(bench.pull(2), "", "60 of 1600 are free");
    bench.ack("1");
    assert_eq!(bench.pull(2), "3 4");
}
