//! The records of a partition, and what became of each.

use std::sync::Arc;

use super::fields::Bytes;
use crate::core::CommittedOffset;
use crate::record::{Header, Record, TimestampKind};

/// One record in a log.
#[derive(Debug, PartialEq, Eq)]
pub struct StoredRecord {
    pub(super) offset: i64,
    pub(super) key: Bytes,
    pub(super) value: Bytes,
    pub(super) headers: Vec<(Box<[u8]>, Bytes)>,
    pub(super) timestamp: (i64, TimestampKind),
}

impl Record for StoredRecord {
    fn offset(&self) -> i64 {
        self.offset
    }

    fn timestamp(&self) -> (i64, TimestampKind) {
        self.timestamp
    }

    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }

    fn header(&self, index: usize) -> Option<Header<'_>> {
        let (name, value) = self.headers.get(index)?;
        Some(Header {
            name,
            value: value.as_deref(),
        })
    }

    fn leader_epoch(&self) -> Option<i32> {
        None
    }
}

/// One partition.
#[derive(Debug, Default)]
pub(super) struct Log {
    /// By rising offsets.
    pub(super) records: Vec<Arc<StoredRecord>>,
    /// How often each was delivered; shorter than `records` while the last ones were not.
    deliveries: Vec<u32>,
    /// How many records were delivered at least once.
    pub(super) delivered: usize,
    /// How many records were handed to the core at least once.
    pub(super) popped: usize,
    /// How many records are finished, as far as the core was asked.
    pub(super) finished: usize,
    /// What the group committed.
    pub(super) committed: Option<CommittedOffset>,
}

impl Log {
    /// Offset of the next record, if it does not choose one.
    pub(super) fn end(&self) -> i64 {
        self.records.last().map_or(0, |last| last.offset + 1)
    }

    /// Oldest offset, or the end of an empty log.
    pub(super) fn start(&self) -> i64 {
        self.records.first().map_or(0, |first| first.offset)
    }

    /// Place of the first record at or above an offset.
    pub(super) fn place_of(&self, offset: i64) -> usize {
        self.records
            .partition_point(|record| record.offset < offset)
    }

    /// Offset of the first record that is not older than a time.
    pub(super) fn offset_at(&self, timestamp_ms: i64) -> Option<i64> {
        let found = self
            .records
            .iter()
            .find(|record| record.timestamp.0 >= timestamp_ms);
        found.map(|record| record.offset)
    }

    /// How often the record at a place was delivered.
    pub(super) fn deliveries(&self, place: usize) -> u32 {
        self.deliveries.get(place).copied().unwrap_or(0)
    }

    /// The record at a place was delivered.
    pub(super) fn note_delivery(&mut self, place: usize) {
        if self.deliveries.len() <= place {
            self.deliveries.resize(place + 1, 0);
        }
        self.delivered += usize::from(self.deliveries[place] == 0);
        self.deliveries[place] = self.deliveries[place].saturating_add(1);
    }

    /// All deliveries.
    pub(super) fn deliveries_in_all(&self) -> u64 {
        self.deliveries.iter().map(|count| u64::from(*count)).sum()
    }

    /// Whether a commit covers everything below the end.
    pub(super) fn is_committed_to_the_end(&self) -> bool {
        let committed = self.committed.as_ref().map(|committed| committed.offset);
        self.records.is_empty() || committed.is_some_and(|offset| offset >= self.end())
    }

    /// Takes back what was committed from an offset on, as if the commits had never arrived.
    pub(super) fn rewind(&mut self, offset: i64) {
        if let Some(committed) = &mut self.committed
            && committed.offset > offset
        {
            committed.offset = offset;
            committed.metadata.clear();
        }
    }
}
