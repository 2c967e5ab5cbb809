//! An application that returns each record it reads as an output, and an independent reader of those.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Message, Offset, TopicPartitionList};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::proto::stream_response::Response;
use super::proto::{AckRequest, Ids, Open, Outcome, Output, Records, Settlement};
use super::{Cluster, PATIENCE, Topic, connect, open_stream};

/// How long a broker may take.
const WAIT: Duration = Duration::from_secs(60);

/// The copying application.
pub(crate) struct Copier {
    stop: CancellationToken,
    task: JoinHandle<()>,
    settled: Arc<AtomicUsize>,
}

impl Copier {
    /// Copies what the sidecar behind the socket gives it, to the same partitions of `target`.
    pub(crate) fn start(socket: PathBuf, target: &str) -> Self {
        Self::start_with(socket, target, copied_together)
    }

    /// Copies in another manner: makes acknowledgements of what comes for a topic.
    pub(crate) fn start_with(
        socket: PathBuf,
        target: &str,
        manner: fn(Records, &str) -> Vec<Settlement>,
    ) -> Self {
        let stop = CancellationToken::new();
        let settled = Arc::new(AtomicUsize::new(0));
        let (token, target, count) = (stop.clone(), target.to_owned(), settled.clone());
        let task = tokio::spawn(async move {
            while !token.is_cancelled() {
                tokio::select! {
                    () = token.cancelled() => {}
                    ended = copy(&socket, &target, &count, manner) => {
                        // The sidecar went away, and comes again.
                        assert!(ended.is_err(), "a stream ends when it is closed");
                    }
                }
            }
        });
        Self {
            stop,
            task,
            settled,
        }
    }

    /// How many records it has returned, those that came again included.
    pub(crate) fn settled(&self) -> usize {
        self.settled.load(Ordering::Relaxed)
    }

    /// Ends as if it were killed: in the middle of whatever it does.
    pub(crate) async fn kill(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("it ends")
            .unwrap();
    }
}

fn copied_together(records: Records, target: &str) -> Vec<Settlement> {
    vec![copied(records, target)]
}

async fn copy(
    socket: &Path,
    target: &str,
    settled: &AtomicUsize,
    manner: fn(Records, &str) -> Vec<Settlement>,
) -> Result<(), Status> {
    let mut client = connect(socket).await;
    let open = Open {
        client: "copier".to_owned(),
        ..Open::default()
    };
    let (_, mut responses) = open_stream(&mut client, open).await?;
    while let Some(message) = responses.message().await? {
        if let Some(Response::Records(records)) = message.response {
            let count = records.records.len();
            let request = AckRequest {
                settlements: manner(records, target),
                ..AckRequest::default()
            };
            client.ack(request).await?;
            settled.fetch_add(count, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// All records of a message, with a copy of each that says where it comes from.
pub(crate) fn copied(records: Records, target: &str) -> Settlement {
    let Records {
        partition, records, ..
    } = records;
    let ids = records.iter().map(|record| record.id).collect();
    let outputs = records.into_iter().map(|record| Output {
        topic: target.to_owned(),
        key: record.key,
        value: Some(record.offset.to_string().into()),
        headers: record.headers,
        partition: Some(partition),
        timestamp_ms: None,
    });
    Settlement {
        deliveries: Some(Ids {
            ids,
            ..Ids::default()
        }),
        outcome: Outcome::Ack.into(),
        outputs: outputs.collect(),
        ..Settlement::default()
    }
}

/// Offsets of the records that were copied, by partition, in the order of the log.
pub(crate) type Copies = BTreeMap<i32, Vec<i64>>;

/// The copies that a [`Copier`] made, as a reader of committed data sees them.
pub(crate) async fn copies(cluster: &Cluster, target: &Topic<'_>) -> Copies {
    let mut found: Copies = (0..target.partitions).map(|it| (it, Vec::new())).collect();
    for (partition, value) in committed_values(cluster, target).await {
        let offset = String::from_utf8(value).unwrap().parse().unwrap();
        found.get_mut(&partition).unwrap().push(offset);
    }
    found
}

/// The partition and value of every record, as a reader of committed data sees them, from the beginnings to the ends.
pub(crate) async fn committed_values(cluster: &Cluster, topic: &Topic<'_>) -> Vec<(i32, Vec<u8>)> {
    let (brokers, name) = (cluster.brokers().to_owned(), topic.name.clone());
    let partitions = topic.partitions;
    let read = move || read_committed(&brokers, &name, partitions);
    tokio::task::spawn_blocking(read).await.unwrap()
}

fn reader(brokers: &str, group: &str) -> BaseConsumer {
    ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap()
}

fn read_committed(brokers: &str, name: &str, partitions: i32) -> Vec<(i32, Vec<u8>)> {
    let consumer = reader(brokers, "a reader of copies");
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(name, partition, Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&list).unwrap();
    let mut found = Vec::new();
    let mut left = partitions;
    while left > 0 {
        match consumer.poll(WAIT).expect("a log has an end") {
            Ok(message) => {
                found.push((message.partition(), message.payload().unwrap().to_vec()));
            }
            Err(KafkaError::PartitionEOF(_)) => left -= 1,
            // A broker of the cluster is gone for the moment.
            Err(error) if error.rdkafka_error_code().is_some_and(is_passing) => {}
            Err(error) => panic!("the topic cannot be read: {error}"),
        }
    }
    found
}

fn is_passing(error: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{
        AllBrokersDown, BrokerTransportFailure, CoordinatorLoadInProgress, CoordinatorNotAvailable,
        NotCoordinator, OperationTimedOut,
    };
    matches!(
        error,
        AllBrokersDown
            | BrokerTransportFailure
            | CoordinatorLoadInProgress
            | CoordinatorNotAvailable
            | NotCoordinator
            | OperationTimedOut
    )
}

/// What the group has committed of a topic, by partition; 0 of those without a commit. Waits for what a transaction
/// that is open might commit.
pub(crate) async fn committed(
    cluster: &Cluster,
    group: &str,
    topic: &Topic<'_>,
) -> BTreeMap<i32, i64> {
    let (brokers, group) = (cluster.brokers().to_owned(), group.to_owned());
    let (name, partitions) = (topic.name.clone(), topic.partitions);
    let read = move || {
        let mut list = TopicPartitionList::new();
        list.add_partition_range(&name, 0, partitions - 1);
        let consumer = reader(&brokers, &group);
        let found = loop {
            match consumer.committed_offsets(list.clone(), WAIT) {
                Ok(found) => break found,
                // Its coordinator moves, or is being found.
                Err(error) if error.rdkafka_error_code().is_some_and(is_passing) => {}
                Err(error) => panic!("what is committed cannot be read: {error}"),
            }
        };
        let found = found.elements();
        let offset = |offset| match offset {
            Offset::Offset(offset) => offset,
            _ => 0,
        };
        found
            .iter()
            .map(|it| (it.partition(), offset(it.offset())))
            .collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap()
}
