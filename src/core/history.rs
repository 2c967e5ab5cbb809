//! What is remembered of records that were delivered before and are not finished: how often, and when they may be
//! delivered again.
//!
//! # Invariants
//!
//! - H1: only unfinished records are remembered.
//! - H2: what an earlier owner of the partition committed of a record counts for that record, not for another one that has
//!   taken its offset since.

use std::collections::BTreeMap;

use super::carried::{Carried, CarriedHold};
use super::ids::{LeaderEpoch, Moment};
use super::input::PoppedRecord;
use super::metadata::{RETRIED_MAX, Retried, is_newer};
use super::window::Window;

/// What keeps a waiting record from being delivered, and everything behind it in its lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Hold {
    /// Nothing.
    #[default]
    None,
    /// It backs off.
    Until(Moment),
    /// It was set aside (`aside`).
    Aside,
}

impl Hold {
    /// Whether the record may go now.
    pub(crate) fn is_over(self, now: Moment) -> bool {
        match self {
            Self::None => true,
            Self::Until(due) => due <= now,
            Self::Aside => false,
        }
    }

    /// When time alone ends it.
    pub(crate) fn due(self) -> Option<Moment> {
        match self {
            Self::Until(due) => Some(due),
            Self::None | Self::Aside => None,
        }
    }
}

/// What is remembered of one record.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct History {
    /// How often it was delivered.
    pub(crate) attempts: u32,
    /// How often the application failed at it.
    pub(crate) failures: u32,
    /// How often an application died while it held nothing else.
    pub(crate) deaths: u32,
    /// At how many deaths of applications it was held, alone or not, since one of them settled it.
    pub(crate) deaths_among: u32,
    /// Applications may have died of it (`suspects`).
    pub(crate) suspect: bool,
    /// How often in a row a stream was reset when it was sent nothing but this.
    pub(crate) resets: u32,
    /// What keeps it from being delivered.
    pub(crate) hold: Hold,
}

impl History {
    /// Somebody survived it, or it is nobody's to survive any more.
    pub(crate) fn clear_suspicion(&mut self) {
        self.suspect = false;
        self.deaths_among = 0;
    }
}

/// Of all records of an assignment, by number.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    by_number: BTreeMap<u64, History>,
    /// Of records that are not taken in yet, by offset.
    restored: BTreeMap<i64, Retried>,
    restored_epoch: LeaderEpoch,
    /// What else is known of records that come again, by offset.
    carried: BTreeMap<i64, Carried>,
}

impl Histories {
    /// What the commit metadata says, which speaks of no record with a newer epoch.
    pub(crate) fn restored(retried: Vec<Retried>, epoch: LeaderEpoch) -> Self {
        Self {
            by_number: BTreeMap::new(),
            restored: retried
                .into_iter()
                .map(|retried| (retried.offset, retried))
                .collect(),
            restored_epoch: epoch,
            carried: BTreeMap::new(),
        }
    }

    /// What an earlier assignment here knew of records that come again, which is more than it could commit.
    pub(crate) fn carry(&mut self, carried: BTreeMap<i64, Carried>) {
        for (offset, known) in &carried {
            if known.failures == 0 {
                self.restored.remove(offset);
                continue;
            }
            let retried = Retried {
                offset: *offset,
                attempts: known.attempts,
                failures: known.failures,
            };
            self.restored.insert(*offset, retried);
        }
        self.carried = carried;
    }

    /// What is known of records that come again and have not come yet.
    pub(crate) fn carried_on(&self) -> BTreeMap<i64, Carried> {
        self.carried.clone()
    }

    /// A record was taken in that may have come again. Returns what keeps it from being delivered, if anything does.
    pub(crate) fn take_carried(
        &mut self,
        number: u64,
        record: &PoppedRecord,
    ) -> Option<CarriedHold> {
        if self.carried.is_empty() {
            return None;
        }
        let known = self.carried.remove(&record.offset);
        // Offsets rise: what lies below is gone.
        self.carried = self.carried.split_off(&record.offset);
        let known = known?;
        let history = self.by_number.entry(number).or_default();
        history.attempts = known.attempts;
        history.failures = known.failures;
        history.deaths = known.deaths;
        Some(known.hold)
    }

    /// A record came that was finished before: there is nothing more to say of it, nor of what lies below.
    pub(crate) fn pass(&mut self, offset: i64) {
        let after = offset.saturating_add(1);
        if !self.carried.is_empty() {
            self.carried = self.carried.split_off(&after);
        }
        if !self.restored.is_empty() {
            self.restored = self.restored.split_off(&after);
        }
    }

    /// What is remembered of records that were taken in, by number.
    pub(crate) fn taken_in(&self) -> impl Iterator<Item = (u64, &History)> + '_ {
        self.by_number
            .iter()
            .map(|(number, history)| (*number, history))
    }

    /// A record was taken in.
    pub(crate) fn take_in(&mut self, number: u64, record: &PoppedRecord) {
        // Asked for every record; the tables are empty as long as nothing fails.
        if self.restored.is_empty() {
            return;
        }
        if is_newer(record.leader_epoch, self.restored_epoch) {
            self.restored.clear();
        } else if let Some(retried) = self.restored.remove(&record.offset) {
            let history = History {
                attempts: retried.attempts,
                failures: retried.failures,
                ..History::default()
            };
            self.by_number.insert(number, history);
        }
        // Offsets rise: what lies below was compacted away.
        while let Some(lowest) = self.restored.first_entry()
            && *lowest.key() < record.offset
        {
            lowest.remove();
        }
    }

    /// What is remembered, by number.
    pub(crate) fn by_number(&self) -> impl Iterator<Item = (u64, History)> {
        let known = self.by_number.iter();
        known.map(|(number, history)| (*number, *history))
    }

    /// A delivery of the record ended without finishing it.
    pub(crate) fn handed_back(&mut self, number: u64, failed: bool, hold: Hold) {
        let history = self.by_number.entry(number).or_default();
        history.attempts = history.attempts.saturating_add(1);
        history.failures = history.failures.saturating_add(u32::from(failed));
        history.hold = hold;
    }

    /// What is remembered of a record, to be changed.
    pub(crate) fn entry(&mut self, number: u64) -> &mut History {
        self.by_number.entry(number).or_default()
    }

    /// Records were finished.
    pub(crate) fn forget(&mut self, numbers: &[u64]) {
        if !self.by_number.is_empty() {
            for number in numbers {
                self.by_number.remove(number);
            }
        }
    }

    /// Whether nothing is remembered of any record that was taken in.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_number.is_empty()
    }

    /// What is remembered of a record.
    pub(crate) fn of(&self, number: u64) -> History {
        if self.by_number.is_empty() {
            return History::default();
        }
        self.by_number.get(&number).copied().unwrap_or_default()
    }

    /// What the commit metadata should say of them, the lowest ones if they are many.
    pub(crate) fn retried(&self, window: &Window) -> Vec<Retried> {
        let failed = self
            .by_number
            .iter()
            .filter(|(_, history)| history.failures > 0);
        let taken_in = failed.filter_map(|(number, history)| {
            Some(Retried {
                offset: window.offset(*number)?,
                attempts: history.attempts,
                failures: history.failures,
            })
        });
        let later = self.restored.values().copied();
        taken_in.chain(later).take(RETRIED_MAX).collect()
    }

    /// Highest leader epoch of a record that [`Self::retried`] speaks of.
    pub(crate) fn epoch(&self, window: &Window) -> LeaderEpoch {
        let last = self.by_number.last_key_value();
        let taken_in = last.and_then(|(number, _)| window.epoch_of(*number));
        let later = if self.restored.is_empty() {
            None
        } else {
            self.restored_epoch
        };
        taken_in.max(later)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_that_was_finished_before_is_not_told_of_and_neither_is_what_lies_below() {
        let retried = [5, 7, 9].map(|offset| Retried {
            offset,
            attempts: 2,
            failures: 1,
        });
        let mut histories = Histories::restored(retried.to_vec(), None);
        histories.carry(BTreeMap::from([
            (7, Carried::tried(1)),
            (9, Carried::tried(3)),
        ]));
        histories.pass(8);
        let known: Vec<i64> = histories.carried_on().into_keys().collect();
        assert_eq!(known, [9]);
        assert!(histories.restored.is_empty(), "9 did not fail in the end");
        histories.carry(BTreeMap::new());
        histories.pass(9);
        assert!(histories.carried_on().is_empty());
    }
}
