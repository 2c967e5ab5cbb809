//! The operator's commands, on a sidecar that needs no Kafka.

use serde_json::Value;

use super::{Fake, as_lines, ids, offsets, values, write_line};
use crate::harness::{ackline, proto::Outcome, until};

/// A sidecar that parks what fails once, with an admin socket beside that of applications.
fn parking(lines: &[&str], words: &[&str]) -> Fake {
    let settings = [
        "--set",
        "retry.max_attempts=1",
        "--set",
        "log.level=info",
        "--order",
        "none",
    ];
    Fake::start(lines, &[&settings[..], words].concat())
}

#[tokio::test]
async fn parked_records_are_counted_listed_and_sent_away() {
    let lines = values(4);
    let fake = parking(&as_lines(&lines), &["--until-settled"]);
    let socket = fake.socket();
    let mut reader = fake.reader().await;
    let records = reader.take(4).await;
    assert!(reader.ack(&ids(&records[..1])).await.is_empty());
    reader.settle(&ids(&records[1..]), Outcome::Retry).await;
    until("three are parked", async || {
        let (_, text) = ackline(&socket, &["status", "-o", "json"]).await;
        let status: Value = serde_json::from_str(&text).unwrap();
        (status["partitions"][0]["aside"] == 3).then_some(())
    })
    .await;
    let (code, text) = ackline(&socket, &["status"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.contains("3 set aside"), "{text}");
    let list = ["parked", "list", "records/1", "-o", "json"];
    let (_, text) = ackline(&socket, &list).await;
    let elsewhere: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(elsewhere["aside"], 0, "{text}");

    let skip = ["parked", "skip", "records/0/1", "--reason", "a test"];
    let (code, text) = ackline(&socket, &skip).await;
    assert_eq!(code, 0, "{text}");
    assert!(text.starts_with("1 record is skipped."), "{text}");
    let send = ["parked", "dead-letter", "--all", "--reason", "a test"];
    let (code, text) = ackline(&socket, &send).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.starts_with("2 records go to the dead-letter topic. This"),
        "{text}"
    );
    let ended = fake.ended().await;
    ended.summary(0);
    for (event, count) in [
        ("operator_parked_skip", 1),
        ("operator_parked_dead_letter", 2),
    ] {
        let lines: Vec<_> = ended.errors.lines().collect();
        let audits = lines.iter().filter(|line| line.contains(event));
        let audits: Vec<_> = audits.collect();
        assert_eq!(audits.len(), 1, "{}", ended.errors);
        assert!(audits[0].contains(&format!("count={count}")), "{audits:?}");
    }
}

#[tokio::test]
async fn passing_records_are_shown_until_enough_were_and_values_only_when_asked_for() {
    let (fake, mut input) = Fake::start_streaming(&["--set", "log.level=info"]);
    let socket = fake.socket();
    let mut reader = fake.reader().await;
    let key = [
        "tail",
        "records/0",
        "--key",
        "b",
        "--limit",
        "2",
        "-o",
        "json",
    ];
    let whole = ["tail", "--limit", "1", "--payload", "--reason", "a test"];
    let (lookers, deliveries) = (
        async { tokio::join!(ackline(&socket, &key), ackline(&socket, &whole)) },
        async {
            for number in 0.. {
                let key = if number % 2 == 0 { "a" } else { "b" };
                let line = format!(r#"{{"key": "{key}", "value": "secret {number}"}}"#);
                write_line(&mut input, &line).await;
                let records = reader.take(1).await;
                assert_eq!(offsets(&records), [number], "deliveries go on");
                assert!(reader.ack(&ids(&records)).await.is_empty());
            }
        },
    );
    let ((code, text), (whole_code, whole_text)) = tokio::select! {
        shown = lookers => shown,
        () = deliveries => unreachable!("they never end"),
    };
    assert_eq!((code, whole_code), (0, 0), "{text}{whole_text}");
    let read = |line| serde_json::from_str::<Value>(line).unwrap();
    let shown: Vec<Value> = text.lines().map(read).collect();
    let places: Vec<_> = shown
        .iter()
        .map(|at| at["offset"].as_i64().unwrap())
        .collect();
    assert_eq!(places.len(), 2, "{text}");
    assert!(places[0] % 2 == 1 && places[1] == places[0] + 2, "{text}");
    assert!(!text.contains("secret"), "{text}");
    assert!(whole_text.contains("bytes: \"secret "), "{whole_text}");
    assert_eq!(whole_text.lines().count(), 1, "{whole_text}");
    fake.terminate().await;
    let errors = fake.ended().await.errors;
    let told = |event: &str| errors.lines().filter(|line| line.contains(event)).count();
    let told = ["operator_tail", "operator_tail_payload"].map(told);
    assert_eq!(told, [2, 1], "{errors}");
}
