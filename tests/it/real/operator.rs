//! The operator's commands, as a person types them, on a sidecar that reads real Kafka.

use serde_json::{Value, json};

use crate::harness::{
    Ledger, Line, Logged, Manner, Member, Protocol, Reader, Sidecar, Topic, Worker, ackline,
    described_offsets, now_ms, on_every_protocol, unique, until,
};

use super::assert_worked_off;

fn offsets(records: &[crate::harness::Delivered]) -> Vec<i64> {
    records.iter().map(|record| record.place.offset).collect()
}

/// What the group committed of the first partition of its only topic.
async fn committed(member: Member, group: &str) -> Option<i64> {
    let offsets = described_offsets(member.cluster, group).await;
    offsets.values().next().map(|&(committed, _)| committed)
}

// B8
#[tokio::test]
async fn a_stopped_partition_is_started_and_moved_by_offset_and_by_time() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let began = now_ms() / 1000 * 1000 - 600_000;
    let records = (0..10).map(|number| {
        let timestamp_ms = began + i64::from(number) * 60_000;
        let logged = Logged::numbered(number);
        (
            0,
            Logged {
                timestamp_ms,
                ..logged
            },
        )
    });
    topic.write(&ledger, records).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"start": "stop"}));
    let sidecar = Sidecar::start(settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    sidecar.until_logged(&["no committed offset"]).await;
    let place = format!("{}/0", topic.name);

    let (code, text) = ackline(&sidecar.socket(), &["explain", &place]).await;
    assert_eq!(code, 1, "{text}");
    let remedy = format!("ackline seek {place} --to earliest --reason");
    assert!(text.contains(&remedy), "{text}");

    let seek = async |to: &str| {
        let words = ["seek", &place, "--to", to, "--reason", "a test"];
        ackline(&sidecar.socket(), &words).await
    };
    let (code, text) = seek("4").await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("from no position to offset 4"), "{text}");
    let first = reader.take(6).await;
    assert_eq!(offsets(&first), [4, 5, 6, 7, 8, 9]);
    until("the new position is committed", async || {
        (committed(member, &group).await == Some(4)).then_some(())
    })
    .await;

    // Back, while what was delivered is in flight: its ids die, and it comes again.
    let time = format_time(began + 2 * 60_000);
    let (code, text) = seek(&time).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("from offset 4 to offset 2"), "{text}");
    reader.until_withdrawn(first[0].id).await;
    let again = reader.take(8).await;
    assert_eq!(offsets(&again), [2, 3, 4, 5, 6, 7, 8, 9]);
    let ids: Vec<u64> = again.iter().map(|record| record.id).collect();
    assert!(reader.ack_committed(&ids).await);
    assert_eq!(committed(member, &group).await, Some(10));

    let (code, text) = seek("99").await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("its log holds 0 to 10"), "{text}");
    let (code, text) = seek(&format_time(now_ms() + 60_000)).await;
    assert_eq!(code, 0, "behind the newest record: {text}");
    assert!(text.contains("to offset 10"), "{text}");
    let audit = sidecar.until_logged(&["operator_seek", "a test"]).await;
    assert!(audit.contains("\"uid\""), "{audit}");
    reader.close().await;
    sidecar.stop().await;
}

/// `date` knows how to write a time, and every machine with Kafka on it has one.
fn format_time(millis: i64) -> String {
    let output = std::process::Command::new("date")
        .args(["-u", "-d", &format!("@{}", millis / 1000)])
        .arg("+%Y-%m-%dT%H:%M:%SZ")
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn what_is_paused_stays_so_when_partitions_move(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic);
    let first = Sidecar::start(settings.clone()).await;
    let reader = Reader::open(&first.socket(), &ledger).await;
    let pause = ["pause", "--reason", "a test"];
    let (code, text) = ackline(&first.socket(), &pause).await;
    assert_eq!(code, 0, "{text}");
    // Another member comes and goes: what comes back is paused still.
    let second = Sidecar::start(settings).await;
    let guest = Reader::open(&second.socket(), &ledger).await;
    second.until_logged(&["partition is being read"]).await;
    guest.close().await;
    second.stop().await;
    let owns = async |count: usize| {
        until("all partitions are here", async || {
            let (_, text) = ackline(&first.socket(), &["status", "-o", "json"]).await;
            let status: Value = serde_json::from_str(&text).unwrap();
            let partitions = status["partitions"].as_array().unwrap().clone();
            let paused = partitions.iter().all(|at| at["blocked"] == "paused");
            (partitions.len() == count && paused).then_some(())
        })
        .await;
    };
    owns(2).await;
    topic.write_numbered(&ledger, 40).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    assert_eq!(ledger.delivery_count(), 0, "nothing new is delivered");
    let (code, text) = ackline(&first.socket(), &["explain"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains("an operator paused everything: a test"),
        "{text}"
    );
    let resume = ["resume", "--reason", "a test"];
    let (code, text) = ackline(&first.socket(), &resume).await;
    assert_eq!(code, 0, "{text}");
    reader.close().await;
    let worker = Worker::start(first.socket(), &ledger, Manner::new(31));
    ledger.until_all_accepted().await;
    worker.finish().await;
    first.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
on_every_protocol!(what_is_paused_stays_so_when_partitions_move);

// B42
async fn a_notice_drains_before_the_signal_comes(member: Member) {
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 3).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let records = reader.take(3).await;
    let notice = ["drain", "--notice", "--reason", "preStop"];
    let (code, text) = ackline(&sidecar.socket(), &notice).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("3 in flight"), "{text}");
    topic.write_numbered(&Ledger::default(), 5).await;
    let (code, _) = ackline(&sidecar.socket(), &["drain", "--timeout", "0.5"]).await;
    assert_eq!(code, 1, "records are in flight");
    assert_eq!(sidecar.get("/livez").await.0, 200);
    assert_eq!(sidecar.get("/readyz").await.0, 503);
    let ids: Vec<u64> = records.iter().map(|record| record.id).collect();
    assert!(reader.ack(&ids).await.is_empty(), "settlements are taken");
    let (code, text) = ackline(&sidecar.socket(), &["drain"]).await;
    assert_eq!(code, 0, "{text}");
    assert_eq!(committed(member, &group).await, Some(3));
    assert_eq!(ledger.delivery_count(), 3, "nothing new was delivered");
    assert_eq!(sidecar.get("/livez").await.0, 200, "it goes on");
    sidecar.stop().await;
}
on_every_protocol!(a_notice_drains_before_the_signal_comes);

#[tokio::test]
async fn passing_records_are_shown_and_deliveries_do_not_wait_for_who_looks_on() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(7));
    let words = ["tail", &topic.name, "--limit", "20", "-o", "json"];
    let writes = async {
        sidecar
            .until_logged(&["operator_tail", "ackline tail"])
            .await;
        topic.write_numbered(&ledger, 300).await;
        ledger.until_all_accepted().await;
    };
    let socket = sidecar.socket();
    let ((code, text), ()) = tokio::join!(ackline(&socket, &words), writes);
    assert_eq!(code, 0, "{text}");
    let read = |line| serde_json::from_str::<Value>(line).unwrap();
    let shown: Vec<Value> = text.lines().map(read).collect();
    assert_eq!(shown.len(), 20, "{text}");
    for record in &shown {
        assert_eq!(record["topic"], topic.name.as_str());
        assert!(record["timestamp_ms"].is_i64() && record.get("value").is_none());
    }
    let places: std::collections::BTreeSet<_> =
        shown.iter().map(|at| at["offset"].as_i64()).collect();
    assert!(places.iter().all(Option::is_some), "{text}");
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}
