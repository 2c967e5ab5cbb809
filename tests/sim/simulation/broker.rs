//! Topics with their logs, and what the group has committed.
//!
//! Like Apache Kafka, it checks a commit's member and generation (in [`super::group`]) and the length of its
//! metadata, and never whether the member owns the partition.

use std::collections::{BTreeMap, BTreeSet};

use ackline::core::metadata::{self, Decoded, Expectation};
use ackline::core::{
    CommitError, CommittedOffset, LeaderEpoch, LogRange, PartitionId, TopicIndex, TopicUuid,
};

use super::log::{Kind, Log, Record};
use super::plan::Plan;
use super::random::Random;

pub(crate) const CLUSTER: &str = "simulated-cluster";

#[derive(Debug)]
pub(crate) struct Topic {
    pub(crate) name: String,
    /// Counts how often the topic was made again.
    pub(crate) incarnation: u8,
    pub(crate) logs: Vec<Log>,
}

impl Topic {
    pub(crate) fn uuid(&self, topic: TopicIndex) -> TopicUuid {
        let mut id = [0xaa; 16];
        id[0] = self.incarnation + 1;
        id[1..3].copy_from_slice(&topic.0.to_le_bytes());
        TopicUuid(id)
    }
}

#[derive(Debug)]
pub(crate) struct Broker {
    pub(crate) topics: Vec<Topic>,
    pub(crate) committed: BTreeMap<PartitionId, CommittedOffset>,
    /// Texts that stood beside committed offsets and that no member wrote.
    pub(crate) tampered: BTreeSet<Vec<u8>>,
    pub(crate) metadata_max: usize,
    pub(crate) epochs: bool,
    pub(crate) topic_ids: bool,
    group: String,
    next_uid: usize,
}

impl Broker {
    pub(crate) fn new(plan: &Plan) -> Self {
        let topics = plan
            .partitions
            .iter()
            .zip(&plan.settings.topics)
            .enumerate()
            .map(|(at, (partitions, name))| Topic {
                name: name.clone(),
                incarnation: 0,
                // What does not exist yet has no partitions.
                logs: vec![
                    Log::default();
                    if plan.appears_later(at) {
                        0
                    } else {
                        *partitions
                    }
                ],
            })
            .collect();
        Self {
            topics,
            committed: BTreeMap::new(),
            tampered: BTreeSet::new(),
            metadata_max: plan.metadata_max,
            epochs: plan.epochs,
            topic_ids: plan.topic_ids,
            group: plan.settings.group.clone(),
            next_uid: 0,
        }
    }

    pub(crate) fn partitions(&self) -> Vec<PartitionId> {
        let mut all = Vec::new();
        for (topic, index) in self.topics.iter().zip(0..) {
            all.extend((0..).zip(&topic.logs).map(|(partition, _)| PartitionId {
                topic: TopicIndex(index),
                partition,
            }));
        }
        all
    }

    pub(crate) fn topic(&self, topic: TopicIndex) -> &Topic {
        &self.topics[usize::from(topic.0)]
    }

    pub(crate) fn log(&self, partition: PartitionId) -> Option<&Log> {
        self.topic(partition.topic)
            .logs
            .get(usize::try_from(partition.partition).ok()?)
    }

    pub(crate) fn log_mut(&mut self, partition: PartitionId) -> Option<&mut Log> {
        self.topics[usize::from(partition.topic.0)]
            .logs
            .get_mut(usize::try_from(partition.partition).ok()?)
    }

    /// What is told of a leader epoch.
    pub(crate) fn told(&self, epoch: i32) -> LeaderEpoch {
        self.epochs.then_some(epoch)
    }

    pub(crate) fn new_record(&mut self, random: &mut Random, plan: &Plan) -> Record {
        self.next_uid += 1;
        let size = match random.below(10) {
            0 if plan.oversize => 3000,
            0..=2 => random.within(300..900),
            _ => random.within(20..200),
        };
        Record {
            uid: self.next_uid - 1,
            key: (!random.chance(150)).then(|| random.below(plan.keys)),
            size: u32::try_from(size).unwrap_or(20),
        }
    }

    pub(crate) fn range(&self, partition: PartitionId) -> Option<LogRange> {
        self.log(partition).map(|log| LogRange {
            earliest: log.start,
            latest: log.end,
        })
    }

    /// What the codec makes of committed metadata when the broker's own truth is expected.
    pub(crate) fn decode(
        &self,
        partition: PartitionId,
        committed: &CommittedOffset,
        knows_cluster: bool,
    ) -> Decoded {
        let identity_hash = self.identity(partition);
        let topic = self
            .topic_ids
            .then(|| self.topic(partition.topic).uuid(partition.topic));
        let expect = Expectation {
            cluster: knows_cluster.then_some(CLUSTER),
            topic,
            identity_hash,
        };
        metadata::decode(&committed.metadata, &expect, committed.offset)
    }

    /// The topic that a commit was made for, if its header can be read and names one.
    pub(crate) fn topic_of(
        &self,
        partition: PartitionId,
        committed: &CommittedOffset,
    ) -> Option<TopicUuid> {
        let expect = Expectation {
            cluster: None,
            topic: None,
            identity_hash: self.identity(partition),
        };
        match metadata::decode(&committed.metadata, &expect, committed.offset) {
            Decoded::Ours { header, .. } => header.topic,
            Decoded::Absent | Decoded::Ignored(_) | Decoded::MadeAgain => None,
        }
    }

    /// Partition count of the topic as the commit of one of its partitions remembers it.
    pub(crate) fn remembered_partitions(
        &self,
        partition: PartitionId,
        text: &[u8],
        knows_cluster: bool,
    ) -> Option<u32> {
        let topic = self
            .topic_ids
            .then(|| self.topic(partition.topic).uuid(partition.topic));
        let expect = Expectation {
            cluster: knows_cluster.then_some(CLUSTER),
            topic,
            identity_hash: self.identity(partition),
        };
        metadata::partition_count_of(text, &expect)
    }

    pub(crate) fn identity(&self, partition: PartitionId) -> u64 {
        metadata::identity_hash(
            &self.group,
            &self.topic(partition.topic).name,
            partition.partition,
        )
    }

    /// Stores one commit, if its metadata is short enough.
    pub(crate) fn store(
        &mut self,
        partition: PartitionId,
        committed: CommittedOffset,
    ) -> Result<(), CommitError> {
        if committed.metadata.len() > self.metadata_max {
            return Err(CommitError::MetadataTooLarge);
        }
        self.committed.insert(partition, committed);
        Ok(())
    }

    /// Appends a few records, perhaps as a transaction that ends well or badly.
    pub(crate) fn produce(
        &mut self,
        random: &mut Random,
        plan: &Plan,
    ) -> Vec<(PartitionId, i64, i32, Record)> {
        let (partitions, mut appended) = (self.partitions(), Vec::new());
        if partitions.is_empty() {
            return appended;
        }
        let partition = random.pick(&partitions);
        let count = random.within(1..7);
        let transaction = random.chance(250);
        let aborted = transaction && random.chance(400);
        for _ in 0..count {
            let record = (!aborted).then(|| self.new_record(random, plan));
            let Some(log) = self.log_mut(partition) else {
                continue;
            };
            if random.chance(60) {
                log.skip(random.pick(&[1, 3, 1000, 5_000_000_000_i64]));
            }
            let epoch = log.epoch;
            let offset = log.append(record.map_or(Kind::Aborted, Kind::Record));
            appended.extend(record.map(|record| (partition, offset, epoch, record)));
        }
        if transaction && let Some(log) = self.log_mut(partition) {
            log.append(Kind::Marker);
        }
        appended
    }

    /// Deletes a topic and makes it again under the same name. Returns the records that went.
    pub(crate) fn make_again(&mut self, topic: TopicIndex, offsets_too: bool) -> Vec<usize> {
        let entry = &mut self.topics[usize::from(topic.0)];
        entry.incarnation += 1;
        let mut gone = Vec::new();
        for log in &mut entry.logs {
            gone.extend(log.records().map(|(_, record)| record.uid));
            *log = Log::default();
        }
        if offsets_too {
            self.committed
                .retain(|partition, _| partition.topic != topic);
        }
        gone
    }
}
