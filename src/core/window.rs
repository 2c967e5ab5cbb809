//! The unfinished records of one assignment, and how far it may commit.
//!
//! Kafka stores one number per partition, the next offset to read. The application finishes records
//! one at a time and in any order. A [`Window`] stands between the two.
//!
//! ```text
//! taken in   10   11   12   --   --   15   16        (13 and 14: a gap of any size)
//! finished    x    x                          x
//!                       ^ watermark 12               ^ frontier 17
//! ```
//!
//! Records are numbered densely as they are taken in, so a gap costs nothing. Their descriptors lie in
//! pages of 64 (`pages`), and a page is dropped when nothing in it is unfinished: one record that is stuck
//! for hours keeps one page, however many pass it.
//!
//! # Invariants
//!
//! - W1 (I-S2): the watermark never moves back.
//! - W2 (I-S1): every offset from the start up to the watermark was finished, or does not exist.
//! - W3: the watermark never passes the frontier; with nothing unfinished it equals it.
//! - W4 (I-B5): memory is bounded by unfinished records, not by an offset span or by what passed.
//! - W5: offsets rise; one at or below the newest taken in is refused, never swallowed.
//!
//! # Deliberately absent
//!
//! Deliveries, lanes and time. What is waiting, live or backing off is no concern of a window.

use super::ids::{Frontier, LeaderEpoch, Watermark};
use super::input::PoppedRecord;
use super::metadata::{self, FinishedRuns, Marks};
use super::pages::{Finished, Pages};

/// What became of a record that was offered to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It must be delivered.
    New,
    /// The commit metadata says that it was finished before.
    FinishedBefore,
    /// It is for another group, and finished with that.
    Foreign,
    /// Its offset is not above the newest one taken in (W5).
    WentBack,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    pages: Pages,
    next_number: u64,
    unfinished: u64,
    frontier: i64,
    /// Where leader epochs change: from this record number on. The first entry stands for the start.
    epochs: Vec<(u64, LeaderEpoch)>,
    /// Highest leader epoch of a finished record.
    finished_epoch: LeaderEpoch,
    /// Finished before this assignment, at or above the frontier.
    restored: Option<Marks>,
}

impl Window {
    /// A window that starts at `offset`, the committed one, whose last record below has `epoch`.
    pub(crate) fn new(
        offset: i64,
        epoch: LeaderEpoch,
        restored: Option<Marks>,
        keyed: bool,
    ) -> Self {
        Self {
            pages: Pages::new(keyed),
            next_number: 0,
            unfinished: 0,
            frontier: offset,
            epochs: vec![(0, epoch)],
            finished_epoch: restored.as_ref().and_then(|marks| marks.leader_epoch),
            restored,
        }
    }

    pub(crate) fn frontier(&self) -> Frontier {
        Frontier(self.frontier)
    }

    /// The lowest offset that is not finished.
    pub(crate) fn watermark(&self) -> Watermark {
        Watermark(self.lowest().map_or(self.frontier, |(_, offset)| offset))
    }

    /// Leader epoch of the last record below the watermark; what a commit of it carries.
    pub(crate) fn watermark_epoch(&self) -> LeaderEpoch {
        let below = self.lowest().map_or(self.next_number, |(number, _)| number);
        self.epoch_before(below)
    }

    /// Leader epoch of the last record below the frontier; where a fetch goes on.
    pub(crate) fn frontier_epoch(&self) -> LeaderEpoch {
        self.epochs.last().and_then(|(_, epoch)| *epoch)
    }

    pub(crate) fn unfinished(&self) -> u64 {
        self.unfinished
    }

    /// The number the next record will get.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The lowest record that is not finished.
    pub(crate) fn lowest_number(&self) -> Option<u64> {
        self.lowest().map(|(number, _)| number)
    }

    /// Number and offset of the lowest unfinished record.
    pub(crate) fn lowest(&self) -> Option<(u64, i64)> {
        self.pages.lowest()
    }

    fn epoch_before(&self, number: u64) -> LeaderEpoch {
        // The start's own entry covers "before record 0"; entry (n, e) covers records from n on.
        let Some(last) = number.checked_sub(1) else {
            return self.epochs.first().and_then(|(_, epoch)| *epoch);
        };
        let at = self.epochs.partition_point(|(from, _)| *from <= last);
        self.epochs[..at]
            .last()
            .or(self.epochs.first())
            .and_then(|(_, epoch)| *epoch)
    }

    /// Takes one record in. Raises the frontier behind it.
    pub(crate) fn take_in(&mut self, record: &PoppedRecord) -> Taken {
        if record.offset < self.frontier {
            return Taken::WentBack;
        }
        let number = self.next_number;
        self.next_number += 1;
        self.frontier = record.offset + 1;
        if self.frontier_epoch() != record.leader_epoch {
            // Record 0 may differ from the start: then the start's entry must stay for "before 0".
            self.epochs.push((number, record.leader_epoch));
        }
        if self.was_finished_before(record) {
            self.prune_epochs();
            return Taken::FinishedBefore;
        }
        if record.foreign {
            self.prune_epochs();
            return Taken::Foreign;
        }
        self.pages.push(number, record);
        self.unfinished += 1;
        Taken::New
    }

    fn was_finished_before(&mut self, record: &PoppedRecord) -> bool {
        let Some(marks) = &self.restored else {
            return false;
        };
        let newer = metadata::is_newer(record.leader_epoch, marks.leader_epoch);
        let finished = !newer && marks.finished.contains(record.offset);
        let passed = marks
            .finished
            .end()
            .is_none_or(|end| record.offset + 1 >= end);
        if newer || passed {
            // Epochs never fall along a log: no mark speaks of what follows a newer one, and none may be
            // written again beside the newer epoch, which would make it do so.
            self.restored = None;
        }
        finished
    }

    /// Raises the frontier over a gap that the client has passed, such as a tail of markers.
    /// Returns whether it moved.
    pub(crate) fn raise_frontier(&mut self, position: i64) -> bool {
        let moved = position > self.frontier;
        if moved {
            self.frontier = position;
        }
        moved
    }

    /// Moves the frontier over offsets that the log no longer holds, after an explicit, counted decision.
    pub(crate) fn skip_to(&mut self, offset: i64) {
        debug_assert!(offset >= self.frontier, "a skip never goes back");
        self.frontier = self.frontier.max(offset);
    }

    pub(crate) fn offset(&self, number: u64) -> Option<i64> {
        self.pages.offset(number)
    }

    /// Size of an unfinished record; zero for others.
    pub(crate) fn size(&self, number: u64) -> u64 {
        self.sizes(number).first().copied().map_or(0, u64::from)
    }

    /// Sizes of the record and those behind it on its page, finished or not.
    pub(crate) fn sizes(&self, number: u64) -> &[u32] {
        self.pages.sizes(number)
    }

    /// Key hash of an unfinished record; `None` without a key, or without key order.
    pub(crate) fn key(&self, number: u64) -> Option<u64> {
        self.pages.key(number)
    }

    /// Finishes one record. Returns its offset, or `None` if it was finished already.
    pub(crate) fn finish(&mut self, number: u64) -> Option<i64> {
        self.finish_all(&[number]).last.map(|(_, offset)| offset)
    }

    /// Finishes records, in any order; those that are finished already change nothing.
    pub(crate) fn finish_all(&mut self, numbers: &[u64]) -> Finished {
        let finished = self.pages.finish(numbers);
        let Some((last, _)) = finished.last else {
            return finished;
        };
        self.unfinished -= finished.count;
        // All but a few partitions have seen one epoch only.
        if self.epochs.len() == 1 {
            self.finished_epoch = self.finished_epoch.max(self.epoch_before(last + 1));
        } else {
            let highest = numbers
                .iter()
                .filter_map(|number| self.epoch_before(number + 1))
                .max();
            self.finished_epoch = self.finished_epoch.max(highest);
        }
        if finished.page_dropped {
            self.prune_epochs();
        }
        finished
    }

    /// Forgets epoch changes that lie wholly below the watermark.
    fn prune_epochs(&mut self) {
        if self.epochs.len() < 2 {
            return;
        }
        let below = self.lowest().map_or(self.next_number, |(number, _)| number);
        // Keep the last entry at or below the record before the watermark.
        let Some(last) = below.checked_sub(1) else {
            return;
        };
        let keep = self.epochs.partition_point(|(from, _)| *from <= last);
        if keep > 1 {
            self.epochs.drain(..keep - 1);
        }
    }

    /// What was finished above the watermark, for the commit's metadata. Gaps between two unfinished
    /// records count as unfinished: nobody will ever ask for them, and it keeps the runs few.
    pub(crate) fn marks(&self) -> Option<Marks> {
        let mut finished = FinishedRuns::default();
        let mut previous: Option<(u64, i64)> = None;
        for (number, offset) in self.pages.iter() {
            if let Some((before, from)) = previous
                && number > before + 1
            {
                finished.push(from + 1, offset);
            }
            previous = Some((number, offset));
        }
        if let Some((number, offset)) = previous
            && number + 1 < self.next_number
        {
            finished.push(offset + 1, self.frontier);
        }
        if let Some(marks) = &self.restored {
            finished.extend_above(self.frontier, &marks.finished);
        }
        (!finished.is_empty()).then_some(Marks {
            leader_epoch: self.finished_epoch,
            finished,
            retried: Vec::new(),
        })
    }

    /// How many bits its finished offsets may come to take in the metadata, whichever records are finished next.
    pub(crate) fn marks_bits_at_most(&self) -> u64 {
        let (number, base) = self.lowest().unwrap_or((self.next_number, self.frontier));
        let (end, runs) = match &self.restored {
            Some(marks) => (marks.finished.end(), marks.finished.runs().len() as u64),
            None => (None, 0),
        };
        let span = base.abs_diff(self.frontier.max(end.unwrap_or(base)));
        let records = self.next_number - number + 2 * runs;
        metadata::bits_at_most(span, records, self.unfinished + runs)
    }

    /// Leader epoch of a record.
    pub(crate) fn epoch_of(&self, number: u64) -> LeaderEpoch {
        self.epoch_before(number + 1)
    }

    #[cfg(test)]
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests;
