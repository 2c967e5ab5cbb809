//! Where reading starts, and what happens when the log no longer holds that place.

use serde_json::json;

use crate::harness::{
    Ledger, Line, Logged, Manner, Member, Protocol, Reader, Sidecar, Topic, Worker,
    described_offsets, unique, until,
};

use super::assert_worked_off;

fn member() -> Member {
    Member::new(Line::Newest, Protocol::Cooperative)
}

/// Waits until the group has committed these offsets, partition by partition.
async fn until_committed(member: Member, group: &str, expected: &[i64]) {
    until(&format!("{expected:?} is committed"), async || {
        let offsets = described_offsets(member.cluster, group).await;
        let committed: Vec<i64> = offsets.values().map(|&(committed, _)| committed).collect();
        (committed == expected).then_some(())
    })
    .await;
}

// R7 B8 B9
#[tokio::test]
async fn latest_starts_at_the_end_and_commits_that_at_once() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let before = Ledger::default();
    topic.write_numbered(&before, 20).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"start": "latest"}));
    let sidecar = Sidecar::start(settings.clone()).await;
    let reader = Reader::open(&sidecar.socket(), &ledger).await;
    // No record moved these commits: without them, a restart would apply the policy again and
    // skip what was written in between.
    until_committed(member, &group, &[10, 10]).await;
    reader.close().await;
    let directory = sidecar.stop().await;

    topic.write_numbered(&ledger, 20).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(11));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), 20);
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R7 B8
#[tokio::test]
async fn stop_waits_for_somebody_to_commit_and_says_so() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 10).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"start": "stop"}));
    let sidecar = Sidecar::start(settings.clone()).await;
    let reader = Reader::open(&sidecar.socket(), &ledger).await;
    let line = sidecar
        .until_logged(&[&topic.name, "no committed offset"])
        .await;
    assert!(line.contains("ERROR"), "a person must act: {line}");
    assert_eq!(ledger.delivery_count(), 0);
    reader.close().await;
    let directory = sidecar.stop().await;

    // The tool refuses while a member may still be on its way out.
    let state = ["groups", "--describe", "--state", "--group", &group];
    until("the group is empty", async || {
        let text = member.cluster.tool(&state).await;
        text.contains("Empty").then_some(())
    })
    .await;
    let reset = [
        "groups",
        "--group",
        &group,
        "--reset-offsets",
        "--to-earliest",
        "--execute",
    ];
    member
        .cluster
        .tool(&[reset.as_slice(), &["--topic", &topic.name]].concat())
        .await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(12));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R6 B7
#[tokio::test]
async fn an_added_partition_is_read_from_its_beginning_even_with_latest() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let mut topic = Topic::create(member.cluster, 1).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"start": "latest"}));
    let sidecar = Sidecar::start(settings.clone()).await;
    let reader = Reader::open(&sidecar.socket(), &ledger).await;
    until_committed(member, &group, &[0]).await;
    reader.close().await;
    let directory = sidecar.stop().await;

    topic.grow(3).await;
    topic.write_numbered(&ledger, 30).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(13));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), 30);
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

/// Two partitions with 10 committed of 20; then retention takes partition 0 up to offset 15.
/// What happened before is in a ledger of its own.
async fn overtaken_by_retention(member: Member, group: &str, ledger: &Ledger) -> Topic<'static> {
    let before = Ledger::default();
    let topic = Topic::create(member.cluster, 2).await;
    topic.write_numbered(&before, 20).await;
    let sidecar = Sidecar::start(member.settings(group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &before, Manner::new(14));
    before.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    until_committed(member, group, &[10, 10]).await;
    topic.write_numbered(ledger, 20).await;
    topic.delete_records_below(0, 15).await;
    for offset in 10..15 {
        ledger.removed(topic.place(0, offset));
    }
    topic
}

// R4 B4 B45
#[tokio::test]
async fn earliest_goes_on_where_the_log_begins_and_counts_what_was_skipped() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = overtaken_by_retention(member, &group, &ledger).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"on_out_of_range": "earliest"}));
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(15));
    ledger.until_all_accepted().await;
    assert_eq!(ledger.delivery_count(), 15);
    assert!((sidecar.metric("ackline_offsets_skipped_total", &[]).await - 5.0).abs() < 0.5);
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R4 B4
#[tokio::test]
async fn stop_holds_the_partition_that_retention_overtook_and_the_others_go_on() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = overtaken_by_retention(member, &group, &ledger).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(16));
    ledger.until_accepted(10).await;
    sidecar
        .until_logged(&[&topic.name, "out_of_range", "ERROR"])
        .await;
    until_committed(member, &group, &[10, 20]).await;
    worker.finish().await;
    sidecar.stop().await;
    until_committed(member, &group, &[10, 20]).await;
    assert_eq!(
        ledger.delivery_count(),
        10,
        "nothing of the stopped partition is delivered"
    );
    ledger.assert_faithful();
}

// R4 B4
#[tokio::test]
async fn latest_goes_on_behind_the_newest_record_and_counts_what_was_skipped() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = overtaken_by_retention(member, &group, &ledger).await;
    for offset in 15..20 {
        ledger.removed(topic.place(0, offset));
    }
    let settings = member
        .settings(&group, &topic)
        .with(json!({"on_out_of_range": "latest"}));
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(17));
    ledger.until_all_accepted().await;
    until_committed(member, &group, &[20, 20]).await;
    assert!((sidecar.metric("ackline_offsets_skipped_total", &[]).await - 10.0).abs() < 0.5);
    topic.write(&ledger, [(0, Logged::numbered(1000))]).await;
    ledger.until_all_accepted().await;
    assert_eq!(ledger.delivery_count(), 11);
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R4 B45
#[tokio::test]
async fn records_that_retention_takes_while_in_flight_can_still_be_acknowledged() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 20).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let taken = reader.take(20).await;
    topic.delete_records_below(0, 15).await;
    let ids: Vec<u64> = taken.iter().map(|record| record.id).collect();
    assert!(reader.ack(&ids).await.is_empty());
    topic.write_numbered(&ledger, 5).await;
    let more: Vec<u64> = reader
        .take(5)
        .await
        .iter()
        .map(|record| record.id)
        .collect();
    assert!(reader.ack_committed(&more).await);
    reader.close().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
