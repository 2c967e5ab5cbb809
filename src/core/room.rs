//! What a stream's next message may hold.
//!
//! An application that acknowledges a message at a time frees as much room as that message took. Were it filled at
//! once, small messages would stay small for ever: TCP's silly window. So little room is left alone until a share of
//! the limit is free, or a message's worth, or a moment has passed, so that what is never settled holds nothing up. The
//! share is a quarter for an application that acknowledges records together. One that acknowledges them one by one may
//! work on all of them at once, and each place that stays empty is work not done: a sixteenth, of which it misses half
//! on average.
//!
//! # Invariants
//!
//! - R1: a message stays within the limits of its stream, of the process, and of what the client receives.
//! - R2: an idle stream takes one record above its byte limit, if that fits its messages.
//! - R3: a stream that holds nothing, or waits for [`FILL_WITHIN`], is given whatever there is room for.

use std::time::Duration;

use super::Core;
use super::ids::StreamId;
use super::settings::CommitMode;
use super::timers::Timer;

/// Bytes of a message beside its records: gRPC prefix, field tags and lengths, topic, partition, assignment.
pub(super) const MESSAGE_OVERHEAD: u64 = 320;

/// How long little room is left alone.
const FILL_WITHIN: Duration = Duration::from_millis(10);
/// The share of a limit that is worth filling: one in so many.
const WORTH_FILLING: u64 = 16;
/// The same for applications that acknowledge records together.
const WORTH_FILLING_TOGETHER: u64 = 4;

/// What may still go into a message.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) records: u64,
    /// Bytes of further records.
    bytes: u64,
    /// Largest first record: an idle stream takes one above its byte limit, and a record larger than a
    /// batch makes a batch of its own.
    first_max: u64,
    /// Largest record that fits the stream's messages.
    pub(super) record_max: u64,
    pub(super) total: u64,
}

impl Room {
    pub(super) fn fits(&self, size: u64) -> bool {
        self.records > 0
            && size
                <= if self.total == 0 {
                    self.first_max
                } else {
                    self.bytes
                }
    }

    /// How many records of this size a message holds, at least one.
    pub(super) fn holds(&self, size: u64) -> u64 {
        (self.bytes / size.max(1)).clamp(1, self.records)
    }

    pub(super) fn take(&mut self, size: u64) {
        self.records -= 1;
        self.bytes = self.bytes.saturating_sub(size);
        self.total += size;
    }
}

impl Core {
    /// What the stream may be sent now; `None` if a limit is reached.
    pub(super) fn room(&self, id: StreamId) -> Option<Room> {
        let stream = self.streams.map.get(&id)?;
        if stream.alone {
            return None;
        }
        let open = &stream.open;
        let record_max = open.message_bytes_max.saturating_sub(MESSAGE_OVERHEAD);
        let batch = u64::from(open.batch_records_max);
        let batch_bytes = open.batch_bytes_max.min(record_max);
        if self.settings.commit_mode == CommitMode::OnDelivery {
            return Some(Room {
                records: batch,
                bytes: batch_bytes,
                first_max: record_max,
                record_max,
                total: 0,
            });
        }
        let records_max = if stream.is_on_trial(self.now) {
            open.in_flight_records_max.min(1)
        } else {
            open.in_flight_records_max
        };
        let of_stream = records_max.saturating_sub(stream.live);
        let of_process = self
            .settings
            .in_flight_records_max
            .saturating_sub(self.live);
        let records = u64::from(of_stream.min(of_process)).min(batch);
        let left = open.in_flight_bytes_max.saturating_sub(stream.live_bytes);
        let first_max = if stream.live == 0 {
            record_max
        } else {
            left.min(record_max)
        };
        (records > 0 && first_max > 0).then_some(Room {
            records,
            bytes: left.min(batch_bytes),
            first_max,
            record_max,
            total: 0,
        })
    }

    /// The same, but `None` while there is little room and more may be free in a moment.
    pub(super) fn room_worth_filling(&self, id: StreamId) -> Option<Room> {
        let room = self.room(id)?;
        let stream = self.streams.map.get(&id)?;
        let share = if stream.acknowledges_together() {
            WORTH_FILLING_TOGETHER
        } else {
            WORTH_FILLING
        };
        let worth = |limit: u64, message: u64| (limit / share).min(message);
        let open = &stream.open;
        let batch = u64::from(open.batch_records_max);
        let of_stream = worth(u64::from(open.in_flight_records_max), batch);
        let of_process = worth(u64::from(self.settings.in_flight_records_max), batch);
        let message_bytes = open.batch_bytes_max.min(room.record_max);
        let bytes = worth(open.in_flight_bytes_max, message_bytes);
        let is_little = room.records < of_stream.min(of_process) || room.bytes < bytes;
        let waits = stream.fill_at.is_none_or(|at| at > self.now);
        (!is_little || stream.live == 0 || !waits).then_some(room)
    }

    /// Looks at a stream with little room again soon, if it has any.
    pub(super) fn fill_soon(&mut self, id: StreamId) {
        if self.room(id).is_none() {
            return;
        }
        let at = self.now.plus(FILL_WITHIN);
        if let Some(stream) = self.streams.map.get_mut(&id)
            && stream.fill_at.is_none()
        {
            stream.fill_at = Some(at);
            self.timers.at(at, Timer::Linger(id));
        }
    }
}

#[cfg(test)]
mod tests;
