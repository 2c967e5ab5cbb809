//! One message to one stream, and for how long its bytes are kept.
//!
//! # Invariants
//!
//! - F1: a frame goes with its last live delivery, and what came back from it was copied out before.
//! - F2: while the budget is more than half used, a frame of which little lives gives that copies of its own, and goes.

use std::collections::BTreeMap;
use std::ops::Range;

use super::Core;
use super::effect::Effect;
use super::ids::{Assignment, DeliveryId, Moment, RecordNumber, StreamId};

/// One message to one stream, with what is live in it.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) assignment: Assignment,
    /// Record number of each id, from the first id on.
    pub(crate) numbers: Vec<u64>,
    /// Bit per id: it is live.
    live: Vec<u64>,
    pub(crate) live_count: u32,
    /// Bytes of the live ones.
    pub(crate) live_bytes: u64,
    /// Bytes of the whole frame.
    pub(crate) bytes: u64,
    /// The frame's bytes are gone; live records have copies of their own.
    pub(crate) evacuated: bool,
    pub(crate) delivered_at: Moment,
    /// When what is still live in it is taken back, unless it was extended.
    pub(crate) deadline: Option<Moment>,
    /// Deadlines of their own, by index.
    pub(crate) extended: BTreeMap<usize, Moment>,
}

impl Frame {
    pub(crate) fn new(
        assignment: Assignment,
        numbers: Vec<u64>,
        bytes: u64,
        delivered_at: Moment,
    ) -> Self {
        let count = numbers.len();
        let mut live = vec![u64::MAX; count.div_ceil(64)];
        if let Some(last) = live.last_mut()
            && !count.is_multiple_of(64)
        {
            *last = (1 << (count % 64)) - 1;
        }
        let live_count = u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            assignment,
            numbers,
            live,
            live_count,
            live_bytes: bytes,
            bytes,
            evacuated: false,
            delivered_at,
            deadline: None,
            extended: BTreeMap::new(),
        }
    }

    /// When a delivery is taken back.
    pub(crate) fn deadline_of(&self, index: usize) -> Option<Moment> {
        self.extended.get(&index).copied().or(self.deadline)
    }

    /// When the first of what is live in it is taken back.
    pub(crate) fn next_deadline(&self) -> Option<Moment> {
        if self.extended.is_empty() {
            return self.deadline;
        }
        let count = self.numbers.len();
        let live = (0..count).filter(|index| self.is_live(*index));
        live.filter_map(|index| self.deadline_of(index)).min()
    }

    pub(crate) fn is_live(&self, index: usize) -> bool {
        self.live
            .get(index / 64)
            .is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    /// The first live index in `from..to`.
    pub(crate) fn next_live(&self, from: usize, to: usize) -> Option<usize> {
        let to = to.min(self.numbers.len());
        let mut index = from;
        while index < to {
            let word = self.live[index / 64] >> (index % 64);
            if word != 0 {
                let found = index + word.trailing_zeros() as usize;
                return (found < to).then_some(found);
            }
            index = (index / 64 + 1) * 64;
        }
        None
    }

    /// Ends the life of the ids of `run`, which are all live.
    pub(crate) fn kill_run(&mut self, run: Range<usize>, bytes: u64) {
        debug_assert!(
            run.clone().all(|index| self.is_live(index)),
            "what is settled is live"
        );
        let count = u32::try_from(run.len()).unwrap_or(u32::MAX);
        let mut from = run.start;
        while from < run.end {
            let to = run.end.min((from / 64 + 1) * 64);
            let mask = (u64::MAX >> (64 - (to - from))) << (from % 64);
            self.live[from / 64] &= !mask;
            from = to;
        }
        self.live_count -= count;
        self.live_bytes = self.live_bytes.saturating_sub(bytes);
    }

    /// Ends the life of one id. Returns whether it was live.
    pub(crate) fn kill(&mut self, index: usize, size: u64) -> bool {
        let live = self.is_live(index);
        if live {
            self.live[index / 64] &= !(1 << (index % 64));
            self.live_count -= 1;
            self.live_bytes = self.live_bytes.saturating_sub(size);
        }
        live
    }
}

impl Core {
    /// Copies out of frames what came back, and lets go of frames in which nothing lives.
    pub(super) fn copy_out(
        &mut self,
        copies: BTreeMap<u64, (StreamId, Vec<(DeliveryId, RecordNumber)>)>,
    ) {
        for (first, (stream, records)) in copies {
            let Some(frame) = self
                .streams
                .map
                .get(&stream)
                .and_then(|stream| stream.frames.get(&first))
            else {
                continue;
            };
            let assignment = frame.assignment;
            self.effects.push(Effect::CopyOut {
                frame: DeliveryId(first),
                assignment,
                records,
            });
            self.free_if_dead(stream, first);
        }
        // Frames whose bytes had gone before have nothing to copy, but end all the same.
        self.drop_dead_evacuated();
    }

    fn drop_dead_evacuated(&mut self) {
        for stream in self.streams.map.values_mut() {
            if stream.evacuated > 0 {
                let before = stream.frames.len();
                stream
                    .frames
                    .retain(|_, frame| !(frame.evacuated && frame.live_count == 0));
                stream.evacuated -= before - stream.frames.len();
            }
        }
    }

    /// Lets go of a frame if nothing in it lives, or if what lives is worth a copy of its own: little of a
    /// frame that pins much, while the budget is more than half used.
    pub(super) fn free_if_dead(&mut self, stream_id: StreamId, first: u64) {
        let held = self.frame_bytes + self.waiting_bytes;
        let Some(stream) = self.streams.map.get_mut(&stream_id) else {
            return;
        };
        let Some(frame) = stream.frames.get_mut(&first) else {
            return;
        };
        if frame.live_count == 0 {
            if frame.evacuated {
                stream.evacuated -= 1;
            } else {
                self.frame_bytes -= frame.bytes;
                self.effects.push(Effect::FreeFrame(DeliveryId(first)));
            }
            stream.frames.remove(&first);
        } else if !frame.evacuated
            && frame.live_bytes < frame.bytes / 4
            && held > self.settings.in_flight_bytes_max / 2
        {
            let mut records = Vec::new();
            let mut from = 0;
            while let Some(index) = frame.next_live(from, frame.numbers.len()) {
                records.push((
                    DeliveryId(first + index as u64),
                    RecordNumber(frame.numbers[index]),
                ));
                from = index + 1;
            }
            frame.evacuated = true;
            stream.evacuated += 1;
            self.frame_bytes = self.frame_bytes - frame.bytes + frame.live_bytes;
            let assignment = frame.assignment;
            self.effects.push(Effect::CopyOut {
                frame: DeliveryId(first),
                assignment,
                records,
            });
            self.effects.push(Effect::FreeFrame(DeliveryId(first)));
        }
    }
}
