use super::super::harness::*;
use super::super::*;

// M2, M3
#[test]
fn record_of_an_older_fetch_is_dropped() {
    let mut bench = Bench::flowing(settings());
    let old = bench.client[&partition(0)].fetch;
    bench.lose(&[0]);
    bench.assign(&[0]);
    let record = PoppedRecord {
        offset: 0,
        key_hash: None,
        size: 1,
        leader_epoch: None,
        foreign: false,
    };
    bench.pop_records(partition(0), old, &[record]);
    assert_eq!(bench.status(0).frontier, Some(0));
    assert_eq!(bench.core.counters().dropped_old_fetch, 1);
}

#[test]
fn failed_fetch_starts_again_at_the_frontier_and_keeps_what_is_live() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b");
    bench.pull(1);
    bench.forget();
    bench.fetch_failed(0, FetchError::Transient("away".to_owned()));
    assert_eq!(bench.lines("unassign"), ["unassign 0"]);
    assert_eq!(bench.lines("assign"), ["assign 0@2"]);
    assert!(bench.ack("0 1").is_empty());
}

// B27
#[test]
fn corrupt_batch_is_fetched_three_times_more_and_then_stops_its_partition() {
    let mut bench = Bench::flowing(settings());
    for _ in 0..3 {
        bench.fetch_failed(0, FetchError::Corrupt("crc".to_owned()));
        bench.pass(seconds(11));
    }
    assert!(bench.lines("event Stopped").is_empty());
    bench.fetch_failed(0, FetchError::Corrupt("crc".to_owned()));
    assert_eq!(
        bench.status(0).blocked,
        Some(Blocked::Stopped(StopReason::Corrupt))
    );
}

// W5: an offset that goes back is a fault, never swallowed.
#[test]
fn offset_that_goes_back_stops_the_partition() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b a@1");
    let stopped = Blocked::Stopped(StopReason::OffsetsWentBack);
    assert_eq!(bench.status(0).blocked, Some(stopped));
    assert_eq!(bench.status(0).unfinished, 2);
}

fn out_of_range(policy: StartPolicy) -> Bench {
    let mut bench = Bench::flowing(Settings {
        on_out_of_range: policy,
        ..settings()
    });
    bench.logs.insert(
        partition(0),
        LogRange {
            earliest: 50,
            latest: 90,
        },
    );
    bench.forget();
    bench.fetch_failed(0, FetchError::OutOfRange);
    bench
}

// B4, G6
#[test]
fn offset_below_the_log_is_handled_by_policy_and_counted() {
    let mut bench = out_of_range(StartPolicy::Stop);
    assert_eq!(
        bench.status(0).blocked,
        Some(Blocked::Stopped(StopReason::OutOfRange))
    );
    assert_eq!(bench.core.counters().skipped, 0);
    for (policy, to) in [(StartPolicy::Earliest, 50), (StartPolicy::Latest, 90)] {
        bench = out_of_range(policy);
        assert_eq!(bench.client[&partition(0)].offset, to);
        assert_eq!(bench.core.counters().skipped, to.unsigned_abs());
        assert_eq!(bench.lines("commit"), [format!("commit 0@{to}")]);
    }
}

// B3
#[test]
fn truncation_goes_on_where_the_logs_part_as_a_new_assignment() {
    let mut bench = Bench::flowing(settings());
    bench.pop("a b c d");
    bench.pull(1);
    bench.ack("0 1 2 3");
    bench.pass(seconds(1));
    bench.fetch_failed(0, FetchError::Truncated { end: 2 });
    assert_eq!(bench.client[&partition(0)].offset, 2);
    assert_eq!(bench.lines("event Truncated").len(), 1);
    assert_eq!(bench.broker[&partition(0)].offset, 2);
}

// I-S3: what a draining partition meets is its next owner's business.
#[test]
fn failed_fetch_of_a_draining_partition_changes_nothing() {
    for error in [
        FetchError::OutOfRange,
        FetchError::Truncated { end: 0 },
        FetchError::Corrupt("crc".to_owned()),
    ] {
        let mut bench = Bench::flowing(settings());
        bench.pop("a a");
        bench.pull(1);
        bench.revoke(&[0]);
        bench.fetch_failed(0, error);
        assert_eq!(bench.status(0).blocked, Some(Blocked::Draining));
        bench.ack("0");
        assert_eq!(bench.lines("answer unassign"), ["answer unassign 0"]);
        assert!(bench.core.owned().is_empty());
        assert_eq!(bench.broker[&partition(0)].offset, 1);
    }
}
