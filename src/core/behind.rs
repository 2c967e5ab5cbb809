//! Why does nothing arrive of a log that goes on?
//!
//! The client tells where a log ends. If nothing is left to do before that end, and no record arrives for long, there are
//! two reasons: nothing of it can be read, because a transaction was left open (B2), which takes a person; or brokers and
//! networks are slow, or hold the client back for its quota (B33), which passes. Brokers know: under `read_committed`
//! they name as the end of a log what can be read of it.
//!
//! # Invariants
//!
//! - N1: a log is called unreadable only after a broker said so, and no longer than its position stands.

use std::time::Duration;

use super::Core;
use super::assignment::AssignmentState;
use super::effect::Effect;
use super::ids::{Assignment, Moment};
use super::input::{LogRange, ReadError};

/// How long nothing arrives before a broker is asked, and between two questions.
const LONG: Duration = Duration::from_secs(10);

/// An assignment whose log goes on behind its frontier, with nothing left to do before it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behind {
    /// Since when.
    pub(crate) since: Moment,
    ask_at: Moment,
    asked: bool,
    /// A broker said that nothing of it can be read.
    pub(crate) unreadable: bool,
}

impl AssignmentState {
    /// Since when nothing of its log has been readable.
    pub(crate) fn nothing_readable(&self) -> Option<Moment> {
        let behind = self.behind.filter(|behind| behind.unreadable)?;
        Some(behind.since)
    }

    /// Since when nothing has arrived that could be read, if that is long.
    pub(crate) fn nothing_arrives(&self, now: Moment) -> Option<Moment> {
        let long = |behind: &Behind| !behind.unreadable && now.since(behind.since) >= LONG;
        let behind = self.behind.filter(long)?;
        Some(behind.since)
    }
}

impl Core {
    /// Where the log ends was told again.
    pub(super) fn look_whether_behind(&mut self, id: Assignment, end: i64) {
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        // What an operator paused is behind because he says so.
        let is_behind = assignment.window.unfinished() == 0
            && assignment.window.frontier().0 < end
            && !assignment.on_hold;
        if !is_behind {
            assignment.behind = None;
            return;
        }
        let behind = assignment.behind.get_or_insert(Behind {
            since: now,
            ask_at: now.plus(LONG),
            asked: false,
            unreadable: false,
        });
        if behind.ask_at <= now {
            behind.asked = true;
            behind.ask_at = now.plus(LONG);
            let question = vec![(id, assignment.partition)];
            self.effects.push(Effect::ListOffsets(question));
        }
    }

    /// A broker named the ends of the log.
    pub(super) fn learn_what_is_readable(
        &mut self,
        id: Assignment,
        answer: Result<LogRange, ReadError>,
    ) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let frontier = assignment.window.frontier().0;
        if let Some(behind) = &mut assignment.behind
            && std::mem::take(&mut behind.asked)
            && let Ok(range) = answer
        {
            behind.unreadable = range.latest <= frontier;
        }
    }
}

#[cfg(test)]
mod tests;
