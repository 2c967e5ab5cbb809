//! The exit code says whether the application settled everything.

use serde_json::json;

use super::{Fake, as_lines, ids, values, write_line};
use crate::harness::proto::Outcome;

#[tokio::test]
async fn what_is_settled_ends_with_0() {
    let lines = values(100);
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let records = reader.take(100).await;
    assert!(reader.ack(&ids(&records)).await.is_empty());
    let summary = fake.ended().await.summary(0);
    assert_eq!(summary["settled"], true);
    assert_eq!(summary["ended"], "settled");
    let figures = ["records", "delivered", "acknowledged"].map(|key| summary[key].clone());
    assert_eq!(figures, [100, 100, 100].map(serde_json::Value::from));
    assert_eq!(
        summary["committed"],
        json!([{"topic": "records", "partition": 0, "offset": 100}])
    );
}

#[tokio::test]
async fn what_is_not_settled_ends_with_1_and_is_named() {
    let lines = values(5);
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let records = reader.take(5).await;
    let settled = [0, 2, 4].map(|index: usize| records[index].id);
    assert!(reader.ack_committed(&settled).await);
    // Nothing that is in flight is to be waited for.
    drop(reader);
    fake.terminate().await;
    let summary = fake.ended().await.summary(1);
    assert_eq!(summary["unsettled"], 2);
    let named = summary["unsettled_records"].as_array().unwrap();
    let named: Vec<_> = named
        .iter()
        .map(|record| record["offset"].clone())
        .collect();
    assert_eq!(
        named,
        [1, 3],
        "offsets 2 and 4 are finished above the committed one"
    );
}

#[tokio::test]
async fn sigterm_ends_with_the_same_summary() {
    let lines = values(3);
    let fake = Fake::start(&as_lines(&lines), &[]);
    let mut reader = fake.reader().await;
    let records = reader.take(3).await;
    assert!(reader.ack_committed(&ids(&records[..2])).await);
    reader.settle(&ids(&records[2..]), Outcome::Release).await;
    fake.terminate().await;
    let summary = fake.ended().await.summary(1);
    assert_eq!(
        (&summary["ended"], &summary["unsettled"]),
        (&json!("SIGTERM"), &json!(1))
    );
    assert_eq!(summary["released"], 1);
}

#[tokio::test]
async fn failed_records_come_again_with_the_next_attempt() {
    let words = ["--until-settled", "--set", "retry.backoff.initial=1ms"];
    let fake = Fake::start(&["{\"key\": \"k\", \"value\": \"v\"}"], &words);
    let mut reader = fake.reader().await;
    let first = reader.take(1).await;
    assert!(reader.settle(&ids(&first), Outcome::Retry).await.is_empty());
    let second = reader.take(1).await;
    assert_eq!((first[0].attempt, second[0].attempt), (1, 2));
    assert_eq!(first[0].record, second[0].record);
    reader.ack(&ids(&second)).await;
    let summary = fake.ended().await.summary(0);
    assert_eq!(
        (&summary["retried"], &summary["redelivered"]),
        (&json!(1), &json!(1))
    );
}

#[tokio::test]
async fn standard_input_is_delivered_as_it_comes_and_its_end_is_waited_for() {
    let words = ["--until-settled", "--topic", "orders", "--partitions", "2"];
    let (fake, mut input) = Fake::start_streaming(&words);
    let mut reader = fake.reader().await;
    for partition in [1, 0, 1] {
        let line = format!("{{\"topic\": \"orders\", \"partition\": {partition}}}");
        write_line(&mut input, &line).await;
        let records = reader.take(1).await;
        assert_eq!(records[0].place.partition, partition);
        assert!(reader.ack_committed(&ids(&records)).await);
    }
    drop(input);
    let summary = fake.ended().await.summary(0);
    assert_eq!(
        (&summary["records"], &summary["input_ended"]),
        (&json!(3), &json!(true))
    );
}

#[tokio::test]
async fn the_summary_for_people_names_what_is_missing() {
    let lines = values(2);
    let directory = tempfile::tempdir().unwrap();
    let records = directory.path().join("records.jsonl");
    std::fs::write(&records, as_lines(&lines).join("\n")).unwrap();
    let socket = format!("unix:{}", directory.path().join("s").display());
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_ackline"))
        .args(["fake", "--records"])
        .arg(&records)
        .args(["--listen", &socket, "--until-settled", "--timeout", "1ms"])
        .env_clear()
        .output()
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty());
    let text = String::from_utf8(output.stderr).unwrap();
    for words in [
        "ackline fake: 2 records are not settled, the time was up\n",
        "  records/0 offset 0, never delivered\n",
        "  records 2, delivered 0, of these again 0\n",
        "  nothing was committed\n",
    ] {
        assert!(text.contains(words), "{words} in {text}");
    }
}
