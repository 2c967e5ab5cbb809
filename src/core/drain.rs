//! Draining while the process goes on: the early notice of the end.
//!
//! A pod that ends is told so long before its sidecar is: kubelet signals the sidecar when every application has exited,
//! and by then the grace period may be used up. So a notice comes first. Nothing new is delivered from then on, streams
//! are told, settlements are taken and committed. When nothing is in flight the group is left, so that others get the
//! partitions at once, and the process waits for its signal. There is no way back but a restart.
//!
//! # Invariants
//!
//! - N1: after the notice nothing is dispatched, and the group is never joined again.
//! - N2: the group is left only when nothing is in flight, or by a shutdown.

use std::time::Duration;

use super::Core;
use super::effect::{Drained, Notice};
use super::ids::Moment;

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
    /// The group was left: nothing more happens before the process ends.
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
        self.notify(&notice);
    }

    /// Leaves the group when nothing is in flight (N2).
    pub(super) fn continue_drain(&mut self) {
        if self.drain.is_some() && self.live == 0 && !self.is_sending() {
            self.leave();
        }
    }

    /// How far the drain is, if there is one.
    #[must_use]
    pub fn drain_status(&self) -> Option<DrainStatus> {
        let drain = self.drain.as_ref()?;
        Some(DrainStatus {
            since: drain.since,
            done: self.group.is_out(),
            undone: drain.undone,
        })
    }
}

#[cfg(test)]
mod tests;
