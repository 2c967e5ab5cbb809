//! Applications that keep positions themselves, each in a store of its own, in one transaction with what came of the records.
//!
//! They do as the documentation says: claim a partition before they answer where it starts, write only under that claim, and
//! end their stream when a transaction fails. What they have kept is in [`super::broker`], as if a store had it.

use std::time::Duration;

use ackline::core::{
    Assignment, CommitEntry, CommitId, CommittedAnswer, CommittedOffset, Notice, PartitionId,
    StartAnswer, StartRefused, StreamId, WaitId,
};

use super::application::State;
use super::cluster::Answer;
use super::world::{What, World};

/// Where a partition is at home, and the number of the claim that its application made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Home {
    stream: StreamId,
    fence: u64,
}

/// A question that an application was asked and has not answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    assignment: Assignment,
    partition: PartitionId,
}

impl World {
    /// A stream is told something.
    pub(crate) fn notified(&mut self, member: usize, stream: StreamId, notice: Notice) {
        match notice {
            Notice::StartWanted {
                partition,
                assignment,
            } => {
                self.oracle.read_asked(member, assignment, partition);
                if let Some(slot) = self.members[member].slot_of(stream) {
                    slot.questions.push(Question {
                        assignment,
                        partition,
                    });
                }
            }
            Notice::Committed {
                offered: Some(offered),
                ..
            } => self.keep(member, stream, &offered),
            Notice::Committed { offered: None, .. }
            | Notice::Assigned { .. }
            | Notice::Revoking { .. }
            | Notice::Revoked { .. }
            | Notice::CaughtUp { .. }
            | Notice::Draining { .. } => {}
        }
    }

    /// An application answers some of what it was asked.
    pub(crate) fn answer_questions(&mut self, member: usize, index: usize) {
        let slot = &mut self.members[member].slots[index];
        let State::Open(stream) = slot.state else {
            return;
        };
        let questions = std::mem::take(&mut slot.questions);
        for question in questions {
            let slot = &mut self.members[member].slots[index];
            if slot.state != State::Open(stream) {
                return;
            }
            if !slot.healthy && self.random.chance(300) {
                slot.questions.push(question);
                continue;
            }
            self.answer_question(member, stream, question);
        }
    }

    fn answer_question(&mut self, member: usize, stream: StreamId, question: Question) {
        let partition = question.partition;
        let fence = self.claims.take(partition);
        let kept = self.broker.committed.get(&partition).cloned();
        match self.say_start(member, stream, question, kept.clone()) {
            Err(StartRefused::OtherPosition) => {
                // Somebody has written over it; the offset is as good as any.
                let bare = kept.map(|kept| CommittedOffset {
                    leader_epoch: None,
                    metadata: Vec::new(),
                    ..kept
                });
                let taken = self.say_start(member, stream, question, bare);
                if taken.is_err() {
                    return;
                }
            }
            Err(StartRefused::Stale | StartRefused::OtherStream) => return,
            Ok(()) => {}
        }
        if let Some(process) = self.process(member) {
            let home = Home { stream, fence };
            process.homes.insert(partition, home);
        }
    }

    fn say_start(
        &mut self,
        member: usize,
        stream: StreamId,
        question: Question,
        position: Option<CommittedOffset>,
    ) -> Result<(), StartRefused> {
        let now = self.now;
        let (assignment, partition) = (question.assignment, question.partition);
        self.let_time_pass(member);
        self.note(|| format!("member {member} <- {stream:?} says {assignment:?}: {position:?}"));
        self.oracle.pass_time(now, member);
        let answer = StartAnswer {
            stream,
            assignment,
            position: position.clone(),
        };
        let mut effects = std::mem::take(&mut self.effects);
        let Some(process) = self.members[member].process.as_mut() else {
            return Err(StartRefused::Stale);
        };
        let knows_cluster = process.knows_cluster;
        let taken = process.core.start_at(now, answer, &mut effects);
        self.note(|| format!("member {member}    takes it: {taken:?}"));
        let first = self.oracle.start_told(member, stream, assignment, taken);
        if first {
            let told = CommittedAnswer {
                assignment,
                answer: Ok(position),
            };
            let broker = &self.broker;
            self.oracle
                .read_answered(member, &told, &[], broker, knows_cluster);
            self.oracle.at_home(member, partition, assignment, stream);
        }
        self.carry_out(member, effects);
        self.end_turn(member);
        taken
    }

    /// A commit is an offer: made, it has succeeded.
    pub(crate) fn offer(&mut self, member: usize, request: CommitId, entries: &[CommitEntry]) {
        let now = self.now;
        let Some(process) = self.members[member].process.as_ref() else {
            return;
        };
        let library = &process.library;
        self.oracle
            .commit_sent(now, member, request, entries, &self.broker, library);
        let results = entries.iter().map(|entry| (entry.assignment, Ok(())));
        let results = results.collect();
        let answer = Box::new(Answer::Commit { request, results });
        self.later_of_client(member, Duration::ZERO, What::Answer(answer));
    }

    /// An application keeps what it is offered, in one transaction with what came of the records, or fails to.
    pub(crate) fn keep(&mut self, member: usize, stream: StreamId, offered: &CommitEntry) {
        let partition = offered.partition;
        let fails = !self.is_healed() && self.random.chance(self.plan.faults.commit_refused);
        let Some(slot) = self.members[member].slot_of(stream) else {
            return;
        };
        if slot.state == State::Closed {
            return;
        }
        let home = self
            .process(member)
            .and_then(|process| process.homes.get(&partition).copied());
        let Some(home) = home else {
            return self
                .oracle
                .violate(|| format!("P1: {partition:?} is offered, and has no home"));
        };
        let its_own = home.stream == stream;
        self.oracle.check(its_own, || {
            format!("P1: {offered:?} is offered to {stream:?}, at home is {home:?}")
        });
        let overtaken = self.claims.refuses(partition, Some(home.fence)).is_some();
        if fails || overtaken {
            return self.later(member, Duration::ZERO, What::Abandon(stream));
        }
        let before = self.broker.committed.get(&partition);
        let before = before.map(|before| before.offset);
        self.oracle.kept(member, offered, &self.broker);
        self.oracle
            .commit_applied(partition, before, offered.offset);
        let kept = CommittedOffset {
            offset: offered.offset,
            leader_epoch: offered.leader_epoch.filter(|_| self.broker.epochs),
            metadata: offered.metadata.clone().into_bytes(),
        };
        self.broker.committed.insert(partition, kept);
    }

    /// A caller that waited is answered, and keeps what it is offered.
    pub(crate) fn commit_awaited(
        &mut self,
        member: usize,
        wait: WaitId,
        committed: bool,
        offered: &[CommitEntry],
    ) {
        if !self.plan.applications_keep {
            return self
                .oracle
                .commit_awaited(member, wait, committed, &self.broker);
        }
        for entry in offered {
            let process = self.process(member);
            let home = process.and_then(|process| process.homes.get(&entry.partition).copied());
            if let Some(home) = home {
                self.keep(member, home.stream, entry);
            }
        }
        self.oracle
            .offer_awaited(member, wait, committed, offered, &self.broker);
    }

    /// An application gives its stream up: a transaction failed.
    pub(crate) fn abandon(&mut self, member: usize, stream: StreamId) {
        let slots = &self.members[member].slots;
        let index = slots
            .iter()
            .position(|slot| slot.state == State::Open(stream));
        if let Some(index) = index {
            self.crash(member, index, stream);
        }
    }
}
