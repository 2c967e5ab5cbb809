//! Records that unpack to far more than they take in the log.

use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::until_committed_to_the_end;
use crate::harness::{
    Ledger, Line, Logged, Manner, Member, Protocol, Sidecar, Topic, Worker, ackline, figure,
    unique, until,
};

/// Zeros, which each codec makes next to nothing of.
const UNPACKED: usize = 64 << 20;
const OTHERS: i32 = 200;

async fn write_bomb(topic: &Topic<'_>, brokers: &str, codec: &str) {
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("compression.type", codec)
        .set("message.max.bytes", "1000000000")
        .set("queue.buffering.max.kbytes", "1000000")
        .create()
        .unwrap();
    let zeros = vec![0; UNPACKED];
    let record = FutureRecord::<[u8], [u8]>::to(&topic.name)
        .partition(0)
        .payload(&zeros);
    producer
        .send(record, Duration::from_secs(60))
        .await
        .unwrap();
}

async fn one_record_that_unpacks_to_64_mib_holds_nobody_else_up(codec: &str) {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic =
        Topic::create_with(member.cluster, 2, 1, &[("max.message.bytes", "20000000")]).await;
    write_bomb(&topic, member.cluster.brokers(), codec).await;
    let others = (0..OTHERS).map(|number| (1, Logged::numbered(number)));
    topic.write(&ledger, others).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(29));
    ledger.until_all_accepted().await;
    let held = ["reason=\"oversize\""];
    until("it is said that nobody can receive it", async || {
        let held = sidecar.metric("ackline_blocked", &held).await;
        (held > 0.5).then_some(())
    })
    .await;
    let peak = sidecar.proc("status");
    let peak = peak
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .unwrap();
    figure(&format!(
        "a record of {codec} that unpacks to 64 MiB: {peak}"
    ));
    let place = format!("{}/0", topic.name);
    let words = ["seek", &place, "--to", "latest", "--reason", "a bomb"];
    let (code, text) = ackline(&sidecar.socket(), &words).await;
    assert_eq!(code, 0, "{text}");
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
}

// B29 C-7
#[tokio::test]
async fn a_record_that_unpacks_to_far_more_than_it_takes_holds_nobody_else_up() {
    for codec in ["gzip", "snappy", "lz4", "zstd"] {
        one_record_that_unpacks_to_64_mib_holds_nobody_else_up(codec).await;
    }
}
