//! Records that pass by, for an operator who looks on.
//!
//! ```text
//!  frames ──▶ Taps ──▶ one buffer for each onlooker ──▶ Tail ──▶ the admin socket
//!             │ nobody looks: one check for each frame
//!             └ no room: left out and counted
//! ```
//!
//! # Invariants
//!
//! - T1: deliveries never wait: what does not fit a buffer is counted and left out.
//! - T2: memory is bounded: at most [`TAILS_MAX`] look on, each with [`RECORDS_MAX`] records of [`BYTES_MAX`] bytes.
//!   Nothing of a frame is kept; what is told is copied, and cut.
//! - T3 (C-9): no value is copied unless it was asked for.
//! - T4: who goes away is forgotten: with the next frame, and before somebody else is refused.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::Notify;

use crate::core::{PartitionId, Scope, StreamId};
use crate::grpc::admin_proto as proto;
use crate::grpc::wire::{Glance, bodies};

/// Onlookers at one time.
pub const TAILS_MAX: usize = 4;
/// Records that wait for an onlooker.
const RECORDS_MAX: usize = 1024;
/// Bytes of keys and values that wait for an onlooker.
const BYTES_MAX: usize = 1 << 20;
/// How much of a key is told.
const KEY_BYTES_MAX: usize = 128;
/// How much of a value is told.
const VALUE_BYTES_MAX: usize = 16 << 10;

/// What an onlooker wants to see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Of which partitions.
    pub scope: Scope,
    /// Only with this key.
    pub key: Option<Bytes>,
    /// Values as well.
    pub payload: bool,
}

/// As many look on as may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooManyTails;

/// Where records are handed out: everybody who looks on.
#[derive(Debug, Default)]
pub struct Taps(Vec<Tap>);

#[derive(Debug)]
struct Tap {
    wanted: Wanted,
    /// Gone when the onlooker is.
    shared: Weak<Shared>,
}

/// What an onlooker reads.
#[derive(Debug)]
pub struct Tail(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    buffer: Mutex<Buffer>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Buffer {
    records: VecDeque<proto::TailedRecord>,
    bytes: usize,
    left_out: u64,
}

/// A frame that is handed out.
#[derive(Clone, Copy, Debug)]
pub struct Passing<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// Its partition.
    pub partition: PartitionId,
    /// Who gets it.
    pub stream: StreamId,
    /// Its bytes.
    pub frame: &'a [u8],
}

impl Taps {
    /// Whether nobody looks on.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Lets somebody look on from now on.
    ///
    /// # Errors
    ///
    /// If too many do.
    pub fn open(&mut self, wanted: Wanted) -> Result<Tail, TooManyTails> {
        self.forget_gone();
        if self.0.len() >= TAILS_MAX {
            return Err(TooManyTails);
        }
        let shared = Arc::new(Shared::default());
        self.0.push(Tap {
            wanted,
            shared: Arc::downgrade(&shared),
        });
        Ok(Tail(shared))
    }

    /// Shows a frame to everybody who wants to see it. `attempts` are those of its records.
    pub fn show(&mut self, passing: &Passing<'_>, attempts: impl Iterator<Item = u32> + Clone) {
        self.forget_gone();
        for tap in &self.0 {
            if let Some(shared) = tap.shared.upgrade()
                && tap.wanted.scope.holds(passing.partition)
            {
                tap.show(&shared, passing, attempts.clone());
            }
        }
    }

    fn forget_gone(&mut self) {
        self.0.retain(|tap| tap.shared.strong_count() > 0);
    }
}

impl Tap {
    fn show(&self, shared: &Shared, passing: &Passing<'_>, attempts: impl Iterator<Item = u32>) {
        let mut buffer = shared.lock();
        for ((id, body), attempt) in bodies(passing.frame).zip(attempts) {
            // Without a key to look for, what has no room need not be looked at.
            if self.wanted.key.is_none() && buffer.is_full() {
                buffer.left_out += 1;
                continue;
            }
            let Some(seen) = Glance::read(body) else {
                debug_assert!(false, "frames are ours");
                continue;
            };
            if self
                .wanted
                .key
                .as_deref()
                .is_some_and(|key| seen.key != Some(key))
            {
                continue;
            }
            if buffer.is_full() {
                buffer.left_out += 1;
                continue;
            }
            let record = proto::TailedRecord {
                id,
                attempt,
                ..self.record(passing, &seen)
            };
            buffer.bytes += size(&record);
            buffer.records.push_back(record);
        }
        if !buffer.records.is_empty() {
            shared.filled.notify_one();
        }
    }

    fn record(&self, passing: &Passing<'_>, seen: &Glance<'_>) -> proto::TailedRecord {
        let cut = |bytes: &[u8], max: usize| Bytes::copy_from_slice(&bytes[..bytes.len().min(max)]);
        let value = seen.value.filter(|_| self.wanted.payload);
        proto::TailedRecord {
            topic: passing.topic.to_owned(),
            partition: passing.partition.partition,
            offset: seen.offset,
            stream: passing.stream.0,
            key: seen.key.map(|key| cut(key, KEY_BYTES_MAX)),
            key_bytes: seen.key.map_or(0, |key| key.len() as u64),
            value_bytes: seen.value.map(|value| value.len() as u64),
            value: value.map(|value| cut(value, VALUE_BYTES_MAX)),
            headers: seen.headers,
            timestamp_ms: seen.timestamp_ms,
            ..proto::TailedRecord::default()
        }
    }
}

impl Tail {
    /// What passed since the last call, when something has.
    pub async fn next(&self) -> proto::TailResponse {
        loop {
            if let Some(passed) = self.0.take() {
                return passed;
            }
            self.0.filled.notified().await;
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All that waits, if anything does.
    fn take(&self) -> Option<proto::TailResponse> {
        let mut buffer = self.lock();
        if buffer.records.is_empty() {
            return None;
        }
        let Buffer {
            records, left_out, ..
        } = std::mem::take(&mut *buffer);
        Some(proto::TailResponse {
            records: records.into(),
            left_out,
        })
    }
}

impl Buffer {
    /// The last record may go beyond the limit of bytes, by what is told of one.
    fn is_full(&self) -> bool {
        self.records.len() >= RECORDS_MAX || self.bytes >= BYTES_MAX
    }
}

fn size(record: &proto::TailedRecord) -> usize {
    let len = |bytes: &Option<Bytes>| bytes.as_ref().map_or(0, Bytes::len);
    len(&record.key) + len(&record.value)
}

#[cfg(test)]
mod tests;
