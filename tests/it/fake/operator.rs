//! The operator's commands, on a sidecar that needs no Kafka.

use serde_json::Value;

use super::{Fake, as_lines, ids, values};
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
