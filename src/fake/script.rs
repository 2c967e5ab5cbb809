//! What happens when?
//!
//! Steps do not wait for each other: each is done once, when it is due and can be done.

use super::cluster::State;
use super::line::{Failing, What, When};
use super::mistake::Place;
use crate::core::{Moment, PartitionId};

/// The steps that were not done yet, and what those that were done left behind.
#[derive(Debug, Default)]
pub(super) struct Script {
    pub(super) steps: Vec<Step>,
    /// So many commits fail.
    pub(super) commits_to_fail: u32,
    /// Commits fail until then.
    pub(super) commits_fail_until: Moment,
    /// Streams are to be closed.
    pub(super) close_streams: bool,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) place: Place,
    pub(super) what: What,
    /// The partition it names.
    pub(super) of: Option<PartitionId>,
    pub(super) when: When,
}

impl State {
    /// Whether a step must be done before the end: its time has come.
    pub(super) fn is_anything_due(&self) -> bool {
        self.script.steps.iter().any(|step| self.is_due(step))
    }

    /// Whether a step waits for acknowledgements, which the core has to be asked about.
    pub(super) fn counts_acknowledgements(&self) -> bool {
        let counts = |step: &Step| matches!(step.when, When::Acknowledged(_));
        self.script.steps.iter().any(counts)
    }

    /// Does every step that is due and can be done.
    pub(super) fn do_steps(&mut self) {
        let steps = std::mem::take(&mut self.script.steps);
        for step in steps {
            if !(self.is_due(&step) && self.try_step(&step)) {
                self.script.steps.push(step);
            }
        }
    }

    fn is_due(&self, step: &Step) -> bool {
        let count = |of: fn(&super::log::Log) -> usize| match step.of {
            Some(partition) => self.log(partition).map_or(0, of),
            None => self.logs.values().map(of).sum(),
        };
        match step.when {
            When::AtOnce => step.what != What::Assign || self.is_away(step.of),
            When::Delivered(enough) => count(|log| log.delivered) >= enough,
            When::Acknowledged(enough) => count(|log| log.finished) >= enough,
            When::After(wait) => {
                let from = self.counts_from(step);
                from.is_some_and(|from| from.plus(wait) <= self.now)
            }
            When::Committed(offset) => {
                let committed = step.of.and_then(|of| self.log(of)?.committed.as_ref());
                committed.is_some_and(|committed| committed.offset > offset)
            }
        }
    }

    /// When the time of a step began.
    fn counts_from(&self, step: &Step) -> Option<Moment> {
        match step.what {
            What::Assign => step.of.and_then(|of| self.group.away.get(&of).copied()),
            What::Revoke
            | What::Lose
            | What::Redeliver { .. }
            | What::CloseStreams
            | What::FailCommits(_) => self.group.joined_at,
        }
    }

    fn is_away(&self, of: Option<PartitionId>) -> bool {
        of.is_some_and(|of| self.group.away.contains_key(&of))
    }

    /// Does a step, if it can be done now.
    fn try_step(&mut self, step: &Step) -> bool {
        match (step.what, step.of) {
            (What::Revoke, Some(of)) => self.take_away(of, false),
            (What::Lose, Some(of)) => self.take_away(of, true),
            (What::Redeliver { offset }, Some(of)) => {
                let taken = self.take_away(of, true);
                if taken {
                    // From now on nothing of it is committed, so this stays.
                    self.group.fence(of);
                    self.log_mut(of).rewind(offset);
                }
                taken
            }
            (What::Assign, Some(of)) => self.give_back(of),
            (What::CloseStreams, _) => {
                self.script.close_streams = true;
                true
            }
            (What::FailCommits(Failing::Times(times)), _) => {
                self.script.commits_to_fail += times;
                true
            }
            (What::FailCommits(Failing::For(time)), _) => {
                self.script.commits_fail_until = self.now.plus(time);
                true
            }
            // The line was refused when it was read.
            (What::Revoke | What::Lose | What::Redeliver { .. } | What::Assign, None) => true,
        }
    }

    /// Whether the next commit fails; counts it.
    pub(super) fn commit_fails(&mut self) -> bool {
        if self.now < self.script.commits_fail_until {
            return true;
        }
        let fails = self.script.commits_to_fail > 0;
        self.script.commits_to_fail -= u32::from(fails);
        fails
    }

    /// How many records of a partition may be handed out beyond those that were: a step that is due after a
    /// number of deliveries is done before there are more (X2).
    pub(super) fn room(&self, partition: PartitionId) -> usize {
        let popped = |of: Option<PartitionId>| match of {
            Some(of) => self.log(of).map_or(0, |log| log.popped),
            None => self.logs.values().map(|log| log.popped).sum(),
        };
        let room = |step: &Step| match (step.when, step.of) {
            (When::Delivered(count), None) => Some(count.saturating_sub(popped(None))),
            (When::Delivered(count), Some(of)) if of == partition => {
                Some(count.saturating_sub(popped(step.of)))
            }
            (
                When::Delivered(_)
                | When::AtOnce
                | When::Acknowledged(_)
                | When::After(_)
                | When::Committed(_),
                _,
            ) => None,
        };
        let rooms = self.script.steps.iter().filter_map(room);
        rooms.min().unwrap_or(usize::MAX)
    }

    /// When the next step that waits for time is due.
    pub(super) fn next_step_at(&self) -> Option<Moment> {
        let at = |step: &Step| match step.when {
            When::After(wait) => Some(self.counts_from(step)?.plus(wait)),
            When::AtOnce | When::Delivered(_) | When::Acknowledged(_) | When::Committed(_) => None,
        };
        let later = |at: &Moment| *at > self.now;
        self.script.steps.iter().filter_map(at).filter(later).min()
    }
}
