//! What an operator has paused.
//!
//! Of what is paused nothing new is delivered; settlements are taken and commits go on. A pause is of a scope (everything,
//! a topic, a partition) and not of an assignment: it outlives rebalances and seeks, and ends when it is resumed, or with
//! the process. Partitions that are paused are not fetched either, so that their records do not take the room of others.
//!
//! # Invariants
//!
//! - P1: an assignment is on hold exactly while a scope that holds its partition is paused.
//! - P2: what is on hold is never dispatched, and its fetch is paused from the turn in which it is handed to the client.
//! - P3: at most [`PAUSES_MAX`] scopes are remembered.

use std::collections::BTreeMap;

use super::Core;
use super::ids::{Assignment, Moment, PartitionId, TopicIndex};

/// Scopes paused at one time.
pub const PAUSES_MAX: usize = 1024;

/// What an operator's command is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Every partition.
    Everything,
    /// All partitions of a topic.
    Topic(TopicIndex),
    /// One partition.
    Partition(PartitionId),
}

impl Scope {
    /// Whether a partition belongs to it.
    #[must_use]
    pub fn holds(self, partition: PartitionId) -> bool {
        match self {
            Self::Everything => true,
            Self::Topic(topic) => partition.topic == topic,
            Self::Partition(only) => partition == only,
        }
    }

    /// Whether all of another scope belongs to it.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        match other {
            Self::Everything => self == Self::Everything,
            Self::Topic(topic) => self == Self::Everything || self == Self::Topic(topic),
            Self::Partition(partition) => self.holds(partition),
        }
    }
}

/// Since when and why something is paused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pause {
    /// Since when.
    pub since: Moment,
    /// The operator's words.
    pub reason: String,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Pauses(BTreeMap<Scope, Pause>);

impl Pauses {
    /// What pauses a partition: the widest scope, if several do.
    pub(super) fn of(&self, partition: PartitionId) -> Option<(Scope, &Pause)> {
        let topic = Scope::Topic(partition.topic);
        [Scope::Everything, topic, Scope::Partition(partition)]
            .into_iter()
            .find_map(|scope| Some((scope, self.0.get(&scope)?)))
    }
}

impl Core {
    /// Everything that is paused, the widest scopes first.
    pub fn pauses(&self) -> impl Iterator<Item = (Scope, &Pause)> {
        self.pauses.0.iter().map(|(scope, pause)| (*scope, pause))
    }

    /// Whether another scope can be paused (P3).
    #[must_use]
    pub fn may_pause(&self, scope: Scope) -> bool {
        self.pauses.0.len() < PAUSES_MAX || self.pauses.0.contains_key(&scope)
    }

    pub(super) fn pause_scope(&mut self, scope: Scope, reason: String) {
        if !self.may_pause(scope) {
            return;
        }
        let pause = Pause {
            since: self.now,
            reason,
        };
        let entry = self.pauses.0.entry(scope);
        // Paused once more: since the first time, for the newest reason.
        let since = entry.or_insert_with(|| pause.clone()).since;
        self.pauses.0.insert(scope, Pause { since, ..pause });
        self.hold_what_is_paused();
    }

    /// Ends the pause of a scope, and of all within it. A wider one stays.
    pub(super) fn resume_scope(&mut self, scope: Scope) {
        self.pauses.0.retain(|paused, _| !scope.contains(*paused));
        self.hold_what_is_paused();
    }

    /// Puts on hold what is paused, and takes off what is not.
    fn hold_what_is_paused(&mut self) {
        let mut held = Vec::new();
        for assignment in self.assignments.values_mut() {
            assignment.on_hold = self.pauses.of(assignment.partition).is_some();
            if assignment.on_hold {
                held.push(assignment.id);
            }
        }
        for id in held {
            self.pause_fetch_on_hold(id);
        }
    }

    /// Pauses the fetch of an assignment that is on hold, if it has one (P2). `resume_paused` ends that.
    pub(super) fn pause_fetch_on_hold(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        if assignment.on_hold && assignment.fetch.is_some() && !assignment.paused {
            self.pause(id);
        }
    }
}

#[cfg(test)]
mod tests;
