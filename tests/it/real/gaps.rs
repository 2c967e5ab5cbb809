//! Offsets at which there is nothing to read.

use std::collections::BTreeSet;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{Message, Offset, TopicPartitionList};

use crate::harness::{
    Cluster, Ending, Ledger, Line, Logged, Manner, Member, Protocol, Sidecar, Topic, Worker,
    described_offsets, on_every_protocol, unique, until,
};

use super::{assert_worked_off, until_committed_to_the_end};

fn records(partitions: i32, count: i32) -> impl Iterator<Item = (i32, Logged)> {
    (0..count).map(move |number| (number % partitions, Logged::numbered(number)))
}

// R1 B1
async fn aborted_transactions_are_passed_over_and_the_commit_reaches_the_end(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    topic
        .write_transaction(&ledger, records(3, 60), Ending::Commit)
        .await;
    topic
        .write_transaction(&ledger, records(3, 90), Ending::Abort)
        .await;
    topic.write_numbered(&ledger, 30).await;
    topic
        .write_transaction(&ledger, records(3, 30), Ending::Commit)
        .await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(9));
    ledger.until_all_accepted().await;
    // A marker ends the log of each partition: the commit must stand behind it without a record's
    // help, and again when nothing but aborted records and markers follow.
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    topic
        .write_transaction(&ledger, records(3, 300), Ending::Abort)
        .await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
    assert_eq!(ledger.delivery_count(), 120);
}
on_every_protocol!(aborted_transactions_are_passed_over_and_the_commit_reaches_the_end);

// R2 B2
async fn a_transaction_left_open_holds_the_rest_back_visibly(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 10).await;
    let open = topic.open_transaction(records(1, 5)).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(11));
    ledger.until_all_accepted().await;
    topic.write_numbered(&ledger, 20).await;
    let held = ["reason=\"nothing_readable\""];
    until("it is said that nothing is readable", async || {
        let held = sidecar.metric("ackline_blocked", &held).await;
        (held > 0.5).then_some(())
    })
    .await;
    let backlog = sidecar.metric("ackline_backlog_records", &[]).await;
    assert!((backlog - 25.0).abs() < 0.5, "{backlog} records behind");
    assert_eq!(ledger.delivery_count(), 10, "nothing is passed over");
    let offsets = described_offsets(member.cluster, &group).await;
    let (committed, _) = offsets[&(topic.name.clone(), 0)];
    assert_eq!(committed, 10, "and nothing is claimed");

    open.end(&ledger, Ending::Abort);
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), 30);
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
on_every_protocol!(a_transaction_left_open_holds_the_rest_back_visibly);

// R1 B1
#[tokio::test]
async fn gaps_of_compaction_hold_nothing_up() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("delete.retention.ms", "0"),
    ];
    let topic = Topic::create_with(member.cluster, 1, 1, &compacted).await;
    // One key, written again and again, leaves a gap as wide as the log; a few others stand alone.
    for round in 0..5 {
        let repeated = (0..500).map(|number| {
            (
                0,
                Logged {
                    key: Some(b"same".to_vec()),
                    ..Logged::numbered(number)
                },
            )
        });
        topic.write(&ledger, repeated).await;
        let own_key = format!("own-{round}").into_bytes();
        topic
            .write(
                &ledger,
                [(
                    0,
                    Logged {
                        key: Some(own_key),
                        ..Logged::numbered(round)
                    },
                )],
            )
            .await;
    }
    let left = until_compacted(member.cluster, &topic, &ledger).await;
    let (_, end) = topic.bounds(0).await;
    for offset in (0..end).filter(|offset| !left.contains(offset)) {
        ledger.removed(topic.place(0, offset));
    }
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(10));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), left.len());
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

/// Waits until compaction has removed most of the log, stops it, and returns the offsets left.
async fn until_compacted(cluster: &Cluster, topic: &Topic<'_>, ledger: &Ledger) -> BTreeSet<i64> {
    until("the topic is compacted", async || {
        // The newest segment is never compacted, and a new one only begins with a new record.
        let nudge = Logged {
            key: Some(b"nudge".to_vec()),
            ..Logged::numbered(0)
        };
        topic.write(ledger, [(0, nudge)]).await;
        (offsets_of(cluster, topic).await.len() < 1000).then_some(())
    })
    .await;
    let policy = ["--alter", "--add-config", "cleanup.policy=delete"];
    let entity = [
        "configs",
        "--entity-type",
        "topics",
        "--entity-name",
        &topic.name,
    ];
    cluster.tool(&[entity.as_slice(), &policy].concat()).await;
    let mut before = offsets_of(cluster, topic).await;
    until("compaction rests", async || {
        let now = offsets_of(cluster, topic).await;
        (std::mem::replace(&mut before, now.clone()) == now).then_some(now)
    })
    .await
}

/// Every offset of partition 0 at which an ordinary consumer finds a record.
async fn offsets_of(cluster: &Cluster, topic: &Topic<'_>) -> BTreeSet<i64> {
    let (_, end) = topic.bounds(0).await;
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers())
        .set("group.id", unique("look"))
        .create()
        .unwrap();
    let mut from = TopicPartitionList::new();
    from.add_partition_offset(&topic.name, 0, Offset::Beginning)
        .unwrap();
    let look = move || {
        consumer.assign(&from).unwrap();
        let mut offsets = BTreeSet::new();
        while offsets.last().is_none_or(|&last| last + 1 < end) {
            let message = consumer
                .poll(Duration::from_secs(30))
                .expect("the log can be read");
            offsets.insert(message.unwrap().offset());
        }
        offsets
    };
    tokio::task::spawn_blocking(look).await.unwrap()
}
