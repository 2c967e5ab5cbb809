//! The sidecar dies without a chance to say goodbye.

use std::collections::BTreeMap;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{
    Delivered, Ledger, Line, Manner, Member, Protocol, Reader, Sidecar, Topic, Worker, now_ms,
    on_every_protocol, unique,
};

use super::assert_worked_off;

// R23 B41
async fn a_killed_sidecar_loses_nothing_and_repeats_little(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 6).await;
    let settings = member.settings(&group, &topic);
    let sidecar = Sidecar::start(settings.clone()).await;
    let manner = Manner::new(5);
    let worker = Worker::start(sidecar.socket(), &ledger, manner);
    let written = CancellationToken::new();
    let scenario = async {
        ledger.until_accepted(1000).await;
        let crash_ms = now_ms();
        let directory = sidecar.kill().await;
        let sidecar = Sidecar::start_in(directory, settings).await;
        ledger.until_accepted(ledger.accepted_count() + 200).await;
        written.cancel();
        (sidecar, crash_ms)
    };
    let (_, (sidecar, crash_ms)) = tokio::join!(topic.write_until(&ledger, &written), scenario);
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    let commits = assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    let in_flight = usize::try_from(manner.in_flight).unwrap();
    ledger.assert_repeats_are_bounded(&commits, &[crash_ms], in_flight);
}
on_every_protocol!(a_killed_sidecar_loses_nothing_and_repeats_little);

/// Twelve partitions, the first record of each stuck, and 100,000 others behind them.
const STUCK: usize = 12;
const OTHERS: usize = 100_000;

// R23 B22 B41
#[tokio::test]
async fn a_restart_repeats_what_was_stuck_and_nothing_of_what_passed_it() {
    assert_eq!(delivered_again_after_a_crash(true).await, STUCK);
}

// R23 B41
#[tokio::test]
async fn a_restart_without_metadata_repeats_everything_behind_what_was_stuck() {
    assert_eq!(delivered_again_after_a_crash(false).await, STUCK + OTHERS);
}

async fn delivered_again_after_a_crash(metadata: bool) -> usize {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 12).await;
    topic.write_numbered(&ledger, 100_012).await;
    let settings = member.settings(&group, &topic).with(json!({
        "commit": {"metadata": metadata},
        "in_flight": {"records": 3000, "per_stream_records": 3000},
        "lane_depth": 3000,
        "batch": {"records": 1000},
    }));
    let sidecar = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    // The newest of each partition is acknowledged at the end, by a call that waits for the commit.
    let mut newest = BTreeMap::new();
    for _ in 0..(STUCK + OTHERS) / 1000 {
        finish(&mut reader, 1000, &mut newest).await;
    }
    finish(&mut reader, (STUCK + OTHERS) % 1000, &mut newest).await;
    let last: Vec<u64> = newest
        .values()
        .map(|delivered: &Delivered| delivered.id)
        .collect();
    assert_eq!(
        reader.ack_committed(&last).await,
        metadata,
        "without marks no commit covers it"
    );
    let before = ledger.delivery_count();
    let directory = sidecar.kill().await;

    let sidecar = Sidecar::start_in(directory, settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    // What is new comes behind what comes again.
    topic.write_numbered(&ledger, 12).await;
    let mut left: BTreeMap<i32, i64> = BTreeMap::new();
    for partition in 0..12 {
        left.insert(partition, topic.bounds(partition).await.1 - 1);
    }
    while !left.is_empty() {
        let some = reader.take_some().await;
        let ids: Vec<u64> = some.iter().map(|delivered| delivered.id).collect();
        reader.ack(&ids).await;
        for Delivered { place, .. } in some {
            left.retain(|partition, last| (*partition, *last) != (place.partition, place.offset));
        }
    }
    reader.close().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    ledger.delivery_count() - before - 12
}

/// Takes records and acknowledges them, but for the first of each partition and the newest so far.
async fn finish(reader: &mut Reader, count: usize, newest: &mut BTreeMap<i32, Delivered>) {
    let mut done = Vec::new();
    for delivered in reader.take(count).await {
        if delivered.place.offset > 0 {
            let before = newest.insert(delivered.place.partition, delivered);
            done.extend(before.map(|before| before.id));
        }
    }
    reader.ack(&done).await;
}
