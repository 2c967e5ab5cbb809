//! What begins again when a transaction had no effect?
//!
//! Nothing that was acknowledged since the last transaction that succeeded counts: its outputs are nowhere, and its
//! position is not committed. So the assignments that were in it end, and others of the same partitions begin at what the
//! broker says is committed. What is known of records that failed goes along, or a record whose output no topic takes would
//! come again for ever.
//!
//! # Invariants
//!
//! - T6: an assignment of a transaction without effect commits nothing more; neither does one that shares outputs with it.
//! - T7: what a record's next delivery starts from is what the broker has committed, read after the transaction was settled.
//! - T8: attempts and failures of a record survive, a record that was parked stays so, and one that backs off waits on.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Core;
use super::aside::Ending;
use super::assignment::{AssignmentState, Phase};
use super::carried::{Carried, CarriedHold};
use super::effect::{Cause, Drained, WithdrawReason};
use super::event::Event;
use super::history::Hold;
use super::ids::{Assignment, OutputsId};
use super::outputs::OutputSet;
use super::seek::SeekRefused;
use crate::mutant;

/// Records whose outputs no topic takes: why, and whether it was their dead letter.
pub(super) type Refused = BTreeMap<(Assignment, i64), (Arc<str>, Option<Cause>)>;

impl Core {
    /// Who shared outputs with an assignment that ended begins again, too.
    pub(super) fn replay_orphans(&mut self) {
        if self.transactions.orphans.is_empty() {
            return;
        }
        let orphans = std::mem::take(&mut self.transactions.orphans);
        if mutant::planted("orphans-go-on") {
            return;
        }
        self.replay(orphans, &Refused::new());
    }

    /// The records of these sets, each with what was said of it.
    pub(super) fn refused_records(
        &mut self,
        sets: &BTreeMap<OutputsId, OutputSet>,
        refused: Vec<(OutputsId, String)>,
    ) -> Refused {
        let mut records = Refused::new();
        for (id, words) in refused {
            let Some(set) = sets.get(&id) else { continue };
            let words: Arc<str> = words.into();
            for (assignment, offsets) in &set.of {
                let said =
                    |offset: &i64| ((*assignment, *offset), (Arc::clone(&words), set.letter));
                records.extend(offsets.iter().map(said));
            }
        }
        for ((id, offset), (reason, _)) in &records {
            if let Some(partition) = self.assignments.get(id).map(|state| state.partition) {
                self.report(Event::OutputRefused {
                    partition,
                    offset: *offset,
                    reason: Arc::clone(reason),
                });
            }
        }
        records
    }

    /// Begins again at what is committed: these, and all that share outputs with them. Returns how many.
    pub(super) fn replay(&mut self, ids: BTreeSet<Assignment>, refused: &Refused) -> usize {
        let ids = self.transactions.outputs.tied(ids);
        let gone = self.transactions.outputs.take(|set| set.touches(&ids));
        self.drop_outputs(gone.into_keys().collect());
        let mut count = 0;
        let mut read = Vec::new();
        for id in ids {
            let Some(phase) = self.assignments.get(&id).map(|state| state.phase) else {
                continue;
            };
            count += 1;
            if mutant::planted("abort-keeps-finished") {
                continue;
            }
            self.leave_undone(Drained::Uncommitted);
            if phase == Phase::Draining {
                self.end_assignment(id, WithdrawReason::Aborted);
                continue;
            }
            read.extend(self.replay_one(id, refused));
        }
        self.read_positions(&read);
        count
    }

    /// Returns the assignment that goes on, if its position may be read.
    fn replay_one(&mut self, id: Assignment, refused: &Refused) -> Option<Assignment> {
        let carried = self.carried_of(id, refused);
        self.refuse_seek(id, SeekRefused::Aborted);
        let id = self.replace(id, WithdrawReason::Aborted);
        let settled = self.transactions.producer.is_ready() || mutant::planted("read-unsettled");
        let state = self.assignments.get_mut(&id)?;
        if !mutant::planted("failures-forgotten") {
            state.carried = carried;
        }
        state.unsettled = !settled;
        settled.then_some(id)
    }

    /// What is known of the records of an assignment that the next one begins again with.
    fn carried_of(&mut self, id: Assignment, refused: &Refused) -> BTreeMap<i64, Carried> {
        let Some(state) = self.assignments.get(&id) else {
            return BTreeMap::new();
        };
        let mut carried = state.tries();
        let of_this = (id, i64::MIN)..=(id, i64::MAX);
        for ((_, offset), (reason, letter)) in refused.range(of_this) {
            // A letter says nothing of deliveries: its record may never have had one.
            let attempts = u32::from(letter.is_none());
            let known = carried
                .entry(*offset)
                .or_insert_with(|| Carried::tried(attempts));
            if let Some(cause) = letter {
                known.hold = CarriedHold::Park {
                    cause: *cause,
                    reason: Arc::from(format!("its dead letter was refused: {reason}")),
                };
                continue;
            }
            known.failures = known.failures.saturating_add(1);
            known.hold = CarriedHold::Failed {
                reason: Arc::clone(reason),
            };
        }
        self.set_backoffs(id, &mut carried);
        carried
    }

    /// Those that have failed back off, or are given up when they come.
    fn set_backoffs(&mut self, id: Assignment, carried: &mut BTreeMap<i64, Carried>) {
        let Some(policy) = self.assignments.get(&id).map(|state| state.policy) else {
            return;
        };
        for known in carried.values_mut() {
            let CarriedHold::Failed { reason } = &known.hold else {
                continue;
            };
            let spent = policy.failures_max > 0 && known.failures >= policy.failures_max;
            known.hold = if spent {
                CarriedHold::GiveUp {
                    reason: Arc::clone(reason),
                }
            } else {
                let wait = self.retry_wait(&policy.retry, known.failures.saturating_sub(1));
                CarriedHold::Until(self.now.plus(wait))
            };
        }
    }

    /// A record came again that was to be given up, or parked.
    pub(super) fn end_carried(&mut self, id: Assignment, number: u64) {
        let now = self.now;
        let Some(state) = self.assignments.get_mut(&id) else {
            return;
        };
        let Some(hold) = state.arrived.remove(&number) else {
            return;
        };
        if state.phase == Phase::Draining {
            return;
        }
        let retry_max = state.policy.retry.max;
        let (cause, ending, reason) = match hold {
            CarriedHold::Park { cause, reason } => (cause, Some(Ending::Park), reason),
            CarriedHold::GiveUp { reason } => (Cause::Failures, self.give_up(id), reason),
            CarriedHold::None
            | CarriedHold::Failed { .. }
            | CarriedHold::Until(_)
            | CarriedHold::Parked(_) => return,
        };
        if let Some(ending) = ending {
            return self.set_aside((id, number), cause, ending, reason);
        }
        let Some(state) = self.assignments.get_mut(&id) else {
            return;
        };
        state.history.entry(number).hold = Hold::Until(now.plus(retry_max));
        if let Some(key) = state.lane_of(number) {
            self.lane_changed(id, key);
        }
    }
}

impl AssignmentState {
    /// How often its records were tried, by offset: of those that are not finished, and of those that are and are not known
    /// to be committed.
    fn tries(&self) -> BTreeMap<i64, Carried> {
        let mut tries = self.history.carried_on();
        tries.extend(self.unproven.all());
        for (number, history) in self.history.taken_in() {
            let Some(offset) = self.window.offset(number) else {
                continue;
            };
            let hold = match history.hold {
                Hold::None => CarriedHold::None,
                Hold::Until(due) => CarriedHold::Until(due),
                Hold::Aside => match (self.aside.get(&number), self.arrived.get(&number)) {
                    (Some(aside), _) => CarriedHold::of_aside(aside),
                    (None, Some(arrived)) => arrived.clone(),
                    (None, None) => CarriedHold::None,
                },
            };
            tries.insert(offset, Carried::of(history, hold));
        }
        tries
    }
}

#[cfg(test)]
mod tests;
