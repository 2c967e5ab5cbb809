//! What is written with what is committed (I-E1, I-E2), and what comes again when a transaction had no effect.

use std::collections::{BTreeMap, BTreeSet};

use ackline::core::metadata::{self, Decoded, Expectation};
use ackline::core::{
    Assignment, CommitEntry, IdRange, Moment, Order, OutputsId, PartitionId, RecordNumber,
};

use super::super::broker::Broker;
use super::super::log::Uid;
use super::super::transactions::{Covers, Output, Transaction};
use super::{Book, Oracle, Standing, is_marked};

/// What is known of a record that comes again.
#[derive(Debug, Clone)]
pub(crate) struct Carry {
    pub(crate) attempts_max: u32,
    pub(crate) failures: u32,
    pub(crate) deaths: u32,
    pub(crate) aside: bool,
    pub(crate) not_before: Moment,
}

impl Book {
    /// What the next assignment of the partition knows of the records of this one.
    pub(super) fn carry(&self) -> BTreeMap<i64, Carry> {
        let mut carried = self.carried.clone();
        for taken in &self.taken {
            let open = taken.standing != Standing::Finished;
            let carry = Carry {
                attempts_max: taken.attempts,
                failures: taken.failures,
                deaths: taken.deaths,
                aside: open && taken.aside && !taken.sent,
                not_before: if open && !taken.sent {
                    taken.not_before
                } else {
                    Moment(0)
                },
            };
            carried.insert(taken.offset, carry);
        }
        carried
    }
}

impl Oracle {
    pub(crate) fn is_transactional(&self) -> bool {
        self.settings.transactions.is_some()
    }

    /// The records that ids were issued for.
    pub(crate) fn uids_of(&self, member: usize, ids: &[IdRange]) -> Vec<Uid> {
        let ids: BTreeSet<u64> = ids
            .iter()
            .filter(|range| range.first <= range.last)
            .flat_map(|range| {
                let issued = self.members[member]
                    .deliveries
                    .range(range.first..=range.last);
                issued.map(|(id, _)| *id)
            })
            .collect();
        ids.into_iter()
            .filter_map(|id| self.uid_of(member, id))
            .collect()
    }

    pub(crate) fn uid_taken(
        &self,
        member: usize,
        assignment: Assignment,
        number: RecordNumber,
    ) -> Option<Uid> {
        let book = self.members[member].books.get(&assignment)?;
        let number = usize::try_from(number.0).unwrap_or(usize::MAX);
        Some(book.taken.get(number)?.uid)
    }

    /// A dead letter waits for a transaction: its record is finished with that.
    pub(crate) fn letter_held(
        &mut self,
        member: usize,
        assignment: Assignment,
        number: RecordNumber,
        outputs: OutputsId,
    ) {
        self.confirmed(member, assignment, number);
        let book = self.members[member].books.get_mut(&assignment);
        let number = usize::try_from(number.0).unwrap_or(usize::MAX);
        if let Some(taken) = book.and_then(|book| book.taken.get_mut(number)) {
            taken.output = Some(outputs);
        }
    }

    /// Whether a live delivery's record is finished by a settlement that brings outputs.
    pub(super) fn note_output(&mut self, member: usize, id: u64, outputs: Option<OutputsId>) {
        let of_member = &mut self.members[member];
        let Some(delivery) = of_member.deliveries.get(&id) else {
            return;
        };
        let book = of_member.books.get_mut(&delivery.assignment);
        if let Some(taken) = book.and_then(|book| book.taken.get_mut(delivery.number)) {
            taken.output = outputs;
        }
    }

    /// T1: a transaction carries the outputs of exactly those records that it is the first to cover.
    pub(crate) fn transaction_sent(
        &mut self,
        member: usize,
        entries: &[CommitEntry],
        outputs: &[(OutputsId, Vec<Output>)],
        broker: &Broker,
    ) -> Covers {
        let mut covers = Covers::new();
        let mut wanted: BTreeMap<OutputsId, BTreeSet<Uid>> = BTreeMap::new();
        for entry in entries {
            let Some(book) = self.members[member].books.get(&entry.assignment) else {
                continue;
            };
            let expect = Expectation {
                cluster: None,
                topic: None,
                identity_hash: broker.identity(entry.partition),
            };
            let decoded = metadata::decode(entry.metadata.as_bytes(), &expect, entry.offset);
            let marks = match decoded {
                Decoded::Ours { marks, .. } => marks,
                Decoded::Absent | Decoded::Ignored(_) | Decoded::MadeAgain => None,
            };
            for taken in &book.taken {
                let marked = || {
                    let marks = marks.as_ref();
                    marks.is_some_and(|marks| is_marked(marks, taken.offset, None))
                };
                let covered = taken.offset < entry.offset || marked();
                if !covered || taken.standing != Standing::Finished || taken.proven {
                    continue;
                }
                covers.push((taken.uid, taken.output.is_some()));
                if let Some(outputs) = taken.output {
                    wanted.entry(outputs).or_default().insert(taken.uid);
                }
            }
        }
        let sent: BTreeMap<OutputsId, BTreeSet<Uid>> = outputs
            .iter()
            .map(|(id, set)| (*id, set.iter().map(|output| output.uid).collect()))
            .collect();
        self.check(sent == wanted, || {
            format!("I-E1, I-E2: a transaction writes {sent:?}, and finishes {wanted:?}")
        });
        self.prove(member, entries, &covers);
        covers
    }

    /// What a transaction wrote and committed is visible.
    pub(crate) fn transaction_applied(&mut self, transaction: &Transaction) {
        for (uid, _) in &transaction.covers {
            self.truths[*uid].terminal = true;
        }
        let outputs = transaction.outputs.iter().flat_map(|(_, set)| set);
        for output in outputs {
            let truth = &mut self.truths[output.uid];
            truth.outputs += 1;
            let (partition, offset, key) = (truth.partition, truth.offset, truth.key);
            let times = truth.outputs;
            if self.disturbed.contains(&partition) {
                continue;
            }
            self.check(times == 1, || {
                format!("I-E1: what {partition:?} {offset} led to is written {times} times")
            });
            // A record that was given up before goes to the dead-letter topic as soon as it comes again.
            if !output.letter {
                self.check_output_order(partition, key, offset);
            }
        }
    }

    /// I-E1: outputs of a lane come in the order of its records, where one at a time is worked on.
    fn check_output_order(&mut self, partition: PartitionId, key: Option<u64>, offset: i64) {
        let policy = self.settings.policy(partition.topic);
        let lane = match policy.order {
            Order::Partition => None,
            Order::Key if key.is_some() => key,
            Order::Key | Order::None => return,
        };
        if policy.lane_depth > 1 {
            return;
        }
        let before = self.written.insert((partition, lane), offset);
        self.check(before.is_none_or(|before| before < offset), || {
            format!("I-E1: what {partition:?} {offset} led to is written behind that of {before:?}")
        });
    }

    /// A process hears how a transaction of its own ended.
    pub(crate) fn transaction_heard(&mut self, member: usize, committed: bool) {
        let books = self.members[member].books.values_mut();
        for book in books.filter(|book| book.alive) {
            book.aborted = !committed;
        }
    }

    /// A transaction goes out: what it covers counts as written in this assignment, or the assignment ends.
    fn prove(&mut self, member: usize, entries: &[CommitEntry], covers: &Covers) {
        let covered: BTreeSet<Uid> = covers.iter().map(|(uid, _)| *uid).collect();
        for entry in entries {
            let book = self.members[member].books.get_mut(&entry.assignment);
            for taken in book.into_iter().flat_map(|book| &mut book.taken) {
                taken.proven |= covered.contains(&taken.uid);
            }
        }
    }

    /// An operator moves a partition on: what was finished before its new position counts as that.
    pub(super) fn moved_on(&mut self, member: usize, partition: PartitionId, to: i64) {
        let books = self.members[member].books.values();
        let finished = books
            .filter(|book| book.partition == partition)
            .flat_map(|book| &book.taken)
            .filter(|taken| taken.standing == Standing::Finished && taken.offset < to);
        for taken in finished {
            self.truths[taken.uid].terminal = true;
        }
    }

    /// What an output's topic does not take has failed once more.
    pub(super) fn output_refused(&mut self, member: usize, partition: PartitionId, offset: i64) {
        if let Some(taken) = self.taken_at(member, partition, offset) {
            taken.failures += 1;
        }
    }
}
