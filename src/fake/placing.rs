//! Which log does a record go to, at which offset, and which partition does a step mean?

use std::sync::Arc;

use super::cluster::State;
use super::line::{Line, RecordLine, StepLine, Where};
use super::log::StoredRecord;
use super::mistake::{Fault, Place};
use super::script::Step;
use crate::core::{PartitionId, TopicIndex};
use crate::key_hash::key_hash;
use crate::record::TimestampKind;
use crate::runtime::wall_ms;

/// Records of a whole run. They are held in memory.
const RECORDS_MAX: usize = 10_000_000;

/// What the cluster looks like.
#[derive(Debug, Clone)]
pub struct Shape {
    /// The group that commits.
    pub group: String,
    /// Topics; the first one is meant by lines that name none.
    pub topics: Vec<String>,
    /// Partitions of each.
    pub partitions: i32,
}

impl State {
    /// Puts a line where it belongs.
    pub(super) fn place(&mut self, place: Place, line: Line) -> Result<(), Fault> {
        match line {
            Line::Record(record) => self.append(record),
            Line::Step(step) => self.add_step(place, step),
        }
    }

    fn append(&mut self, line: RecordLine) -> Result<(), Fault> {
        let topic = self.topic(&line.at)?;
        let partition = match line.at.partition {
            Some(partition) => self.check_partition(partition)?,
            None => self.choose(line.key.as_deref()),
        };
        if self.records >= RECORDS_MAX {
            let what = format!("is one record too many: {RECORDS_MAX} are held at most");
            return Err(Fault::new("", what, "test with fewer records"));
        }
        let log = self.log_mut(PartitionId { topic, partition });
        let end = log.end();
        let offset = line.offset.unwrap_or(end);
        if offset < end && !log.records.is_empty() {
            let what = format!(
                "is not above the offset before it in partition {partition}, {}",
                end - 1
            );
            let remedy = format!("write {end} or more, or leave it out");
            return Err(Fault::new("offset", what, remedy).with_value(&offset));
        }
        let timestamp = match line.timestamp_ms {
            Some(millis) => (millis, TimestampKind::CreateTime),
            None => (wall_ms(), TimestampKind::LogAppendTime),
        };
        log.records.push(Arc::new(StoredRecord {
            offset,
            key: line.key,
            value: line.value,
            headers: line.headers,
            timestamp,
        }));
        self.records += 1;
        Ok(())
    }

    fn add_step(&mut self, place: Place, line: StepLine) -> Result<(), Fault> {
        let topic = self.topic(&line.at)?;
        let partition = match line.at.partition {
            Some(partition) => Some(PartitionId {
                topic,
                partition: self.check_partition(partition)?,
            }),
            None => None,
        };
        self.script.steps.push(Step {
            place,
            what: line.what,
            of: partition,
            when: line.when,
        });
        Ok(())
    }

    fn topic(&self, at: &Where) -> Result<TopicIndex, Fault> {
        let topics = &self.shape.topics;
        let Some(name) = &at.topic else {
            return Ok(TopicIndex(0));
        };
        let index = topics.iter().position(|topic| topic == name);
        let index = index.and_then(|index| u16::try_from(index).ok());
        index.map(TopicIndex).ok_or_else(|| {
            let what = format!("is not among the topics, {}", topics.join(", "));
            let remedy = format!("correct it, or add --topic {name}");
            Fault::new("topic", what, remedy).with_value(name)
        })
    }

    fn check_partition(&self, partition: i32) -> Result<i32, Fault> {
        let count = self.shape.partitions;
        if (0..count).contains(&partition) {
            return Ok(partition);
        }
        let what = match count {
            1 => "does not exist: topics have one partition, 0".to_owned(),
            count => format!("does not exist: topics have {count} partitions, from 0"),
        };
        let remedy = format!(
            "correct it, or pass --partitions {}",
            partition.saturating_add(1)
        );
        Err(Fault::new("partition", what, remedy).with_value(&partition))
    }

    /// Records with one key go to one partition, those without take turns.
    fn choose(&mut self, key: Option<&[u8]>) -> i32 {
        let count = u64::try_from(self.shape.partitions).unwrap_or(1).max(1);
        let number = match key {
            Some(key) => key_hash(key),
            None => {
                self.turn += 1;
                self.turn - 1
            }
        };
        i32::try_from(number % count).unwrap_or(0)
    }
}
