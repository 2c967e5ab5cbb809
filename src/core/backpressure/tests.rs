use super::super::harness::*;
use super::super::*;

fn small(budget: u64) -> Bench {
    Bench::flowing(Settings {
        in_flight_bytes_max: budget,
        ..settings()
    })
}

// I-B1
#[test]
fn pop_asks_for_what_the_budget_and_the_stream_have_room_for() {
    let mut bench = small(1000);
    bench.open_with(2, |open| open.in_flight_records_max = 3);
    assert_eq!(
        bench.allowance(2),
        0,
        "a stream that did not ask is given nothing"
    );
    bench.pull(1);
    bench.pull(2);
    assert_eq!(bench.allowance(2), 3);
    assert_eq!(bench.allowance(1), 3, "1000 bytes at 256 each");
}

#[test]
fn nothing_is_popped_at_the_budget_until_something_is_settled() {
    let mut bench = small(1000);
    bench.pop("a:600 b:400 b");
    assert_eq!(bench.pull(1), "0 1");
    bench.pull(1);
    assert_eq!(bench.allowance(1), 0);
    bench.forget();
    bench.ack("0 1");
    assert!(!bench.lines("wake 1").is_empty());
    assert_eq!(bench.pull(1), "2");
    bench.pull(1);
    assert!(bench.allowance(1) > 0);
}

#[test]
fn full_partition_is_paused_after_100_ms_and_resumed_below_half() {
    let mut bench = Bench::flowing(Settings {
        window_records_max: 4,
        ..settings()
    });
    bench.assign(&[1]);
    bench.pop("a a a a");
    bench.pull(1);
    bench.pull(1);
    assert_eq!(
        bench.allowance(1),
        0,
        "what is popped might be the full one's"
    );
    bench.pass(millis(99));
    assert!(bench.paused.is_empty());
    bench.pass(millis(1));
    assert_eq!(bench.lines("pause"), ["pause 0"]);
    bench.pull(1);
    assert!(bench.allowance(1) > 0);
    bench.ack("0");
    assert_eq!(bench.paused, [partition(0)]);
    bench.pull(1);
    bench.ack("1");
    assert_eq!(bench.lines("resume"), ["resume 0"]);
}

// Found with keys of a natural distribution: the partition of the frequent key was full again with every record
// that took the place of a finished one, and so never for long, and all others got only what was popped in between.
#[test]
fn partition_that_is_full_again_and_again_is_paused_like_one_that_stays_full() {
    let mut bench = Bench::flowing(Settings {
        window_records_max: 8,
        ..settings()
    });
    bench.assign(&[1]);
    bench.pop("a a a a a a a a");
    for finished in 0..3 {
        bench.pull(1);
        bench.pass(millis(30));
        bench.ack(&finished.to_string());
        bench.pop("a");
    }
    assert!(bench.paused.is_empty(), "90 ms");
    bench.pass(millis(10));
    assert_eq!(bench.lines("pause"), ["pause 0"]);
}

#[test]
fn time_of_being_full_counts_anew_once_it_was_below_half() {
    let mut bench = Bench::flowing(Settings {
        window_records_max: 2,
        ..settings()
    });
    bench.assign(&[1]);
    bench.pop("a b");
    bench.pull(1);
    bench.pass(millis(90));
    bench.ack("0");
    bench.pop("c d");
    bench.pass(millis(90));
    assert!(bench.paused.is_empty());
    bench.pass(millis(10));
    assert_eq!(bench.lines("pause"), ["pause 0"]);
}

/// Finishes records of the partition as they come, except for those whose place in the log `keep` picks.
fn finishes_all_but(bench: &mut Bench, keep: impl Fn(usize) -> bool, until: usize) -> usize {
    let mut next = 0;
    while next < until {
        bench.pull(1);
        if bench.allowance(1) == 0 {
            break;
        }
        bench.pop(&"- ".repeat(50));
        let delivered = bench.pull(1);
        let done = delivered
            .split(' ')
            .filter(|name| !keep(name.parse().expect("an offset")));
        let done: Vec<&str> = done.collect();
        bench.ack(&done.join(" "));
        next += 50;
    }
    next
}

// I-B4 B22
#[test]
fn taking_in_stops_before_what_is_finished_out_of_order_no_longer_fits_the_commit() {
    let limits = Settings {
        commit_metadata_max: 400,
        ..delivered(Policy {
            order: Order::None,
            ..policy()
        })
    };
    let mut bench = Bench::flowing(limits.clone());
    let taken_in = finishes_all_but(&mut bench, |at| at % 3 == 0, 5000);
    assert!((1000..2000).contains(&taken_in), "{taken_in}");
    assert_eq!(bench.status(0).blocked, Some(Blocked::MarksFull));
    bench.pass(seconds(1));
    assert!(bench.lines("event MarksDropped").is_empty());
    // Of what was finished, nothing comes again after a restart now.
    let mut next = Bench::new(limits.clone());
    next.broker = bench.broker;
    next.open(1);
    next.assign(&[0]);
    next.pop(&"- ".repeat(taken_in));
    let unfinished = next.pull(1);
    assert_eq!(unfinished.split(' ').count(), taken_in.div_ceil(3));

    // One that is stuck takes no room, however many pass it.
    let mut bench = Bench::flowing(limits.clone());
    assert_eq!(finishes_all_but(&mut bench, |at| at == 0, 20_000), 20_000);
    bench.pass(seconds(1));
    assert!(bench.lines("event MarksDropped").is_empty());

    // Without marks there is no such limit.
    let mut bench = Bench::flowing(Settings {
        commit_metadata: false,
        ..limits
    });
    assert_eq!(finishes_all_but(&mut bench, |at| at % 3 == 0, 2000), 2000);
}

#[test]
fn partition_whose_share_grew_meanwhile_is_not_paused() {
    let mut bench = Bench::flowing(Settings {
        in_flight_bytes_max: 1000,
        ..settings()
    });
    bench.assign(&[1, 2]);
    bench.pop("a:200 a:200 a:200");
    bench.pull(1);
    assert_eq!(bench.allowance(1), 0, "400 bytes wait, a third is 333");
    bench.lose(&[2]);
    bench.pass(millis(200));
    assert!(bench.paused.is_empty(), "half is 500");
}

#[test]
fn nothing_is_paused_when_no_other_partition_has_room() {
    let mut bench = Bench::flowing(Settings {
        window_records_max: 2,
        ..settings()
    });
    bench.pop("a a");
    bench.pass(seconds(5));
    assert!(bench.paused.is_empty());
}

// "window counted as a span"
#[test]
fn window_counts_unfinished_records_and_not_offsets() {
    let mut bench = Bench::flowing(Settings {
        window_records_max: 3,
        ..settings()
    });
    bench.pop("a b@1000000");
    bench.pull(1);
    bench.pull(1);
    assert!(bench.allowance(1) > 0);
}

#[test]
fn next_message_is_filled_up_by_what_misses_of_it() {
    let mut bench = small(1 << 20);
    bench.open_with(2, |open| open.batch_bytes_max = 256 * 40);
    assert_eq!(bench.top_up(2), 40, "256 bytes each, until sizes are known");
    bench.pop("a:256 b:256 c:256 d:256");
    assert_eq!(bench.top_up(2), 36);
    bench.open_with(3, |open| open.batch_records_max = 4);
    assert_eq!(bench.top_up(3), 0, "four wait already");
    bench.flow(
        2,
        FlowChange {
            paused: Some(true),
            ..FlowChange::default()
        },
    );
    assert_eq!(bench.top_up(2), 0, "it takes nothing now");
    bench.close(3);
    assert_eq!(bench.top_up(3), 0);
}

#[test]
fn what_waits_behind_a_busy_key_fills_no_message() {
    let mut bench = small(1 << 20);
    bench.open_with(2, |open| open.batch_records_max = 10);
    bench.pop("a:256 a:256 a:256 b:256 -:256");
    assert_eq!(bench.top_up(2), 7, "one of each key");
    assert_eq!(bench.pull(2), "0 3 4");
    assert_eq!(bench.top_up(2), 10);
}

// I-B1
#[test]
fn nothing_is_popped_for_a_message_that_the_budget_forbids() {
    let mut bench = small(1000);
    bench.pop("a:600 b:400");
    assert_eq!(bench.pull(1), "0 1");
    assert_eq!(bench.top_up(1), 0);
    bench.ack("0 1");
    assert!(bench.top_up(1) > 0);
}
