//! A record on its way to a dead-letter topic.

use super::Cause;
use super::headers::{is_ours, replaced, write};
use crate::record::{OutgoingRecord, Record};

/// What is said of a record when it is given up, apart from what it says itself.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Id of the cluster, if a broker has told it.
    pub cluster: Option<&'a str>,
    /// The group that gives it up.
    pub group: &'a str,
    /// The topic it was read from.
    pub topic: &'a str,
    /// The partition it was read from.
    pub partition: i32,
    /// Why it is given up.
    pub cause: Cause,
    /// In words; may be empty, and is cut if it is long.
    pub reason: &'a str,
    /// How often the application failed at it.
    pub failures: u32,
    /// Now, in milliseconds since 1970.
    pub at_ms: i64,
}

/// A record with the headers that are added to it.
#[derive(Debug)]
pub struct Letter<R> {
    record: R,
    added: Vec<(&'static str, String)>,
}

impl<R: Record> Letter<R> {
    /// Adds what is said of a record to it.
    #[must_use]
    pub fn new(record: R, facts: &Facts<'_>) -> Self {
        let added = write(&record, facts);
        Self { record, added }
    }

    /// What is to be written.
    #[must_use]
    pub fn outgoing(&self) -> OutgoingRecord<'_> {
        let (timestamp_ms, _) = self.record.timestamp();
        OutgoingRecord {
            partition: None,
            timestamp_ms: (timestamp_ms > 0).then_some(timestamp_ms),
            key: self.record.key(),
            value: self.record.value(),
            headers: replaced(&self.record, is_ours, &self.added),
        }
    }
}
