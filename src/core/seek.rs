//! Moving a partition's position because an operator says so.
//!
//! Where the log begins and ends is asked first, so that a target outside of it is moved to its nearer end and nobody
//! learns of the mistake from "offset out of range". Until the answer is there everything goes on as before. Then the
//! assignment is replaced: its deliveries are withdrawn, the next one starts at the target, and that is committed at once.
//! A partition that stands until a person acts is started again by it.
//!
//! # Invariants
//!
//! - K1: every seek is answered once: done, refused, or over because the partition left.
//! - K2: one seek of an assignment at a time; a refused or failed one changes nothing.
//! - I-S2: a committed offset goes back only under another assignment number, and the operator is told from where to where.

use std::time::Duration;

use super::Core;
use super::assignment::Phase;
use super::effect::Effect;
use super::home::Home;
use super::ids::{AskId, Assignment, Moment, PartitionId};
use super::input::{LogRange, ReadError};
use super::timers::Timer;

/// How long brokers may take to answer; the client gives up before that.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Where to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeekTarget {
    /// The oldest record.
    Earliest,
    /// Behind the newest record.
    Latest,
    /// This offset.
    Offset(i64),
    /// The first record with this timestamp or a later one, in milliseconds since 1970.
    Timestamp(i64),
}

/// A seek that was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sought {
    /// The partition.
    pub partition: PartitionId,
    /// Its assignment from now on.
    pub assignment: Assignment,
    /// The lowest offset that was not finished before; `None` if it had no position.
    pub from: Option<i64>,
    /// Where it goes on.
    pub to: i64,
    /// The target was outside of the log and was moved to its nearer end.
    pub clamped: bool,
    /// What the log holds.
    pub range: LogRange,
}

/// Why a seek was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeekRefused {
    /// The partition is not assigned to this process.
    NotOurs,
    /// Its committed offset is still being read.
    Starting,
    /// It leaves, or left while the brokers were asked.
    Leaving,
    /// The process ends, or was drained.
    Ending,
    /// Another seek of it is under way.
    Busy,
    /// A transaction of it was aborted meanwhile, and it begins again at its committed offset.
    Aborted,
    /// The brokers did not say what the log holds.
    Brokers(ReadError),
}

/// A seek that waits for the brokers' answers.
#[derive(Debug)]
pub(super) struct Seek {
    ask: AskId,
    target: SeekTarget,
    range: Option<LogRange>,
    /// What a timestamp led to: `Some(None)` if no record is that new.
    found: Option<Option<i64>>,
    /// When it is given up.
    until: Moment,
}

impl Core {
    pub(super) fn seek(&mut self, ask: AskId, partition: PartitionId, target: SeekTarget) {
        let id = match self.may_seek(partition) {
            Ok(id) => id,
            Err(refused) => return self.answer_seek(ask, Err(refused)),
        };
        let seek = Seek {
            ask,
            target,
            range: None,
            found: None,
            until: self.now.plus(ANSWER_MAX),
        };
        self.timers.at(seek.until, Timer::Seek(id));
        self.seeks.insert(id, seek);
        self.effects
            .push(Effect::ListOffsets(vec![(id, partition)]));
        if let SeekTarget::Timestamp(timestamp) = target {
            self.effects.push(Effect::FindOffset {
                assignment: id,
                partition,
                timestamp,
            });
        }
    }

    fn ends_or_drains(&self) -> bool {
        self.shutdown.is_some() || self.drain.is_some()
    }

    fn may_seek(&self, partition: PartitionId) -> Result<Assignment, SeekRefused> {
        if self.ends_or_drains() {
            return Err(SeekRefused::Ending);
        }
        let id = self.owned.get(&partition).copied();
        let assignment = id.and_then(|id| self.assignments.get(&id));
        let assignment = assignment.ok_or(SeekRefused::NotOurs)?;
        match assignment.phase {
            Phase::Reading => return Err(SeekRefused::Starting),
            Phase::Draining => return Err(SeekRefused::Leaving),
            Phase::Listing(_) | Phase::Flowing | Phase::Stopped(_) => {}
        }
        if matches!(assignment.home, Home::Left(_)) {
            // Its application is about to be asked.
            return Err(SeekRefused::Starting);
        }
        if self.seeks.contains_key(&assignment.id) {
            return Err(SeekRefused::Busy);
        }
        Ok(assignment.id)
    }

    /// What the log of a partition holds is known. Returns whether the assignment is gone by that.
    pub(super) fn seek_learns_range(
        &mut self,
        id: Assignment,
        answer: &Result<LogRange, ReadError>,
    ) -> bool {
        let Some(seek) = self.seeks.get_mut(&id) else {
            return false;
        };
        match answer {
            Ok(range) => seek.range = Some(*range),
            Err(error) => return self.seek_failed(id, error.clone()),
        }
        self.conclude_seek(id)
    }

    /// What a timestamp leads to is known.
    pub(super) fn offset_found(&mut self, id: Assignment, answer: Result<Option<i64>, ReadError>) {
        let Some(seek) = self.seeks.get_mut(&id) else {
            return;
        };
        match answer {
            Ok(found) => seek.found = Some(found),
            Err(error) => {
                self.seek_failed(id, error);
                return;
            }
        }
        self.conclude_seek(id);
    }

    /// The client answers before that, or could not even ask (K1).
    pub(super) fn seek_may_be_late(&mut self, id: Assignment) {
        let now = self.now;
        if self.seeks.get(&id).is_some_and(|seek| seek.until <= now) {
            self.seek_failed(id, ReadError::Transient("no answer in time".to_owned()));
        }
    }

    fn seek_failed(&mut self, id: Assignment, error: ReadError) -> bool {
        self.refuse_seek(id, SeekRefused::Brokers(error));
        false
    }

    pub(super) fn refuse_seek(&mut self, id: Assignment, refused: SeekRefused) {
        if let Some(seek) = self.seeks.remove(&id) {
            self.answer_seek(seek.ask, Err(refused));
        }
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.seek_waits = false;
        }
    }

    /// A transaction ended: seeks may go on that waited for it.
    pub(super) fn conclude_seeks_that_waited(&mut self) {
        let waits = |id: &Assignment| {
            self.assignments
                .get(id)
                .is_some_and(|state| state.seek_waits)
        };
        let waiting: Vec<Assignment> = self.seeks.keys().copied().filter(waits).collect();
        for id in waiting {
            self.conclude_seek(id);
        }
    }

    /// Moves the partition, if everything is known. Returns whether it did.
    fn conclude_seek(&mut self, id: Assignment) -> bool {
        let Some((to, clamped, range)) = self.seeks.get(&id).and_then(Seek::goal) else {
            return false;
        };
        if self.ends_or_drains() {
            // Begun since it was asked: nothing is taken up any more.
            self.refuse_seek(id, SeekRefused::Ending);
            return false;
        }
        if self.has_outputs_under_way(id) {
            // They would be lost. Nothing new is delivered until they are written, or are not.
            self.commits.hurry = true;
            if let Some(assignment) = self.assignments.get_mut(&id) {
                assignment.seek_waits = true;
            }
            return false;
        }
        let (Some(seek), Some(assignment)) = (self.seeks.remove(&id), self.assignments.get(&id))
        else {
            return false;
        };
        if assignment.phase == Phase::Draining {
            self.answer_seek(seek.ask, Err(SeekRefused::Leaving));
            return false;
        }
        let partition = assignment.partition;
        let watermark = assignment.window.watermark().0;
        let from = assignment.has_position().then_some(watermark);
        // The epoch of what is finished is none of a record that was not read: a broker would take the position
        // for one above a cut.
        let epoch = assignment
            .window
            .watermark_epoch()
            .filter(|_| from.is_some_and(|from| to <= from));
        if let Some(from) = from.filter(|from| to > *from) {
            self.counters.skipped += to.abs_diff(from);
        }
        let assignment = self.reposition_under(id, to, epoch);
        self.answer_seek(
            seek.ask,
            Ok(Sought {
                partition,
                assignment,
                from,
                to,
                clamped,
                range,
            }),
        );
        true
    }

    /// An assignment ends, and with it the seek that waited for it (K1).
    pub(super) fn seek_is_over(&mut self, id: Assignment) {
        self.refuse_seek(id, SeekRefused::Leaving);
    }

    fn answer_seek(&mut self, ask: AskId, answer: Result<Sought, SeekRefused>) {
        self.effects.push(Effect::Sought { ask, answer });
    }
}

impl Seek {
    /// Where to go, and whether that is not where the operator wanted to; `None` while something is not known.
    fn goal(&self) -> Option<(i64, bool, LogRange)> {
        let range = self.range?;
        let wanted = match self.target {
            SeekTarget::Earliest => range.earliest,
            SeekTarget::Latest => range.latest,
            SeekTarget::Offset(offset) => offset,
            // Between the two answers the log may have lost its beginning: that is no mistake of the operator's.
            SeekTarget::Timestamp(_) => self.found?.unwrap_or(range.latest).max(range.earliest),
        };
        let to = wanted.min(range.latest).max(range.earliest);
        Some((to, to != wanted, range))
    }
}

#[cfg(test)]
mod tests;
