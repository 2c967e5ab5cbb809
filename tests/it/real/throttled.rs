//! A broker that holds us back, because somebody gave us a quota.

use std::time::{Duration, Instant};

use serde_json::json;

use super::assert_worked_off;
use crate::harness::{
    Ledger, Line, Logged, Manner, Member, Protocol, Sidecar, Topic, Worker, ackline, unique, until,
};

/// Bytes a second that the broker gives out.
const QUOTA: usize = 256 << 10;
const RECORDS: usize = 512;
const SIZE: usize = 8 << 10;

// R17 B33
#[tokio::test]
async fn a_quota_slows_reading_down_and_is_taken_for_no_failure() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let client = unique("throttled");
    let quota = format!("consumer_byte_rate={QUOTA}");
    let words = ["--alter", "--entity-type", "clients", "--entity-name"];
    let words = [&["configs"], &words[..], &[&client, "--add-config", &quota]].concat();
    member.cluster.tool(&words).await;
    let topic = Topic::create(member.cluster, 2).await;
    let large = |number| Logged {
        value: Some(vec![7; SIZE]),
        ..Logged::numbered(number)
    };
    let records = (0..)
        .take(RECORDS)
        .map(|number| (number % 2, large(number)));
    topic.write(&ledger, records).await;
    let settings = member.settings(&group, &topic).with(json!({
        "kafka": {"properties": {"client.id": client}},
        "group": {"session_timeout": "6s"},
    }));
    let begun = Instant::now();
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(33));
    ledger.until_accepted(1).await;
    let rebalances = sidecar.metric("ackline_rebalances_total", &[]).await;
    until("everything is accepted", async || {
        let (code, text) = sidecar.get("/readyz").await;
        assert_eq!(code, 200, "{text}");
        let (code, text) = ackline(&sidecar.socket(), &["explain"]).await;
        assert_eq!(code, 0, "{text}");
        (ledger.accepted_count() >= RECORDS).then_some(())
    })
    .await;
    // 4 MiB at 256 KiB/s, but for the eleven seconds' worth that a quota lets pass before it holds back.
    assert!(
        begun.elapsed() > Duration::from_secs(2),
        "it was not held back"
    );
    let after = sidecar.metric("ackline_rebalances_total", &[]).await;
    assert!(
        (after - rebalances).abs() < 0.5,
        "heartbeats are not held back"
    );
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
