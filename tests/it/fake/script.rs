//! What the script does to the group.

use serde_json::json;

use super::{Fake, as_lines, ids, offsets, values};
use crate::harness::Reader;
use crate::harness::proto::partition_event::Kind;
use crate::harness::proto::stream_response::Response;
use crate::harness::proto::{Notice, Open, RefusalReason};

/// Opens with notices about partitions.
fn with_notices() -> Open {
    Open {
        notices: vec![Notice::Partitions.into()],
        ..Open::default()
    }
}

async fn until_told(reader: &mut Reader, kind: Kind) {
    let is_it = |response: &Response| match response {
        Response::Partition(event) if event.kind() == kind => Some(()),
        _ => None,
    };
    reader.until_told(&format!("{kind:?}"), is_it).await;
}

#[tokio::test]
async fn what_is_settled_while_a_partition_is_revoked_does_not_come_again() {
    let mut lines = values(10);
    lines.push(r#"{"do": "revoke", "partition": 0, "after_delivered": 4}"#.to_owned());
    let words = ["--until-settled", "--set", "drain.revoke=60s"];
    let fake = Fake::start(&as_lines(&lines), &words);
    let mut reader = fake.reader_with(with_notices()).await;
    let held = reader.take(4).await;
    assert_eq!(
        offsets(&held),
        [0, 1, 2, 3],
        "no more than the script counts"
    );
    until_told(&mut reader, Kind::Revoking).await;
    assert!(reader.ack(&ids(&held)).await.is_empty());
    until_told(&mut reader, Kind::Revoked).await;
    let rest = reader.take(6).await;
    assert_eq!(offsets(&rest), [4, 5, 6, 7, 8, 9]);
    reader.ack(&ids(&rest)).await;
    assert_eq!(fake.ended().await.summary(0)["redelivered"], 0);
}

#[tokio::test]
async fn late_acknowledgements_of_a_revoked_partition_are_stale() {
    let mut lines = values(10);
    lines.push(r#"{"do": "revoke", "partition": 0, "after_delivered": 4}"#.to_owned());
    let words = ["--until-settled", "--set", "drain.revoke=0s"];
    let fake = Fake::start(&as_lines(&lines), &words);
    let mut reader = fake.reader().await;
    let held = reader.take(4).await;
    reader.until_withdrawn(held[3].id).await;
    let refused = reader.ack(&ids(&held)).await;
    assert_eq!(refused[0].reason(), RefusalReason::Stale);
    let again = reader.take(10).await;
    assert_eq!(offsets(&again), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    reader.ack(&ids(&again)).await;
    let summary = fake.ended().await.summary(0);
    let figures = ["delivered", "redelivered"].map(|key| summary[key].clone());
    assert_eq!(figures, [json!(14), json!(4)]);
    assert!(summary["stale"].as_u64() > Some(0), "{summary}");
}

#[tokio::test]
async fn a_lost_partition_brings_back_what_was_not_committed() {
    let mut lines = values(6);
    lines.push(r#"{"do": "lose", "partition": 0, "after_acknowledged": 2}"#.to_owned());
    // No commit comes by itself before the loss.
    let fake = Fake::start(
        &as_lines(&lines),
        &["--until-settled", "--set", "commit.interval=50s"],
    );
    let mut reader = fake.reader().await;
    let first = reader.take(6).await;
    assert!(reader.ack(&ids(&first[..2])).await.is_empty());
    let again = reader.take(6).await;
    assert_eq!(
        offsets(&again),
        offsets(&first),
        "acknowledged ones are among them"
    );
    assert!(reader.ack_committed(&ids(&again)).await);
    let summary = fake.ended().await.summary(0);
    assert_eq!(summary["redelivered"], 6);
}

#[tokio::test]
async fn a_record_is_delivered_once_more_after_it_was_committed() {
    let mut lines = values(4);
    lines.push(r#"{"do": "redeliver", "partition": 0, "offset": 2}"#.to_owned());
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let first = reader.take(4).await;
    reader.ack(&ids(&first)).await;
    let again = reader.take(2).await;
    assert_eq!(offsets(&again), [2, 3]);
    reader.ack(&ids(&again)).await;
    let summary = fake.ended().await.summary(0);
    assert_eq!(
        (&summary["delivered"], &summary["script_not_reached"]),
        (&json!(6), &json!([]))
    );
}

#[tokio::test]
async fn a_partition_stays_away_until_the_script_gives_it_back() {
    let mut lines = values(3);
    lines.push(r#"{"do": "revoke", "partition": 0, "after_delivered": 1}"#.to_owned());
    lines.push(r#"{"do": "assign", "partition": 0, "after_ms": 300}"#.to_owned());
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader_with(with_notices()).await;
    let first = reader.take(1).await;
    reader.ack(&ids(&first)).await;
    until_told(&mut reader, Kind::Revoked).await;
    let rest = reader.take(2).await;
    assert_eq!(offsets(&rest), [1, 2]);
    reader.ack(&ids(&rest)).await;
    fake.ended().await.summary(0);
}

#[tokio::test]
async fn streams_end_with_unavailable_and_what_they_held_comes_again() {
    let mut lines = values(5);
    lines.push(r#"{"do": "close_streams", "after_delivered": 3}"#.to_owned());
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let held = reader.take(3).await;
    let status = reader.until_ended().await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    let mut reader = fake.reader().await;
    let again = reader.take(5).await;
    assert_eq!(offsets(&again), [0, 1, 2, 3, 4]);
    assert_eq!(
        (held[0].attempt, again[0].attempt, again[4].attempt),
        (1, 2, 1)
    );
    reader.ack(&ids(&again)).await;
    fake.ended().await.summary(0);
}

#[tokio::test]
async fn commits_that_fail_are_tried_again() {
    let mut lines = values(2);
    lines.push(r#"{"do": "commit_fails", "times": 2}"#.to_owned());
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let records = reader.take(2).await;
    reader.ack(&ids(&records)).await;
    let ended = fake.ended().await;
    assert!(ended.errors.contains("a commit failed"), "{}", ended.errors);
    assert_eq!(ended.summary(0)["committed"][0]["offset"], 2);
}

#[tokio::test]
async fn steps_that_were_not_reached_are_named() {
    let mut lines = values(2);
    lines.push(r#"{"do": "lose", "partition": 0, "after_delivered": 3}"#.to_owned());
    let fake = Fake::start(&as_lines(&lines), &["--until-settled"]);
    let mut reader = fake.reader().await;
    let records = reader.take(2).await;
    reader.ack(&ids(&records)).await;
    let summary = fake.ended().await.summary(0);
    let place = summary["script_not_reached"][0].as_str().unwrap();
    assert!(place.ends_with("records.jsonl:3"), "{place}");
}
