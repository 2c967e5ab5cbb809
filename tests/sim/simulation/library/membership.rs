//! The library's life in the group: joins, what it was given, and the events that it raises one by one.

use std::collections::BTreeSet;

use ackline::core::{PartitionId, TopicIndex};

use super::{Library, Rebalance, Step};
use crate::simulation::group::Grant;

impl Library {
    pub(crate) fn subscribe(&mut self, topics: BTreeSet<TopicIndex>) {
        self.subscribed = true;
        self.wanted = topics;
        self.steps.push_back(Step::Join);
    }

    /// The application wants other topics than before. Whatever waits for its answer comes first; the answer to a
    /// join that is under way is none to this.
    pub(crate) fn resubscribe(&mut self, topics: BTreeSet<TopicIndex>) {
        self.wanted = topics;
        self.joining = false;
        if !self.steps.contains(&Step::Resubscribe) {
            self.steps.push_back(Step::Resubscribe);
        }
    }

    /// Gives back what the application does not want any more, in an eager group everything, and then joins.
    pub(crate) fn give_back_and_join(&mut self) {
        self.steps.push_front(Step::Join);
        let stays =
            |partition: &PartitionId| self.cooperative && self.wanted.contains(&partition.topic);
        let owned = self.owned.iter().copied();
        let leaving: BTreeSet<PartitionId> = owned.filter(|partition| !stays(partition)).collect();
        if !leaving.is_empty() {
            self.steps
                .push_front(Step::Raise(Rebalance::Revoke(leaving)));
        }
    }

    /// Whether a partition is still here although the application does not want its topic any more.
    pub(crate) fn gives_back(&self, partition: PartitionId) -> bool {
        let revoked = match &self.event {
            Some(Rebalance::Revoke(leaving)) => leaving.contains(&partition),
            Some(Rebalance::Assign(_) | Rebalance::Lost(_)) | None => false,
        };
        revoked || self.steps.contains(&Step::Resubscribe)
    }

    pub(crate) fn unsubscribe(&mut self) {
        self.subscribed = false;
        self.steps.clear();
        let leaving = self.remaining();
        if !leaving.is_empty() {
            self.steps
                .push_back(Step::Raise(Rebalance::Revoke(leaving)));
        }
        self.steps.push_back(Step::Left);
    }

    /// The coordinator collects joins.
    pub(crate) fn rebalance_in_progress(&mut self) {
        let joins = |step: &Step| matches!(step, Step::Join | Step::Resubscribe);
        if self.joining || !self.subscribed || self.steps.iter().any(joins) {
            return;
        }
        let leaving = self.remaining();
        if !self.cooperative && !leaving.is_empty() {
            self.steps
                .push_back(Step::Raise(Rebalance::Revoke(leaving)));
        }
        self.steps.push_back(Step::Join);
    }

    /// The coordinator does not know us, or was not heard of for a whole session. If a revocation waits for
    /// its answer no other event comes, but the edge can ask whether all is lost; then this is the event.
    pub(crate) fn lose(&mut self) -> Option<Rebalance> {
        self.name = None;
        self.generation = -1;
        self.joining = false;
        if !self.subscribed {
            return None;
        }
        self.steps.clear();
        if matches!(self.event, Some(Rebalance::Revoke(_))) {
            self.event = Some(Rebalance::Lost(std::mem::take(&mut self.owned)));
            self.steps.push_back(Step::Join);
            return self.event.clone();
        }
        let lost = self.remaining();
        if !lost.is_empty() {
            self.steps.push_back(Step::Raise(Rebalance::Lost(lost)));
        }
        self.steps.push_back(Step::Join);
        None
    }

    /// What will still be owned when the event that waits for its answer is through.
    fn remaining(&self) -> BTreeSet<PartitionId> {
        match &self.event {
            Some(Rebalance::Revoke(leaving)) => self.owned.difference(leaving).copied().collect(),
            Some(Rebalance::Assign(_) | Rebalance::Lost(_)) | None => self.owned.clone(),
        }
    }

    pub(crate) fn granted(&mut self, grant: Grant) {
        self.joining = false;
        self.generation = grant.generation;
        let revoked: BTreeSet<_> = self.owned.difference(&grant.partitions).copied().collect();
        let added: BTreeSet<_> = grant.partitions.difference(&self.owned).copied().collect();
        if !self.cooperative || revoked.is_empty() {
            self.steps.push_back(Step::Raise(Rebalance::Assign(added)));
            return;
        }
        self.steps
            .push_back(Step::Raise(Rebalance::Revoke(revoked)));
        if !added.is_empty() {
            self.steps.push_back(Step::Raise(Rebalance::Assign(added)));
        }
        self.steps.push_back(Step::Join);
    }

    /// The next thing to do, unless an event waits for its answer.
    pub(crate) fn next_step(&mut self) -> Option<Step> {
        if self.event.is_some() {
            return None;
        }
        let step = self.steps.pop_front()?;
        if step == Step::Join {
            self.topics.clone_from(&self.wanted);
        }
        if let Step::Raise(event) = &step {
            match event {
                Rebalance::Assign(added) => self.owned.extend(added.iter().copied()),
                Rebalance::Revoke(_) => {}
                Rebalance::Lost(lost) => self.owned.retain(|partition| !lost.contains(partition)),
            }
            self.event = Some(event.clone());
            self.purge(|_| true);
        }
        Some(step)
    }

    /// The application called assign or unassign, which answers whatever waits for an answer.
    pub(crate) fn answer(&mut self) {
        if let Some(Rebalance::Revoke(gone)) = self.event.take() {
            self.owned.retain(|partition| !gone.contains(partition));
        }
    }
}
