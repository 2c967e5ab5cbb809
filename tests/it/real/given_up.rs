//! Records that are given up: dead letters are written before they count, parked ones wait for a person.

use ackline::grpc::proto::Outcome;
use serde_json::json;

use super::dead_letters::everything;
use super::until_committed_to_the_end;
use crate::harness::{
    Ledger, Line, Logged, Member, Protocol, Random, Reader, Sidecar, Topic, ackline, unique, until,
};

// R14 B30
#[tokio::test]
async fn what_is_given_up_is_in_the_dead_letter_topic_when_it_is_committed() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let dead = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 4).await;
    let settings = member.settings(&group, &topic).with(json!({
        "dead_letter": {"topic": dead.name},
        "retry": {"max_attempts": 2, "then": "dead_letter", "backoff": {"initial": "10ms"}},
    }));
    let sidecar = Sidecar::start(settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let first = reader.take(4).await;
    reader.ack(&[first[0].id, first[3].id]).await;
    reader.settle(&[first[1].id], Outcome::DeadLetter).await;
    reader.settle(&[first[2].id], Outcome::Retry).await;
    let again = reader.take(1).await;
    assert_eq!(again[0].place, first[2].place);
    reader.settle(&[again[0].id], Outcome::Retry).await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;

    let letters = everything(member.cluster, &dead).await;
    let told: Vec<_> = letters
        .iter()
        .map(|letter| {
            let of = |name: &str| letter.record.header(name);
            let (offset, cause) = (of("ackline.offset"), of("ackline.cause"));
            (offset, cause, of("ackline.failures"))
        })
        .collect();
    let expected = |offset: &str, cause: &str, failures: &str| {
        (offset.to_owned(), cause.to_owned(), failures.to_owned())
    };
    assert_eq!(
        told,
        [
            expected("1", "application", "0"),
            expected("2", "failures", "2")
        ]
    );
    let original = Logged::numbered(1);
    assert_eq!(letters[0].record.key, original.key);
    assert_eq!(letters[0].record.value, original.value);
    reader.close().await;
    sidecar.stop().await;
}

// B30: a broker refuses a batch as a whole.
#[tokio::test]
async fn dead_letter_that_is_too_large_takes_no_others_along() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let limit = [("max.message.bytes", "2000")];
    let dead = Topic::create_with(member.cluster, 1, 1, &limit).await;
    let mut random = Random(30);
    let noise = (0..1000).flat_map(|_| random.next().to_le_bytes());
    let large = Logged {
        value: Some(noise.collect()),
        ..Logged::numbered(3)
    };
    let records = (0..9).map(|number| match number {
        3 => (0, large.clone()),
        _ => (0, Logged::numbered(number)),
    });
    topic.write(&ledger, records).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"dead_letter": {"topic": dead.name}}));
    let sidecar = Sidecar::start(settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let ids: Vec<u64> = reader.take(9).await.iter().map(|it| it.id).collect();
    reader.settle(&ids, Outcome::DeadLetter).await;
    sidecar.until_logged(&["\"parked\"", "\"offset\":3"]).await;
    until("the others are there", async || {
        (everything(member.cluster, &dead).await.len() == 8).then_some(())
    })
    .await;
    assert_eq!(sidecar.log().matches("\"event\":\"parked\"").count(), 1);
    reader.close().await;
    sidecar.stop().await;
}

// R14 B30
#[tokio::test]
async fn parked_record_waits_for_an_operator() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    topic.write_numbered(&ledger, 2).await;
    let settings = member
        .settings(&group, &topic)
        .with(json!({"retry": {"max_attempts": 1}, "lane_depth": 1}));
    let sidecar = Sidecar::start(settings).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let first = reader.take(1).await;
    reader.settle(&[first[0].id], Outcome::Retry).await;

    let socket = sidecar.socket();
    let (code, text) = ackline(&socket, &["parked", "list"]).await;
    assert_eq!(code, 0, "{text}");
    assert!(
        text.contains("failures") && text.contains("1 of 1 set aside"),
        "{text}"
    );
    let record = format!("{}/0/{}", topic.name, first[0].place.offset);
    let (code, text) = ackline(&socket, &["explain"]).await;
    assert_eq!(code, 1, "{text}");
    assert!(
        text.contains(&format!("ackline parked retry {record}")),
        "{text}"
    );
    let act = ["parked", "dead-letter", &record, "--reason", "test"];
    let (code, text) = ackline(&socket, &act).await;
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("dead_letter.topic"), "{text}");
    let act = ["parked", "retry", &record, "--reason", "test"];
    let (code, text) = ackline(&socket, &act).await;
    assert_eq!(code, 0, "{text}");
    let again = reader.take(1).await;
    assert_eq!(again[0].place, first[0].place);
    reader.ack(&[again[0].id]).await;
    let last = reader.take(1).await;
    reader.ack(&[last[0].id]).await;
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    sidecar.until_logged(&["operator_parked_retry"]).await;
    reader.close().await;
    sidecar.stop().await;
}
