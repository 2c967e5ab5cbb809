//! Mistakes of people and of clients: one clear error, nothing lost, bounded memory.

use serde_json::json;
use tonic::Code;

use crate::harness::proto::{AckRequest, IdRange, Ids, Open, Outcome, RefusalReason, Settlement};
use crate::harness::{
    Ledger, Line, Manner, Member, Protocol, Random, Reader, Settings, Sidecar, Topic, Worker,
    connect, open_stream, unique, until,
};

use super::assert_worked_off;

fn member() -> Member {
    Member::new(Line::Newest, Protocol::Cooperative)
}

#[tokio::test]
async fn every_mistake_in_the_settings_is_shown_at_once_with_exit_code_64() {
    let settings = Settings::new("127.0.0.1:1", "group", &["topic"]).with(json!({
        "start": "sometimes",
        "grup": {"id": "typing error"},
        "in_flight": {"records": "many"},
        "kafka": {"properties": {"enable.auto.commit": "true"}},
    }));
    let mut sidecar = Sidecar::launch(settings);
    assert_eq!(sidecar.ended().await.code(), Some(64));
    let log = sidecar.log();
    for key in [
        "start",
        "sometimes",
        "grup",
        "in_flight.records",
        "enable.auto.commit",
    ] {
        assert!(log.contains(key), "nothing about {key}:\n{log}");
    }
}

#[tokio::test]
async fn an_unreadable_secret_is_named_with_exit_code_64() {
    let sasl = json!({
        "mechanism": "PLAIN",
        "username_file": "/nowhere/username",
        "password_file": "/nowhere/password",
    });
    let settings =
        Settings::new("127.0.0.1:1", "group", &["topic"]).with(json!({"kafka": {"sasl": sasl}}));
    let mut sidecar = Sidecar::launch(settings);
    assert_eq!(sidecar.ended().await.code(), Some(64));
    assert!(
        sidecar.log().contains("/nowhere/password"),
        "{}",
        sidecar.log()
    );
}

#[tokio::test]
async fn brokers_that_cannot_be_reached_are_named_and_do_not_end_the_process() {
    let settings = Settings::new("127.0.0.1:1", "group", &["topic"]);
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &Ledger::default(), Manner::new(37));
    until("it is not ready because of the broker", async || {
        let (code, body) = sidecar.get("/readyz").await;
        (code == 503 && body.contains("broker")).then_some(())
    })
    .await;
    assert_eq!(
        sidecar.get("/startupz").await.0,
        200,
        "sockets need no Kafka"
    );
    assert_eq!(
        sidecar.get("/livez").await.0,
        200,
        "a restart would mend nothing"
    );
    worker.finish().await;
    sidecar.stop().await;
}

#[tokio::test]
async fn a_topic_that_does_not_exist_is_named_and_read_once_it_does() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let settings = member.settings(&group, &topic);
    topic.delete().await;
    let sidecar = Sidecar::start(settings).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(38));
    until("it is not ready because of the topic", async || {
        let (code, body) = sidecar.get("/readyz").await;
        (code == 503 && body.contains(&topic.name)).then_some(())
    })
    .await;
    topic.make().await;
    topic.write_numbered(&ledger, 20).await;
    ledger.until_all_accepted().await;
    worker.finish().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// C-2
#[tokio::test]
async fn streams_are_refused_with_a_reason() {
    let settings = Settings::new("127.0.0.1:1", "group", &["topic"])
        .with(json!({"listen": {"streams_max": 2}}));
    let sidecar = Sidecar::start(settings).await;
    let mut client = connect(&sidecar.socket()).await;
    let wrong = [
        Open {
            topics: vec!["another".to_owned()],
            ..Open::default()
        },
        Open {
            max_in_flight_records: Some(0),
            ..Open::default()
        },
        Open {
            max_message_bytes: Some(1),
            ..Open::default()
        },
    ];
    for open in wrong {
        let refused = open_stream(&mut client, open).await.unwrap_err();
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused}");
        assert!(!refused.message().is_empty());
    }
    let _first = open_stream(&mut client, Open::default()).await.unwrap();
    let _second = open_stream(&mut client, Open::default()).await.unwrap();
    let third = open_stream(&mut client, Open::default()).await.unwrap_err();
    assert_eq!(third.code(), Code::ResourceExhausted, "{third}");
}

// C-5
#[tokio::test]
async fn ten_million_invented_ids_cost_no_memory_and_disturb_nobody() {
    let (member, ledger, group) = (member(), Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 2).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let mut honest = Reader::open(&sidecar.socket(), &ledger).await;
    topic.write_numbered(&ledger, 20).await;
    let taken = honest.take(20).await;
    let mut hostile = connect(&sidecar.socket()).await;
    let mut random = Random(39);
    let mut request = || {
        // Far from anything that was issued: ids begin at 2^40.
        let ids = (0..16_000).map(|_| random.next() % (1 << 39)).collect();
        let deliveries = Some(Ids {
            ids,
            ranges: vec![IdRange {
                first: 1,
                last: 1 << 39,
            }],
        });
        let outcome = Outcome::Ack.into();
        AckRequest {
            settlements: vec![Settlement {
                deliveries,
                outcome,
                ..Settlement::default()
            }],
            ..AckRequest::default()
        }
    };
    let first = hostile.ack(request()).await.unwrap().into_inner();
    assert!(
        first
            .refused
            .iter()
            .all(|refusal| refusal.reason() == RefusalReason::Unknown)
    );
    let before = sidecar.resident_bytes();
    for _ in 0..625 {
        match hostile.ack(request()).await {
            Ok(answer) => assert!(!answer.into_inner().refused.is_empty()),
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
    }
    let grown = sidecar.resident_bytes().saturating_sub(before);
    assert!(grown <= 2 << 20, "grew by {grown} bytes");
    let ids: Vec<u64> = taken.iter().map(|record| record.id).collect();
    assert!(honest.ack_committed(&ids).await);
    honest.close().await;
    sidecar.stop().await;
    assert_worked_off(member.cluster, &group, &topic, &ledger).await;
}

// C-10
#[tokio::test]
async fn a_crash_writes_no_memory_to_disk() {
    let sidecar = Sidecar::start(Settings::new("127.0.0.1:9", "group", &["orders"])).await;
    let limits = sidecar.proc("limits");
    let core = limits
        .lines()
        .find(|line| line.starts_with("Max core file size"));
    let words: Vec<&str> = core.unwrap().split_whitespace().collect();
    assert_eq!(words[4..6], ["0", "0"], "{core:?}");
    sidecar.stop().await;
}

#[tokio::test]
async fn a_password_that_travels_in_clear_is_warned_of() {
    let secrets = tempfile::TempDir::new().unwrap();
    for (name, secret) in [("user", "alice"), ("password", "planted-canary")] {
        std::fs::write(secrets.path().join(name), secret).unwrap();
    }
    let sasl = json!({
        "mechanism": "PLAIN",
        "username_file": secrets.path().join("user"),
        "password_file": secrets.path().join("password"),
    });
    let settings = Settings::new("127.0.0.1:1", "group", &["topic"])
        .with(json!({"kafka": {"sasl": sasl}, "group": {"join": "at_start"}}));
    let sidecar = Sidecar::start(settings).await;
    sidecar
        .until_logged(&["\"password_in_clear\"", "SCRAM"])
        .await;
    sidecar.until_logged(&["\"joining\""]).await;
    sidecar.stop().await;
}
