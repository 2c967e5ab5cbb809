use super::super::harness::*;
use super::super::*;

fn all() -> Vec<IdRange> {
    vec![IdRange {
        first: 0,
        last: u64::MAX,
    }]
}

// I-S8, I-S4, B13
#[test]
fn same_outcome_is_accepted_another_is_a_conflict_a_withdrawn_id_is_stale() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b c");
    bench.pull(1);
    assert!(bench.ack("0").is_empty());
    assert!(bench.ack("0").is_empty());
    assert_eq!(bench.retry("0"), ["conflict 0"]);
    bench.lose(&[0]);
    assert_eq!(bench.ack("0 1 2"), ["stale 1 2"]);
    assert_eq!(bench.retry("0"), ["conflict 0"]);
}

#[test]
fn id_never_issued_is_unknown() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    bench.pull(1);
    let never = IdRange::one(bench.books.id("0") + 1);
    let refusals = bench.settle_ids(Outcome::Ack, vec![never]);
    assert_eq!(refusals.len(), 1);
    assert_eq!(refusals[0].reason, RefusalReason::Unknown);
    assert_eq!(refusals[0].ids, [never]);
}

#[test]
fn huge_range_costs_as_much_as_what_is_live_in_it() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b c");
    bench.pull(1);
    let refusals = bench.settle_ids(Outcome::Ack, all());
    assert_eq!(refusals.len(), 1, "only what was never issued is refused");
    assert_eq!(refusals[0].ids.len(), 2);
    assert_eq!(bench.core.live, 0);
}

// Outcomes are remembered for 60 s after the end of a stream, its range for longer.
#[test]
fn id_of_a_stream_that_ended_becomes_stale() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a");
    bench.pull(1);
    bench.ack("0");
    bench.close(1);
    assert!(bench.ack("0").is_empty());
    bench.pass(seconds(61));
    assert_eq!(bench.ack("0"), ["stale 0"]);
}

// I-X1: the search for a free range of ids ends, however many streams came and went.
#[test]
fn thousand_streams_within_a_minute_get_ranges_of_their_own() {
    let mut bench = Bench::new(settings());
    for stream in 1..=1000 {
        bench.open(stream);
        bench.close(stream);
    }
    let mut firsts: Vec<_> = bench
        .core
        .streams
        .map
        .values()
        .map(|stream| stream.first_id)
        .collect();
    firsts.sort_unstable();
    assert!(firsts.windows(2).all(|pair| pair[1] - pair[0] > 1 << 36));
    assert!(
        firsts
            .iter()
            .all(|first| (1 << 40..1 << 53).contains(first))
    );
}

#[test]
fn hundred_thousand_random_ids_leave_nothing_behind() {
    let mut bench = Bench::flowing(settings());
    let mut random = random::SplitMix(7);
    for _ in 0..100 {
        let ids = (0..1000)
            .map(|_| IdRange::one(random.next() >> 11))
            .collect();
        bench.settle_ids(Outcome::Ack, ids);
    }
    assert_eq!(bench.core.counters().unknown_settlements, 100_000);
    assert_eq!(bench.core.status().counters.stale_settlements, 0);
}
