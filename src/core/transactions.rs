//! What is written and committed together?
//!
//! With `processing: transactional` a commit is a transaction: it carries the snapshots of all partitions that changed, as
//! any commit does, and what applications returned for the records that they cover. Either all of it becomes visible, or
//! nothing. One is out at a time; what is acknowledged meanwhile waits for the next.
//!
//! ```text
//!  acknowledged ──► outputs wait ──► Transact ──┬── committed ──► forgotten
//!                                               ├── aborted ────► replay
//!                                               └── not known ──► next producer ──► replay
//! ```
//!
//! # Invariants
//!
//! - T1 (I-E1, I-E2): a transaction carries the outputs of exactly those records that its snapshots cover and that no
//!   earlier one has covered. A partition whose marks do not fit is left out, and with it whoever shares outputs with it.
//!   If it waits for a record that is not delivered, since too many outputs are held, it begins again.
//! - T2: one transaction is out at a time, whatever becomes of its partitions meanwhile.
//! - T3: what it said is believed only of assignments that are still alive.
//! - T4 to T8: `producer` and `replay`.
//! - T9: after some transactions in a row without effect nothing is delivered before one succeeds: all of it would come
//!   again.

mod obstacles;

use std::collections::{BTreeMap, BTreeSet};

use super::Core;
use super::assignment::Committed;
use super::commit::{Outstanding, Sent};
use super::effect::{CommitEntry, Effect};
use super::event::Event;
use super::ids::{Assignment, CommitId, Moment, OutputsId, PartitionId};
use super::outputs::Outputs;
use super::producer::Producer;
use super::replay::Refused;
use crate::mutant;

/// So many transactions in a row without effect stop deliveries.
const FAILURES_MAX: u32 = 3;

/// How a transaction ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TransactionEnd {
    /// Everything in it is visible.
    Committed,
    /// Nothing of it is, and nothing will be. Its producer may make the next one.
    Aborted(Abort),
    /// One of the two. Its producer must not make another one.
    Unknown(String),
    /// The same, because another process took the producer's name over.
    Fenced(String),
}

/// Why a transaction was aborted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abort {
    /// Topics do not take these, however often they are written: why.
    Refused(Vec<(OutputsId, String)>),
    /// The group does not know us, or our generation. Only rebalance events decide about assignments.
    NotMember(String),
    /// The broker's limit on metadata is below what was sent.
    MetadataTooLarge,
    /// Refused for lack of permission.
    Unauthorized(String),
    /// Anything else; worth trying again.
    Transient(String),
}

impl Abort {
    fn words(&self) -> String {
        match self {
            Self::Refused(refused) => match refused.first() {
                Some((_, words)) => format!("an output was refused: {words}"),
                None => "an output was refused".to_owned(),
            },
            Self::NotMember(words) | Self::Unauthorized(words) | Self::Transient(words) => {
                words.clone()
            }
            Self::MetadataTooLarge => "the metadata is larger than the broker allows".to_owned(),
        }
    }
}

/// How transactions stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransactionStatus {
    /// The producer may make transactions.
    pub ready: bool,
    /// Why it may not, if that is known.
    pub error: Option<String>,
    /// Another process took its name over.
    pub fenced: bool,
    /// Nothing is delivered, since several transactions in a row had no effect.
    pub failing: bool,
    /// Outputs that wait for the next transaction.
    pub waiting_records: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
    /// When one last had no effect, and why.
    pub last_failure: Option<(Moment, String)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Transactions {
    pub(super) outputs: Outputs,
    pub(super) producer: Producer,
    /// They shared outputs with an assignment that ended.
    pub(super) orphans: BTreeSet<Assignment>,
    /// How many in a row had no effect.
    failures: u32,
    last_failure: Option<(Moment, String)>,
}

impl Transactions {
    /// Whether so many had no effect that nothing should be delivered (T9).
    pub(super) fn are_failing(&self) -> bool {
        self.failures >= FAILURES_MAX
    }
}

impl Core {
    /// Whether the transaction that is out may change what is committed of a partition, under whichever assignment.
    pub(super) fn is_in_transaction(&self, partition: PartitionId) -> bool {
        let out = self.commits.outstanding.iter();
        let mut sent = out.flat_map(|out| &out.entries);
        self.is_transactional() && sent.any(|sent| sent.partition == partition)
    }

    pub(super) fn is_transactional(&self) -> bool {
        self.settings.transactions.is_some()
    }

    /// How transactions stand, if there are any.
    pub(super) fn transaction_status(&self) -> Option<TransactionStatus> {
        self.settings.transactions?;
        let Transactions {
            outputs, producer, ..
        } = &self.transactions;
        Some(TransactionStatus {
            ready: producer.is_ready(),
            error: producer.error.clone(),
            fenced: producer.is_fenced(),
            failing: self.transactions.are_failing(),
            waiting_records: outputs.waiting_records(),
            waiting_bytes: outputs.waiting_bytes(),
            last_failure: self.transactions.last_failure.clone(),
        })
    }

    /// Whether what was returned leaves room for more, and transactions have an effect.
    pub(super) fn transactions_let_deliver(&self) -> bool {
        !self.holds_too_many_outputs() && !self.transactions.are_failing()
    }

    /// Whether so much was returned and is not written that there should not be more of it.
    #[must_use]
    pub fn holds_too_many_outputs(&self) -> bool {
        self.settings
            .transactions
            .is_some_and(|limits| self.transactions.outputs.held_bytes() > limits.held_bytes_max())
    }

    /// Sends what these assignments have to commit, and what goes with it (T1).
    pub(super) fn send_transaction(&mut self, ids: &[Assignment], probe: bool) {
        let (mut entries, mut sent) = self.fitting_snapshots(ids, probe);
        if entries.len() > 1
            && (mutant::planted("outputs-uncovered") || mutant::planted("outputs-split"))
        {
            entries.pop();
            sent.pop();
        }
        self.commits.hurry = false;
        if entries.is_empty() {
            if probe {
                // What would show whether they have an effect does not fit: only deliveries can change that.
                self.transactions.failures = 0;
            }
            self.commits.last_sent = Some(self.now);
            self.answer_what_is_committed();
            return self.end_closing_streams();
        }
        let within: BTreeSet<Assignment> = entries.iter().map(|entry| entry.assignment).collect();
        let outputs = self.transactions.outputs.take(|set| {
            set.lies_within(&within)
                || mutant::planted("outputs-uncovered")
                || (mutant::planted("outputs-split") && set.touches(&within))
        });
        self.transactions.outputs.go_out(&outputs);
        for id in &within {
            if let Some(assignment) = self.assignments.get_mut(id) {
                assignment.unproven.go_out();
            }
        }
        let ids: Vec<Assignment> = within.into_iter().collect();
        let names = outputs.keys().copied().collect();
        let request = self.request_goes_out(&ids, sent, outputs, probe);
        self.effects.push(Effect::Transact {
            request,
            entries,
            outputs: names,
        });
    }

    /// Snapshots of those whose marks fit and that share no outputs with one whose do not.
    fn fitting_snapshots(
        &mut self,
        ids: &[Assignment],
        probe: bool,
    ) -> (Vec<CommitEntry>, Vec<Sent>) {
        let built = ids.iter().filter_map(|id| Some((*id, self.build(*id)?)));
        let built: Vec<_> = built.collect();
        let unfit: BTreeSet<Assignment> = built
            .iter()
            .filter(|(_, (_, committed))| !committed.marks_kept)
            .map(|(id, _)| *id)
            .collect();
        self.tell_unfit(ids, &unfit);
        if !unfit.is_empty() && self.holds_too_many_outputs() {
            let reason = "finished records do not fit into commit metadata".to_owned();
            let partitions = self.replay(unfit.clone(), &Refused::new());
            self.report(Event::TransactionAborted { partitions, reason });
        }
        let left_out = self.transactions.outputs.tied(unfit);
        let with_outputs = self.transactions.outputs.awaited_by();
        let now = self.now;
        let mut entries = Vec::new();
        let mut sent = Vec::new();
        for (id, (entry, committed)) in built {
            if left_out.contains(&id) || !self.assignments.contains_key(&id) {
                continue;
            }
            self.commits.dirty.remove(&id);
            let before = self
                .assignments
                .get_mut(&id)
                .and_then(|state| state.committed.as_mut());
            if let Some(before) = before
                && before.says_the_same(&committed)
                && !(probe || with_outputs.contains(&id))
            {
                before.marks_kept = committed.marks_kept;
                self.committed_until(id, now);
                continue;
            }
            sent.push(Sent {
                assignment: id,
                partition: entry.partition,
                committed,
            });
            entries.push(entry);
        }
        (entries, sent)
    }

    /// Says once of each that its marks do not fit.
    fn tell_unfit(&mut self, ids: &[Assignment], unfit: &BTreeSet<Assignment>) {
        for id in ids {
            let Some(state) = self.assignments.get_mut(id) else {
                continue;
            };
            let is_unfit = unfit.contains(id);
            if is_unfit && !state.marks_unfit {
                let partition = state.partition;
                self.counters.marks_dropped += 1;
                self.report(Event::MarksTooLarge { partition });
            }
            if let Some(state) = self.assignments.get_mut(id) {
                state.marks_unfit = is_unfit;
            }
        }
    }

    pub(super) fn transaction_done(&mut self, request: CommitId, end: TransactionEnd) {
        let Some(outstanding) = self.commits.take_out(request) else {
            return;
        };
        self.transactions.outputs.came_back();
        let unknown = matches!(end, TransactionEnd::Unknown(_) | TransactionEnd::Fenced(_));
        if end == TransactionEnd::Committed || (unknown && mutant::planted("unknown-is-committed"))
        {
            self.transaction_committed(outstanding);
        } else {
            self.transaction_failed(outstanding, end);
        }
        if self.transactions.producer.is_ready() {
            self.read_settled();
        }
        self.conclude_seeks_that_waited();
    }

    fn transaction_committed(&mut self, outstanding: Outstanding) {
        self.counters.transactions_committed += 1;
        self.counters.commits += 1;
        self.transactions.failures = 0;
        for (_, set) in outstanding.outputs {
            match set.letter {
                Some(cause) => self.letter_written(&set.of, cause),
                None => self.counters.outputs_written += set.records,
            }
        }
        for sent in outstanding.entries {
            if let Some(assignment) = self.assignments.get_mut(&sent.assignment) {
                assignment.unproven.proven();
            }
            self.committed(sent, outstanding.sent_at);
        }
        self.commits.tries = 0;
        self.commits.not_before = self.now;
        self.tell_recovered();
        if outstanding.probe {
            self.membership_is_certain();
        }
        self.request_ended(outstanding.id, &BTreeSet::new());
    }

    /// A dead letter is where it belongs.
    fn letter_written(&mut self, of: &BTreeMap<Assignment, Vec<i64>>, cause: super::effect::Cause) {
        self.counters.dead_lettered += 1;
        for (id, offsets) in of {
            let Some(partition) = self.assignments.get(id).map(|state| state.partition) else {
                continue;
            };
            for offset in offsets {
                self.report(Event::DeadLettered {
                    partition,
                    offset: *offset,
                    cause,
                });
            }
        }
    }

    /// It had no effect, or none that we know of: what was in it begins again.
    fn transaction_failed(&mut self, outstanding: Outstanding, end: TransactionEnd) {
        let ids: BTreeSet<Assignment> = outstanding
            .entries
            .iter()
            .map(|sent| sent.assignment)
            .collect();
        self.counters.commits_failed += outstanding.entries.len() as u64;
        let mut refused = Refused::new();
        let mut of_request = true;
        let (known, reason) = match end {
            TransactionEnd::Committed => return,
            TransactionEnd::Aborted(abort) => {
                let words = abort.words();
                match abort {
                    Abort::Refused(sets) => {
                        refused = self.refused_records(&outstanding.outputs, sets);
                        of_request = refused.is_empty();
                    }
                    Abort::MetadataTooLarge => self.limit_metadata(&outstanding),
                    Abort::NotMember(_) | Abort::Unauthorized(_) | Abort::Transient(_) => {}
                }
                (true, words)
            }
            TransactionEnd::Unknown(words) => {
                if !mutant::planted("unknown-is-aborted") {
                    self.renew_producer();
                }
                (false, words)
            }
            TransactionEnd::Fenced(words) => {
                self.producer_was_fenced(words.clone());
                (false, words)
            }
        };
        self.transactions.last_failure = Some((self.now, reason.clone()));
        // Commits fail until one succeeds; what is refused of records says nothing of the others.
        self.commits.failing = true;
        if of_request {
            self.back_off();
            self.transactions.failures += 1;
        }
        let partitions = self.replay(ids, &refused);
        if known {
            self.counters.transactions_aborted += 1;
            self.report(Event::TransactionAborted { partitions, reason });
        } else {
            self.counters.transactions_unknown += 1;
            self.report(Event::TransactionUnknown { partitions, reason });
        }
        let failed = outstanding.entries.iter().map(|sent| sent.assignment);
        self.request_ended(outstanding.id, &failed.collect());
    }

    /// The broker takes less than we believed; how much less, it does not say. But no less than it once took: marks of that
    /// length are committed, and nothing of their partition could be before they are behind it.
    fn limit_metadata(&mut self, outstanding: &Outstanding) {
        let length = |committed: &Committed| committed.metadata.len();
        let refused = outstanding.entries.iter();
        let longest = refused.map(|sent| length(&sent.committed)).max();
        let longest = longest.unwrap_or(0);
        let known = self.assignments.values();
        let known = known.filter_map(|state| state.committed.as_ref());
        let taken = known.map(length).filter(|length| *length < longest).max();
        let characters = (longest / 4 * 3).max(taken.unwrap_or(0));
        if characters < self.settings.commit_metadata_max {
            self.settings.commit_metadata_max = characters;
            self.report(Event::MetadataLimited { characters });
        }
    }

    /// Nobody says how it ended. The edge answers before that.
    pub(super) fn transaction_is_late(&mut self) {
        if let Some(request) = self.commits.request_out() {
            let end = TransactionEnd::Unknown("no answer".to_owned());
            self.transaction_done(request, end);
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
