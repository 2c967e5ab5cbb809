//! `ackline dead-letters` on real Kafka: the command, and what it leaves in the logs.

use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;
use tokio::process::Command;

use super::until_committed_to_the_end;
use crate::harness::{
    Cluster, Ledger, Line, Logged, Member, Protocol, Reader, Sidecar, Topic, now_ms,
    produce_with_raw_name, unique, until,
};

/// A finished command.
struct Finished {
    code: Option<i32>,
    out: String,
    errors: String,
}

/// Runs `ackline dead-letters` with these words.
async fn dead_letters(cluster: &Cluster, words: &[&str]) -> Finished {
    with_brokers(cluster.brokers(), words).await
}

async fn with_brokers(brokers: &str, words: &[&str]) -> Finished {
    let output = Command::new(env!("CARGO_BIN_EXE_ackline"))
        .arg("dead-letters")
        .args(words)
        .args(["--brokers", brokers])
        .env_clear()
        .output()
        .await
        .unwrap();
    Finished {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Finished {
    #[track_caller]
    fn succeeded(self) -> String {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.errors);
        self.out
    }

    /// What a person reads after a failure.
    #[track_caller]
    fn failed(self, code: i32) -> String {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.errors);
        self.errors
    }
}

/// A dead letter as a sidecar writes it.
fn letter(number: i32, source: &str, partition: i32, cause: &str) -> Logged {
    let before = Logged::numbered(number);
    let header = |name: &str, value: &str| (format!("ackline.{name}"), Some(value.into()));
    let mut headers = before.headers.clone();
    headers.push(("null".to_owned(), None));
    headers.extend([
        header("cluster", "c-1"),
        header("group", "orders-service"),
        header("topic", source),
        header("partition", &partition.to_string()),
        header("offset", &(100 + number).to_string()),
        header("timestamp", &before.timestamp_ms.to_string()),
        header("timestamp-type", "create_time"),
        header("cause", cause),
        header("reason", "no such customer\u{1b}[2J"),
        header("failures", "10"),
        header("at", &format!("2026-11-28T04:00:{:02}.000Z", number)),
    ]);
    Logged { headers, ..before }
}

/// A record that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Read {
    pub(super) partition: i32,
    pub(super) record: Logged,
}

/// Everything that a topic holds.
pub(super) async fn everything(cluster: &Cluster, topic: &Topic<'_>) -> Vec<Read> {
    let mut wanted = 0;
    let mut list = TopicPartitionList::new();
    for partition in 0..topic.partitions {
        let (start, end) = topic.bounds(partition).await;
        wanted += end - start;
        list.add_partition_offset(&topic.name, partition, Offset::Beginning)
            .unwrap();
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers())
        .set("group.id", "none")
        .create()
        .unwrap();
    consumer.assign(&list).unwrap();
    let mut read = Vec::new();
    while read.len() < usize::try_from(wanted).unwrap() {
        let message = consumer.poll(Duration::from_secs(30)).unwrap().unwrap();
        let headers = message
            .headers()
            .into_iter()
            .flat_map(|headers| headers.iter());
        read.push(Read {
            partition: message.partition(),
            record: Logged {
                key: message.key().map(<[u8]>::to_vec),
                value: message.payload().map(<[u8]>::to_vec),
                headers: headers
                    .map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec)))
                    .collect(),
                timestamp_ms: message.timestamp().to_millis().unwrap(),
            },
        });
    }
    read.sort_by_key(|read| read.record.value.clone());
    read
}

/// Topics and dead letters of a test: numbers 0 to 5 from the source, 6 from elsewhere, and one that says nothing.
async fn scene(cluster: &'static Cluster) -> (Topic<'static>, Topic<'static>) {
    let source = Topic::create(cluster, 3).await;
    let dead = Topic::create(cluster, 2).await;
    let causes = [
        "failures", "crashes", "failures", "operator", "crashes", "failures",
    ];
    let letters = (0..)
        .zip(causes)
        .map(|(number, cause)| (number % 2, letter(number, &source.name, number % 3, cause)));
    let elsewhere = (0, letter(6, "elsewhere", 0, "failures"));
    let foreign = (1, Logged::numbered(7));
    let all: Vec<_> = letters.chain([elsewhere, foreign]).collect();
    dead.write(&Ledger::default(), all).await;
    (source, dead)
}

fn json(text: &str) -> Vec<Value> {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn dead_letters_are_listed_and_shown_by_what_their_headers_say() {
    let cluster = Cluster::shared(Line::Newest);
    let (source, dead) = scene(cluster).await;

    let table = dead_letters(cluster, &["list", &dead.name])
        .await
        .succeeded();
    assert_eq!(table.lines().count(), 1 + 8, "{table}");
    assert!(!table.contains('\u{1b}'), "nothing raw: {table}");
    let first = format!("2026-11-28T04:00:00.000Z  {}/0/100", source.name);
    assert!(table.contains(&first), "{table}");

    let words = [
        "list",
        &dead.name,
        "-o",
        "json",
        "--cause",
        "crashes",
        "--group",
        "orders-service",
    ];
    let chosen = json(&dead_letters(cluster, &words).await.succeeded());
    let offsets: Vec<_> = chosen
        .iter()
        .map(|entry| entry["source"]["offset"].clone())
        .collect();
    assert_eq!(offsets, [101, 104]);
    let words = ["list", &dead.name, "-o", "json", "--limit", "2"];
    let newest = dead_letters(cluster, &words).await;
    assert!(
        newest.errors.contains("6 older ones are not shown"),
        "{}",
        newest.errors
    );
    let newest = json(&newest.succeeded());
    assert_eq!(newest[1]["source"]["topic"], "elsewhere");
    let words = ["list", &dead.name, "--since", "2026-11-28T04:00:05Z"];
    let since = dead_letters(cluster, &words).await.succeeded();
    assert_eq!(since.lines().count(), 1 + 2, "{since}");

    let place = format!("{}/0/1", dead.name);
    let shown = dead_letters(cluster, &["show", &place]).await.succeeded();
    for part in [
        "no such customer\\u{1b}[2J",
        &format!("{}/2/102", source.name),
        "7 bytes; --payload shows them",
        "\"null\": null",
    ] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    assert!(!shown.contains("value-2"));
    let shown = dead_letters(cluster, &["show", &place, "--payload"])
        .await
        .succeeded();
    assert!(shown.contains("\"value-2\""), "{shown}");

    // A name that is not UTF-8 is no obstacle.
    let offset = produce_with_raw_name(cluster, &dead.name, b"v", b"\xffname", b"1").await;
    let place = format!("{}/0/{offset}", dead.name);
    let shown = dead_letters(cluster, &["show", &place]).await.succeeded();
    assert!(shown.contains("\"\\xffname\": \"1\""), "{shown}");
    assert!(shown.contains("not written by ackline"), "{shown}");
}

#[tokio::test]
async fn dead_letters_go_back_as_they_were_and_once() {
    let cluster = Cluster::shared(Line::Newest);
    let (source, dead) = scene(cluster).await;
    let redrive = async |more: &[&str]| {
        let words = [
            &["redrive", &dead.name, "--source-topic", &source.name],
            more,
        ]
        .concat();
        dead_letters(cluster, &words).await
    };

    let told = redrive(&["--dry-run"]).await.succeeded();
    assert!(told.starts_with("would send 6 records"), "{told}");
    assert!(everything(cluster, &source).await.is_empty());

    let told = redrive(&["--limit", "2", "--rate", "100/s"])
        .await
        .succeeded();
    assert!(told.starts_with("sent 2 records"), "{told}");
    let told = redrive(&[]).await.succeeded();
    assert!(
        told.starts_with("sent 4 records"),
        "it goes on there: {told}"
    );
    assert!(
        told.contains("left alone: 2 that were not chosen"),
        "{told}"
    );
    let told = redrive(&[]).await.succeeded();
    assert!(
        told.starts_with("sent 0 records"),
        "nothing is sent twice: {told}"
    );

    let back = everything(cluster, &source).await;
    assert_eq!(back.len(), 6);
    for (number, read) in (0..).zip(back) {
        let before = Logged::numbered(number);
        let headers = &read.record.headers;
        let kept: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(kept, ["number", "null", "ackline.redriven-from"]);
        let from = format!("{}/{}/{}", dead.name, number % 2, number / 2);
        assert_eq!(headers[0], before.headers[0]);
        assert_eq!(headers[1].1, None);
        assert_eq!(headers[2].1.as_deref(), Some(from.as_bytes()));
        assert_eq!(
            (&read.record.key, &read.record.value),
            (&before.key, &before.value)
        );
        let age = now_ms() - read.record.timestamp_ms;
        assert!((0..600_000).contains(&age), "the time of its first writing");
        assert_eq!(read.partition, number % 3, "where it was before");
    }
}

#[tokio::test]
async fn a_redrive_for_one_group_says_so_and_begins_again_when_told() {
    let cluster = Cluster::shared(Line::Newest);
    let (source, dead) = scene(cluster).await;
    let words = [
        "redrive",
        &dead.name,
        "--source-topic",
        &source.name,
        "--only-group",
        "billing",
    ];
    dead_letters(cluster, &words).await.succeeded();
    let again = [&words[..], &["--restart", "--cause", "operator"]].concat();
    let told = dead_letters(cluster, &again).await.succeeded();
    assert!(told.starts_with("sent 1 records"), "{told}");
    let back = everything(cluster, &source).await;
    assert_eq!(back.len(), 7);
    for read in back {
        let group = read.record.headers.last().unwrap();
        assert_eq!(group.0, "ackline.redrive-group");
        assert_eq!(group.1.as_deref(), Some(&b"billing"[..]));
    }
}

/// What newcomers do, and what they read then.
#[tokio::test]
async fn mistakes_are_answered_with_what_to_do_next() {
    let cluster = Cluster::shared(Line::Newest);
    let topic = Topic::create(cluster, 1).await;
    let text = dead_letters(cluster, &["list", "no-such-topic"])
        .await
        .failed(1);
    assert!(text.contains("no-such-topic does not exist"), "{text}");
    assert!(text.contains("kafka-topics --list"), "{text}");

    let place = format!("{}/0/5", topic.name);
    let text = dead_letters(cluster, &["show", &place]).await.failed(1);
    assert!(text.contains("has nothing in partition 0"), "{text}");
    assert!(text.contains("dead-letters list"), "{text}");

    let text = dead_letters(cluster, &["redrive", &topic.name])
        .await
        .failed(64);
    assert!(text.contains("--source-topic"), "{text}");

    let words = ["redrive", &topic.name, "--source-topic", "gone"];
    let text = dead_letters(cluster, &words).await.failed(1);
    assert!(text.contains("gone does not exist"), "{text}");

    let text = with_brokers("127.0.0.1:1", &["list", &topic.name])
        .await
        .failed(1);
    assert!(text.contains("--brokers"), "{text}");

    let told = dead_letters(cluster, &["list", &topic.name]).await;
    assert!(told.errors.contains("is empty"), "{}", told.errors);
    assert_eq!(told.succeeded(), "");
}

/// The other side of `--only-group`.
#[tokio::test]
async fn a_sidecar_passes_over_what_was_sent_back_for_another_group() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let addressed = |number, to: &str| {
        let mut record = Logged::numbered(number);
        let header = ("ackline.redrive-group".to_owned(), Some(to.into()));
        record.headers.push(header);
        (0, record)
    };
    // What is not for the group is unknown to its ledger, which complains about any delivery of it.
    let elsewhere = Ledger::default();
    topic.write(&elsewhere, [addressed(0, "other")]).await;
    let ours = [addressed(1, &group), (0, Logged::numbered(2))];
    topic.write(&ledger, ours).await;
    topic.write(&elsewhere, [addressed(3, "other")]).await;

    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let taken = reader.take(2).await;
    let offsets: Vec<i64> = taken.iter().map(|record| record.place.offset).collect();
    assert_eq!(offsets, [1, 2]);
    let ids: Vec<u64> = taken.iter().map(|record| record.id).collect();
    assert!(reader.ack(&ids).await.is_empty());
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    until("both are counted", async || {
        let count = sidecar.metric("ackline_records_foreign_total", &[]).await;
        (count > 1.0).then_some(())
    })
    .await;
    reader.close().await;
    sidecar.stop().await;
    ledger.assert_sound();
}
