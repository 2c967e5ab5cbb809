//! A mock cluster, and members of a group to drive by hand.

#![allow(
    unsafe_code,
    reason = "the crate's mock cluster lacks what these tests inject"
)]
#![allow(clippy::disallowed_methods, reason = "deadlines of tests")]

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::bindings as sys;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::core::{Assignment, Fetch, FetchStart, Input, Moment, PartitionId, TopicIndex};
use crate::kafka::{Batch, Client, ClientSettings, GroupProtocol, Polled};
use crate::record::{Record, TimestampKind};

/// Longer than anything takes on a busy machine, so that a failure is one.
const DEADLINE: Duration = Duration::from_secs(40);

/// API keys of the Kafka protocol, for injected errors.
pub(super) const PRODUCE: i16 = 0;
pub(super) const OFFSET_COMMIT: i16 = 8;
pub(super) const OFFSET_FETCH: i16 = 9;

/// A cluster of one mock broker with a producer.
pub(super) struct Bed {
    cluster: NonNull<sys::rd_kafka_mock_cluster_t>,
    producer: BaseProducer,
    topics: Vec<String>,
    brokers: String,
}

impl Bed {
    /// A cluster with these topics of `partitions` partitions each.
    pub(super) fn new(topics: &[&str], partitions: i32) -> Self {
        let owner: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", "localhost:1")
            .set("log_level", "0")
            .create()
            .unwrap();
        // SAFETY: the client is valid, and lives as long as the cluster: it is moved into the bed,
        // which destroys the cluster in `drop`.
        let cluster = unsafe { sys::rd_kafka_mock_cluster_new(owner.client().native_ptr(), 1) };
        let cluster = NonNull::new(cluster).unwrap();
        // SAFETY: the cluster is valid, the texts are C strings.
        let brokers = unsafe {
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster.as_ptr(), 0);
            // The mock cluster names broker 0 as its controller, and does not have it by itself.
            sys::rd_kafka_mock_broker_add(cluster.as_ptr(), 0);
            for topic in topics {
                let name = CString::new(*topic).unwrap();
                sys::rd_kafka_mock_topic_create(cluster.as_ptr(), name.as_ptr(), partitions, 1);
            }
            CStr::from_ptr(sys::rd_kafka_mock_cluster_bootstraps(cluster.as_ptr()))
        };
        let brokers = brokers.to_str().unwrap().to_owned();
        // The owner of the cluster becomes the producer once it knows the way to it.
        let address = CString::new(brokers.clone()).unwrap();
        // SAFETY: the client is valid and the text a C string.
        unsafe { sys::rd_kafka_brokers_add(owner.client().native_ptr(), address.as_ptr()) };
        let topics = topics.iter().map(|topic| (*topic).to_owned()).collect();
        Self {
            cluster,
            producer: owner,
            topics,
            brokers,
        }
    }

    /// Settings of a member of group `group`.
    pub(super) fn settings(&self, group: &str, protocol: GroupProtocol) -> ClientSettings {
        ClientSettings {
            brokers: vec![self.brokers.clone()],
            group: group.to_owned(),
            protocol,
            instance_id: None,
            // The mock cluster lets every rebalance after the first take almost as long.
            session_timeout: Duration::from_secs(4),
            poll_interval_max: Duration::from_secs(60),
            tls: None,
            sasl: None,
            client_rack: None,
            fetch_queue_kilobytes: 16_384,
            fetch_queue_records: 20_000,
            fetch_max_bytes: 131_072,
            // A fetch that finds nothing new is answered soon, so that restarts do not wait for it.
            properties: [("fetch.wait.max.ms".to_owned(), "10".to_owned())].into(),
        }
    }

    /// A member of `group` that has not joined.
    pub(super) fn member(&self, group: &str, protocol: GroupProtocol) -> Member {
        Member::new(&self.settings(group, protocol), &self.topics)
    }

    /// Produces one record and waits for it to be in the log.
    pub(super) fn produce(&self, partition: i32, key: Option<&[u8]>, value: Option<&[u8]>) {
        self.produce_with(partition, key, value, &[]);
    }

    /// As [`Self::produce`], with headers.
    pub(super) fn produce_with(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: &[(&str, Option<&[u8]>)],
    ) {
        let mut all = OwnedHeaders::new();
        for (key, value) in headers {
            all = all.insert(Header { key, value: *value });
        }
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topics[0])
            .partition(partition)
            .timestamp(1_700_000_000_123);
        if !headers.is_empty() {
            record = record.headers(all);
        }
        record.key = key;
        record.payload = value;
        self.producer
            .send(record)
            .map_err(|(error, _)| error)
            .unwrap();
        self.producer.flush(DEADLINE).unwrap();
    }

    /// Produces records with the numbers from `numbers` as values.
    pub(super) fn produce_numbers(&self, partition: i32, numbers: std::ops::Range<u32>) {
        for number in numbers {
            let value = number.to_string();
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&self.topics[0])
                .partition(partition)
                .payload(value.as_bytes());
            self.producer
                .send(record)
                .map_err(|(error, _)| error)
                .unwrap();
        }
        self.producer.flush(DEADLINE).unwrap();
    }

    /// Makes the broker answer the next requests of a kind with these codes.
    pub(super) fn inject(&self, api: i16, errors: &[sys::rd_kafka_resp_err_t]) {
        let codes: Vec<i32> = errors.iter().map(|error| *error as i32).collect();
        self.inject_codes(api, &codes);
    }

    /// As [`Self::inject`], with codes that may not exist.
    pub(super) fn inject_codes(&self, api: i16, codes: &[i32]) {
        // SAFETY: the cluster is valid. C enums of this kind are integers, which the call only
        // copies; the array has the length said.
        unsafe {
            sys::rd_kafka_mock_push_request_errors_array(
                self.cluster.as_ptr(),
                api,
                codes.len(),
                codes.as_ptr().cast(),
            );
        }
    }

    /// Lets a broker that was cut off be reached again.
    pub(super) fn broker_up(&self) {
        // SAFETY: the cluster is valid.
        unsafe { sys::rd_kafka_mock_broker_set_up(self.cluster.as_ptr(), -1) };
    }

    /// Cuts the broker off.
    pub(super) fn broker_down(&self) {
        // SAFETY: the cluster is valid.
        unsafe { sys::rd_kafka_mock_broker_set_down(self.cluster.as_ptr(), -1) };
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        // SAFETY: the cluster is valid and not used after this; its client is dropped later.
        unsafe { sys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) }
    }
}

/// Rings when the client has something, so that tests wait without sleeping.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ring: Condvar,
}

/// One member, its inputs, and what it popped.
pub(super) struct Member {
    pub(super) client: Client,
    topics: Vec<TopicIndex>,
    bell: Arc<Bell>,
    /// Inputs that no test has looked for yet, in order.
    pub(super) inputs: Vec<Input<'static>>,
    pub(super) popped: Vec<Popped>,
    pub(super) polled: Vec<Polled>,
    next_fetch: u64,
}

/// A record that outlived its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Popped {
    pub(super) partition: i32,
    pub(super) assignment: Assignment,
    pub(super) fetch: Fetch,
    pub(super) offset: i64,
    pub(super) timestamp: (i64, TimestampKind),
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) key_hash: Option<u64>,
    pub(super) size: u32,
    pub(super) foreign: bool,
    /// Position after its run, if it was the last of a run with news of it.
    pub(super) position: Option<i64>,
}

impl Popped {
    /// Its value as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.value.clone().unwrap()).unwrap()
    }
}

impl Member {
    /// A member that has not joined.
    pub(super) fn new(settings: &ClientSettings, topics: &[String]) -> Self {
        let bell = Arc::new(Bell::default());
        let rope = Arc::clone(&bell);
        let wake = Arc::new(move || {
            *rope.rung.lock().unwrap() = true;
            rope.ring.notify_one();
        });
        let client = Client::new(settings, topics, wake).unwrap();
        Self {
            client,
            topics: (0..u16::try_from(topics.len()).unwrap())
                .map(TopicIndex)
                .collect(),
            bell,
            inputs: Vec::new(),
            popped: Vec::new(),
            polled: Vec::new(),
            next_fetch: 1,
        }
    }

    /// Polls, waiting for the bell in between, until `done` says so.
    pub(super) fn until<T>(&mut self, what: &str, done: impl FnMut(&mut Self) -> Option<T>) -> T {
        self.until_with(what, &mut [], done)
    }

    /// As [`Self::until`], and lets other members poll and answer what asks for no more.
    pub(super) fn until_with<T>(
        &mut self,
        what: &str,
        others: &mut [&mut Self],
        mut done: impl FnMut(&mut Self) -> Option<T>,
    ) -> T {
        let deadline = Instant::now() + DEADLINE;
        loop {
            self.poll();
            for other in others.iter_mut() {
                other.poll();
                other.answer_empty();
            }
            if let Some(result) = done(self) {
                return result;
            }
            assert!(
                Instant::now() < deadline,
                "timed out: {what}; inputs {:?}",
                self.inputs
            );
            let rung = self.bell.rung.lock().unwrap();
            // The limit stands for the periodic poll that every user of the client owes it.
            let (mut rung, _) = self
                .bell
                .ring
                .wait_timeout_while(rung, Duration::from_millis(100), |rung| !*rung)
                .unwrap();
            *rung = false;
        }
    }

    /// Polls once.
    pub(super) fn poll(&mut self) {
        let polled = self.client.poll(Moment::default(), &mut self.inputs);
        if polled.fatal.is_some() || !polled.troubles.is_empty() {
            self.polled.push(polled);
        }
    }

    /// Waits for an input that `pick` takes, and removes it.
    pub(super) fn input<T>(
        &mut self,
        what: &str,
        mut pick: impl FnMut(&Input<'static>) -> Option<T>,
    ) -> T {
        self.until(what, |member| {
            let found = member
                .inputs
                .iter()
                .position(|input| pick(input).is_some())?;
            pick(&member.inputs.remove(found))
        })
    }

    /// Pops what there is.
    pub(super) fn pop(&mut self, max: usize) -> usize {
        let mut batch = Batch::default();
        let count = self.client.pop(&mut batch, max, true, |message| {
            u32::try_from(message.value().map_or(0, <[u8]>::len)).unwrap() + 7
        });
        for run in batch.runs() {
            for index in 0..run.count {
                let message = batch.message(run, index);
                let meta = batch.records_of(run)[index];
                assert_eq!(
                    meta.offset,
                    message.offset(),
                    "record and message are the same"
                );
                let header = |index| message.header(index);
                let headers = (0..)
                    .map_while(header)
                    .map(|header| (header.name.to_vec(), header.value.map(<[u8]>::to_vec)));
                let position = batch
                    .popped_runs()
                    .iter()
                    .find(|core| core.partition == run.partition && index + 1 == run.count)
                    .and_then(|core| core.position);
                self.popped.push(Popped {
                    partition: run.partition.partition,
                    assignment: run.assignment,
                    fetch: run.fetch,
                    offset: message.offset(),
                    timestamp: message.timestamp(),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.value().map(<[u8]>::to_vec),
                    headers: headers.collect(),
                    key_hash: meta.key_hash,
                    size: meta.size,
                    foreign: meta.foreign,
                    position,
                });
            }
        }
        batch.take_failures(&mut self.inputs);
        count
    }

    /// Waits until `count` records were popped since the last call, and returns them. A rebalance that asks for no
    /// more may end only now, and until it is answered nothing is fetched.
    pub(super) fn records(&mut self, count: usize) -> Vec<Popped> {
        self.until("records", |member| {
            member.answer_empty();
            member.pop(1_000);
            (member.popped.len() >= count).then_some(())
        });
        assert_eq!(self.popped.len(), count, "{:?}", self.popped);
        std::mem::take(&mut self.popped)
    }

    /// Joins for all topics.
    pub(super) fn subscribe(&mut self) {
        self.client.subscribe(&self.topics).unwrap();
    }

    /// Joins and waits for partitions. The rebalance is not answered yet.
    pub(super) fn join(&mut self) -> Vec<PartitionId> {
        self.subscribe();
        self.assigned()
    }

    /// Waits for partitions.
    pub(super) fn assigned(&mut self) -> Vec<PartitionId> {
        self.input("partitions assigned", |input| match input {
            Input::GroupAssigned { partitions } => Some(partitions.clone()),
            _ => None,
        })
    }

    /// Answers an assignment of nothing, which closes each cooperative rebalance.
    pub(super) fn answer_empty(&mut self) {
        let nothing = |input: &Input<'_>| match input {
            Input::GroupAssigned { partitions } => partitions.is_empty(),
            _ => false,
        };
        if let Some(found) = self.inputs.iter().position(nothing) {
            self.inputs.remove(found);
            self.client.assign(&[], true).unwrap();
        }
    }

    /// A start of a partition under a new fetch.
    pub(super) fn start(&mut self, partition: i32, assignment: u64, offset: i64) -> FetchStart {
        self.next_fetch += 1;
        FetchStart {
            partition: id(partition),
            assignment: Assignment(assignment),
            fetch: Fetch(self.next_fetch),
            offset,
            leader_epoch: None,
        }
    }

    /// Joins, and fetches partition 0 under assignment 7 from `offset`.
    pub(super) fn join_and_start(&mut self, offset: i64) -> FetchStart {
        self.join();
        let start = self.start(0, 7, offset);
        self.client.assign(&[start], true).unwrap();
        start
    }
}

/// A partition of the first topic.
pub(super) fn id(partition: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition,
    }
}

impl Member {
    /// Whether the bell rings in time, without polling.
    pub(super) fn rings_within(&self, limit: Duration) -> bool {
        let rung = self.bell.rung.lock().unwrap();
        let (rung, _) = self
            .bell
            .ring
            .wait_timeout_while(rung, limit, |rung| !*rung)
            .unwrap();
        *rung
    }
}
