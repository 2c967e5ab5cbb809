//! A dead letter on its way back.

use super::headers::{DeadLetterHeaders, is_ours, replaced};
use crate::record::{OutgoingRecord, Record, TimestampKind};

/// Where a redriven record lay: topic, partition and offset of the dead letter.
pub const REDRIVEN_FROM: &str = "ackline.redriven-from";

/// The only group that a redriven record is for.
pub const REDRIVE_GROUP: &str = "ackline.redrive-group";

/// A dead letter with the headers that it goes back with.
#[derive(Debug)]
pub struct Redrive<R> {
    record: R,
    headers: DeadLetterHeaders,
    added: Vec<(&'static str, String)>,
}

impl<R: Record> Redrive<R> {
    /// Prepares the way back of the dead letter at `offset` of a partition, for all groups or for one.
    #[must_use]
    pub fn new(record: R, topic: &str, partition: i32, only_group: Option<&str>) -> Self {
        let place = format!("{topic}/{partition}/{}", record.offset());
        let mut added = vec![(REDRIVEN_FROM, place)];
        added.extend(only_group.map(|group| (REDRIVE_GROUP, group.to_owned())));
        Self {
            headers: DeadLetterHeaders::read(&record),
            record,
            added,
        }
    }

    /// What is to be written to `partition`, or where its key leads.
    ///
    /// The dead-letter topic may have set a timestamp of its own; what the producer set once counts.
    #[must_use]
    pub fn outgoing(&self, partition: Option<i32>) -> OutgoingRecord<'_> {
        let (own, _) = self.record.timestamp();
        let first = match self.headers.timestamp_kind {
            Some(TimestampKind::CreateTime) => self.headers.timestamp_ms,
            Some(TimestampKind::LogAppendTime | TimestampKind::Unknown) | None => None,
        };
        let timestamp_ms = first.unwrap_or(own);
        OutgoingRecord {
            partition,
            timestamp_ms: (timestamp_ms > 0).then_some(timestamp_ms),
            key: self.record.key(),
            value: self.record.value(),
            headers: replaced(&self.record, is_of_the_way, &self.added),
        }
    }
}

/// Whether a header says something of a dead letter, or of an earlier way back.
fn is_of_the_way(name: &[u8]) -> bool {
    is_ours(name) || name == REDRIVEN_FROM.as_bytes() || name == REDRIVE_GROUP.as_bytes()
}

/// Whether a record was sent back for another group than `group`, which then passes it over.
#[must_use]
pub fn is_for_another_group(record: &impl Record, group: &[u8]) -> bool {
    let named = (0..)
        .map_while(|index| record.header(index))
        .filter(|header| header.name == REDRIVE_GROUP.as_bytes())
        .last();
    named
        .and_then(|header| header.value)
        .is_some_and(|value| value != group)
}
