//! When is what committed, and what does the answer mean?
//!
//! One request is out at a time, and the newest snapshot wins: whatever was finished while it was out goes
//! into the next one. An offset and its metadata are one snapshot. A commit is due `commit.interval` after
//! the last one while anything changed, and at once for a revocation, a shutdown, a start that a policy
//! chose, and a caller that waits.
//!
//! A failure that hit every entry is the request's: everything backs off. One that hit some of them, or only
//! such as failed by themselves before, is theirs: only they back off, and the other partitions are committed
//! as if nothing were wrong.
//!
//! # Invariants
//!
//! - I-S1: an entry carries the watermark, the lowest offset that is not finished, and nothing else.
//! - I-S2: entries of an assignment never go back.
//! - I-S3: entries are built from living assignments in the turn in which they are handed over; results of
//!   ended ones change nothing.
//! - B18 to B23: errors never change an assignment; what was not committed stays dirty.
//!
//! What follows for delivery when commits keep failing is decided in `trust`, who is told of a success in
//! `awaited`. If outputs go with them, a commit is a transaction (`transactions`), and fails for all or for none.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, Committed};
use super::awaited::Awaited;
use super::effect::{CommitEntry, Effect, Notice};
use super::event::Event;
use super::ids::{Assignment, CommitId, Moment, OutputsId, PartitionId};
use super::input::CommitError;
use super::metadata::{self, Header};
use super::outputs::OutputSet;
use super::timers::Timer;
use crate::mutant;

/// Back-off after failed commits, doubling, with jitter.
const BACKOFF: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// How long after the session timeout an unanswered request is given up; the client answers before that.
const ANSWER_SLACK: Duration = Duration::from_secs(15);

/// What one entry of the outstanding request would mean if it succeeds.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) assignment: Assignment,
    pub(super) partition: PartitionId,
    pub(super) committed: Committed,
}

/// The request that is out.
#[derive(Debug)]
pub(super) struct Outstanding {
    pub(super) id: CommitId,
    pub(super) entries: Vec<Sent>,
    /// What is written with it.
    pub(super) outputs: BTreeMap<OutputsId, OutputSet>,
    pub(super) sent_at: Moment,
    give_up_at: Moment,
    /// Its success proves our membership.
    pub(super) probe: bool,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Commits {
    pub(super) outstanding: Option<Outstanding>,
    next_id: u64,
    /// Assignments whose snapshot differs from the last one sent, or whose last one failed.
    pub(super) dirty: BTreeSet<Assignment>,
    /// Commit without waiting for the interval.
    pub(super) hurry: bool,
    /// Back-off: nothing is sent before this.
    pub(super) not_before: Moment,
    pub(super) last_sent: Option<Moment>,
    pub(super) tries: u32,
    pub(super) failing: bool,
    pub(super) last_success: Option<Moment>,
    pub(super) awaited: Awaited,
}

impl Commits {
    /// Whether the request that is out speaks of an assignment.
    pub(super) fn is_out(&self, id: Assignment) -> bool {
        let sent = |outstanding: &Outstanding| {
            outstanding.entries.iter().any(|sent| sent.assignment == id)
        };
        self.outstanding.as_ref().is_some_and(sent)
    }

    /// The request that is out.
    pub(super) fn request_out(&self) -> Option<CommitId> {
        self.outstanding.as_ref().map(|outstanding| outstanding.id)
    }

    /// What is out under this name: it is answered.
    pub(super) fn take_out(&mut self, request: CommitId) -> Option<Outstanding> {
        self.outstanding
            .take_if(|outstanding| outstanding.id == request)
    }
}

impl Core {
    pub(super) fn mark_dirty(&mut self, id: Assignment) {
        if !self.assignments.contains_key(&id) || !self.commits.dirty.insert(id) {
            return;
        }
        self.uncommitted(id);
        let due = self
            .commits
            .last_sent
            .map_or(self.now, |sent| sent.plus(self.settings.commit_interval));
        self.timers
            .at(due.max(self.commits.not_before), Timer::Commit);
    }

    /// Whether something of an assignment was finished and is not known to be committed.
    pub(super) fn is_uncommitted(&self, id: Assignment) -> bool {
        self.commits.is_out(id) || self.commits.dirty.contains(&id)
    }

    /// Ends the back-off of these: there will be no later chance.
    pub(super) fn commit_without_backoff(&mut self, ids: &[Assignment]) {
        self.commits.not_before = self.now;
        for id in ids {
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.commit_not_before = self.now;
            }
        }
    }

    pub(super) fn commit_if_due(&mut self) {
        let now = self.now;
        if let Some(outstanding) = &self.commits.outstanding {
            if outstanding.give_up_at > now {
                return;
            }
            if self.is_transactional() {
                self.transaction_is_late();
            } else {
                self.commit_is_lost();
            }
        }
        self.answer_what_is_committed();
        if self.is_transactional() && !self.transactions.producer.is_ready() {
            return;
        }
        // An offer would succeed whoever owns the partition by now.
        let doubtful = self.trust.is_doubtful() && !self.applications_keep_positions();
        let probing = doubtful || self.transactions.are_failing();
        if self.commits.dirty.is_empty() && !probing {
            self.commits.hurry = false;
            return self.end_closing_streams();
        }
        let due = self.commit_due(probing);
        if due > now {
            self.timers.at(due, Timer::Commit);
            return;
        }
        self.send_commit(probing);
    }

    /// When the next request may go.
    fn commit_due(&self, probing: bool) -> Moment {
        let hurried = self.commits.hurry
            || probing
            || self.commits.awaited.is_anyone_waiting()
            || self.group.hurries_commit()
            || self
                .shutdown
                .as_ref()
                .is_some_and(super::Shutdown::hurries_commit);
        let interval = match self.commits.last_sent {
            Some(sent) if !hurried => sent.plus(self.settings.commit_interval),
            Some(_) | None => self.now,
        };
        let due = interval.max(self.commits.not_before);
        if probing || due > self.now {
            return due;
        }
        let of_entry = |id: &Assignment| {
            self.assignments
                .get(id)
                .map(|assignment| assignment.commit_not_before)
        };
        self.commits
            .dirty
            .iter()
            .filter_map(of_entry)
            .min()
            .map_or(due, |first| first.max(due))
    }

    fn send_commit(&mut self, probe: bool) {
        let now = self.now;
        let may_go = |assignment: &&AssignmentState| assignment.commit_not_before <= now;
        let ids: Vec<Assignment> = if probe {
            self.assignments
                .values()
                .filter(|assignment| assignment.has_position())
                .map(|assignment| assignment.id)
                .collect()
        } else {
            self.commits
                .dirty
                .iter()
                .filter_map(|id| self.assignments.get(id))
                .filter(may_go)
                .map(|assignment| assignment.id)
                .collect()
        };
        if self.is_transactional() {
            return self.send_transaction(&ids, probe);
        }
        let (entries, sent) = self.snapshots(&ids, probe);
        self.commits.hurry = false;
        if entries.is_empty() {
            // Everything is committed as it is: whoever waits is answered by that.
            self.answer_what_is_committed();
            return self.end_closing_streams();
        }
        let request = self.request_goes_out(&ids, sent, BTreeMap::new(), probe);
        self.effects.push(Effect::Commit { request, entries });
    }

    /// One request is out from now on. Returns its name.
    pub(super) fn request_goes_out(
        &mut self,
        ids: &[Assignment],
        entries: Vec<Sent>,
        outputs: BTreeMap<OutputsId, OutputSet>,
        probe: bool,
    ) -> CommitId {
        let now = self.now;
        self.commits.next_id += 1;
        let id = CommitId(self.commits.next_id);
        self.commits.awaited.request_built(id, ids);
        let give_up_at = now.plus(self.settings.session_timeout).plus(ANSWER_SLACK);
        self.commits.outstanding = Some(Outstanding {
            id,
            entries,
            outputs,
            sent_at: now,
            give_up_at,
            probe,
        });
        self.commits.last_sent = Some(now);
        self.timers.at(give_up_at, Timer::Commit);
        id
    }

    /// What is to be sent of these assignments, which are clean then.
    fn snapshots(&mut self, ids: &[Assignment], probe: bool) -> (Vec<CommitEntry>, Vec<Sent>) {
        let now = self.now;
        let mut entries = Vec::new();
        let mut sent = Vec::new();
        for id in ids {
            self.commits.dirty.remove(id);
            let Some((entry, committed)) = self.snapshot(*id) else {
                continue;
            };
            let Some(assignment) = self.assignments.get_mut(id) else {
                continue;
            };
            // What was not allowed is sent again unchanged: only a success says that it is allowed now.
            if let Some(before) = &mut assignment.committed
                && before.says_the_same(&committed)
                && !probe
                && !assignment.unauthorized
            {
                before.marks_kept = committed.marks_kept;
                self.committed_until(*id, now);
                continue;
            }
            sent.push(Sent {
                assignment: *id,
                partition: entry.partition,
                committed,
            });
            entries.push(entry);
        }
        (entries, sent)
    }

    /// Offset and metadata of one assignment, as they are now. Says so if there was no room for all of it.
    fn snapshot(&mut self, id: Assignment) -> Option<(CommitEntry, Committed)> {
        let built = self.build(id)?;
        let assignment = self.assignments.get(&id)?;
        let wanted = self.settings.commit_metadata && assignment.metadata_refused == 0;
        if wanted && !built.1.marks_kept {
            let partition = assignment.partition;
            self.counters.marks_dropped += 1;
            self.report(Event::MarksDropped { partition });
        }
        Some(built)
    }

    /// The same, without a word.
    pub(super) fn build(&self, id: Assignment) -> Option<(CommitEntry, Committed)> {
        let assignment = self.assignments.get(&id)?;
        let partition = assignment.partition;
        let marks = assignment.marks();
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
        let text = if assignment.metadata_refused > 1 {
            String::new()
        } else {
            encoded.text
        };
        let entry_epoch = assignment.window.watermark_epoch();
        let entry = CommitEntry {
            partition,
            assignment: id,
            offset,
            leader_epoch: entry_epoch,
            metadata: text.clone(),
        };
        let committed = Committed {
            offset,
            marks_kept,
            leader_epoch: entry_epoch,
            metadata: text,
        };
        Some((entry, committed))
    }

    pub(super) fn commit_done(
        &mut self,
        request: CommitId,
        results: Vec<(Assignment, Result<(), CommitError>)>,
    ) {
        let Some(outstanding) = self.commits.take_out(request) else {
            return;
        };
        let mut results: BTreeMap<Assignment, Result<(), CommitError>> =
            results.into_iter().collect();
        let mut failed = BTreeSet::new();
        let failed_before = |sent: &Sent| {
            let state = self.assignments.get(&sent.assignment);
            state.is_none_or(|state| state.commit_tries > 0)
        };
        let mut of_request = !outstanding.entries.iter().all(failed_before);
        let entries = outstanding.entries.len();
        for sent in outstanding.entries {
            let unanswered = || Err(CommitError::Transient("no answer".to_owned()));
            match results.remove(&sent.assignment).unwrap_or_else(unanswered) {
                Ok(()) => self.committed(sent, outstanding.sent_at),
                Err(error) => {
                    failed.insert(sent.assignment);
                    of_request &= error.is_of_request();
                    self.commit_failed(&sent, error);
                }
            }
        }
        let all_failed = failed.len() == entries;
        if all_failed && (of_request || outstanding.probe) {
            self.back_off();
        } else {
            self.commits.tries = 0;
            self.commits.not_before = self.now;
            self.back_off_each(&failed);
        }
        if !all_failed && outstanding.probe {
            self.membership_is_certain();
        }
        if failed.is_empty() {
            self.counters.commits += 1;
            self.tell_recovered();
        }
        self.request_ended(request, &failed);
    }

    pub(super) fn tell_recovered(&mut self) {
        if std::mem::take(&mut self.commits.failing) {
            self.report(Event::CommitRecovered);
        }
    }

    pub(super) fn committed(&mut self, sent: Sent, sent_at: Moment) {
        self.committed_until(sent.assignment, sent_at);
        let Some(assignment) = self.assignments.get_mut(&sent.assignment) else {
            return;
        };
        assignment.unauthorized = false;
        assignment.commit_error = None;
        assignment.commit_tries = 0;
        let offset = sent.committed.offset;
        let before = assignment.committed.as_ref();
        let moved = before.is_none_or(|before| before.offset != offset);
        let changed = before.is_none_or(|before| !before.says_the_same(&sent.committed));
        let partition = assignment.partition;
        assignment.committed = Some(sent.committed);
        self.commits.last_success = Some(self.now);
        let offered = self.offered(sent.assignment).map(Box::new);
        if moved || (changed && offered.is_some()) {
            self.notify(&Notice::Committed {
                partition,
                assignment: sent.assignment,
                offset,
                offered,
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
            CommitError::NotMember(_) | CommitError::Transient(_) | CommitError::Claimed(_) => {}
        }
        assignment.commit_error = Some(error.words().to_owned());
        let partition = assignment.partition;
        let claimed =
            matches!(error, CommitError::Claimed(_)) && !mutant::planted("claim-overtaken");
        self.report(Event::CommitFailed {
            partition,
            offset: sent.committed.offset,
            error,
        });
        if claimed {
            self.claim_overtaken(sent.assignment);
        }
    }

    /// The request failed whole: nothing is sent for a while.
    pub(super) fn back_off(&mut self) {
        let wait = self.backoff(self.commits.tries);
        self.commits.tries += 1;
        self.commits.not_before = self.now.plus(wait);
        self.timers.at(self.commits.not_before, Timer::Commit);
    }

    /// These failed while others did not: only they wait.
    fn back_off_each(&mut self, failed: &BTreeSet<Assignment>) {
        for id in failed {
            let Some(tries) = self.assignments.get(id).map(|state| state.commit_tries) else {
                continue;
            };
            let until = self.now.plus(self.backoff(tries));
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.commit_tries += 1;
                assignment.commit_not_before = until;
            }
            self.timers.at(until, Timer::Commit);
        }
    }

    fn backoff(&mut self, tries: u32) -> Duration {
        let wait = (BACKOFF * 2u32.pow(tries.min(6))).min(BACKOFF_MAX);
        wait.mul_f64(0.5 + self.random.fraction() / 2.0)
    }

    /// The request will not be answered any more: whether it was applied is unknown, so it stays due.
    pub(super) fn commit_is_lost(&mut self) {
        if self.is_transactional() {
            // It goes on, and is answered (T2).
            if let Some(request) = self.commits.request_out() {
                self.commits.awaited.request_lost(request);
            }
            return;
        }
        let Some(outstanding) = self.commits.outstanding.take() else {
            return;
        };
        for sent in &outstanding.entries {
            self.mark_dirty(sent.assignment);
        }
        self.commits.awaited.request_lost(outstanding.id);
    }
}

#[cfg(test)]
mod tests;
