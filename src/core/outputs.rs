//! What applications returned with their acknowledgements, until a transaction has it.
//!
//! The bytes stay in the edge; here is what they belong to. What was returned with one acknowledgement is a *set*. It may
//! speak of records of several partitions, and then those are committed together or not at all.
//!
//! # Invariants
//!
//! - O1: a set is written by one transaction, which commits every record that it was returned for, or by none.
//! - O2: sets go out in the order in which they were returned.
//! - O3: each set is named once to the edge: to be written, or to be dropped.
//! - O4: an assignment that ends takes the sets of its records along; who shared one begins again at what is committed.

use std::collections::{BTreeMap, BTreeSet};

use super::Core;
use super::effect::{Cause, Effect, WithdrawReason};
use super::event::Event;
use super::ids::{Assignment, OutputsId};

/// What an application returned with one acknowledgement. The bytes stay in the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewOutputs {
    /// Its name.
    pub id: OutputsId,
    /// How many records it has.
    pub records: u32,
    /// How many bytes they take.
    pub bytes: u64,
}

/// See the module.
#[derive(Debug)]
pub(super) struct OutputSet {
    pub(super) records: u64,
    bytes: u64,
    /// Offsets of the records that it was returned for.
    pub(super) of: BTreeMap<Assignment, Vec<i64>>,
    /// It is the dead letter of the only one of them.
    pub(super) letter: Option<Cause>,
}

/// Everything that no transaction has, and what the one that is out has.
#[derive(Debug, Default)]
pub(super) struct Outputs {
    pub(super) waiting: BTreeMap<OutputsId, OutputSet>,
    waiting_records: u64,
    waiting_bytes: u64,
    under_way_bytes: u64,
}

impl Outputs {
    pub(super) fn waiting_records(&self) -> u64 {
        self.waiting_records
    }

    pub(super) fn waiting_bytes(&self) -> u64 {
        self.waiting_bytes
    }

    /// Bytes that the edge holds: waiting, or in the transaction that is out.
    pub(super) fn held_bytes(&self) -> u64 {
        self.waiting_bytes + self.under_way_bytes
    }

    fn add(&mut self, id: OutputsId, set: OutputSet) {
        self.waiting_records += set.records;
        self.waiting_bytes += set.bytes;
        let before = self.waiting.insert(id, set);
        debug_assert!(before.is_none(), "a set has a name of its own");
    }

    /// Takes the sets that `wanted` picks out of those that wait, in their order.
    pub(super) fn take(
        &mut self,
        wanted: impl Fn(&OutputSet) -> bool,
    ) -> BTreeMap<OutputsId, OutputSet> {
        let mut taken = BTreeMap::new();
        for (id, set) in std::mem::take(&mut self.waiting) {
            if wanted(&set) {
                self.waiting_records -= set.records;
                self.waiting_bytes -= set.bytes;
                taken.insert(id, set);
            } else {
                self.waiting.insert(id, set);
            }
        }
        taken
    }

    /// A transaction has these now.
    pub(super) fn go_out(&mut self, sets: &BTreeMap<OutputsId, OutputSet>) {
        self.under_way_bytes = sets.values().map(|set| set.bytes).sum();
    }

    /// The transaction has ended.
    pub(super) fn came_back(&mut self) {
        self.under_way_bytes = 0;
    }

    /// These assignments, and all that are tied to them by sets that wait.
    pub(super) fn tied(&self, ids: BTreeSet<Assignment>) -> BTreeSet<Assignment> {
        let mut tied = ids;
        loop {
            let before = tied.len();
            if before == 0 {
                return tied;
            }
            let sets = self.waiting.values();
            let touched: Vec<Assignment> = sets
                .filter(|set| set.touches(&tied))
                .flat_map(|set| set.of.keys().copied())
                .collect();
            tied.extend(touched);
            if tied.len() == before {
                return tied;
            }
        }
    }

    /// Assignments for whose records something waits.
    pub(super) fn awaited_by(&self) -> BTreeSet<Assignment> {
        let sets = self.waiting.values();
        sets.flat_map(|set| set.of.keys().copied()).collect()
    }

    /// Whether something waits that was returned for records of this assignment.
    pub(super) fn wait_for(&self, id: Assignment) -> bool {
        self.waiting.values().any(|set| set.of.contains_key(&id))
    }
}

impl OutputSet {
    /// Whether it was returned for a record of one of these.
    pub(super) fn touches(&self, ids: &BTreeSet<Assignment>) -> bool {
        self.of.keys().any(|id| ids.contains(id))
    }

    /// Whether all records that it was returned for are of these.
    pub(super) fn lies_within(&self, ids: &BTreeSet<Assignment>) -> bool {
        self.of.keys().all(|id| ids.contains(id))
    }
}

impl Core {
    /// Something is to go out with these records, which are finished.
    pub(super) fn take_outputs(
        &mut self,
        new: NewOutputs,
        of: BTreeMap<Assignment, Vec<i64>>,
        letter: Option<Cause>,
    ) {
        let set = OutputSet {
            records: new.records.into(),
            bytes: new.bytes,
            of,
            letter,
        };
        self.transactions.outputs.add(new.id, set);
        let outputs = &self.transactions.outputs;
        if let Some(limits) = &self.settings.transactions
            && (outputs.waiting_records() >= limits.records_max
                || outputs.waiting_bytes() >= limits.bytes_max)
        {
            self.commits.hurry = true;
        }
    }

    pub(super) fn drop_outputs(&mut self, ids: Vec<OutputsId>) {
        if !ids.is_empty() {
            self.effects.push(Effect::DropOutputs(ids));
        }
    }

    /// An assignment ended, and with it what was returned for its records (O4).
    pub(super) fn outputs_of_ended(&mut self, id: Assignment, reason: WithdrawReason) {
        if self.transactions.outputs.waiting.is_empty() {
            return;
        }
        let ended = BTreeSet::from([id]);
        let gone = self.transactions.outputs.take(|set| set.touches(&ended));
        let others = gone.values().flat_map(|set| set.of.keys().copied());
        self.transactions
            .orphans
            .extend(others.filter(|other| *other != id));
        let records = gone.values().map(|set| set.records).sum();
        if reason == WithdrawReason::Repositioned
            && records > 0
            && let Some(assignment) = self.assignments.get(&id)
        {
            let partition = assignment.partition;
            self.report(Event::OutputsLost { partition, records });
        }
        self.drop_outputs(gone.into_keys().collect());
    }

    /// Whether what was returned for records of this assignment is not known to be written, nor to be not.
    pub(super) fn has_outputs_under_way(&self, id: Assignment) -> bool {
        self.settings.transactions.is_some()
            && (self.transactions.outputs.wait_for(id) || self.commits.is_out(id))
    }
}
