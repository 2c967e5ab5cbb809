//! What is remembered of records from one home of a partition to the next (P4).
//!
//! A store would be told by us how often a record failed; an application keeps what it likes, and what it keeps may be older than
//! what we know. So we remember ourselves what was handed back, and what was given up.
//!
//! # Invariants
//!
//! - A record is known by its offset and the leader epoch of its batch, within one topic: what stands at the same offset under
//!   another epoch, or in a topic that was made again, is another record.
//! - What was given up is given up again, without a token, if it comes again.
//! - What was given up is remembered of at most [`GIVEN_UP_MAX`] records of a partition, whatever homes come and go.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::super::Core;
use super::super::aside::Ending;
use super::super::assignment::AssignmentState;
use super::super::effect::Cause;
use super::super::history::{History, Hold};
use super::super::ids::{Assignment, LeaderEpoch, TopicUuid};
use super::super::input::PoppedRecord;
use super::super::lane::LaneKey;
use super::super::settings::{WhenOversize, WhenSpent};
use super::super::timers::Timer;
use super::Home;

/// Records that were given up and are remembered, in case the application never keeps that.
pub(super) const GIVEN_UP_MAX: usize = 1_000;

/// What is remembered of records across homes, by offset.
#[derive(Debug, Default)]
pub(crate) struct FromHome {
    /// Of records that were handed back and are not finished.
    histories: BTreeMap<i64, (LeaderEpoch, History)>,
    /// The topic that all this is of, if brokers tell one from another.
    topic: Option<TopicUuid>,
    /// Records that were given up when a home ended, or that it ended for, and why.
    given_up: BTreeMap<i64, GivenUp>,
}

impl FromHome {
    /// The lowest offset goes if there are too many: it is the likeliest to have been kept.
    fn add_given_up(&mut self, offset: i64, given_up: GivenUp) {
        self.given_up.insert(offset, given_up);
        if self.given_up.len() > GIVEN_UP_MAX {
            self.given_up.pop_first();
        }
    }

    #[cfg(test)]
    pub(super) fn given_up_count(&self) -> usize {
        self.given_up.len()
    }
}

/// A record that was given up.
#[derive(Clone, Debug)]
struct GivenUp {
    epoch: LeaderEpoch,
    cause: Cause,
    reason: Arc<str>,
    history: History,
}

impl Core {
    /// Records were taken in that back off, are suspect, or were given up before (P4).
    pub(in crate::core) fn known_before(&mut self, id: Assignment, numbers: &[u64]) {
        let soon = self.now.plus(Duration::from_millis(1));
        for number in numbers.iter().copied() {
            let Some(assignment) = self.assignments.get_mut(&id) else {
                return;
            };
            if assignment.was_given_up(number).is_some() {
                // Not now: its bytes are not yet where a dead letter would look for them.
                assignment.history.entry(number).hold = Hold::Until(soon);
                self.timers.at(soon, Timer::GivenUp(id, number));
            }
            // A record without order needs a lane of its own to be held back.
            if assignment.pool.remove(number) {
                let lane = assignment.lane_or_new(LaneKey::Single(number));
                lane.waiting.insert(number);
            }
            if let Some(key) = assignment.lane_of(number) {
                assignment.unqueue(key);
                self.lane_changed(id, key);
            }
        }
    }

    /// Gives a record up once more: no application kept that it was.
    pub(in crate::core) fn give_up_again(&mut self, id: Assignment, number: u64) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let Some(GivenUp { cause, reason, .. }) = assignment.was_given_up(number) else {
            return;
        };
        if !assignment.awaits_turn(number) {
            return;
        }
        let policy = assignment.policy;
        // Its token was taken the first time.
        let ending = match (cause, policy.then, policy.oversize) {
            (Cause::Crashes | Cause::Failures, WhenSpent::Discard, _) => Ending::Discard,
            (Cause::Crashes | Cause::Failures, WhenSpent::Park, _)
            | (Cause::Oversize, _, WhenOversize::Park) => Ending::Park,
            (Cause::Crashes | Cause::Failures, WhenSpent::DeadLetter, _)
            | (Cause::Oversize, _, WhenOversize::DeadLetter)
            | (Cause::Application | Cause::Operator, _, _) => self.dead_letter_or_park(id),
        };
        self.set_aside((id, number), cause, ending, reason);
    }
}

impl AssignmentState {
    /// A record is given up because of what a home did.
    pub(crate) fn remember_given_up(&mut self, number: u64, cause: Cause, reason: &Arc<str>) {
        let Some(offset) = self
            .window
            .offset(number)
            .filter(|_| self.home != Home::Anywhere)
        else {
            return;
        };
        let given_up = self.given_up(number, cause, reason);
        self.from_home.add_given_up(offset, given_up);
    }

    /// Somebody wants a record to be delivered that was given up.
    pub(crate) fn forget_given_up(&mut self, number: u64) {
        if let Some(offset) = self.window.offset(number) {
            self.from_home.given_up.remove(&offset);
        }
    }

    fn given_up(&self, number: u64, cause: Cause, reason: &Arc<str>) -> GivenUp {
        GivenUp {
            epoch: self.window.epoch_of(number),
            cause,
            reason: Arc::clone(reason),
            history: self.history.of(number),
        }
    }

    fn was_given_up(&self, number: u64) -> Option<GivenUp> {
        let offset = self.window.offset(number)?;
        let given_up = self.from_home.given_up.get(&offset)?;
        // With another epoch it is another record.
        (given_up.epoch == self.window.epoch_of(number)).then(|| given_up.clone())
    }

    /// What the next assignment of the partition should know of its records.
    pub(super) fn carry(&mut self) -> FromHome {
        let mut carried = std::mem::take(&mut self.from_home);
        carried.topic = self.topic_id.or(carried.topic);
        for (number, aside) in &self.aside {
            if let Some(offset) = self.window.offset(*number) {
                let given_up = self.given_up(*number, aside.cause, &aside.reason);
                carried.add_given_up(offset, given_up);
            }
        }
        let window = &self.window;
        let known = self.history.by_number();
        let with_place = known.filter_map(|(number, history)| {
            let offset = window.offset(number)?;
            Some((offset, (window.epoch_of(number), history)))
        });
        carried.histories.extend(with_place);
        carried
    }

    /// A record was taken in. Returns whether it backs off, is suspect, or was given up before.
    pub(crate) fn take_in_carried(&mut self, number: u64, record: &PoppedRecord) -> bool {
        // Asked for every record; nothing is carried but from one home to the next.
        if self.from_home.histories.is_empty() && self.from_home.given_up.is_empty() {
            return false;
        }
        if let (Some(theirs), Some(ours)) = (self.from_home.topic, self.topic_id)
            && theirs != ours
        {
            self.from_home = FromHome::default();
            return false;
        }
        let mut held = false;
        while let Some(lowest) = self.from_home.histories.first_entry()
            && *lowest.key() <= record.offset
        {
            let (offset, (epoch, history)) = lowest.remove_entry();
            // With another epoch it is another record.
            if offset == record.offset && epoch == record.leader_epoch {
                let hold = match history.hold {
                    Hold::Until(due) => Hold::Until(due),
                    Hold::None | Hold::Aside => Hold::None,
                };
                held = history.suspect || hold != Hold::None;
                *self.history.entry(number) = History { hold, ..history };
            }
        }
        if let Some(GivenUp { history, .. }) = self.was_given_up(number) {
            let hold = Hold::None;
            *self.history.entry(number) = History { hold, ..history };
            return true;
        }
        held
    }
}
