//! Membership: joining, leaving, and what a rebalance asks for.
//!
//! The client pauses *every* partition while a rebalance event waits for its answer, so answers are quick.
//! New partitions are answered with an empty assignment at once; each is handed over when its start is
//! known. A revocation stops dispatch of what leaves and waits for live deliveries, not for back-offs; then,
//! in this order: settlements become stale, the outstanding commit ends and the last one is sent, both
//! within 3 s, and the partitions are unassigned whatever happened. The others go on with what was already
//! taken in.
//!
//! # Invariants
//!
//! - I-S3: a lost partition is never committed; a revoked one only before it is unassigned.
//! - I-L3: a revocation is answered within `drain.revoke` + 3 s.
//! - While an event waits for its answer nothing else is assigned or unassigned: the client would take it
//!   for the answer.
//! - M4: what was finished while draining is committed; settlements stay valid until draining ends.

use std::time::Duration;

use super::Core;
use super::assignment::Phase;
use super::effect::{Drained, Effect, Notice, WithdrawReason};
use super::event::Event;
use super::ids::{Assignment, Moment, PartitionId};
use super::settings::{AssignMode, JoinWhen};
use super::timers::Timer;
use crate::mutant;

mod alone;

/// How long the outstanding and the last commit of a revocation may take together.
pub(super) const LAST_COMMIT_MAX: Duration = Duration::from_secs(3);

/// Whether we are in the group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Membership {
    #[default]
    Out,
    Joined,
    /// Asked to leave; over when the client says so.
    Leaving,
}

/// How far the answer to a revocation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Waits for live deliveries.
    Draining,
    /// Waits for the last commit.
    Committing,
}

/// A revocation that is not answered yet.
#[derive(Debug)]
struct Revocation {
    partitions: Vec<PartitionId>,
    ids: Vec<Assignment>,
    step: Step,
    until: Moment,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Group {
    membership: Membership,
    revocation: Option<Revocation>,
    /// It was joined, or is not to be before a stream opens.
    joined_at_start: bool,
    /// Join again as soon as the group was left.
    rejoin: bool,
    /// The client is another one from the next join on.
    replaces_client: bool,
    alone: alone::Alone,
}

impl Group {
    /// Whether a rebalance event waits for its answer.
    pub(super) fn rebalancing(&self) -> bool {
        self.revocation.is_some()
    }

    pub(super) fn may_fetch(&self) -> bool {
        self.membership == Membership::Joined
    }

    pub(super) fn is_out(&self) -> bool {
        self.membership == Membership::Out
    }

    /// Whether a revocation waits for its last commit.
    pub(super) fn hurries_commit(&self) -> bool {
        self.revocation
            .as_ref()
            .is_some_and(|revocation| revocation.step == Step::Committing)
    }
}

impl Core {
    /// Whether a revocation waits for its answer.
    #[must_use]
    pub fn is_rebalancing(&self) -> bool {
        self.group.rebalancing()
    }

    /// The partitions that have an assignment.
    #[must_use]
    pub fn owned(&self) -> Vec<PartitionId> {
        self.owned.keys().copied().collect()
    }

    pub(super) fn join_at_start(&mut self) {
        if self.joins_by_itself() {
            self.join();
        }
    }

    /// Whether the group is to be joined without a stream, as soon as that is possible.
    fn joins_by_itself(&self) -> bool {
        self.settings.join == JoinWhen::AtStart && !self.group.joined_at_start
    }

    /// Joins if a stream is open; the first one brings the group along.
    pub(super) fn join_if_wanted(&mut self) {
        if self.open_streams().next().is_some() {
            self.join();
        }
    }

    fn join(&mut self) {
        if self.group.is_out()
            && self.knows_what_to_read()
            && self.shutdown.is_none()
            && self.drain.is_none()
        {
            if std::mem::take(&mut self.group.replaces_client) {
                self.forget_questions_of_old_client();
            }
            self.group.joined_at_start = true;
            self.group.membership = Membership::Joined;
            self.watch_group();
            self.want_producer();
            self.effects.push(Effect::Join);
        }
    }

    /// What the client was asked that is replaced now is never answered.
    fn forget_questions_of_old_client(&mut self) {
        if !mutant::planted("questions-outlive-client") {
            self.forget_questions();
        }
    }

    /// Not one topic is left. When there are some again, the group is joined as it was.
    pub(super) fn leave_for_want_of_topics(&mut self) {
        self.group.joined_at_start &= !(self.is_member() || self.group.rejoin);
        self.leave();
    }

    pub(super) fn is_member(&self) -> bool {
        self.group.membership == Membership::Joined
    }

    pub(super) fn leave(&mut self) {
        if self.group.membership == Membership::Joined {
            self.group.membership = Membership::Leaving;
            self.effects.push(Effect::Leave);
        }
    }

    pub(super) fn group_assigned(&mut self, partitions: &[PartitionId]) {
        self.membership_is_certain();
        self.counters.rebalances_assigned += 1;
        self.report(Event::Assigned {
            partitions: partitions.len(),
        });
        let read = self.only_read(partitions);
        let mut ids = Vec::new();
        for partition in &read {
            if let Some(old) = self.owned.get(partition).copied() {
                // The group gives what it never took: whatever we knew of it is worth nothing.
                self.end_assignment(old, WithdrawReason::Lost);
            }
            ids.push(self.new_assignment(*partition));
        }
        self.lose_revoked();
        if self.settings.assign_mode == AssignMode::Whole {
            self.in_client.clear();
        }
        self.effects.push(Effect::Assign {
            partitions: Vec::new(),
            answers_rebalance: true,
        });
        self.read_positions(&ids);
        self.look_at_group_soon();
        if read.len() < partitions.len() {
            self.unread_assigned(partitions.len() - read.len());
        }
    }

    pub(super) fn group_revoked(&mut self, partitions: &[PartitionId]) {
        self.membership_is_certain();
        self.counters.rebalances_revoked += 1;
        self.report(Event::Revoking {
            partitions: partitions.len(),
        });
        let until = self.now.plus(self.settings.drain_revoke);
        let mut ids = Vec::new();
        if mutant::planted("M11") {
            let all: Vec<Assignment> = self.assignments.keys().copied().collect();
            for id in all {
                self.withdraw_assignment(id, WithdrawReason::Revoked);
            }
        }
        for partition in self.leaving(partitions) {
            let Some(id) = self.owned.get(&partition).copied() else {
                continue;
            };
            let Some(assignment) = self.assignments.get_mut(&id) else {
                continue;
            };
            if !assignment.has_position() {
                self.end_assignment(id, WithdrawReason::Revoked);
                continue;
            }
            assignment.phase = Phase::Draining;
            assignment.fetch_due = None;
            ids.push(id);
            self.ready.remove(&id);
            self.look_at_fullness(id);
            let time_left = self.settings.drain_revoke;
            self.notify(&Notice::Revoking {
                partition,
                assignment: id,
                time_left,
            });
        }
        let partitions = partitions.to_vec();
        self.group.revocation = Some(Revocation {
            partitions,
            ids,
            step: Step::Draining,
            until,
        });
        self.timers.at(until, Timer::Rebalance);
    }

    /// What a revocation takes: in an eager group, everything.
    fn leaving(&self, partitions: &[PartitionId]) -> Vec<PartitionId> {
        match self.settings.assign_mode {
            AssignMode::Incremental if mutant::planted("M5") => {
                let number = |partition: &PartitionId| partition.partition;
                let numbers: Vec<i32> = partitions.iter().map(number).collect();
                self.owned
                    .keys()
                    .filter(|owned| numbers.contains(&owned.partition))
                    .copied()
                    .collect()
            }
            AssignMode::Incremental => partitions.to_vec(),
            AssignMode::Whole => self.owned.keys().copied().collect(),
        }
    }

    /// Takes the next step of a revocation, if its time has come.
    pub(super) fn continue_rebalance(&mut self) {
        let now = self.now;
        let Some(revocation) = &self.group.revocation else {
            return;
        };
        let (step, due) = (
            revocation.step,
            revocation.until <= now && !mutant::planted("M20"),
        );
        let ids = revocation.ids.clone();
        let live = ids
            .iter()
            .filter_map(|id| self.assignments.get(id))
            .any(|assignment| assignment.live > 0 || assignment.is_sending());
        if step == Step::Draining {
            if live && !due {
                return;
            }
            for id in &ids {
                self.withdraw_assignment(*id, WithdrawReason::Revoked);
            }
            self.enter_last_commit(&ids);
        }
        let uncommitted = ids.iter().any(|id| self.commits.dirty.contains(id));
        let over = self
            .group
            .revocation
            .as_ref()
            .is_some_and(|revocation| revocation.until <= now);
        let done = !uncommitted && self.commits.outstanding.is_none();
        if done || over || mutant::planted("M4") {
            self.answer_revocation();
        }
    }

    fn enter_last_commit(&mut self, ids: &[Assignment]) {
        let until = self.now.plus(LAST_COMMIT_MAX);
        if let Some(revocation) = &mut self.group.revocation {
            revocation.step = Step::Committing;
            revocation.until = until;
        }
        self.timers.at(until, Timer::Rebalance);
        if mutant::planted("outputs-dropped-on-revoke") {
            for id in ids {
                self.outputs_of_ended(*id, WithdrawReason::Revoked);
            }
        }
        self.commit_without_backoff(ids);
    }

    fn answer_revocation(&mut self) {
        let Some(revocation) = self.group.revocation.take() else {
            return;
        };
        for id in &revocation.ids {
            self.end_assignment(*id, WithdrawReason::Revoked);
        }
        self.unassign_as_answer(revocation.partitions);
    }

    fn unassign_as_answer(&mut self, partitions: Vec<PartitionId>) {
        match self.settings.assign_mode {
            AssignMode::Incremental => self
                .in_client
                .retain(|partition| !partitions.contains(partition)),
            AssignMode::Whole => self.in_client.clear(),
        }
        self.effects.push(Effect::Unassign {
            partitions,
            answers_rebalance: true,
        });
    }

    /// Gone without warning, and maybe somebody else's already: nothing is committed.
    pub(super) fn group_lost(&mut self, partitions: &[PartitionId]) {
        self.membership_is_certain();
        self.counters.rebalances_lost += 1;
        self.report(Event::Lost {
            partitions: partitions.len(),
        });
        for partition in self.leaving(partitions) {
            if let Some(id) = self.owned.get(&partition).copied() {
                self.end_assignment(id, WithdrawReason::Lost);
            }
        }
        self.lose_revoked();
        self.unassign_as_answer(partitions.to_vec());
    }

    /// The client has moved on to another event: a revocation that waits for its answer is moot, and what it
    /// was about to take is gone.
    fn lose_revoked(&mut self) {
        if let Some(revocation) = self.group.revocation.take() {
            for id in revocation.ids {
                self.end_assignment(id, WithdrawReason::Lost);
            }
        }
    }

    /// The client has left the group, as it was told to.
    pub(super) fn group_left(&mut self) {
        if self.group.membership != Membership::Leaving {
            return;
        }
        self.lose_everything();
        self.group.membership = Membership::Out;
        if std::mem::take(&mut self.group.rejoin) {
            self.join();
        } else {
            self.join_if_wanted();
        }
    }

    /// A member that leaves and joins again gets what it asks for.
    pub(super) fn leave_and_join(&mut self) {
        if self.is_member() {
            self.group.rejoin = true;
            self.leave();
        }
    }

    /// The client is to be replaced without a loss: leave as in any shutdown, and join again. Out of the group, or on the
    /// way out, that is the next join, whenever it comes.
    pub(super) fn rejoin(&mut self) {
        self.group.replaces_client = true;
        self.leave_and_join();
    }

    /// The client is made anew.
    pub(super) fn client_restarted(&mut self) {
        self.lose_everything();
        self.forget_questions();
        // It was to be made anew, or to leave: both are done.
        let wanted = std::mem::take(&mut self.group.rejoin);
        let was_in = wanted || self.group.membership == Membership::Joined;
        self.group.membership = Membership::Out;
        if was_in && !self.group.alone.is_timed() {
            self.join();
        } else {
            // A stream may have opened while the group was being left.
            self.join_if_wanted();
        }
    }

    /// Another member took our instance id: commit nothing, and end.
    pub(super) fn fenced(&mut self) {
        self.report(Event::Fenced);
        self.lose_everything();
        self.group.membership = Membership::Out;
        self.finish_fenced();
    }

    fn lose_everything(&mut self) {
        self.membership_is_certain();
        self.group.revocation = None;
        self.end_all_assignments(WithdrawReason::Lost);
        self.in_client.clear();
        self.commit_is_lost();
    }

    pub(super) fn end_all_assignments(&mut self, reason: WithdrawReason) {
        let ids: Vec<Assignment> = self.assignments.keys().copied().collect();
        for id in ids {
            self.end_assignment(id, reason);
        }
    }

    /// The end of an assignment, for whatever reason. What it held is forgotten; its ids are dead.
    pub(super) fn end_assignment(&mut self, id: Assignment, reason: WithdrawReason) {
        let killed = self.withdraw_assignment(id, reason);
        match reason {
            WithdrawReason::Lost => self.counters.withdrawn_lost += u64::from(killed),
            WithdrawReason::Repositioned => {
                self.counters.withdrawn_repositioned += u64::from(killed)
            }
            WithdrawReason::Aborted => self.counters.withdrawn_aborted += u64::from(killed),
            WithdrawReason::Revoked
            | WithdrawReason::EarlierRetry
            | WithdrawReason::Deadline
            | WithdrawReason::Shutdown
            | WithdrawReason::StreamEnded
            | WithdrawReason::OtherStream => self.counters.withdrawn_revoked += u64::from(killed),
        }
        if killed > 0 {
            self.leave_undone(Drained::Unsettled);
        }
        if self.is_uncommitted(id) {
            self.leave_undone(Drained::Uncommitted);
        }
        self.seek_is_over(id);
        self.outputs_of_ended(id, reason);
        let Some(assignment) = self.assignments.remove(&id) else {
            return;
        };
        let partition = assignment.partition;
        self.forget_suspects(id);
        self.waiting_bytes -= assignment.waiting_bytes;
        self.owned.remove(&partition);
        self.commits.dirty.remove(&id);
        self.full.remove(&id);
        self.ready.remove(&id);
        for stream in assignment.ready_bound.keys() {
            self.ready_bound.remove(&(*stream, id));
        }
        self.oversize.retain(|(_, of, _)| *of != id);
        if self.above_budget.is_some_and(|(above, _)| above == id) {
            self.above_budget = None;
        }
        self.effects.push(Effect::FreeAssignment(id));
        let notice = Notice::Revoked {
            partition,
            assignment: id,
            reason,
        };
        self.notify_those(&assignment.home, &notice);
    }
}

#[cfg(test)]
mod tests;
