//! What an operator does with records that are set aside.
//!
//! # Invariants
//!
//! - A record goes on only from where it is in its lane: what was delivered behind it and is still live is taken back.
//! - A dead letter that is on its way is left alone: what becomes of it is not known yet.

use std::sync::Arc;

use super::Core;
use super::aside::AsideStep;
use super::effect::Cause;
use super::event::Event;
use super::history::Hold;
use super::ids::{Assignment, Moment, PartitionId};
use super::pause::Scope;
use super::withdraw::Returned;

/// What to do with parked records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParkedAction {
    /// Deliver it again, as if it had never failed.
    Retry,
    /// Finish it without having been worked on.
    Skip,
    /// Send it to the dead-letter topic.
    DeadLetter,
}

/// Which records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhichParked {
    /// All of a scope.
    Of(Scope),
    /// The one at this offset.
    Record(PartitionId, i64),
}

impl WhichParked {
    fn holds(&self, partition: PartitionId, offset: i64) -> bool {
        match self {
            Self::Of(scope) => scope.holds(partition),
            Self::Record(one, at) => (partition, offset) == (*one, *at),
        }
    }
}

/// A record that does not go the usual way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParkedStatus {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset.
    pub offset: i64,
    /// Why.
    pub cause: Cause,
    /// In the words of whoever said so.
    pub reason: Arc<str>,
    /// How often the application failed at it.
    pub failures: u32,
    /// How often applications died of it.
    pub deaths: u32,
    /// Since when.
    pub since: Moment,
    /// How far it is.
    pub step: AsideStep,
    /// How many records wait behind it in its lane.
    pub behind: u64,
}

impl Core {
    /// Whether any of these could go to a dead-letter topic.
    #[must_use]
    pub fn has_dead_letters(&self, which: WhichParked) -> bool {
        match which {
            WhichParked::Of(Scope::Everything) => {
                let mut policies = self.settings.policies.iter();
                policies.any(|policy| policy.has_dead_letters)
            }
            WhichParked::Of(Scope::Topic(topic)) => self.settings.policy(topic).has_dead_letters,
            WhichParked::Of(Scope::Partition(id)) | WhichParked::Record(id, _) => {
                self.settings.policy(id.topic).has_dead_letters
            }
        }
    }

    /// The records of a scope that do not go the usual way, at most `limit`, ordered.
    #[must_use]
    pub fn parked(&self, scope: Scope, limit: usize) -> Vec<ParkedStatus> {
        let owned = self.owned.iter();
        let owned = owned.filter(|(partition, _)| scope.holds(**partition));
        let assignments = owned.filter_map(|(_, id)| self.assignments.get(id));
        let records = assignments.flat_map(|assignment| {
            assignment.aside.iter().map(move |(number, aside)| {
                let known = assignment.history.of(*number);
                let lane = assignment
                    .lane_of(*number)
                    .and_then(|key| assignment.lane(key));
                ParkedStatus {
                    partition: assignment.partition,
                    offset: assignment.window.offset(*number).unwrap_or(0),
                    cause: aside.cause,
                    reason: Arc::clone(&aside.reason),
                    failures: known.failures,
                    deaths: known.deaths,
                    since: aside.since,
                    step: aside.step.clone(),
                    behind: lane.map_or(0, |lane| lane.waiting.len().saturating_sub(1)),
                }
            })
        });
        records.take(limit).collect()
    }

    /// Does something with parked records, and with dead letters that wait to go again. Returns with how many. Those of
    /// a topic without a dead-letter topic are not sent there.
    pub fn act_on_parked(
        &mut self,
        now: Moment,
        which: WhichParked,
        action: ParkedAction,
        reason: &Arc<str>,
        effects: &mut Vec<super::Effect>,
    ) -> usize {
        self.advance(now);
        let mut found: Vec<(Assignment, u64)> = Vec::new();
        for id in self.owned.values() {
            let Some(assignment) = self.assignments.get(id) else {
                continue;
            };
            for (number, aside) in &assignment.aside {
                let offset = assignment.window.offset(*number).unwrap_or(0);
                let free = aside.step != AsideStep::Sending
                    && (action != ParkedAction::DeadLetter || assignment.policy.has_dead_letters);
                if free && which.holds(assignment.partition, offset) {
                    found.push((*id, *number));
                }
            }
        }
        let mut returned = Returned::default();
        for (id, number) in &found {
            match action {
                ParkedAction::Retry => self.let_go_on(*id, *number, reason, &mut returned),
                ParkedAction::Skip => {
                    self.tell_discarded(*id, *number, Cause::Operator, reason);
                    self.finish_aside(*id, *number);
                }
                ParkedAction::DeadLetter => self.send_by_operator(*id, *number, reason),
            }
        }
        self.settle_returned(returned);
        self.finish_turn(effects);
        found.len()
    }

    /// Lets a record go on. Its failures are forgotten, or the next one would park it again.
    fn let_go_on(
        &mut self,
        id: Assignment,
        number: u64,
        reason: &Arc<str>,
        returned: &mut Returned,
    ) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.aside.remove(&number);
        assignment.forget_given_up(number);
        self.suspects.forget_deaths((id, number));
        let history = assignment.history.entry(number);
        history.hold = Hold::None;
        history.failures = 0;
        history.deaths = 0;
        history.resets = 0;
        if let Some(key) = assignment.lane_of(number) {
            returned.comes_back(id, key, number);
        }
        let partition = assignment.partition;
        let offset = assignment.window.offset(number).unwrap_or(0);
        self.report(Event::Unparked {
            partition,
            offset,
            reason: Arc::clone(reason),
        });
        self.mark_dirty(id);
    }

    /// Sends a parked record to the dead-letter topic.
    fn send_by_operator(&mut self, id: Assignment, number: u64, reason: &Arc<str>) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        if let Some(aside) = assignment.aside.get_mut(&number) {
            aside.cause = Cause::Operator;
            aside.reason = Arc::clone(reason);
        }
        self.send_dead_letter(id, number);
    }
}

#[cfg(test)]
mod tests;
