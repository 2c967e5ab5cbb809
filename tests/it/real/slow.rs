//! An application that takes its time.

use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;

use crate::harness::proto::{Notice, Open};
use crate::harness::{
    Ledger, Line, Logged, Manner, Member, Protocol, Reader, Sidecar, Topic, Worker, unique,
};

use super::assert_worked_off;

// R9 R21 B16 B38
#[tokio::test]
async fn an_application_slower_than_the_poll_interval_causes_no_rebalance_and_no_growth() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    // Four times the budget, so that reading on in the meantime would show.
    let large = |number| Logged {
        value: Some(vec![7; 8 << 10]),
        ..Logged::numbered(number)
    };
    topic
        .write(&ledger, (0..2048).map(|number| (number % 3, large(number))))
        .await;
    let settings = member.settings(&group, &topic).with(json!({
        "group": {"max_poll_interval": "7s"},
        "drain": {"revoke": "1s"},
        "in_flight": {"bytes": "4MiB"},
    }));
    let sidecar = Sidecar::start(settings).await;
    let open = Open {
        notices: vec![Notice::Partitions.into()],
        ..Open::default()
    };
    let mut reader = Reader::open_with(&sidecar.socket(), &ledger, open).await;
    let slow = reader.take(1).await;
    let rebalances = sidecar.metric("ackline_rebalances_total", &[]).await;

    // The record is being worked on for three poll intervals.
    let done = Instant::now() + Duration::from_secs(21);
    let mut resident = Vec::new();
    while Instant::now() < done {
        resident.push(sidecar.resident_bytes());
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(
        reader.ack(&[slow[0].id]).await.is_empty(),
        "the delivery is still alive"
    );
    assert!((sidecar.metric("ackline_rebalances_total", &[]).await - rebalances).abs() < 0.5);
    let (half, end) = (resident[resident.len() / 2], *resident.last().unwrap());
    assert!(
        end <= half + (2 << 20),
        "memory grew from {half} to {end} bytes while nothing moved"
    );

    reader.close().await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(21));
    let all = 2048;
    for count in (0..=all).step_by(256) {
        ledger.until_accepted(count).await;
        resident.push(sidecar.resident_bytes());
    }
    ledger.until_all_accepted().await;
    // G5, I-B2
    let (most, formula) = (resident.iter().max(), sidecar.memory_bytes_max().await);
    assert!(
        most < Some(&formula),
        "{most:?} bytes, promised were {formula}"
    );
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// R21 R22 B38 B39
#[tokio::test]
async fn a_stream_that_is_never_read_does_not_hold_up_its_neighbour() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 6).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"order": "none"}));
    let sidecar = Sidecar::start(settings).await;
    // The stalled stream gets its own ledger: what is sent to it and never read, it never saw.
    let stalled = Reader::open(&sidecar.socket(), &Ledger::default()).await;
    topic.write_numbered(&ledger, 3000).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(22));
    // The stalled stream holds at most what it may have in flight.
    ledger.until_accepted(3000 - 100).await;
    drop(stalled);
    // Its connection ended, and what it held goes to the neighbour.
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
