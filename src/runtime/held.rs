//! Batches that were popped a moment ago, for as long as frames are made of them.
//!
//! What is picked from them is encoded straight into its frame; what still waits a moment later is copied, and its
//! batch is freed: a message pins the whole response of the broker that it came in.
//!
//! # Invariants
//!
//! - H1: a record is taken from here at most once. Delivered again, it comes from the copy that was made when it came back.
//! - H2: a batch is held for no longer than [`HELD_FOR`] and a turn of the engine, and at most [`BATCHES_MAX`] are.
//! - H3: records of an assignment that ended are given to nobody.

use std::collections::VecDeque;
use std::time::Duration;

use super::source::Batch;
use super::store::Store;
use crate::core::{Assignment, Core, Moment, RecordNumber};
use crate::grpc::wire::{Frame, Slot};

/// How long a batch may pin the client's memory. Streams that keep up take it within microseconds.
pub(super) const HELD_FOR: Duration = Duration::from_millis(20);
/// Batches at one time. One is popped when less than a message is left of those before.
const BATCHES_MAX: usize = 8;

/// See the module.
#[derive(Default)]
pub(super) struct Held {
    /// Oldest first, none of them empty.
    batches: VecDeque<HeldBatch>,
    /// Emptied ones, whose buffers the next ones use.
    spare: Vec<HeldBatch>,
    /// Place of the batch that the last record was found in: the next one is usually there, too.
    last: usize,
}

/// Where a record is, until the next batch comes or goes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot {
    batch: usize,
    run: usize,
    index: usize,
    /// Length of its body on the wire.
    pub(super) body_len: u32,
}

impl Held {
    /// When the oldest batch should be released.
    pub(super) fn due(&self) -> Option<Moment> {
        let oldest = self.batches.front()?;
        Some(oldest.popped_at.plus(HELD_FOR))
    }

    /// An empty batch to pop into.
    pub(super) fn spare(&mut self) -> HeldBatch {
        self.spare.pop().unwrap_or_default()
    }

    /// Holds what was popped into a spare batch, as the core has numbered it. Copies the oldest if there are too many.
    pub(super) fn hold(
        &mut self,
        mut batch: HeldBatch,
        core: &Core,
        now: Moment,
        store: &mut Store,
    ) {
        batch.numbered(core, now);
        if batch.left == 0 {
            return self.spare.push(batch.emptied());
        }
        if self.batches.len() >= BATCHES_MAX {
            self.release_oldest(core, store);
        }
        self.batches.push_back(batch);
    }

    /// Takes a record for a frame, if it is here and was not taken before (H1).
    pub(super) fn take(&mut self, assignment: Assignment, number: RecordNumber) -> Option<Spot> {
        let (batch, run) = self.find(assignment, number)?;
        self.last = batch;
        let (index, body_len) = self.batches[batch].take(run, number)?;
        Some(Spot {
            batch,
            run,
            index,
            body_len,
        })
    }

    fn find(&self, assignment: Assignment, number: RecordNumber) -> Option<(usize, usize)> {
        let in_batch = |at: usize| {
            let run = self.batches.get(at)?.find(assignment, number)?;
            Some((at, run))
        };
        in_batch(self.last).or_else(|| (0..self.batches.len()).find_map(in_batch))
    }

    /// Writes the record at a spot into a frame.
    pub(super) fn write(&self, spot: Spot, slot: &Slot, frame: &mut Frame) {
        let batch = &self.batches[spot.batch].batch;
        batch.write(spot.run, spot.index, slot, frame);
    }

    /// Forgets the records of an assignment that ended (H3).
    pub(super) fn forget(&mut self, assignment: Assignment) {
        for batch in &mut self.batches {
            batch.forget(assignment);
        }
        self.free_empty();
    }

    /// Frees the batches of which everything was taken.
    pub(super) fn free_empty(&mut self) {
        let mut at = 0;
        while let Some(batch) = self.batches.get(at) {
            if batch.left > 0 {
                at += 1;
            } else if let Some(batch) = self.batches.remove(at) {
                self.spare.push(batch.emptied());
            }
        }
    }

    /// Copies what waits in batches that are held for too long, and frees them (H2).
    pub(super) fn release_old(&mut self, now: Moment, core: &Core, store: &mut Store) {
        while self.due().is_some_and(|due| due <= now) {
            self.release_oldest(core, store);
        }
    }

    /// Copies everything that waits, and frees all memory of the client.
    pub(super) fn release_all(&mut self, core: &Core, store: &mut Store) {
        while !self.batches.is_empty() {
            self.release_oldest(core, store);
        }
    }

    fn release_oldest(&mut self, core: &Core, store: &mut Store) {
        if let Some(batch) = self.batches.pop_front() {
            batch.copy_out(core, store);
            self.spare.push(batch.emptied());
        }
    }
}

/// One batch.
#[derive(Default)]
pub(super) struct HeldBatch {
    pub(super) batch: Batch,
    runs: Vec<Run>,
    /// Which records were taken, run by run.
    taken: Vec<bool>,
    /// How many records were not.
    left: usize,
    popped_at: Moment,
}

/// A run of the batch as the core numbered it.
#[derive(Clone, Copy)]
struct Run {
    /// None if it is nobody's.
    assignment: Option<Assignment>,
    first: u64,
    count: u64,
    /// Place of its first record in `taken`.
    at: usize,
}

impl HeldBatch {
    fn numbered(&mut self, core: &Core, now: Moment) {
        self.popped_at = now;
        for (run, numbered) in (0..self.batch.runs()).zip(core.numbering()) {
            let count = self.batch.count(run);
            let at = self.taken.len();
            self.taken.resize(at + count, numbered.is_none());
            self.runs.push(Run {
                assignment: numbered.map(|(assignment, _)| assignment),
                first: numbered.map_or(0, |(_, first)| first.0),
                count: count as u64,
                at,
            });
            if numbered.is_some() {
                self.left += count;
            }
        }
    }

    fn find(&self, assignment: Assignment, number: RecordNumber) -> Option<usize> {
        self.runs.iter().position(|run| {
            let index = number.0.checked_sub(run.first);
            run.assignment == Some(assignment) && index.is_some_and(|index| index < run.count)
        })
    }

    /// Takes a record of a run; returns its index there and the length of its body.
    fn take(&mut self, run: usize, number: RecordNumber) -> Option<(usize, u32)> {
        let Run { first, at, .. } = self.runs[run];
        let index = usize::try_from(number.0 - first).ok()?;
        if std::mem::replace(&mut self.taken[at + index], true) {
            return None;
        }
        self.left -= 1;
        Some((index, self.batch.body_len(run, index)))
    }

    fn forget(&mut self, assignment: Assignment) {
        for run in &mut self.runs {
            if run.assignment == Some(assignment) {
                run.assignment = None;
                let count = usize::try_from(run.count).unwrap_or(0);
                for taken in &mut self.taken[run.at..run.at + count] {
                    self.left -= usize::from(!std::mem::replace(taken, true));
                }
            }
        }
    }

    fn copy_out(&self, core: &Core, store: &mut Store) {
        for (at, run) in self.runs.iter().enumerate() {
            let Some(assignment) = run.assignment else {
                continue;
            };
            for (index, number) in (run.first..run.first + run.count).enumerate() {
                let number = RecordNumber(number);
                // Marks of a commit may have finished some that nobody took.
                if self.taken[run.at + index] || !core.is_waiting(assignment, number) {
                    continue;
                }
                store.keep(assignment, number, self.batch.copy(at, index));
            }
        }
    }

    fn emptied(mut self) -> Self {
        self.batch.clear();
        self.runs.clear();
        self.taken.clear();
        self.left = 0;
        self
    }
}

#[cfg(test)]
mod tests;
