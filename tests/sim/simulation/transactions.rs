//! Transactions at the brokers: who may make them, which are open, and what has become visible.
//!
//! The transactional id is the member. Making a producer raises its epoch and settles what an earlier one left open. What
//! a transaction writes is seen by nobody before it ends, and neither are its positions; who asks for those meanwhile is
//! told to ask again.

use std::collections::BTreeMap;
use std::time::Duration;

use ackline::core::{
    Abort, CommitEntry, CommitId, Input, Moment, NewOutputs, Outcome, OutputsId, PartitionId,
    ProducerAsk, ProducerError, RecordNumber, SettleRequest, TransactionEnd,
};

use super::group::MemberName;
use super::log::Uid;
use super::world::{Happening, What, World};

/// `transaction.timeout.ms`
const TIMEOUT: Duration = Duration::from_secs(10);

/// What an application returned for one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) uid: Uid,
    /// Its topic does not take it while there is trouble.
    pub(crate) poison: bool,
    /// It is the record's dead letter.
    pub(crate) letter: bool,
}

/// What a transaction finishes: a record, and whether something goes out with it.
pub(crate) type Covers = Vec<(Uid, bool)>;

/// A transaction, on its way or open.
#[derive(Debug)]
pub(crate) struct Transaction {
    number: u64,
    member: usize,
    life: u32,
    epoch: u32,
    request: CommitId,
    /// KIP-447: who it says it is in the group.
    name: Option<MemberName>,
    generation: i32,
    pub(crate) entries: Vec<CommitEntry>,
    pub(crate) outputs: Vec<(OutputsId, Vec<Output>)>,
    pub(crate) covers: Covers,
    expires: Moment,
    /// The producer has given it up before it arrived.
    given_up: bool,
}

/// What becomes of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It ends well.
    Fine,
    /// A broker does not take part of it.
    Aborted,
    /// Its end gets lost, and the producer gives up.
    EndLost,
    /// It ends, but the answer gets lost.
    AnswerLost,
    /// The producer gives up before the end arrives.
    EndLate,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    epochs: BTreeMap<usize, u32>,
    /// The epoch of a producer that does not know how its last transaction ended.
    unknown: BTreeMap<usize, u32>,
    open: BTreeMap<usize, Transaction>,
    /// Transactions that were aborted before their end arrived, by number: whose they were.
    settled: BTreeMap<u64, (u32, CommitId, u32)>,
    last: u64,
}

impl Transactions {
    fn epoch(&self, member: usize) -> u32 {
        self.epochs.get(&member).copied().unwrap_or(0)
    }

    /// A producer is made: what an earlier one left open is aborted.
    fn raise(&mut self, member: usize) -> u32 {
        if let Some(open) = self.open.remove(&member) {
            let whose = (open.life, open.request, open.epoch);
            if !open.given_up {
                self.settled.insert(open.number, whose);
            }
        }
        let epoch = self.epochs.entry(member).or_default();
        *epoch += 1;
        *epoch
    }

    /// Whether a position is under an unfinished transaction.
    pub(crate) fn holds(&self, partition: PartitionId) -> bool {
        let mut entries = self.open.values().flat_map(|open| &open.entries);
        entries.any(|entry| entry.partition == partition)
    }

    fn expire(&mut self, now: Moment) {
        let late: Vec<usize> = self
            .open
            .iter()
            .filter(|(_, open)| open.expires <= now)
            .map(|(member, _)| *member)
            .collect();
        for member in late {
            self.raise(member);
        }
    }
}

impl World {
    /// Gives acknowledgements something to take along, as applications do.
    pub(crate) fn return_outputs(&mut self, member: usize, request: &mut SettleRequest) {
        if self.plan.transactions.is_none() {
            return;
        }
        for settlement in &mut request.settlements {
            if settlement.outcome != Outcome::Ack || self.random.chance(150) {
                continue;
            }
            let uids = self.oracle.uids_of(member, &settlement.ids);
            let outputs: Vec<Output> = uids
                .into_iter()
                .map(|uid| Output {
                    uid,
                    poison: self.plan.is_poison(uid),
                    letter: false,
                })
                .collect();
            settlement.outputs = self.keep_outputs(member, outputs);
        }
    }

    fn keep_outputs(&mut self, member: usize, outputs: Vec<Output>) -> Option<NewOutputs> {
        let process = self.process(member)?;
        process.next_outputs += 1;
        let id = OutputsId(process.next_outputs);
        let records = u32::try_from(outputs.len()).unwrap_or(u32::MAX);
        process.outputs.insert(id, outputs);
        Some(NewOutputs {
            id,
            records,
            bytes: u64::from(records) * 100,
        })
    }

    pub(crate) fn outputs_dropped(&mut self, member: usize, ids: &[OutputsId]) {
        for id in ids {
            let known = self
                .process(member)
                .and_then(|process| process.outputs.remove(id));
            self.oracle
                .check(known.is_some(), || format!("O3: {id:?} is dropped twice"));
        }
    }

    /// A dead letter waits for the next transaction.
    pub(crate) fn hold_letter(
        &mut self,
        member: usize,
        assignment: ackline::core::Assignment,
        number: RecordNumber,
    ) {
        let Some(uid) = self.oracle.uid_taken(member, assignment, number) else {
            return;
        };
        // A dead-letter topic takes less than other topics do, now and then.
        let poison = self.plan.is_poison(uid + 1);
        let letter = Output {
            uid,
            poison,
            letter: true,
        };
        let Some(outputs) = self.keep_outputs(member, vec![letter]) else {
            return;
        };
        self.oracle
            .letter_held(member, assignment, number, outputs.id);
        self.tell(
            member,
            Input::DeadLetterHeld {
                assignment,
                number,
                outputs,
            },
        );
    }

    // ---- producers

    pub(crate) fn make_producer(&mut self, member: usize, ask: ProducerAsk) {
        if let Some(process) = self.process(member) {
            process.producer = None;
        }
        let slow = self.plan.slow_producers && !self.is_healed();
        let wait = self.random.millis(if slow { 2..6000 } else { 2..200 });
        // It is slow in times of trouble, and not after them.
        let trouble = self
            .plan
            .chaos
            .saturating_sub(Duration::from_nanos(self.now.0));
        let wait = wait.min(trouble + Duration::from_millis(200));
        self.later(member, wait, What::MakeProducer(ask));
    }

    pub(crate) fn producer_asked(&mut self, member: usize, ask: ProducerAsk) {
        let healed = self.is_healed();
        let cut_off = self.now < self.members[member].cut_off_until;
        if cut_off || (!healed && self.random.chance(self.plan.faults.read_failed)) {
            let error = ProducerError::Transient("coordinator away".to_owned());
            let wait = self.random.millis(10..3000);
            return self.later(member, wait, What::ProducerMade(ask, Err(error)));
        }
        let epoch = self.transactions.raise(member);
        self.note(|| format!("member {member} makes a producer of epoch {epoch}"));
        if let Some(process) = self.process(member) {
            process.producer = Some(epoch);
        }
        let wait = self.latency();
        self.later(member, wait, What::ProducerMade(ask, Ok(())));
    }

    /// Another process uses the name of one of ours.
    pub(crate) fn impostor(&mut self) {
        if self.is_healed() {
            return;
        }
        let member = self.random.index(self.members.len());
        self.note(|| format!("somebody takes the producer's name of member {member}"));
        self.transactions.raise(member);
        let wait = self.plan.impostor_every;
        self.after(wait, Happening::Impostor);
    }

    // ---- transactions

    pub(crate) fn transact(
        &mut self,
        member: usize,
        request: CommitId,
        entries: Vec<CommitEntry>,
        names: &[OutputsId],
    ) {
        let now = self.now;
        let life = self.members[member].life;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let mut outputs = Vec::new();
        for id in names {
            match process.outputs.remove(id) {
                Some(set) => outputs.push((*id, set)),
                None => {
                    return self
                        .oracle
                        .violate(|| format!("O3: {id:?} is written, but is nobody's"));
                }
            }
        }
        let (broker, library) = (&self.broker, &process.library);
        self.oracle
            .commit_sent(now, member, request, &entries, broker, library);
        let covers = self
            .oracle
            .transaction_sent(member, &entries, &outputs, broker);
        let Some(epoch) = process.producer else {
            return self
                .oracle
                .violate(|| format!("T4: {request:?} is sent without a producer"));
        };
        let doomed = self.transactions.unknown.get(&member) == Some(&epoch);
        self.oracle.check(!doomed, || {
            format!("I-E3: {request:?} follows a transaction of the same epoch {epoch} whose end is not known")
        });
        self.transactions.last += 1;
        let transaction = Transaction {
            number: self.transactions.last,
            member,
            life,
            epoch,
            request,
            name: process.library.name,
            generation: process.library.generation,
            entries,
            outputs,
            covers,
            expires: now,
            given_up: false,
        };
        self.send_transaction(transaction);
    }

    fn send_transaction(&mut self, mut transaction: Transaction) {
        let healed = self.is_healed();
        let late = !healed && self.random.chance(self.plan.faults.commit_late);
        let wait = if late {
            self.random.millis(100..3000)
        } else {
            self.latency()
        };
        if late && self.random.chance(600) {
            transaction.given_up = true;
            self.gives_up(&transaction, wait / 2);
        }
        self.after(wait, Happening::TransactionArrives(Box::new(transaction)));
    }

    fn fate(&mut self, member: usize) -> Fate {
        let cut_off = self.now < self.members[member].cut_off_until;
        if cut_off {
            return Fate::EndLost;
        }
        let faults = self.plan.faults.clone();
        if self.is_healed() {
            return Fate::Fine;
        }
        if self.random.chance(faults.commit_refused) {
            return Fate::Aborted;
        }
        if self.random.chance(faults.commit_lost) {
            return Fate::EndLost;
        }
        if self.random.chance(faults.commit_answer_lost) {
            return self.random.pick(&[Fate::AnswerLost, Fate::EndLate]);
        }
        Fate::Fine
    }

    /// What it writes and commits has reached the brokers, but for its end.
    pub(crate) fn transaction_arrives(&mut self, mut transaction: Transaction) {
        let member = transaction.member;
        let fate = self.fate(member);
        let refusal = self.transaction_refused(&transaction, fate);
        self.note(|| {
            format!(
                "transaction {:?} of member {member} arrives: {fate:?} {refusal:?}",
                transaction.request
            )
        });
        if let Some(end) = refusal {
            return self.transaction_answered(&transaction, end);
        }
        transaction.expires = self.now.plus(TIMEOUT);
        let number = transaction.number;
        match fate {
            Fate::Aborted | Fate::Fine => {
                let wait = self.latency();
                self.after(wait, Happening::TransactionEnds(member, number, true));
            }
            Fate::EndLost => {}
            Fate::AnswerLost => {
                let wait = self.latency();
                self.after(wait, Happening::TransactionEnds(member, number, false));
            }
            Fate::EndLate => {
                let wait = self.random.millis(100..9000);
                self.after(wait, Happening::TransactionEnds(member, number, false));
            }
        }
        if !matches!(fate, Fate::Aborted | Fate::Fine) && !transaction.given_up {
            let wait = self.random.millis(500..4000);
            self.gives_up(&transaction, wait);
        }
        self.transactions.open.insert(member, transaction);
    }

    /// The producer hears nothing of it for too long.
    fn gives_up(&mut self, transaction: &Transaction, wait: Duration) {
        let unknown = TransactionEnd::Unknown("timed out".to_owned());
        let what = What::TransactionDone(transaction.request, transaction.epoch, unknown);
        self.later_in(transaction.member, transaction.life, wait, what);
    }

    fn transaction_refused(
        &mut self,
        transaction: &Transaction,
        fate: Fate,
    ) -> Option<TransactionEnd> {
        let member = transaction.member;
        if self.transactions.epoch(member) != transaction.epoch {
            return Some(TransactionEnd::Fenced("another producer".to_owned()));
        }
        if !self.is_healed() {
            let refused: Vec<_> = transaction
                .outputs
                .iter()
                .filter(|(_, set)| set.iter().any(|output| output.poison))
                .map(|(id, _)| (*id, "too large".to_owned()))
                .collect();
            if !refused.is_empty() {
                return Some(TransactionEnd::Aborted(Abort::Refused(refused)));
            }
        }
        if !self.group.accepts(transaction.name, transaction.generation) {
            let words = "unknown member or old generation".to_owned();
            return Some(TransactionEnd::Aborted(Abort::NotMember(words)));
        }
        let longest = transaction.entries.iter().map(|entry| entry.metadata.len());
        if longest.max().unwrap_or(0) > self.broker.metadata_max {
            return Some(TransactionEnd::Aborted(Abort::MetadataTooLarge));
        }
        (fate == Fate::Aborted).then(|| {
            let words = "broker away".to_owned();
            TransactionEnd::Aborted(match self.random.below(2) {
                0 => Abort::Transient(words),
                _ => Abort::Unauthorized("not allowed for now".to_owned()),
            })
        })
    }

    fn transaction_answered(&mut self, transaction: &Transaction, end: TransactionEnd) {
        if transaction.given_up {
            return;
        }
        let (member, life) = (transaction.member, transaction.life);
        let wait = self.latency();
        let what = What::TransactionDone(transaction.request, transaction.epoch, end);
        self.later_in(member, life, wait, what);
    }

    /// The request to commit arrives, unless the transaction was aborted meanwhile.
    pub(crate) fn transaction_ends(&mut self, member: usize, number: u64, answered: bool) {
        let is_it = |open: &Transaction| open.number == number;
        if !self.transactions.open.get(&member).is_some_and(is_it) {
            // Somebody has settled it meanwhile.
            if let Some((life, request, epoch)) = self.transactions.settled.remove(&number)
                && answered
            {
                let end = TransactionEnd::Fenced("another producer".to_owned());
                let wait = self.latency();
                self.later_in(
                    member,
                    life,
                    wait,
                    What::TransactionDone(request, epoch, end),
                );
            }
            return;
        }
        let Some(transaction) = self.transactions.open.remove(&member) else {
            return;
        };
        self.note(|| {
            format!(
                "transaction {:?} of member {member} is committed",
                transaction.request
            )
        });
        for entry in &transaction.entries {
            let stored = self.apply(entry);
            self.oracle.check(stored.is_ok(), || {
                "a transaction was taken whose metadata is too long".to_owned()
            });
        }
        self.oracle.transaction_applied(&transaction);
        if answered {
            self.transaction_answered(&transaction, TransactionEnd::Committed);
        }
    }

    /// A process hears of a transaction of its own.
    pub(crate) fn transaction_done(
        &mut self,
        member: usize,
        request: CommitId,
        epoch: u32,
        end: TransactionEnd,
    ) {
        if matches!(end, TransactionEnd::Unknown(_)) {
            self.transactions.unknown.insert(member, epoch);
        }
        self.oracle.commit_answered(member, request);
        self.oracle
            .transaction_heard(member, end == TransactionEnd::Committed);
        self.tell(member, Input::TransactionDone { request, end });
    }

    pub(crate) fn expire_transactions(&mut self) {
        self.transactions.expire(self.now);
    }
}
