//! May anything be delivered and confirmed?
//!
//! Whoever cannot commit should not go on delivering: all of it could come again, here or at whoever owns
//! the partition by now. Two things say so, each with its own end:
//!
//! | what | whom it stops | ends with |
//! |---|---|---|
//! | a partition has something uncommitted for `commit.staleness_max` | that partition | a commit of it |
//! | a clock jump: the group may have given us up meanwhile | everybody, and answers to settlements | any commit built after it, or a rebalance event; if applications keep positions, the group's word that what we have is ours |
//!
//! # Invariants
//!
//! - B26: settlements are taken and commits are tried all the while.
//! - B15: what was accepted before the doubt is over is not confirmed to anyone.

use std::time::Duration;

use super::Core;
use super::event::Event;
use super::ids::{Assignment, GroupAsk, Moment, PartitionId};
use super::input::GroupDescription;
use super::timers::Timer;

/// Least time between two looks at what is uncommitted, so that many partitions are told of at once.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Trust {
    /// A clock jump makes our membership doubtful.
    doubtful: bool,
    /// The group's answers from this question on end the doubt, if commits prove nothing.
    asked: u64,
    /// A look at how old everything uncommitted is has its time.
    looking: bool,
    /// Partitions that were committed after having been stale, to be told.
    fresh: Vec<PartitionId>,
}

impl Trust {
    pub(super) fn is_doubtful(&self) -> bool {
        self.doubtful
    }
}

impl Core {
    /// Whether settlements may be answered now. While membership is in doubt an answer could promise what
    /// the next rebalance event takes back.
    #[must_use]
    pub fn confirms(&self) -> bool {
        !self.trust.doubtful
    }

    /// Whether anything may be delivered at all.
    pub(super) fn may_deliver(&self) -> bool {
        let goes_on = self.shutdown.is_none() && self.drain.is_none();
        goes_on && !self.trust.doubtful && self.transactions_let_deliver()
    }

    /// Whether nobody gave us time for longer than the group may have waited (B15).
    pub(super) fn jumped(&self, now: Moment) -> bool {
        self.now != Moment::default() && now.since(self.now) > self.settings.doubt_after
    }

    /// B15: we may have been asleep for longer than the group waits.
    pub(super) fn doubt_membership(&mut self) {
        let positioned = || {
            self.assignments
                .values()
                .any(|assignment| assignment.has_position())
        };
        if self.trust.doubtful || !positioned() {
            return;
        }
        self.trust.doubtful = true;
        if self.applications_keep_positions() {
            // No commit can be refused, so the group is asked (P5).
            self.trust.asked = self.group_asks + 1;
            self.timers.at(self.now, Timer::Claim);
        }
        // Whoever noticed may not be at the end of a turn, where commits are sent.
        self.timers.at(self.now, Timer::Commit);
        self.report(Event::MembershipDoubtful);
    }

    /// A rebalance event says what we are, or a commit that the group took.
    pub(super) fn membership_is_certain(&mut self) {
        if std::mem::take(&mut self.trust.doubtful) {
            self.report(Event::MembershipConfirmed);
        }
    }

    /// The group has said what we own.
    pub(super) fn group_says_what_is_ours(
        &mut self,
        ask: GroupAsk,
        group: Option<&GroupDescription>,
    ) {
        if !self.waits_for_the_groups_word() || ask.0 < self.trust.asked {
            return;
        }
        let owns = |group: &GroupDescription| {
            group.rests && self.owned.keys().all(|owned| group.ours.contains(owned))
        };
        if group.is_some_and(owns) {
            self.membership_is_certain();
        } else {
            // A rebalance event may be on its way.
            self.timers.at(self.now.plus(LOOK_EVERY), Timer::Claim);
        }
    }

    /// Whether only the group's word, or an event of it, ends the doubt (P5 of `home`).
    pub(super) fn waits_for_the_groups_word(&self) -> bool {
        self.trust.doubtful && self.applications_keep_positions()
    }

    /// Something of an assignment is to be committed.
    pub(super) fn uncommitted(&mut self, id: Assignment) {
        let now = self.now;
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.uncommitted_since.get_or_insert(now);
        }
        self.look_at_staleness_at(now.plus(self.settings.commit_staleness_max));
    }

    /// Everything of an assignment up to `moment` is committed.
    pub(super) fn committed_until(&mut self, id: Assignment, moment: Moment) {
        let dirty = self.commits.dirty.contains(&id);
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.uncommitted_since = dirty.then_some(moment);
        if std::mem::take(&mut assignment.commits_stale) {
            self.trust.fresh.push(assignment.partition);
        }
    }

    pub(super) fn tell_fresh(&mut self) {
        if !self.trust.fresh.is_empty() {
            let partitions = std::mem::take(&mut self.trust.fresh);
            self.report(Event::CommitsFresh { partitions });
        }
    }

    fn look_at_staleness_at(&mut self, when: Moment) {
        if !std::mem::replace(&mut self.trust.looking, true) {
            self.timers.at(when, Timer::Staleness);
        }
    }

    /// Looks how old everything uncommitted is.
    pub(super) fn look_at_staleness(&mut self) {
        let now = self.now;
        let max = self.settings.commit_staleness_max;
        self.trust.looking = false;
        let mut next: Option<Moment> = None;
        let mut partitions = Vec::new();
        for assignment in self.assignments.values_mut() {
            let Some(since) = assignment.uncommitted_since else {
                continue;
            };
            let at = since.plus(max);
            if at > now {
                next = Some(next.map_or(at, |next| next.min(at)));
            } else if !std::mem::replace(&mut assignment.commits_stale, true) {
                partitions.push(assignment.partition);
            }
        }
        if !partitions.is_empty() {
            self.report(Event::CommitsStale { partitions });
        }
        if let Some(next) = next {
            self.look_at_staleness_at(next.max(now.plus(LOOK_EVERY)));
        }
    }
}
