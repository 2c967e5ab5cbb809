//! Applications that keep positions: who says where a partition starts, who gets its records, and what they have kept.

use std::collections::BTreeMap;

use ackline::core::metadata::{self, Decoded, Expectation};
use ackline::core::{
    Assignment, CommitEntry, FramePlan, Moment, PartitionId, Positions, StartRefused, StreamId,
    WaitId,
};

use super::super::broker::Broker;
use super::super::log::Uid;
use super::{Book, Oracle, Standing, Truth, is_marked};

/// What one home of a partition leaves to the next of a record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known {
    /// Unless only what was kept beside the position says it.
    pub(super) attempts: Option<u32>,
    pub(super) failures: u32,
    pub(super) not_before: Moment,
    pub(super) aside: bool,
    /// It went to the dead-letter topic, and no application may have kept that: it is given up once more, or comes as if it
    /// were new.
    pub(super) vague: bool,
}

/// Of records that were not finished.
pub(crate) type Carried = BTreeMap<Uid, Known>;

impl Oracle {
    pub(super) fn applications_keep(&self) -> bool {
        self.settings.positions == Positions::Application
    }

    /// What the core made of an answer. Returns whether it was the first valid one.
    pub(crate) fn start_told(
        &mut self,
        member: usize,
        stream: StreamId,
        assignment: Assignment,
        taken: Result<(), StartRefused>,
    ) -> bool {
        let of_member = &self.members[member];
        let home = of_member.homes.get(&assignment).copied();
        let right = match taken {
            Ok(()) => home.is_none_or(|home| home == stream),
            Err(StartRefused::OtherStream) => home.is_some_and(|home| home != stream),
            Err(StartRefused::Stale | StartRefused::OtherPosition) => home != Some(stream),
        };
        self.check(right, || {
            format!(
                "P2: {stream:?} says where {assignment:?} starts: {taken:?}, at home is {home:?}"
            )
        });
        taken.is_ok() && home.is_none()
    }

    /// A partition has a home now.
    pub(crate) fn at_home(
        &mut self,
        member: usize,
        partition: PartitionId,
        assignment: Assignment,
        stream: StreamId,
    ) {
        let of_member = &mut self.members[member];
        of_member.homes.insert(assignment, stream);
        of_member.home_of.insert(partition, stream);
    }

    /// A partition's home has ended, and it is asked about anew.
    pub(crate) fn home_left(
        &mut self,
        member: usize,
        partition: PartitionId,
        before: Assignment,
        after: Assignment,
    ) {
        let of_member = &mut self.members[member];
        of_member.home_of.remove(&partition);
        let carried = of_member.books.get_mut(&before).map(carry);
        let book = self.book(member, after, partition);
        book.from_home = carried.unwrap_or_default();
    }

    /// P1: a partition's records go to its home and nowhere else.
    pub(crate) fn check_home(&mut self, member: usize, stream: StreamId, plan: &FramePlan) {
        if !self.applications_keep() {
            return;
        }
        let home = self.members[member].home_of.get(&plan.partition).copied();
        self.check(home == Some(stream), || {
            format!(
                "P1: {:?} is delivered to {stream:?}, at home is {home:?}",
                plan.partition
            )
        });
    }

    /// What an application has kept is never delivered again.
    pub(crate) fn check_not_kept(&mut self, uid: Uid) {
        let truth = &self.truths[uid];
        let (partition, offset) = (truth.partition, truth.offset);
        let wrong = truth.kept && !self.disturbed.contains(&partition);
        self.check(!wrong, || {
            format!("exactly once: {partition:?} {offset} is delivered, and was kept before")
        });
    }

    /// P3: what an application keeps stands for what was finished in this assignment, and what was kept before.
    pub(crate) fn kept(&mut self, member: usize, entry: &CommitEntry, broker: &Broker) {
        let Some(log) = broker.log(entry.partition) else {
            return;
        };
        let expect = Expectation {
            cluster: None,
            topic: None,
            identity_hash: broker.identity(entry.partition),
        };
        let decoded = metadata::decode(entry.metadata.as_bytes(), &expect, entry.offset);
        let (topic, marks) = match decoded {
            Decoded::Ours { header, marks } => (header.topic, marks),
            Decoded::Absent | Decoded::Ignored(_) | Decoded::MadeAgain => (None, None),
        };
        let current = broker.topic(entry.partition.topic);
        let names_current = topic == Some(current.uuid(entry.partition.topic));
        if !names_current && (topic.is_some() || current.incarnation > 0) {
            return;
        }
        let Some(book) = self.members[member].books.get(&entry.assignment) else {
            return;
        };
        let finished = |uid: Uid| {
            let mut taken = book.taken.iter();
            taken.any(|taken| taken.uid == uid && taken.standing == Standing::Finished)
        };
        let disturbed = self.disturbed.contains(&entry.partition) || book.moved;
        let mut wrong = None;
        for (found, record) in log.records() {
            let epoch = broker.told(found.epoch);
            let marked = |marks: &_| is_marked(marks, found.offset, epoch);
            let covered = found.offset < entry.offset || marks.as_ref().is_some_and(marked);
            let newer = matches!((epoch, entry.leader_epoch), (Some(of), Some(than)) if of > than);
            let truth = &mut self.truths[record.uid];
            if !covered || newer || truth.kept || truth.accounted {
                continue;
            }
            if finished(record.uid) {
                truth.kept = true;
            } else if !disturbed {
                wrong.get_or_insert(found.offset);
            }
        }
        self.check(wrong.is_none(), || {
            format!(
                "P3: {entry:?} stands for {wrong:?}, which is not finished here, nor was it kept"
            )
        });
    }

    /// I-S8: who waits is offered what covers everything it named.
    pub(crate) fn offer_awaited(
        &mut self,
        member: usize,
        wait: WaitId,
        committed: bool,
        offered: &[CommitEntry],
        broker: &Broker,
    ) {
        let Some(uids) = self.members[member].waits.remove(&wait) else {
            return self.violate(|| format!("{wait:?} is answered, but does not wait"));
        };
        for uid in uids.into_iter().filter(|_| committed) {
            let truth = &self.truths[uid];
            let (partition, offset) = (truth.partition, truth.offset);
            let comparable = truth.incarnation == broker.topic(partition.topic).incarnation
                && !self.disturbed.contains(&partition);
            let covers = |entry: &CommitEntry| {
                let expect = Expectation {
                    cluster: None,
                    topic: None,
                    identity_hash: broker.identity(partition),
                };
                let text = entry.metadata.as_bytes();
                let marked = match metadata::decode(text, &expect, entry.offset) {
                    Decoded::Ours { marks, .. } => {
                        marks.is_some_and(|marks| is_marked(&marks, offset, None))
                    }
                    Decoded::Absent | Decoded::Ignored(_) | Decoded::MadeAgain => false,
                };
                entry.partition == partition && (offset < entry.offset || marked)
            };
            let right = !comparable || offered.iter().any(covers);
            self.check(right, || {
                format!("I-S8: {wait:?} is told that {partition:?} {offset} is committed")
            });
        }
    }
}

/// Without topic ids what is known of a record of an old topic may be taken for the new one's, and what went to the dead-letter
/// topic may be as if it were new: how often it was delivered is the core's word then.
pub(super) fn believe(book: &mut Book, number: usize, truth: Option<&Truth>, attempt: u32) {
    let made_again = truth.is_some_and(|truth| truth.incarnation > 0);
    if let Some(taken) = book.taken.get_mut(number)
        && (made_again || taken.vague)
    {
        taken.attempts = attempt.saturating_sub(1);
    }
}

/// What is left to the next home.
fn carry(book: &mut Book) -> Carried {
    let mut carried = std::mem::take(&mut book.from_home);
    let tried = book.taken.iter();
    let tried = tried.filter(|taken| {
        let unfinished = taken.standing != Standing::Finished;
        taken.aside || taken.vague || (unfinished && taken.attempts > 0)
    });
    carried.extend(tried.map(|taken| {
        // What went to the dead-letter topic may be given up once more, or be as if it were new.
        let unfinished = taken.standing != Standing::Finished;
        let known = Known {
            attempts: unfinished.then_some(taken.attempts),
            failures: taken.failures,
            not_before: if unfinished {
                taken.not_before
            } else {
                Moment(0)
            },
            aside: taken.aside && unfinished,
            vague: taken.vague || !unfinished,
        };
        (taken.uid, known)
    }));
    carried
}
