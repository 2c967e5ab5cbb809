//! The end, in an order with its reasons.
//!
//! Dispatch stops first, so that live deliveries can only become fewer. Streams stay open until the last
//! commit, so that settlements have a way in. Then the streams end, the group is left, and only then is the
//! process told that it may go. A static member does not leave: the group keeps its partitions for its successor.
//!
//! - I-S6: after a drain that ended in time everything accepted is committed.
//! - I-L4: every wait is bounded: the drain by its deadline, the last commit by 3 s, leaving by 3 s.

use std::time::Duration;

use super::Core;
use super::effect::{Drained, Effect, Notice, StreamEnd, WithdrawReason};
use super::group::LAST_COMMIT_MAX;
use super::ids::{Assignment, Moment, StreamId};
use super::timers::Timer;
use crate::mutant;

/// How long leaving the group may take.
const LEAVING_MAX: Duration = Duration::from_secs(3);

/// How far the end is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Draining,
    Committing,
    Leaving,
    Done,
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    step: Step,
    until: Moment,
    reason: &'static str,
    drained: Drained,
}

impl Shutdown {
    pub(super) fn notice(&self, now: Moment) -> Notice {
        Notice::Draining {
            time_left: self.until.since(now),
            reason: self.reason,
        }
    }

    pub(super) fn hurries_commit(&self) -> bool {
        self.step == Step::Committing
    }
}

impl Core {
    pub(super) fn begin_shutdown(&mut self, drain_within: Duration, reason: &'static str) {
        let until = self.now.plus(drain_within);
        let shutdown = match self.shutdown.take() {
            Some(shutdown) if shutdown.step == Step::Draining => Shutdown {
                until: until.min(shutdown.until),
                ..shutdown
            },
            Some(shutdown) => shutdown,
            None => Shutdown {
                step: Step::Draining,
                until,
                reason,
                drained: Drained::Whole,
            },
        };
        let notice = shutdown.notice(self.now);
        if shutdown.step == Step::Draining {
            self.notify(&notice);
        }
        self.timers.at(shutdown.until, Timer::Shutdown);
        self.shutdown = Some(shutdown);
    }

    /// Takes the next steps of a shutdown whose time has come.
    pub(super) fn continue_shutdown(&mut self) {
        let now = self.now;
        let Some(shutdown) = &self.shutdown else {
            return;
        };
        let due =
            shutdown.until <= now && !(shutdown.step == Step::Committing && mutant::planted("M14"));
        match shutdown.step {
            Step::Draining if (self.live == 0 && !self.is_sending()) || due => self.end_drain(),
            Step::Committing => {
                let committed = self.commits.dirty.is_empty() && self.commits.outstanding.is_none();
                if committed || due {
                    self.end_last_commit(committed);
                }
            }
            Step::Leaving if self.group.is_out() || due => self.finish(),
            Step::Draining | Step::Leaving | Step::Done => {}
        }
    }

    fn enter(&mut self, step: Step, within: Duration) {
        let until = self.now.plus(within);
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.step = step;
            shutdown.until = until;
        }
        self.timers.at(until, Timer::Shutdown);
    }

    fn end_drain(&mut self) {
        if self.live > 0 || self.is_sending() {
            self.leave_undone(Drained::Unsettled);
            let streams: Vec<StreamId> = self.streams.map.keys().copied().collect();
            for stream in streams {
                self.withdraw_stream(stream, WithdrawReason::Shutdown);
            }
        }
        let all: Vec<Assignment> = self.assignments.keys().copied().collect();
        self.commit_without_backoff(&all);
        self.enter(Step::Committing, LAST_COMMIT_MAX);
        self.continue_shutdown();
    }

    /// A shutdown or a drain under way loses something.
    pub(super) fn leave_undone(&mut self, what: Drained) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.drained = shutdown.drained.max(what);
        }
        if let Some(drain) = &mut self.drain {
            drain.leaves_undone(what);
        }
    }

    fn end_last_commit(&mut self, committed: bool) {
        if !committed {
            self.leave_undone(Drained::Uncommitted);
        }
        self.end_streams();
        if self.settings.static_member && self.is_member() {
            self.finish();
            return;
        }
        self.leave();
        self.enter(Step::Leaving, LEAVING_MAX);
        self.continue_shutdown();
    }

    fn end_streams(&mut self) {
        let streams: Vec<StreamId> = self.open_streams().collect();
        for stream in streams {
            self.end_stream(stream, StreamEnd::GoingAway);
        }
    }

    fn finish(&mut self) {
        // Leaving took too long: what was finished meanwhile may not be committed.
        if self.assignments.keys().any(|id| self.is_uncommitted(*id)) {
            self.leave_undone(Drained::Uncommitted);
        }
        let drained = self
            .shutdown
            .as_ref()
            .map_or(Drained::Whole, |shutdown| shutdown.drained);
        // A static member ends with its partitions: who still waits for something of them is told.
        self.end_all_assignments(WithdrawReason::Shutdown);
        self.enter(Step::Done, Duration::ZERO);
        self.effects.push(Effect::Finished { drained });
    }

    /// The end of a member that was replaced: nothing to wait for, nothing to commit.
    pub(super) fn finish_fenced(&mut self) {
        self.shutdown = Some(Shutdown {
            step: Step::Leaving,
            until: self.now,
            reason: "another member took over",
            drained: Drained::Uncommitted,
        });
        self.end_streams();
        self.finish();
    }
}

#[cfg(test)]
mod tests;
