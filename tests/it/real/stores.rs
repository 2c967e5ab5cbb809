//! Positions outside Kafka: each scenario in each store.

use serde_json::json;

use crate::harness::proto::RefusalReason;
use crate::harness::{
    Database, Ledger, Line, Manner, Member, Protocol, Reader, Sidecar, Store, Topic, Tree, Worker,
    on_every_protocol, unique, until,
};

/// Waits until so much of each partition is stored.
pub(super) async fn until_stored(store: &impl Store, topic: &Topic<'_>) {
    until("everything is stored", async || {
        let stored = store.stored(topic).await;
        for partition in 0..topic.partitions {
            let (start, end) = topic.bounds(partition).await;
            let of_partition = stored.iter().find(|it| it.partition == partition);
            let next = of_partition.and_then(|it| it.next);
            if start < end && next != Some(end) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

async fn nothing_comes_again(member: Member, store: impl Store) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic).with(store.settings());
    topic.write_numbered(&ledger, 100).await;
    let first = Sidecar::start(settings.clone()).await;
    let worker = Worker::start(first.socket(), &ledger, Manner::new(40));
    ledger.until_all_accepted().await;
    worker.finish().await;
    let directory = first.stop().await;
    until_stored(&store, &topic).await;

    topic.write_numbered(&ledger, 50).await;
    let second = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(second.socket(), &ledger, Manner::new(41));
    ledger.until_all_accepted().await;
    worker.finish().await;
    second.stop().await;
    until_stored(&store, &topic).await;
    ledger.assert_sound();
    ledger.assert_nothing_repeated();
    let stored = store.stored(&topic).await;
    assert!(stored.iter().all(|it| it.fence >= 2), "{stored:?}");
}

async fn positions_are_kept_in_a_table_and_nothing_comes_again(member: Member) {
    nothing_comes_again(member, Database::create().await).await;
}
on_every_protocol!(positions_are_kept_in_a_table_and_nothing_comes_again);

async fn positions_are_kept_in_nodes_and_nothing_comes_again(member: Member) {
    nothing_comes_again(member, Tree::create_for("alice").await.encrypted()).await;
}
on_every_protocol!(positions_are_kept_in_nodes_and_nothing_comes_again);

/// The one that slept holds what another has claimed meanwhile: the store takes nothing from it.
async fn a_member_that_slept_stores_nothing(store: impl Store) {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic).with(store.settings());
    topic.write_numbered(&ledger, 100).await;
    let mut sleeper = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sleeper.socket(), &ledger).await;
    let taken = reader.take(100).await;
    sleeper.signal("STOP").await;
    let heir = Sidecar::start(settings).await;
    let worker = Worker::start(heir.socket(), &ledger, Manner::new(42));
    ledger.until_all_accepted().await;
    until_stored(&store, &topic).await;
    let before = store.stored(&topic).await;

    sleeper.signal("CONT").await;
    let ids: Vec<u64> = taken.iter().map(|record| record.id).collect();
    let refused = reader.ack(&ids).await;
    assert!(
        refused.iter().all(|it| it.reason() == RefusalReason::Stale) && !refused.is_empty(),
        "{refused:?}"
    );
    let own = Worker::start(sleeper.socket(), &ledger, Manner::new(43));
    topic.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    until_stored(&store, &topic).await;
    let after = store.stored(&topic).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before.next <= after.next, "positions go back");
    }
    drop(reader);
    worker.finish().await;
    own.finish().await;
    heir.stop().await;
    sleeper.stop().await;
    ledger.assert_sound();
}

#[tokio::test]
async fn a_member_that_slept_stores_nothing_in_a_table() {
    a_member_that_slept_stores_nothing(Database::create().await).await;
}

#[tokio::test]
async fn a_member_that_slept_stores_nothing_in_nodes() {
    a_member_that_slept_stores_nothing(Tree::create().await).await;
}

async fn a_store_that_is_away_stops_deliveries_only_after_a_while(store: impl Store) {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let settings = member
        .settings(&group, &topic)
        .with(store.settings())
        .with(json!({"commit": {"staleness_max": "8s"}}));
    topic.write_numbered(&ledger, 10).await;
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(44));
    ledger.until_all_accepted().await;
    until_stored(&store, &topic).await;
    store.allow_connections(false).await;
    topic.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    until("it is not ready, and says why", async || {
        let (code, body) = sidecar.get("/readyz").await;
        (code == 503 && body.contains("commit")).then_some(())
    })
    .await;
    store.allow_connections(true).await;
    topic.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    until_stored(&store, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
}

#[tokio::test]
async fn a_table_that_is_away_stops_deliveries_only_after_a_while() {
    a_store_that_is_away_stops_deliveries_only_after_a_while(Database::create().await).await;
}

#[tokio::test]
async fn nodes_that_are_away_stop_deliveries_only_after_a_while() {
    a_store_that_is_away_stops_deliveries_only_after_a_while(Tree::alone().await).await;
}
