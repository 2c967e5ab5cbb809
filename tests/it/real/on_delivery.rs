//! Commit on delivery: Kafka's auto commit, for those who want exactly that.

use serde_json::json;

use crate::harness::{
    Ledger, Manner, Member, Reader, Sidecar, Topic, Worker, on_every_protocol, unique,
};

use super::until_committed_to_the_end;

async fn records_are_finished_by_being_delivered(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"commit": {"mode": "on_delivery", "delivery_interval": "500ms"}}));
    topic.write_numbered(&ledger, 600).await;
    let sidecar = Sidecar::start(settings.clone()).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    assert!(!reader.opened.settling_required);
    // More than a stream may have in flight, and nothing is acknowledged.
    let taken = reader.take(600).await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    // Settlements are welcome and change nothing.
    assert!(reader.ack(&[taken[0].id]).await.is_empty());
    reader.close().await;
    let directory = sidecar.kill().await;

    topic.write_numbered(&ledger, 60).await;
    let sidecar = Sidecar::start_in(directory, settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    reader.take(60).await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    reader.close().await;
    sidecar.stop().await;
    assert_eq!(ledger.delivery_count(), 660, "each record arrives once");
    ledger.assert_faithful();
}
on_every_protocol!(records_are_finished_by_being_delivered);

async fn an_application_that_settles_anyway_works_unchanged(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"commit": {"mode": "on_delivery"}}));
    topic.write_numbered(&ledger, 300).await;
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(27));
    ledger.until_all_accepted().await;
    worker.finish().await;
    // The last commit does not wait for its interval.
    sidecar.stop().await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    ledger.assert_sound();
}
on_every_protocol!(an_application_that_settles_anyway_works_unchanged);
