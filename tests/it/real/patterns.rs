//! Topics that are found by a pattern of their names: how they come, how they go, and how many there may be.

use serde_json::json;

use crate::harness::{
    Cluster, Ledger, Manner, Member, Settings, Sidecar, Topic, Worker, commits_of,
    on_every_protocol, unique, until,
};

/// Settings that read whatever begins with `family`, and look for it every second.
fn settings(member: Member, group: &str, family: &str) -> Settings {
    let pattern = format!("^{family}\\..*");
    Settings::new(member.cluster.brokers(), group, &[&pattern])
        .with(json!({"group": member.group_settings()}))
        .with(json!({"topics_refresh": "1s", "start": "latest"}))
}

/// Waits until the group's last commit of partition 0 of the topic stands at this offset.
async fn until_committed(cluster: &Cluster, group: &str, topic: &str, offset: i64) {
    until("it is committed", async || {
        let commits = commits_of(cluster, group).await;
        let last = commits.iter().rfind(|commit| commit.topic == topic)?;
        (last.offset == offset).then_some(())
    })
    .await;
}

async fn topics_are_read_as_they_come_and_left_as_they_go(member: Member) {
    let (ledger, group, family) = (Ledger::default(), unique("group"), unique("family"));
    // Its name contains the pattern, and is not matched as a whole.
    let stranger = format!("my-{family}.x");
    let stranger = Topic::create_named(member.cluster, &stranger, 1).await;
    stranger.write_numbered(&Ledger::default(), 10).await;
    let sidecar = Sidecar::start(settings(member, &group, &family)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(51));
    // Nothing to join for.
    sidecar.until_logged(&["stream_opened"]).await;
    assert!(!sidecar.log().contains("\"joining\""), "{}", sidecar.log());

    let first = Topic::create_named(member.cluster, &format!("{family}.a"), 1).await;
    // It may be older than the first look, and `latest` means its end then.
    sidecar.until_logged(&["\"started\""]).await;
    first.write_numbered(&ledger, 40).await;
    ledger.until_all_accepted().await;
    until_committed(member.cluster, &group, &first.name, 40).await;

    // Written before anybody knows of the topic: `latest` would pass over it.
    let second = Topic::create_named(member.cluster, &format!("{family}.b"), 1).await;
    second.write_numbered(&ledger, 40).await;
    ledger.until_all_accepted().await;
    first.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    until_committed(member.cluster, &group, &first.name, 50).await;

    first.delete().await;
    sidecar.until_logged(&["topics_gone"]).await;
    second.write_numbered(&ledger, 10).await;
    ledger.until_all_accepted().await;
    until_committed(member.cluster, &group, &second.name, 50).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
}
on_every_protocol!(topics_are_read_as_they_come_and_left_as_they_go);

#[tokio::test]
async fn more_topics_than_allowed_are_left_out_and_each_is_read_by_its_rule() {
    let member = Member::new(
        crate::harness::Line::Newest,
        crate::harness::Protocol::Cooperative,
    );
    let (ledger, group, family) = (Ledger::default(), unique("group"), unique("family"));
    let one = Topic::create_named(member.cluster, &format!("{family}.a"), 1).await;
    let two = Topic::create_named(member.cluster, &format!("{family}.b"), 1).await;
    two.write_numbered(&Ledger::default(), 5).await;
    let rules = json!([{"topics": [format!("^{family}.*a")], "order": "none"}]);
    let settings = settings(member, &group, &family).with(json!({
        "topics_max": 1,
        "start": "earliest",
        "per_topic": rules,
    }));
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(52));
    one.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    let line = sidecar.until_logged(&["topics_left_out"]).await;
    assert!(
        line.contains("\"count\":1") && line.contains("ERROR"),
        "{line}"
    );
    assert_eq!(ledger.delivery_count(), 20, "nothing of what is left out");
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_sound();
}
