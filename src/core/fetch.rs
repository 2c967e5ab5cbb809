//! What the client fetches: partitions handed to it and taken back.
//!
//! While a rebalance event waits for its answer nothing is handed over or taken here: the client would
//! take it for the answer. In an eager group only the whole assignment can be set, so every start or
//! restart is a new fetch of all that flow, each at its frontier.

use super::Core;
use super::assignment::AssignmentState;
use super::effect::{Effect, FetchStart};
use super::ids::{Assignment, Fetch, PartitionId};
use super::settings::AssignMode;

impl Core {
    /// Takes one partition from the client, unless a rebalance event waits for its answer: the client would
    /// take this for it. Until then its old fetch is dropped record by record.
    pub(super) fn take_from_client(&mut self, partition: PartitionId) {
        if self.settings.assign_mode == AssignMode::Incremental
            && !self.group.rebalancing()
            && self.in_client.remove(&partition)
        {
            self.effects.push(Effect::Unassign {
                partitions: vec![partition],
                answers_rebalance: false,
            });
        }
    }

    /// Hands partitions to the client whose start or restart is due, unless a rebalance event waits for its
    /// answer.
    pub(super) fn hand_to_client(&mut self) {
        let now = self.now;
        if self.group.rebalancing() || !self.group.may_fetch() {
            return;
        }
        if !self.starting {
            return;
        }
        let is_due =
            |assignment: &AssignmentState| assignment.fetch_due.is_some_and(|due| due <= now);
        let whole = self.settings.assign_mode == AssignMode::Whole;
        self.starting = self
            .assignments
            .values()
            .any(|assignment| assignment.fetch_due.is_some_and(|due| due > now));
        if !self.assignments.values().any(is_due) {
            return;
        }
        let due: Vec<Assignment> = self
            .assignments
            .values()
            .filter(|assignment| is_due(assignment) || (whole && assignment.fetch.is_some()))
            .map(|assignment| assignment.id)
            .collect();
        if !whole {
            let again: Vec<PartitionId> = due
                .iter()
                .filter_map(|id| self.assignments.get(id))
                .map(|assignment| assignment.partition)
                .filter(|partition| self.in_client.contains(partition))
                .collect();
            if !again.is_empty() {
                self.effects.push(Effect::Unassign {
                    partitions: again,
                    answers_rebalance: false,
                });
            }
        }
        let partitions: Vec<FetchStart> = due
            .into_iter()
            .filter_map(|id| self.next_fetch(id))
            .collect();
        if whole {
            self.in_client.clear();
        }
        self.in_client
            .extend(partitions.iter().map(|start| start.partition));
        let ids: Vec<Assignment> = partitions.iter().map(|start| start.assignment).collect();
        self.effects.push(Effect::Assign {
            partitions,
            answers_rebalance: false,
        });
        for id in ids {
            self.pause_fetch_on_hold(id);
        }
    }

    /// Numbers the next fetch of an assignment. A pause outlives it.
    fn next_fetch(&mut self, id: Assignment) -> Option<FetchStart> {
        let assignment = self.assignments.get_mut(&id)?;
        self.next_fetch += 1;
        let fetch = Fetch(self.next_fetch);
        assignment.fetch = Some(fetch);
        assignment.fetch_due = None;
        let start = FetchStart {
            partition: assignment.partition,
            assignment: id,
            fetch,
            offset: assignment.window.frontier().0,
            leader_epoch: assignment.window.frontier_epoch(),
        };
        self.look_at_fullness(id);
        Some(start)
    }
}
