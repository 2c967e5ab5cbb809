//! What was committed, told by somebody else: Kafka's own tools, reading `__consumer_offsets`.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::process::{ChildStdout, Stdio};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde_json::Value;

use super::cluster::Cluster;
use super::topic::unique;

/// Partitions of `__consumer_offsets` on the clusters of `tests/kafka/up`.
const OFFSETS_PARTITIONS: u32 = 4;

/// One commit of one partition, as the broker wrote it down.
#[derive(Clone, Debug)]
pub(crate) struct Commit {
    pub(crate) topic: String,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) leader_epoch: i64,
    pub(crate) metadata: String,
    /// When the broker took it, in milliseconds since 1970.
    pub(crate) at_ms: i64,
}

/// Every commit that the group ever made, in the broker's order.
///
/// The reader has no end of its own to stop at. So another group that lives in the same partition of the offsets topic
/// commits once, and everything before that line is the answer.
pub(crate) async fn commits_of(cluster: &Cluster, group: &str, topic: &str) -> Vec<Commit> {
    let partition = offsets_partition(group);
    let end = std::iter::repeat_with(|| unique("end"))
        .find(|name| offsets_partition(name) == partition)
        .unwrap();
    commit_once(cluster, &end, topic);
    let mut command = cluster.tool_command();
    command
        .args([
            "consume",
            "--topic",
            "__consumer_offsets",
            "--partition",
            &partition.to_string(),
        ])
        .args(["--offset", "earliest", "--formatter"])
        .arg("org.apache.kafka.tools.consumer.OffsetsMessageFormatter")
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut reader = command.spawn().unwrap();
    let output = reader.stdout.take().unwrap();
    let group = group.to_owned();
    let commits = tokio::task::spawn_blocking(move || read_commits(output, &group, &end)).await;
    reader.kill().unwrap();
    reader.wait().unwrap();
    commits.unwrap()
}

fn read_commits(output: ChildStdout, group: &str, end: &str) -> Vec<Commit> {
    let mut commits = Vec::new();
    let entries = serde_json::Deserializer::from_reader(BufReader::new(output));
    for entry in entries.into_iter::<Value>() {
        let entry = entry.unwrap();
        let (key, value) = (&entry["key"]["data"], &entry["value"]["data"]);
        if key["group"] == end {
            return commits;
        }
        // A null value is a tombstone: the group or the topic was deleted.
        if key["group"] == group && value.is_object() {
            commits.push(Commit {
                topic: key["topic"].as_str().unwrap().to_owned(),
                partition: i32::try_from(key["partition"].as_i64().unwrap()).unwrap(),
                offset: value["offset"].as_i64().unwrap(),
                leader_epoch: value["leaderEpoch"].as_i64().unwrap(),
                metadata: value["metadata"].as_str().unwrap().to_owned(),
                at_ms: value["commitTimestamp"].as_i64().unwrap(),
            });
        }
    }
    panic!("Kafka's consumer ended before the commit that marks the end");
}

/// Committed offset and log end of each partition, as `--describe` shows them. Partitions without a commit are absent.
pub(crate) async fn described_offsets(cluster: &Cluster, group: &str) -> BTreeMap<i32, (i64, i64)> {
    let text = cluster
        .tool(&["groups", "--describe", "--offsets", "--group", group])
        .await;
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 4 && fields[0] == group && fields[3] != "-")
        .map(|fields| {
            let number = |index: usize| fields[index].parse::<i64>().unwrap();
            (i32::try_from(number(2)).unwrap(), (number(3), number(4)))
        })
        .collect()
}

fn commit_once(cluster: &Cluster, group: &str, topic: &str) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", cluster.brokers())
        .set("group.id", group)
        .set("enable.auto.commit", "false")
        .create()
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets
        .add_partition_offset(topic, 0, Offset::Offset(0))
        .unwrap();
    consumer.commit(&offsets, CommitMode::Sync).unwrap();
}

/// Where the broker keeps a group: Java's hash of its name.
fn offsets_partition(group: &str) -> u32 {
    let hash = group.bytes().fold(0_u32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    (hash & 0x7fff_ffff) % OFFSETS_PARTITIONS
}
