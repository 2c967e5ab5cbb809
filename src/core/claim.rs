//! What becomes of a partition that somebody else has claimed?
//!
//! A store outside Kafka numbers the claims of a partition, and refuses what is written under an older one. A refusal
//! says that somebody else reads the partition by now, whatever the group last told us: we may have been asleep for longer
//! than a session, or be one of two that believe that a partition is theirs. So everything of it is taken back at once. The
//! group's word that it is ours is older than the refusal and worth nothing; it is asked again, and if it says so once more,
//! the partition is claimed and read anew.
//!
//! # Invariants
//!
//! - After a refusal nothing is delivered, settled or written under the claim that was refused.
//! - An end that meets a refusal says that something acknowledged is not stored.
//! - Each claim after a refusal follows an answer of the group, asked after the refusal, that the partition is ours.

use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, Phase};
use super::effect::{Drained, Effect, WithdrawReason};
use super::event::Event;
use super::ids::{Assignment, GroupAsk, PartitionId};
use super::input::{GroupDescription, ReadError};
use super::timers::Timer;

/// How long after an answer that does not help the group is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Core {
    /// The store refused what we wrote: a later claim than ours stands.
    pub(super) fn claim_overtaken(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let (partition, leaves) = (assignment.partition, assignment.phase == Phase::Draining);
        self.report(Event::ClaimOvertaken { partition });
        // What was refused cannot be written any more.
        self.leave_undone(Drained::Uncommitted);
        if leaves {
            return self.end_assignment(id, WithdrawReason::Lost);
        }
        let id = self.replace(id, WithdrawReason::Lost);
        let next = self.group_asks + 1;
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.disputed = Some(GroupAsk(next));
        }
        self.ask_whose_disputed_are();
    }

    /// Asks the group who owns what.
    pub(super) fn ask_group(&mut self) {
        self.group_asks += 1;
        self.effects
            .push(Effect::DescribeGroup(GroupAsk(self.group_asks)));
    }

    /// Asks the group, if anything is disputed.
    pub(super) fn ask_whose_disputed_are(&mut self) {
        let unsure = self.anything_is_disputed() || self.waits_for_the_groups_word();
        if self.is_member() && unsure {
            self.ask_group();
        }
    }

    fn anything_is_disputed(&self) -> bool {
        let mut states = self.assignments.values();
        states.any(|state| state.disputed.is_some())
    }

    pub(super) fn group_described(
        &mut self,
        ask: GroupAsk,
        answer: Result<GroupDescription, ReadError>,
    ) {
        if self.anything_is_disputed() {
            self.claim_again(ask, answer.as_ref().ok());
        }
        self.group_says_what_is_ours(ask, answer.as_ref().ok());
        self.judge_group(answer);
    }

    /// Claims what the group says is ours, by reading it.
    fn claim_again(&mut self, ask: GroupAsk, group: Option<&GroupDescription>) {
        let ours = |partition: &PartitionId| {
            group.is_some_and(|group| group.rests && group.ours.contains(partition))
        };
        let is_confirmed = |state: &&mut AssignmentState| {
            state.disputed.is_some_and(|first| first <= ask) && ours(&state.partition)
        };
        let mut confirmed = Vec::new();
        for state in self.assignments.values_mut().filter(is_confirmed) {
            state.disputed = None;
            confirmed.push(state.id);
        }
        self.read_positions(&confirmed);
        if self.anything_is_disputed() {
            // A rebalance event may be on its way, which says whose they are.
            self.timers.at(self.now.plus(ASK_AGAIN), Timer::Claim);
        }
    }
}

#[cfg(test)]
mod tests;
