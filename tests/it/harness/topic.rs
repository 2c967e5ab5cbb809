//! A topic of a test, and everything that is done to it from outside of the sidecar.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio_util::sync::CancellationToken;

use super::cluster::Cluster;
use super::ledger::{Ledger, Logged, Place};
use super::until;

const TIMEOUT: Duration = Duration::from_secs(30);

/// A name that no other test and no earlier run uses.
pub(crate) fn unique(prefix: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    format!(
        "{prefix}-{}-{number}-{:x}",
        std::process::id(),
        now_ms() & 0xff_ffff
    )
}

/// Milliseconds since 1970.
pub(crate) fn now_ms() -> i64 {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(elapsed.as_millis()).unwrap()
}

/// A topic that exists on the cluster.
pub(crate) struct Topic<'a> {
    pub(crate) name: String,
    pub(crate) partitions: i32,
    cluster: &'a Cluster,
    admin: AdminClient<DefaultClientContext>,
    settings: Vec<(String, String)>,
    replicas: i32,
}

impl<'a> Topic<'a> {
    /// A new topic with a name of its own.
    pub(crate) async fn create(cluster: &'a Cluster, partitions: i32) -> Self {
        Self::create_with(cluster, partitions, 1, &[]).await
    }

    /// A new topic with replicas and settings.
    pub(crate) async fn create_with(
        cluster: &'a Cluster,
        partitions: i32,
        replicas: i32,
        settings: &[(&str, &str)],
    ) -> Self {
        let settings = settings
            .iter()
            .map(|&(key, value)| (key.to_owned(), value.to_owned()));
        let topic = Self {
            settings: settings.collect(),
            replicas,
            ..Self::named(cluster, &unique("topic"), partitions)
        };
        topic.make().await;
        topic
    }

    /// A new topic with a name that matters.
    pub(crate) async fn create_named(cluster: &'a Cluster, name: &str, partitions: i32) -> Self {
        let topic = Self::named(cluster, name, partitions);
        topic.make().await;
        topic
    }

    fn named(cluster: &'a Cluster, name: &str, partitions: i32) -> Self {
        Self {
            name: name.to_owned(),
            partitions,
            cluster,
            admin: client_config(cluster).create().unwrap(),
            settings: Vec::new(),
            replicas: 1,
        }
    }

    /// Makes a topic that was deleted.
    pub(crate) async fn make(&self) {
        let replication = TopicReplication::Fixed(self.replicas);
        let mut new = NewTopic::new(&self.name, self.partitions, replication);
        for (key, value) in &self.settings {
            new = new.set(key, value);
        }
        let results = self
            .admin
            .create_topics([&new], &AdminOptions::new())
            .await
            .unwrap();
        for result in results {
            result.unwrap();
        }
        self.until_leaders_are_known().await;
    }

    /// A broker answers the creation before every broker knows the leaders.
    async fn until_leaders_are_known(&self) {
        until("the topic has leaders", async || {
            let metadata = self
                .admin
                .inner()
                .fetch_metadata(Some(&self.name), TIMEOUT)
                .ok()?;
            let partitions = metadata.topics().first()?.partitions();
            let known = partitions.len() == usize::try_from(self.partitions).unwrap()
                && partitions.iter().all(|partition| partition.leader() >= 0);
            known.then_some(())
        })
        .await;
    }

    /// Deletes the topic and makes it again under the same name: a new topic to Kafka.
    pub(crate) async fn make_again(&self) {
        self.delete().await;
        self.make().await;
    }

    /// Deletes the topic, and waits until its name is free.
    pub(crate) async fn delete(&self) {
        let results = self
            .admin
            .delete_topics(&[&self.name], &AdminOptions::new())
            .await
            .unwrap();
        for result in results {
            result.unwrap();
        }
        until("the topic is forgotten", async || {
            let metadata = self
                .admin
                .inner()
                .fetch_metadata(Some(&self.name), TIMEOUT)
                .ok()?;
            metadata.topics().first()?.error().map(|_| ())
        })
        .await;
    }

    /// Adds partitions, up to `partitions`.
    pub(crate) async fn grow(&mut self, partitions: i32) {
        let count = usize::try_from(partitions).unwrap();
        let new = NewPartitions::new(&self.name, count);
        let results = self
            .admin
            .create_partitions([&new], &AdminOptions::new())
            .await
            .unwrap();
        for result in results {
            result.unwrap();
        }
        self.partitions = partitions;
        self.until_leaders_are_known().await;
    }

    /// Moves the log's start, as retention would.
    pub(crate) async fn delete_records_below(&self, partition: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, partition, Offset::Offset(offset))
            .unwrap();
        self.admin
            .delete_records(&list, &AdminOptions::new())
            .await
            .unwrap();
    }

    /// Offsets that the log of a partition holds: the first, and the one after the last.
    pub(crate) async fn bounds(&self, partition: i32) -> (i64, i64) {
        bounds(self.cluster, &self.name, partition).await
    }

    /// Writes `count` records with keys and values of their own, dealt out over the partitions.
    pub(crate) async fn write_numbered(&self, ledger: &Ledger, count: i32) {
        let records = (0..count).map(|number| (number % self.partitions, Logged::numbered(number)));
        self.write(ledger, records).await;
    }

    /// Writes records, batch after batch, until told to stop.
    pub(crate) async fn write_until(&self, ledger: &Ledger, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.write_numbered(ledger, 30 * self.partitions).await;
        }
    }

    /// Writes records to partitions and enters them into the ledger.
    pub(crate) async fn write(
        &self,
        ledger: &Ledger,
        records: impl IntoIterator<Item = (i32, Logged)>,
    ) {
        let producer: FutureProducer = client_config(self.cluster)
            .set("message.max.bytes", "8000000")
            .create()
            .unwrap();
        for (place, logged) in self.send(&producer, records).await {
            ledger.written(place, logged);
        }
    }

    /// Writes records in one transaction, and commits or aborts it.
    pub(crate) async fn write_transaction(
        &self,
        ledger: &Ledger,
        records: impl IntoIterator<Item = (i32, Logged)>,
        ending: Ending,
    ) {
        self.open_transaction(records).await.end(ledger, ending);
    }

    /// Writes records in a transaction that stays open.
    pub(crate) async fn open_transaction(
        &self,
        records: impl IntoIterator<Item = (i32, Logged)>,
    ) -> OpenTransaction {
        let producer: FutureProducer = client_config(self.cluster)
            .set("transactional.id", unique("transaction"))
            .create()
            .unwrap();
        producer.init_transactions(TIMEOUT).unwrap();
        producer.begin_transaction().unwrap();
        let sent = self.send(&producer, records).await;
        OpenTransaction { producer, sent }
    }

    async fn send(
        &self,
        producer: &FutureProducer,
        records: impl IntoIterator<Item = (i32, Logged)>,
    ) -> Vec<(Place, Logged)> {
        let records: Vec<_> = records.into_iter().collect();
        let sends = records.iter().map(|(partition, logged)| {
            let mut record = FutureRecord::<[u8], [u8]>::to(&self.name)
                .partition(*partition)
                .timestamp(logged.timestamp_ms)
                .headers(headers_of(logged));
            record.key = logged.key.as_deref();
            record.payload = logged.value.as_deref();
            producer.send(record, TIMEOUT)
        });
        let places = join_all(sends).await;
        let places = places.into_iter().map(|sent| {
            let delivered = sent.unwrap();
            self.place(delivered.partition, delivered.offset)
        });
        places
            .zip(records)
            .map(|(place, (_, logged))| (place, logged))
            .collect()
    }

    /// The place of an offset in this topic.
    pub(crate) fn place(&self, partition: i32, offset: i64) -> Place {
        Place {
            topic: self.name.clone(),
            partition,
            offset,
        }
    }
}

/// A transaction that was neither committed nor aborted.
pub(crate) struct OpenTransaction {
    producer: FutureProducer,
    sent: Vec<(Place, Logged)>,
}

impl OpenTransaction {
    /// Commits or aborts it.
    pub(crate) fn end(self, ledger: &Ledger, ending: Ending) {
        match ending {
            Ending::Commit => self.producer.commit_transaction(TIMEOUT).unwrap(),
            Ending::Abort => self.producer.abort_transaction(TIMEOUT).unwrap(),
        }
        for (place, logged) in self.sent {
            match ending {
                Ending::Commit => ledger.written(place, logged),
                Ending::Abort => ledger.aborted(place),
            }
        }
    }
}

/// How a transaction ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Its records are there for everybody.
    Commit,
    /// Its records stay in the log, and no reader of committed data may see them.
    Abort,
}

/// Offsets that the log of a partition holds: the first, and the one after the last.
pub(crate) async fn bounds(cluster: &Cluster, topic: &str, partition: i32) -> (i64, i64) {
    let consumer: BaseConsumer = client_config(cluster).create().unwrap();
    let name = topic.to_owned();
    let ask = move || {
        consumer
            .fetch_watermarks(&name, partition, TIMEOUT)
            .unwrap()
    };
    tokio::task::spawn_blocking(ask).await.unwrap()
}

fn headers_of(logged: &Logged) -> OwnedHeaders {
    logged
        .headers
        .iter()
        .fold(OwnedHeaders::new(), |headers, (name, value)| {
            headers.insert(Header {
                key: name,
                value: value.as_deref(),
            })
        })
}

fn client_config(cluster: &Cluster) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", cluster.brokers());
    config
}
