//! What was committed, told by somebody else: Kafka's own tools, reading `__consumer_offsets`.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::cluster::Cluster;
use super::topic::bounds;

/// Partitions of `__consumer_offsets` on the clusters of `tests/kafka/up`.
const OFFSETS_PARTITIONS: i32 = 4;

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

/// Every commit that the group has made so far, in the broker's order.
pub(crate) async fn commits_of(cluster: &Cluster, group: &str) -> Vec<Commit> {
    let entries = written_about(cluster, group, "OffsetsMessageFormatter").await;
    entries
        .iter()
        .filter_map(|entry| commit_in(entry, group))
        .collect()
}

/// Numbers of the generations that a group of the classic protocols has had: each is a rebalance that was completed.
pub(crate) async fn generations_of(cluster: &Cluster, group: &str) -> BTreeSet<i64> {
    let entries = written_about(cluster, group, "GroupMetadataMessageFormatter").await;
    let of_group = |entry: &&Value| entry["key"]["data"]["group"] == group;
    let generations = entries
        .iter()
        .filter(of_group)
        .filter_map(|entry| entry["value"]["data"]["generation"].as_i64());
    generations.collect()
}

/// What the broker's log of groups holds where this group is, as one of Kafka's formatters tells it.
async fn written_about(cluster: &Cluster, group: &str, formatter: &str) -> Vec<Value> {
    let partition = offsets_partition(group);
    // The tool would wait for more at the end, so it is told how many records there are.
    let (start, end) = bounds(cluster, "__consumer_offsets", partition).await;
    let (partition, count) = (partition.to_string(), (end - start).to_string());
    let text = cluster
        .tool(&[
            "consume",
            "--topic",
            "__consumer_offsets",
            "--partition",
            &partition,
            "--offset",
            "earliest",
            "--max-messages",
            &count,
            "--formatter",
            &format!("org.apache.kafka.tools.consumer.{formatter}"),
        ])
        .await;
    let entries = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
    entries.map(Result::unwrap).collect()
}

/// A commit of that group, if the entry is one. An entry without a value is a tombstone: the
/// group or the topic was deleted.
fn commit_in(entry: &Value, group: &str) -> Option<Commit> {
    let (key, value) = (&entry["key"]["data"], &entry["value"]["data"]);
    (key["group"] == group && value.is_object()).then(|| Commit {
        topic: key["topic"].as_str().unwrap().to_owned(),
        partition: i32::try_from(key["partition"].as_i64().unwrap()).unwrap(),
        offset: value["offset"].as_i64().unwrap(),
        leader_epoch: value["leaderEpoch"].as_i64().unwrap(),
        metadata: value["metadata"].as_str().unwrap().to_owned(),
        at_ms: value["commitTimestamp"].as_i64().unwrap(),
    })
}

/// Committed offset and log end by topic and partition, as `--describe` shows them. Partitions without a commit are absent.
pub(crate) async fn described_offsets(
    cluster: &Cluster,
    group: &str,
) -> BTreeMap<(String, i32), (i64, i64)> {
    let text = cluster
        .tool(&["groups", "--describe", "--offsets", "--group", group])
        .await;
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>())
        .filter(|fields| fields.len() > 4 && fields[0] == group && fields[3] != "-")
        .map(|fields| {
            let number = |index: usize| fields[index].parse::<i64>().unwrap();
            let place = (fields[1].to_owned(), i32::try_from(number(2)).unwrap());
            (place, (number(3), number(4)))
        })
        .collect()
}

/// Where the broker keeps a group: the absolute value of Java's hash of its name.
fn offsets_partition(group: &str) -> i32 {
    let hash = group.bytes().fold(0_i32, |hash, byte| {
        hash.wrapping_mul(31).wrapping_add(byte.into())
    });
    hash.checked_abs().unwrap_or(0) % OFFSETS_PARTITIONS
}
