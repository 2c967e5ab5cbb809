//! Positions in ZooKeeper: what is so in this store alone.

use serde_json::json;

use super::stores::until_stored;
use crate::harness::{
    Ledger, Line, Manner, Member, Protocol, Reader, Sidecar, Store, Topic, Tree, User, Worker,
    unique, until,
};

fn member() -> Member {
    Member::new(Line::Newest, Protocol::Cooperative)
}

#[tokio::test]
async fn a_group_of_classic_consumers_goes_on_where_it_stood() {
    let (earlier, ledger, group) = (Ledger::default(), Ledger::default(), unique("group"));
    let topic = Topic::create(member().cluster, 1).await;
    topic.write_numbered(&earlier, 60).await;
    topic.write_numbered(&ledger, 40).await;
    let tree = Tree::create().await;
    let nodes = [
        "/consumers".to_owned(),
        format!("/consumers/{group}"),
        format!("/consumers/{group}/offsets"),
        format!("/consumers/{group}/offsets/{}", topic.name),
    ];
    let commands = nodes
        .iter()
        .map(|path| format!("create {}", tree.path(path)));
    let mut commands: Vec<String> = commands.collect();
    let offset = tree.path(&format!("{}/0", nodes[3]));
    commands.push(format!("create {offset} 60"));
    tree.ask(&commands).await;

    let settings = member().settings(&group, &topic).with(tree.settings());
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(50));
    ledger.until_all_accepted().await;
    until_stored(&tree, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
    assert_eq!(ledger.delivery_count(), 40);
    // Digits and nothing else: old tools read it as before.
    assert_eq!(tree.ask(&[format!("get {offset}")]).await, ["100"]);
}

/// What is finished above the offset is in the store as well.
#[tokio::test]
async fn what_was_finished_out_of_order_does_not_come_again() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member().cluster, 1).await;
    topic.write_numbered(&ledger, 10).await;
    let tree = Tree::create_for("alice").await;
    let settings = member().settings(&group, &topic).with(tree.settings());
    let sidecar = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let taken = reader.take(10).await;
    let above: Vec<u64> = taken[3..].iter().map(|record| record.id).collect();
    reader.ack(&above).await;
    drop(reader);
    let directory = sidecar.stop().await;
    let stored = tree.stored(&topic).await;
    assert_eq!(stored[0].next, Some(0));

    let sidecar = Sidecar::start_in(directory, settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(51));
    ledger.until_all_accepted().await;
    until_stored(&tree, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), 13, "only three of ten come again");
}

#[tokio::test]
async fn nodes_of_one_user_are_nobody_elses() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member().cluster, 1).await;
    topic.write_numbered(&ledger, 10).await;
    let tree = Tree::create_for("alice").await;
    let settings = member().settings(&group, &topic).with(tree.settings());
    let sidecar = Sidecar::start(settings.clone()).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(52));
    ledger.until_all_accepted().await;
    until_stored(&tree, &topic).await;
    worker.finish().await;
    sidecar.stop().await;

    let mallory = User::new("mallory");
    let group_path = tree.path(&format!("/consumers/{group}"));
    let place = format!("{}/0", topic.name);
    let looks = [
        format!("get {group_path}/offsets/{place}"),
        format!("get {group_path}/ackline/{place}"),
        format!("get {group_path}/ackline/{place}/position"),
        format!("set {group_path}/ackline/{place} x"),
        format!("create {group_path}/offsets/{}/1 5", topic.name),
    ];
    for user in [None, Some(&mallory)] {
        let answers = tree.ask_as(user, &looks).await;
        let refused = |answer: &String| answer.starts_with("Insufficient permission");
        assert!(answers.iter().all(refused), "{answers:?}");
    }
    // Groups of others find room beside it.
    let other = format!("create {} x", tree.path("/consumers/other"));
    let made = tree.ask_as(Some(&mallory), &[other]).await;
    assert!(made[0].starts_with("Created"), "{made:?}");

    let stranger = Sidecar::start(settings.with(mallory.settings())).await;
    // It reads for whoever wants records.
    let _reader = Reader::open(&stranger.socket(), &ledger).await;
    stranger
        .until_logged(&["not allowed to use /consumers/"])
        .await;
    until("it is not ready", async || {
        let (code, _) = stranger.get("/readyz").await;
        (code == 503).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_lost_loses_no_claim() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member().cluster, 1).await;
    let tree = Tree::alone().await;
    topic.write_numbered(&ledger, 10).await;
    let settings = member()
        .settings(&group, &topic)
        .with(tree.settings())
        .with(json!({"offset_store": {"zookeeper": {"session_timeout": "2s"}}}));
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(53));
    ledger.until_all_accepted().await;
    until_stored(&tree, &topic).await;
    let claimed = tree.stored(&topic).await[0].fence;

    tree.signal("STOP").await;
    topic.write_numbered(&ledger, 10).await;
    sidecar.until_logged(&["commit", "no answer of"]).await;
    tree.signal("CONT").await;
    until_stored(&tree, &topic).await;
    // By now or soon: nobody has spoken in the first session since.
    until("the server ends the first session", async || {
        tree.log().contains("Expiring session").then_some(())
    })
    .await;

    // All sessions are gone with the server, and what was claimed is not.
    tree.allow_connections(false).await;
    tree.allow_connections(true).await;
    topic.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    until_stored(&tree, &topic).await;
    let stored = tree.stored(&topic).await;
    assert_eq!(stored[0].fence, claimed, "no claim was needed");
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
    ledger.assert_nothing_repeated();
}

#[tokio::test]
async fn a_root_that_is_not_there_is_named() {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member().cluster, 1).await;
    topic.write_numbered(&ledger, 1).await;
    let tree = Tree::create().await;
    let settings = member().settings(&group, &topic).with(tree.settings());
    let servers = format!("{}/no/such", tree.environment().get("ADDRESS"));
    let wrong = json!({"offset_store": {"zookeeper": {"servers": servers}}});
    let sidecar = Sidecar::start(settings.with(wrong)).await;
    let _reader = Reader::open(&sidecar.socket(), &ledger).await;
    sidecar.until_logged(&["there is no node /no/such"]).await;
}
