//! Draining while the process goes on: the early notice of the end.
//!
//! A pod that ends is told so long before its sidecar is: kubelet signals the sidecar when every application has exited,
//! and by then the grace period may be used up. So a notice comes first. Nothing new is delivered from then on, streams
//! are told, settlements are taken and committed. When nothing is in flight the group is left, so that others get the
//! partitions at once, and the process waits for its signal. There is no way back but a restart.
//!
//! A static member stays in the group, so that its successor finds its partitions where they were. If the process goes on
//! for longer than the group is kept without an application, it leaves as any other.
//!
//! # Invariants
//!
//! - N1: after the notice nothing is dispatched, and the group is never joined again.
//! - N2: the group is left only when nothing is in flight, or by a shutdown.
//! - N3: a static member leaves the group no sooner than `leave_after` after the notice.

use std::time::Duration;

use super::Core;
use super::effect::{Drained, Notice};
use super::ids::Moment;
use super::timers::Timer;

/// What streams are told.
const REASON: &str = "an operator or the pod asked for it";

/// A notice that was given.
#[derive(Debug)]
pub(super) struct Drain {
    since: Moment,
    until: Moment,
    undone: Drained,
}

impl Drain {
    pub(super) fn notice(&self, now: Moment) -> Notice {
        Notice::Draining {
            time_left: self.until.since(now),
            reason: REASON,
        }
    }

    /// It loses something.
    pub(super) fn leaves_undone(&mut self, what: Drained) {
        self.undone = self.undone.max(what);
    }
}

/// How far a drain is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DrainStatus {
    /// Since when.
    pub since: Moment,
    /// The group was left, or a static member has committed everything: nothing more happens before the process ends.
    pub done: bool,
    /// What was left undone.
    pub undone: Drained,
}

impl Core {
    /// Begins to drain. `within` is what streams are told; nothing happens when it is over.
    pub(super) fn begin_drain(&mut self, within: Duration) {
        if self.drain.is_some() || self.shutdown.is_some() {
            return;
        }
        let drain = Drain {
            since: self.now,
            until: self.now.plus(within),
            undone: Drained::Whole,
        };
        let notice = drain.notice(self.now);
        self.drain = Some(drain);
        if self.settings.static_member {
            let at = self.now.plus(self.settings.leave_after);
            self.timers.at(at, Timer::Leave);
        }
        self.notify(&notice);
    }

    /// Leaves the group when nothing is in flight (N2).
    pub(super) fn continue_drain(&mut self) {
        let Some(drain) = &self.drain else {
            return;
        };
        let stays =
            self.settings.static_member && self.now < drain.since.plus(self.settings.leave_after);
        if self.live == 0 && !self.is_sending() && !stays {
            self.leave();
        }
    }

    /// Whether a static member has nothing more to do for the group that it stays in.
    fn has_nothing_to_do(&self) -> bool {
        self.settings.static_member
            && self.live == 0
            && !self.is_sending()
            && self.commits.dirty.is_empty()
            && self.commits.outstanding.is_none()
    }

    /// How far the drain is, if there is one.
    #[must_use]
    pub fn drain_status(&self) -> Option<DrainStatus> {
        let drain = self.drain.as_ref()?;
        Some(DrainStatus {
            since: drain.since,
            done: self.group.is_out() || self.has_nothing_to_do(),
            undone: drain.undone,
        })
    }
}

#[cfg(test)]
mod tests;
