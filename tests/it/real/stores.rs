//! Positions outside Kafka: each scenario in each store.

use serde_json::json;
use tokio::process::Command;

use crate::harness::proto::RefusalReason;
use crate::harness::{
    Database, Ledger, Line, Manner, Member, Protocol, Reader, Settings, Sidecar, Store, Stored,
    Topic, Tree, Worker, ackline, described_offsets, on_every_protocol, unique, until,
};

/// Waits until so much of each partition is stored.
pub(crate) async fn until_stored(store: &impl Store, topic: &Topic<'_>) {
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
    // Nobody reads this stream any more, and it would be given records, too.
    drop(reader);
    let own = Worker::start(sleeper.socket(), &ledger, Manner::new(43));
    topic.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    until_stored(&store, &topic).await;
    let after = store.stored(&topic).await;
    for (before, after) in before.iter().zip(&after) {
        assert!(before.next <= after.next, "positions go back");
    }
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

/// Runs `ackline offsets copy`, and returns its exit code and all of its words.
async fn copy(settings: &Settings, words: &[&str]) -> (i32, String) {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ackline.yaml");
    settings.write_to(&file);
    let output = Command::new(env!("CARGO_BIN_EXE_ackline"))
        .args(["offsets", "copy", "--config"])
        .arg(&file)
        .args(words)
        .env_clear()
        .output()
        .await
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(text).unwrap(),
    )
}

/// Takes everything, and acknowledges every other record: what is finished stands above the position, and in its metadata.
async fn finish_every_other(sidecar: Sidecar, ledger: &Ledger, count: usize) {
    let mut reader = Reader::open(&sidecar.socket(), ledger).await;
    let taken = reader.take(count).await;
    let ids = taken.iter().skip(1).step_by(2).map(|record| record.id);
    let refused = reader.ack(&ids.collect::<Vec<_>>()).await;
    assert!(refused.is_empty(), "{refused:?}");
    drop(reader);
    sidecar.stop().await;
}

async fn a_group_moves_and_comes_back(member: Member, store: impl Store, name: &str) {
    let to_store = ["--from", "kafka", "--to", name];
    let to_kafka = ["--from", name, "--to", "kafka"];
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let in_kafka = member
        .settings(&group, &topic)
        .with(json!({"order": "none", "in_flight": {"per_stream_records": 1000}}));
    let in_store = in_kafka.clone().with(store.settings());
    topic.write_numbered(&ledger, 60).await;
    let running = Sidecar::start(in_kafka.clone()).await;
    let mut reader = Reader::open(&running.socket(), &ledger).await;
    reader.take(60).await;
    let (code, text) = copy(&in_store, &to_store).await;
    assert!(code == 1 && text.contains("has 1 member"), "{text}");
    drop(reader);
    finish_every_other(running, &ledger, 60).await;

    let (code, text) = copy(&in_store, &[&to_store[..], &["--dry-run"]].concat()).await;
    assert!(
        code == 0 && text.contains("2 positions would be copied"),
        "{text}"
    );
    assert_eq!(store.stored(&topic).await, []);
    let (code, text) = copy(&in_store, &[&to_store[..], &["-o", "json"]].concat()).await;
    assert!(
        code == 0 && text.contains(&format!("2 positions copied from kafka to {name}")),
        "{text}"
    );
    topic.write_numbered(&ledger, 60).await;
    let open = ledger.log().len() - ledger.accepted_count();
    finish_every_other(Sidecar::start(in_store.clone()).await, &ledger, open).await;

    let stored = store.stored(&topic).await;
    let (code, text) = copy(&in_store, &to_kafka).await;
    assert_eq!(code, 0, "{text}");
    let committed = described_offsets(member.cluster, &group).await;
    for Stored {
        partition, next, ..
    } in stored
    {
        let place = (topic.name.clone(), partition);
        assert_eq!(Some(committed[&place].0), next, "{text}");
    }
    let last = Sidecar::start(in_kafka).await;
    let worker = Worker::start(last.socket(), &ledger, Manner::new(45));
    ledger.until_all_accepted().await;
    worker.finish().await;
    last.stop().await;
    ledger.assert_sound();
    ledger.assert_nothing_repeated();
}

async fn a_group_moves_to_a_table_and_back(member: Member) {
    a_group_moves_and_comes_back(member, Database::create().await, "postgres").await;
}
on_every_protocol!(a_group_moves_to_a_table_and_back);

#[tokio::test]
async fn a_group_moves_to_nodes_and_back() {
    let member = Member::new(Line::Oldest, Protocol::Cooperative);
    a_group_moves_and_comes_back(member, Tree::create_for("alice").await, "zookeeper").await;
}

#[tokio::test]
async fn positions_are_copied_to_the_group_for_lag_tools() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let (topic, database) = (
        Topic::create(member.cluster, 2).await,
        Database::create().await,
    );
    let settings = member
        .settings(&group, &topic)
        .with(database.settings())
        .with(json!({"offset_store": {"mirror_to_kafka": true}}));
    topic.write_numbered(&ledger, 100).await;
    let sidecar = Sidecar::start(settings.clone()).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(46));
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    let stored = database.stored(&topic).await;
    // The last one too: it left before the group was left.
    let committed = described_offsets(member.cluster, &group).await;
    for it in &stored {
        let place = (topic.name.clone(), it.partition);
        assert_eq!(Some(committed[&place].0), it.next, "{committed:?}");
    }
    // Not read back: the store has the word.
    database.forget(&topic.name).await;
    let second = Sidecar::start(settings).await;
    let again = Ledger::default();
    let mut reader = Reader::open(&second.socket(), &again).await;
    assert_eq!(reader.take(100).await.len(), 100);
    drop(reader);
    second.stop().await;
}

/// Scaled to zero and back: a group that was empty counts its generations from the beginning, and the table does not.
#[tokio::test]
async fn a_group_that_was_empty_goes_on_though_its_generations_start_again() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let (topic, database) = (
        Topic::create(member.cluster, 2).await,
        Database::create().await,
    );
    let settings = member.settings(&group, &topic).with(database.settings());
    let mut fences = Vec::new();
    for evening in 0..3 {
        topic.write_numbered(&ledger, 40).await;
        let sidecar = Sidecar::start(settings.clone()).await;
        let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(47 + evening));
        ledger.until_all_accepted().await;
        worker.finish().await;
        sidecar.stop().await;
        until_stored(&database, &topic).await;
        let stored = database.stored(&topic).await;
        fences.push(stored.iter().map(|it| it.fence).min());
        // As a broker does with a group that was empty for long: all that it knew is gone.
        member
            .cluster
            .tool(&["groups", "--delete", "--group", &group])
            .await;
    }
    assert!(fences.is_sorted_by(|a, b| a < b), "{fences:?}");
    ledger.assert_sound();
    ledger.assert_nothing_repeated();
}

/// What a person has to do is told, and needs no restart when it is done.
#[tokio::test]
async fn a_wrong_password_is_told_and_the_right_one_needs_no_restart() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let (topic, database) = (
        Topic::create(member.cluster, 1).await,
        Database::create().await,
    );
    let secret = tempfile::tempdir().unwrap();
    let password = secret.path().join("password");
    std::fs::write(&password, "wrong").unwrap();
    let settings = member
        .settings(&group, &topic)
        .with(database.settings())
        .with(json!({"offset_store": {"postgres": {"password_file": password}}}));
    topic.write_numbered(&ledger, 10).await;
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(50));
    sidecar
        .until_logged(&[
            "read_retried",
            "offset store",
            "password authentication failed",
        ])
        .await;
    until("explain names it", async || {
        let (_, text) = ackline(&sidecar.socket(), &["explain"]).await;
        text.contains("password authentication failed")
            .then_some(())
    })
    .await;
    assert_eq!(ledger.delivery_count(), 0, "an error is no position");
    std::fs::write(&password, database.password()).unwrap();
    ledger.until_all_accepted().await;
    until_stored(&database, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
}
