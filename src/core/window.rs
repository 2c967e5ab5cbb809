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
//! pages of 64, and a page is dropped when nothing in it is unfinished: one record that is stuck for
//! hours keeps one page, however many pass it.
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

use std::collections::BTreeMap;

use super::ids::{Frontier, LeaderEpoch, Watermark};
use super::input::PoppedRecord;
use super::metadata::{FinishedRuns, Marks};

/// Records of a page: one bit each in a word.
const PAGE: u64 = 64;
const SLOTS: usize = 64;

/// Descriptors of up to 64 consecutive records.
#[derive(Debug)]
struct Page {
    offsets: [i64; SLOTS],
    sizes: [u32; SLOTS],
    /// Key hashes; absent unless records are ordered by key.
    keys: Option<Box<[u64; SLOTS]>>,
    /// Bit per record: it has no key.
    keyless: u64,
    /// Bit per record: it is not finished.
    unfinished: u64,
}

impl Page {
    fn new(keyed: bool) -> Box<Self> {
        Box::new(Self {
            offsets: [0; SLOTS],
            sizes: [0; SLOTS],
            keys: keyed.then(|| Box::new([0; SLOTS])),
            keyless: 0,
            unfinished: 0,
        })
    }
}

/// What became of a record that was offered to a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It must be delivered.
    New,
    /// The commit metadata says that it was finished before.
    FinishedBefore,
    /// Its offset is not above the newest one taken in (W5).
    WentBack,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Window {
    pages: BTreeMap<u64, Box<Page>>,
    keyed: bool,
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
            pages: BTreeMap::new(),
            keyed,
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

    fn lowest(&self) -> Option<(u64, i64)> {
        let (page_number, page) = self.pages.first_key_value()?;
        let slot = page.unfinished.trailing_zeros();
        Some((
            page_number * PAGE + u64::from(slot),
            page.offsets[slot as usize],
        ))
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
        let keyed = self.keyed;
        let page = self
            .pages
            .entry(number / PAGE)
            .or_insert_with(|| Page::new(keyed));
        let slot = usize::try_from(number % PAGE).unwrap_or(0);
        page.offsets[slot] = record.offset;
        page.sizes[slot] = record.size;
        page.unfinished |= 1 << slot;
        if let Some(keys) = &mut page.keys {
            match record.key_hash {
                Some(hash) => keys[slot] = hash,
                None => page.keyless |= 1 << slot,
            }
        }
        self.unfinished += 1;
        Taken::New
    }

    fn was_finished_before(&mut self, record: &PoppedRecord) -> bool {
        let Some(marks) = &self.restored else {
            return false;
        };
        // A mark speaks of the record that was there; one of a newer epoch is another record.
        let newer = match (record.leader_epoch, marks.leader_epoch) {
            (Some(record), Some(mark)) => record > mark,
            (None, _) | (_, None) => false,
        };
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
        let page = self.pages.get(&(number / PAGE))?;
        let slot = number % PAGE;
        (page.unfinished >> slot & 1 == 1).then(|| page.offsets[usize::try_from(slot).unwrap_or(0)])
    }

    /// Size of an unfinished record; zero for others.
    pub(crate) fn size(&self, number: u64) -> u64 {
        self.sizes(number).first().copied().map_or(0, u64::from)
    }

    /// Sizes of the record and those behind it on its page, finished or not.
    pub(crate) fn sizes(&self, number: u64) -> &[u32] {
        let slot = usize::try_from(number % PAGE).unwrap_or(0);
        self.pages
            .get(&(number / PAGE))
            .map_or(&[], |page| &page.sizes[slot..])
    }

    /// Key hash of an unfinished record; `None` without a key, or without key order.
    pub(crate) fn key(&self, number: u64) -> Option<u64> {
        let page = self.pages.get(&(number / PAGE))?;
        let slot = number % PAGE;
        let keys = page.keys.as_ref()?;
        (page.keyless >> slot & 1 == 0).then(|| keys[usize::try_from(slot).unwrap_or(0)])
    }

    /// Finishes one record. Returns its offset, or `None` if it was finished already.
    pub(crate) fn finish(&mut self, number: u64) -> Option<i64> {
        let page_number = number / PAGE;
        let page = self.pages.get_mut(&page_number)?;
        let slot = number % PAGE;
        if page.unfinished >> slot & 1 == 0 {
            return None;
        }
        page.unfinished &= !(1 << slot);
        let offset = page.offsets[usize::try_from(slot).unwrap_or(0)];
        self.unfinished -= 1;
        self.finished_epoch = self.finished_epoch.max(self.epoch_before(number + 1));
        if self
            .pages
            .get(&page_number)
            .is_some_and(|page| page.unfinished == 0)
        {
            self.pages.remove(&page_number);
            self.prune_epochs();
        }
        Some(offset)
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
        for (page_number, page) in &self.pages {
            let mut bits = page.unfinished;
            while bits != 0 {
                let slot = bits.trailing_zeros();
                bits &= bits - 1;
                let number = page_number * PAGE + u64::from(slot);
                let offset = page.offsets[slot as usize];
                if let Some((before, from)) = previous
                    && number > before + 1
                {
                    finished.push(from + 1, offset);
                }
                previous = Some((number, offset));
            }
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
        })
    }

    #[cfg(test)]
    pub(crate) fn pages(&self) -> usize {
        self.pages.len()
    }
}

#[cfg(test)]
mod tests;
