//! What operators do meanwhile: pauses, seeks, and drains before the end.

use std::collections::BTreeMap;
use std::time::Duration;

use ackline::core::{
    AskId, Assignment, Input, Operation, PartitionId, ReadError, Scope, SeekTarget,
};

use super::cluster::Answer;
use super::world::{Happening, What, World};

/// What streams are told of the time that is left.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

impl World {
    pub(crate) fn operator_acts(&mut self) {
        if self.is_healed() {
            return;
        }
        let member = self.operator.index(self.members.len());
        let is_frozen = self.now < self.members[member].frozen_until;
        if self.members[member].process.is_some() && !is_frozen {
            match self.operator.below(12) {
                0..4 => {
                    let scope = self.operator_picks(member);
                    let reason = "the simulation says so".to_owned();
                    self.operate(member, Operation::Pause { scope, reason });
                }
                4..7 => {
                    let scope = self.operator_picks(member);
                    self.operate(member, Operation::Resume { scope });
                }
                7..11 => self.operator_seeks(member),
                _ => {
                    self.operate(
                        member,
                        Operation::Drain {
                            within: DRAIN_WITHIN,
                        },
                    );
                    let wait = self.operator.millis(10..6000);
                    self.later(member, wait, What::Signal);
                }
            }
        }
        let wait = self.plan.faults.operator_every;
        self.after(wait, Happening::OperatorActs);
    }

    fn operate(&mut self, member: usize, operation: Operation) {
        self.tell(member, Input::Operate(operation));
    }

    fn operator_picks(&mut self, member: usize) -> Scope {
        let Some(partition) = self.operator_picks_partition(member) else {
            return Scope::Everything;
        };
        match self.operator.below(4) {
            0 => Scope::Everything,
            1 => Scope::Topic(partition.topic),
            _ => Scope::Partition(partition),
        }
    }

    /// A partition whose topic can be named to the process.
    fn operator_picks_partition(&mut self, member: usize) -> Option<PartitionId> {
        let mut partitions = self.broker.partitions();
        partitions.retain(|partition| self.knows_topic(member, partition.topic));
        let index = self.operator.index(partitions.len().max(1));
        partitions.get(index).copied()
    }

    fn operator_seeks(&mut self, member: usize) {
        let Some(partition) = self.operator_picks_partition(member) else {
            return;
        };
        let offset = i64::try_from(self.operator.below(120)).unwrap_or(0) - 10;
        let target = match self.operator.below(5) {
            0 => SeekTarget::Earliest,
            1 => SeekTarget::Latest,
            2 | 3 => SeekTarget::Offset(offset),
            _ => SeekTarget::Timestamp(offset),
        };
        let ask = AskId(self.operator.next());
        let asked = Operation::Seek {
            ask,
            partition,
            target,
        };
        self.oracle.seek_asked(member, ask);
        self.operate(member, asked);
    }

    /// Here a record's time is its offset.
    pub(crate) fn find_offset(
        &mut self,
        member: usize,
        assignment: Assignment,
        partition: PartitionId,
        timestamp: i64,
    ) {
        let (wait, error) = self.read_fate(member);
        let unknown = || ReadError::UnknownTopic("no such partition".to_owned());
        let first = |log: &super::log::Log| {
            let offsets = log.records().map(|(entry, _)| entry.offset);
            offsets.filter(|offset| *offset >= timestamp).min()
        };
        let found = self.broker.log(partition).map(first).ok_or_else(unknown);
        let answer = error.map_or(found, Err);
        self.later_of_client(
            member,
            wait,
            What::Answer(Box::new(Answer::Found { assignment, answer })),
        );
    }

    /// A pod that was told to drain is ended after a while.
    pub(crate) fn signal(&mut self, member: usize) {
        self.shut_down(member, DRAIN_WITHIN);
    }

    /// Nothing stays paused for ever.
    pub(crate) fn resume_everything(&mut self) {
        for member in 0..self.members.len() {
            let scope = Scope::Everything;
            self.operate(member, Operation::Resume { scope });
        }
    }
}

/// What an operator wants of one process.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    paused: BTreeMap<Scope, ()>,
    drained: bool,
    /// Seeks that were not answered.
    seeks: BTreeMap<AskId, ()>,
}

impl Wishes {
    pub(crate) fn operated(&mut self, operation: &Operation) {
        match operation {
            Operation::Pause { scope, .. } => drop(self.paused.insert(*scope, ())),
            Operation::Resume { scope } => {
                self.paused.retain(|paused, ()| !scope.contains(*paused));
            }
            Operation::Drain { .. } => self.drained = true,
            Operation::Seek { .. } => {}
        }
    }

    pub(crate) fn seek_asked(&mut self, ask: AskId) {
        self.seeks.insert(ask, ());
    }

    /// Returns whether the answer was waited for.
    pub(crate) fn seek_answered(&mut self, ask: AskId) -> bool {
        self.seeks.remove(&ask).is_some()
    }

    /// Whether something of the partition may be delivered.
    pub(crate) fn allow(&self, partition: PartitionId) -> bool {
        !self.drained && !self.paused.keys().any(|scope| scope.holds(partition))
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.seeks.len()
    }

    pub(crate) fn is_drained(&self) -> bool {
        self.drained
    }
}
