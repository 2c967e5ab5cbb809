//! When is what committed, and what does the answer mean?
//!
//! One request is out at a time, and the newest snapshot wins: whatever was finished while it was out goes
//! into the next one. An offset and its metadata are one snapshot. A commit is due `commit.interval` after
//! the last one while anything changed, and at once for a revocation, a shutdown, a start that a policy
//! chose, and a caller that waits.
//!
//! # Invariants
//!
//! - I-S1: an entry carries the watermark, the lowest offset that is not finished, and nothing else.
//! - I-S2: entries of an assignment never go back.
//! - I-S3: entries are built from living assignments in the turn in which they are handed over; results of
//!   ended ones change nothing.
//! - B18 to B23: errors never change an assignment; what was not committed stays dirty.
//! - I-S8: a waiting caller is told "committed" only by a success of a request built after its settlement
//!   that covers it, by offset or by marks.
//! - B26: without a success for `commit.staleness_max` nothing new is delivered.
//! - B15: after a clock jump nothing is delivered until one commit of the unchanged state succeeds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Core;
use super::assignment::Committed;
use super::effect::{CommitEntry, Effect, Event, Notice, StreamEnd};
use super::ids::{Assignment, CommitId, Moment, StreamId, WaitId};
use super::input::CommitError;
use super::metadata::{self, Header};
use super::timers::Timer;
use crate::mutant;

/// Back-off after failed commits, doubling, with jitter.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long after the session timeout an unanswered request is given up; the client answers before that.
const ANSWER_SLACK: Duration = Duration::from_secs(15);

/// A caller that waits until what it acknowledged is committed.
#[derive(Debug)]
pub(super) struct Wait {
    pub(super) id: WaitId,
    /// Highest offset acknowledged, per assignment.
    pub(super) needs: BTreeMap<Assignment, i64>,
    /// Something it named was refused, so the answer is no whatever is committed.
    pub(super) in_vain: bool,
}

/// A closing stream that waits for one commit.
#[derive(Debug)]
pub(super) struct Closing {
    pub(super) stream: StreamId,
    /// The request that was built after it began to wait.
    pub(super) built_after: Option<CommitId>,
}

/// What one entry of the outstanding request would mean if it succeeds.
#[derive(Debug)]
struct Sent {
    assignment: Assignment,
    committed: Committed,
}

/// The request that is out.
#[derive(Debug)]
pub(super) struct Outstanding {
    id: CommitId,
    entries: Vec<Sent>,
    waits: Vec<Wait>,
    give_up_at: Moment,
    /// Its success proves our membership.
    probe: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Commits {
    pub(super) outstanding: Option<Outstanding>,
    next_id: u64,
    /// Commit without waiting for the interval.
    pub(super) hurry: bool,
    /// Back-off: nothing is sent before this.
    pub(super) not_before: Moment,
    last_sent: Option<Moment>,
    tries: u32,
    waits: Vec<Wait>,
    pub(super) closing: Vec<Closing>,
    /// Since when something is uncommitted.
    dirty_since: Option<Moment>,
    /// Nothing was committed for too long.
    pub(super) stale: bool,
    failing: bool,
    pub(super) last_success: Option<Moment>,
    /// Since when our membership is in doubt.
    pub(super) doubt: Option<Moment>,
}

impl Core {
    /// Whether settlements may be answered now. While membership is in doubt an answer could promise what
    /// the next rebalance event takes back.
    #[must_use]
    pub fn confirms(&self) -> bool {
        self.commits.doubt.is_none()
    }

    pub(super) fn mark_dirty(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        if assignment.dirty {
            return;
        }
        assignment.dirty = true;
        self.commits.dirty_since.get_or_insert(self.now);
        let due = self
            .commits
            .last_sent
            .map_or(self.now, |sent| sent.plus(self.settings.commit_interval));
        self.timers
            .at(due.max(self.commits.not_before), Timer::Commit);
        self.timers.at(
            self.now.plus(self.settings.commit_staleness_max),
            Timer::Commit,
        );
    }

    /// Whether something of an assignment was finished and is not known to be committed.
    pub(super) fn is_uncommitted(&self, id: Assignment) -> bool {
        let sent = |outstanding: &Outstanding| {
            outstanding.entries.iter().any(|sent| sent.assignment == id)
        };
        self.commits.outstanding.as_ref().is_some_and(sent)
            || self
                .assignments
                .get(&id)
                .is_some_and(|assignment| assignment.dirty)
    }

    pub(super) fn await_commit(&mut self, wait: Wait) {
        self.commits.waits.push(wait);
    }

    /// B15: we may have been asleep for longer than the group waits.
    pub(super) fn doubt_membership(&mut self) {
        if self.commits.doubt.is_none()
            && self
                .assignments
                .values()
                .any(|assignment| assignment.has_position())
        {
            self.commits.doubt = Some(self.now);
            // Whoever noticed may not be at the end of a turn, where commits are sent.
            self.timers.at(self.now, Timer::Commit);
            self.report(Event::MembershipDoubtful);
        }
    }

    /// A rebalance event says what we are.
    pub(super) fn membership_is_certain(&mut self) {
        if self.commits.doubt.take().is_some() {
            self.report(Event::MembershipConfirmed);
        }
    }

    pub(super) fn commit_if_due(&mut self) {
        let now = self.now;
        self.look_at_staleness();
        if let Some(outstanding) = &self.commits.outstanding {
            if outstanding.give_up_at > now {
                return;
            }
            self.commit_is_lost();
        }
        let probing = self.commits.doubt.is_some();
        let dirty = self
            .assignments
            .values()
            .any(|assignment| assignment.dirty && assignment.has_position());
        if !dirty && !probing {
            self.commits.hurry = false;
            return self.nothing_to_commit();
        }
        let hurried = self.commits.hurry
            || probing
            || !self.commits.waits.is_empty()
            || !self.commits.closing.is_empty()
            || self.group.hurries_commit()
            || self
                .shutdown
                .as_ref()
                .is_some_and(super::Shutdown::hurries_commit);
        let interval = self
            .commits
            .last_sent
            .map_or(now, |sent| sent.plus(self.settings.commit_interval));
        let due = if hurried {
            self.commits.not_before
        } else {
            interval.max(self.commits.not_before)
        };
        if due > now {
            self.timers.at(due, Timer::Commit);
            return;
        }
        self.send_commit(probing);
    }

    /// Everything is committed as it is: whoever waits is answered by that.
    fn nothing_to_commit(&mut self) {
        // What was not committed may have left with its partition: then nothing is held up any more.
        self.commits.dirty_since = None;
        if std::mem::take(&mut self.commits.stale) {
            self.report(Event::CommitRecovered);
        }
        for wait in std::mem::take(&mut self.commits.waits) {
            self.answer_wait(wait, &BTreeSet::new());
        }
        for closing in std::mem::take(&mut self.commits.closing) {
            self.end_stream(closing.stream, StreamEnd::Closed);
        }
    }

    fn send_commit(&mut self, probe: bool) {
        let now = self.now;
        let mut entries = Vec::new();
        let mut sent = Vec::new();
        let ids: Vec<Assignment> = self
            .assignments
            .values()
            .filter(|assignment| (assignment.dirty || probe) && assignment.has_position())
            .map(|assignment| assignment.id)
            .collect();
        for id in ids {
            let Some((entry, committed)) = self.snapshot(id) else {
                continue;
            };
            let Some(assignment) = self.assignments.get_mut(&id) else {
                continue;
            };
            assignment.dirty = false;
            // What was not allowed is sent again unchanged: only a success says that it is allowed now.
            if let Some(before) = &mut assignment.committed
                && before.says_the_same(&committed)
                && !probe
                && !assignment.unauthorized
            {
                before.marks_kept = committed.marks_kept;
                continue;
            }
            entries.push(entry);
            sent.push(Sent {
                assignment: id,
                committed,
            });
        }
        self.commits.hurry = false;
        if entries.is_empty() {
            return self.nothing_to_commit();
        }
        self.commits.next_id += 1;
        let id = CommitId(self.commits.next_id);
        for closing in &mut self.commits.closing {
            closing.built_after.get_or_insert(id);
        }
        let give_up_at = now.plus(self.settings.session_timeout).plus(ANSWER_SLACK);
        let waits = std::mem::take(&mut self.commits.waits);
        self.commits.outstanding = Some(Outstanding {
            id,
            entries: sent,
            waits,
            give_up_at,
            probe,
        });
        self.commits.last_sent = Some(now);
        self.timers.at(give_up_at, Timer::Commit);
        self.effects.push(Effect::Commit {
            request: id,
            entries,
        });
    }

    /// Offset and metadata of one assignment, as they are now.
    fn snapshot(&mut self, id: Assignment) -> Option<(CommitEntry, Committed)> {
        let assignment = self.assignments.get(&id)?;
        let partition = assignment.partition;
        let marks = assignment.window.marks();
        let offset = match &marks {
            _ if mutant::planted("M1") => assignment.window.frontier().0,
            Some(marks) if mutant::planted("M16") => marks.finished.end().unwrap_or(0),
            Some(_) | None => assignment.window.watermark().0,
        };
        let wanted = marks
            .as_ref()
            .filter(|_| self.settings.commit_metadata && assignment.metadata_refused == 0);
        let header = Header {
            cluster: self.cluster.clone(),
            topic: assignment.topic_id,
            identity_hash: self.identity_hash(partition),
            base_offset: offset,
            partition_count: self.topics[usize::from(partition.topic.0)].partitions(),
        };
        let encoded = metadata::encode(&header, wanted, self.settings.commit_metadata_max);
        let marks_kept = marks.is_none() || (wanted.is_some() && encoded.marks_kept);
        let dropped = wanted.is_some() && !encoded.marks_kept;
        let text = if assignment.metadata_refused > 1 {
            String::new()
        } else {
            encoded.text
        };
        let entry = CommitEntry {
            partition,
            assignment: id,
            offset,
            leader_epoch: assignment.window.watermark_epoch(),
            metadata: text.clone(),
        };
        if dropped {
            self.counters.marks_dropped += 1;
            self.report(Event::MarksDropped { partition });
        }
        Some((
            entry,
            Committed {
                offset,
                marks_kept,
                metadata: text,
            },
        ))
    }

    pub(super) fn commit_done(
        &mut self,
        request: CommitId,
        results: Vec<(Assignment, Result<(), CommitError>)>,
    ) {
        if self
            .commits
            .outstanding
            .as_ref()
            .is_none_or(|outstanding| outstanding.id != request)
        {
            return;
        }
        let Some(outstanding) = self.commits.outstanding.take() else {
            return;
        };
        let mut results: BTreeMap<Assignment, Result<(), CommitError>> =
            results.into_iter().collect();
        let mut failed = BTreeSet::new();
        for sent in outstanding.entries {
            let unanswered = || Err(CommitError::Transient("no answer".to_owned()));
            match results.remove(&sent.assignment).unwrap_or_else(unanswered) {
                Ok(()) => self.committed(sent),
                Err(error) => {
                    failed.insert(sent.assignment);
                    self.commit_failed(&sent, error);
                }
            }
        }
        if failed.is_empty() {
            self.all_committed(outstanding.probe);
        } else {
            self.back_off();
        }
        for wait in outstanding.waits {
            self.answer_wait(wait, &failed);
        }
        let (ended, waiting) = std::mem::take(&mut self.commits.closing)
            .into_iter()
            .partition(|closing| closing.built_after == Some(request));
        self.commits.closing = waiting;
        let ended: Vec<Closing> = ended;
        for closing in ended {
            self.end_stream(closing.stream, StreamEnd::Closed);
        }
    }

    fn committed(&mut self, sent: Sent) {
        let Some(assignment) = self.assignments.get_mut(&sent.assignment) else {
            return;
        };
        assignment.unauthorized = false;
        let offset = sent.committed.offset;
        let moved = assignment
            .committed
            .as_ref()
            .is_none_or(|committed| committed.offset != offset);
        let partition = assignment.partition;
        assignment.committed = Some(sent.committed);
        self.commits.last_success = Some(self.now);
        if moved {
            self.notify(&Notice::Committed {
                partition,
                assignment: sent.assignment,
                offset,
            });
        }
    }

    fn commit_failed(&mut self, sent: &Sent, error: CommitError) {
        self.counters.commits_failed += 1;
        self.commits.failing = true;
        if !(mutant::planted("M13") && matches!(error, CommitError::NotMember(_))) {
            self.mark_dirty(sent.assignment);
        }
        let Some(assignment) = self.assignments.get_mut(&sent.assignment) else {
            return;
        };
        match &error {
            CommitError::MetadataTooLarge => {
                assignment.metadata_refused = (assignment.metadata_refused + 1).min(2);
            }
            CommitError::Unauthorized(_) => assignment.unauthorized = true,
            CommitError::NotMember(_) | CommitError::Transient(_) => {}
        }
        let partition = assignment.partition;
        self.report(Event::CommitFailed {
            partition,
            offset: sent.committed.offset,
            error,
        });
    }

    fn back_off(&mut self) {
        let wait = (BACKOFF * 2u32.pow(self.commits.tries.min(6))).min(BACKOFF_MAX);
        let jitter = 0.5 + self.random.fraction() / 2.0;
        self.commits.tries += 1;
        self.commits.not_before = self.now.plus(wait.mul_f64(jitter));
        self.timers.at(self.commits.not_before, Timer::Commit);
    }

    fn all_committed(&mut self, probe: bool) {
        let now = self.now;
        self.counters.commits += 1;
        self.commits.tries = 0;
        self.commits.not_before = now;
        let dirty = self.assignments.values().any(|assignment| assignment.dirty);
        self.commits.dirty_since = dirty.then_some(now);
        let was_stale = std::mem::take(&mut self.commits.stale);
        if std::mem::take(&mut self.commits.failing) || was_stale {
            self.report(Event::CommitRecovered);
        }
        if probe {
            self.membership_is_certain();
        }
    }

    /// The request will not be answered any more: whether it was applied is unknown, so it stays due.
    pub(super) fn commit_is_lost(&mut self) {
        let Some(outstanding) = self.commits.outstanding.take() else {
            return;
        };
        for sent in &outstanding.entries {
            self.mark_dirty(sent.assignment);
        }
        for wait in outstanding.waits {
            self.effects.push(Effect::CommitAwaited {
                wait: wait.id,
                committed: false,
            });
        }
        for closing in &mut self.commits.closing {
            closing.built_after = None;
        }
    }

    /// Answers a caller once a commit that was built after its acknowledgements ended. `failed` are the
    /// assignments of which that commit failed: only an older one may cover them, by its offset.
    fn answer_wait(&mut self, wait: Wait, failed: &BTreeSet<Assignment>) {
        let covered = |(id, offset): (&Assignment, &i64)| {
            let committed = self
                .assignments
                .get(id)
                .and_then(|assignment| assignment.committed.as_ref());
            committed.is_some_and(|committed| {
                committed.offset > *offset || (committed.marks_kept && !failed.contains(id))
            })
        };
        let committed = !wait.in_vain && wait.needs.iter().all(covered);
        self.effects.push(Effect::CommitAwaited {
            wait: wait.id,
            committed,
        });
    }

    fn look_at_staleness(&mut self) {
        let Some(since) = self.commits.dirty_since else {
            return;
        };
        let stale = since.plus(self.settings.commit_staleness_max) <= self.now;
        if stale && !self.commits.stale {
            self.commits.stale = true;
            self.report(Event::CommitsStale);
        }
    }
}

#[cfg(test)]
mod tests;
