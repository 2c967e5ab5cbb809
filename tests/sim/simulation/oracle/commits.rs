//! Where partitions start, what is committed, and what is passed over.

use std::collections::BTreeSet;

use ackline::core::metadata::{self, Decoded, Expectation, Marks, Retried};
use ackline::core::{
    Assignment, CommitEntry, CommitId, CommitMode, CommittedAnswer, Drained, Fetch, FetchStart,
    LeaderEpoch, Moment, PartitionId,
};

use super::super::broker::Broker;
use super::super::library::Library;
use super::{Oracle, Standing, is_marked};

/// The soonest that an unanswered commit may be given up.
const GIVE_UP_MIN: std::time::Duration = std::time::Duration::from_secs(10);

impl Oracle {
    // ---- starts

    pub(crate) fn read_asked(
        &mut self,
        member: usize,
        assignment: Assignment,
        partition: PartitionId,
    ) {
        let known = self.members[member].books.contains_key(&assignment);
        // Where commits are no transactions, an assignment follows another only after somebody else claimed the partition.
        let carries = self.is_transactional();
        let before = self.newest_book(member, partition);
        let carried = before
            .filter(|book| carries && !book.left)
            .map(|book| book.carry());
        let book = self.book(member, assignment, partition);
        if let Some(carried) = carried.filter(|_| !known) {
            book.carried = carried;
        }
    }

    /// Whether a claim of the member was overtaken, and the partition not claimed again since.
    pub(crate) fn lacks_claims(&self, member: usize) -> bool {
        !self.members[member].overtaken.is_empty()
    }

    /// The log is asked for its range: a start by policy, or a position that was moved.
    pub(crate) fn list_asked(
        &mut self,
        member: usize,
        assignment: Assignment,
        partition: PartitionId,
    ) {
        self.next_book(member, assignment, partition);
    }

    /// The broker's answer, on its way into the core.
    pub(crate) fn read_answered(
        &mut self,
        member: usize,
        answer: &CommittedAnswer,
        siblings: &[(PartitionId, Vec<u8>)],
        broker: &Broker,
        knows_cluster: bool,
    ) {
        let Some(book) = self.members[member].books.get_mut(&answer.assignment) else {
            return;
        };
        let Ok(committed) = &answer.answer else {
            return;
        };
        if book.read.is_some() {
            return;
        }
        let partition = book.partition;
        self.members[member].overtaken.remove(&partition);
        let Some(book) = self.members[member].books.get_mut(&answer.assignment) else {
            return;
        };
        book.read = Some(committed.clone());
        book.new_partition = siblings
            .iter()
            .filter(|(sibling, _)| sibling.topic == partition.topic)
            .filter_map(|(sibling, text)| {
                broker.remembered_partitions(*sibling, text, knows_cluster)
            })
            .max()
            .is_some_and(|partitions| i64::from(partitions) <= i64::from(partition.partition));
        // Not by the codec's word alone, which is what may be wrong (M7).
        if let Some(committed) = committed
            && !broker.tampered.contains(&committed.metadata)
            && let Decoded::Ours { marks, .. } = broker.decode(partition, committed, knows_cluster)
        {
            book.restored = marks;
        }
    }

    /// A partition is handed to the client.
    pub(crate) fn fetch_started(&mut self, member: usize, start: &FetchStart, library: &Library) {
        let owned = library.owned.contains(&start.partition);
        self.check(owned, || {
            format!("{:?} is assigned, but not ours", start.partition)
        });
        let newest = self.members[member].newest.get(&start.partition).copied();
        self.check(
            newest.is_none_or(|newest| newest <= start.assignment),
            || {
                format!(
                    "{:?} is handed to the client after {newest:?}",
                    start.assignment
                )
            },
        );
        let book = self.next_book(member, start.assignment, start.partition);
        let read_at = match &book.read {
            Some(Some(committed)) => Some(committed.offset),
            Some(None) | None => None,
        };
        let mut wrong = None;
        if book.read.is_none() && !book.moved {
            wrong = Some(format!(
                "M12: {:?} starts without an answer about its committed offset",
                start.partition
            ));
        }
        if book.frontier.is_none()
            && !book.moved
            && read_at.is_some_and(|read| read != start.offset)
        {
            wrong = Some(format!(
                "{:?} starts at {}, committed was {read_at:?}",
                start.partition, start.offset
            ));
        }
        if book
            .frontier
            .is_some_and(|frontier| frontier != start.offset)
        {
            wrong = Some(format!(
                "{:?} restarts at {}, expected {:?}",
                start.partition, start.offset, book.frontier
            ));
        }
        if book.fetch.is_some_and(|fetch| fetch >= start.fetch) {
            wrong = Some(format!(
                "{:?}: {:?} after {:?}",
                start.partition, start.fetch, book.fetch
            ));
        }
        book.fetch = Some(start.fetch);
        book.failed = false;
        book.epoch_told |= start.leader_epoch.is_some();
        book.frontier = Some(start.offset);
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    pub(crate) fn fetch_failed(&mut self, member: usize, partition: PartitionId, fetch: Fetch) {
        if let Some(book) = self.newest_book(member, partition) {
            book.failed |= book.fetch == Some(fetch);
        }
    }

    /// Records of partitions that were popped count against the window and the frontier.
    pub(crate) fn position_told(
        &mut self,
        member: usize,
        partition: PartitionId,
        fetch: Fetch,
        offset: i64,
    ) {
        if let Some(book) = self.newest_book(member, partition)
            && book.fetch == Some(fetch)
            && book.alive
            && !book.failed
        {
            book.frontier = book.frontier.map(|frontier| frontier.max(offset));
        }
    }

    // ---- commits

    /// A commit is handed to the client library.
    pub(crate) fn commit_sent(
        &mut self,
        now: Moment,
        member: usize,
        request: CommitId,
        entries: &[CommitEntry],
        broker: &Broker,
        library: &Library,
    ) {
        let out = self.members[member].commit_out.replace((request, now));
        // The client answers every request, or dies; who waits longer than that may give up.
        let given_up = out.is_none_or(|(_, sent)| now.since(sent) > GIVE_UP_MIN);
        self.check(given_up, || {
            format!("{request:?} is sent while {out:?} is outstanding")
        });
        self.check(!entries.is_empty(), || format!("{request:?} is empty"));
        for entry in entries {
            let owned = library.owned.contains(&entry.partition);
            self.check(owned, || {
                format!("I-S3: {:?} is committed, but not ours", entry.partition)
            });
            let newest =
                self.members[member].newest.get(&entry.partition) == Some(&entry.assignment);
            let Some(book) = self.members[member].books.get_mut(&entry.assignment) else {
                return self.violate(|| {
                    format!(
                        "I-S3: {:?} commits, but was never heard of",
                        entry.assignment
                    )
                });
            };
            let alive = book.alive && newest;
            let before = book.committed.replace(entry.offset);
            self.check(alive, || {
                format!("I-S3: {:?} commits, but is dead", entry.assignment)
            });
            self.check(before.is_none_or(|before| before <= entry.offset), || {
                format!(
                    "I-S2: {:?} commits {} after {before:?}",
                    entry.assignment, entry.offset
                )
            });
            let short = entry.metadata.len() <= self.settings.commit_metadata_max
                && entry.metadata.is_ascii();
            self.check(short, || {
                format!("I-B4: metadata of {} bytes", entry.metadata.len())
            });
            self.check_safety(member, entry, broker);
        }
    }

    /// I-S1: everything that a commit passes or marks is finished, or is not there.
    fn check_safety(&mut self, member: usize, entry: &CommitEntry, broker: &Broker) {
        let expect = Expectation {
            cluster: None,
            topic: None,
            identity_hash: broker.identity(entry.partition),
        };
        let (topic, marks) =
            match metadata::decode(entry.metadata.as_bytes(), &expect, entry.offset) {
                Decoded::Ours { header, marks } => (header.topic, marks),
                Decoded::Absent => (None, None),
                Decoded::Ignored(reason) => {
                    return self
                        .violate(|| format!("a commit's own metadata is unreadable: {reason}"));
                }
                Decoded::MadeAgain => {
                    return self.violate(|| "a topic without an id was made again".to_owned());
                }
            };
        if let Some(wrong) = marks
            .as_ref()
            .and_then(|marks| self.miscounted(member, entry, marks))
        {
            return self.violate(|| wrong);
        }
        let current = broker.topic(entry.partition.topic);
        let names_current = topic == Some(current.uuid(entry.partition.topic));
        if !names_current && (topic.is_some() || current.incarnation > 0) {
            // Written for a topic that is no more. Whoever reads it sees that, or could not know.
            return;
        }
        let Some(log) = broker.log(entry.partition) else {
            return;
        };
        let mut wrong = None;
        let book = self.members[member].books.get(&entry.assignment);
        let finished: BTreeSet<_> = book
            .into_iter()
            .flat_map(|book| &book.taken)
            .filter(|taken| taken.standing == Standing::Finished)
            .map(|taken| taken.uid)
            .collect();
        for (found, record) in log.records() {
            let truth = &self.truths[record.uid];
            let epoch = broker.told(found.epoch);
            let done = truth.terminal || truth.accounted || finished.contains(&record.uid);
            if done || is_newer(epoch, entry.leader_epoch) {
                continue;
            }
            if found.offset < entry.offset {
                wrong = Some(format!(
                    "I-S1: {:?} is committed at {}, but {} is not finished",
                    entry.partition, entry.offset, found.offset
                ));
                break;
            }
            if marks
                .as_ref()
                .is_some_and(|marks: &Marks| is_marked(marks, found.offset, epoch))
            {
                wrong = Some(format!(
                    "I-S1: {:?} marks {}, which is not finished",
                    entry.partition, found.offset
                ));
                break;
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    /// I-B3: a commit tells of failures what happened, and of no record that is finished.
    fn miscounted(&self, member: usize, entry: &CommitEntry, marks: &Marks) -> Option<String> {
        let book = self.members[member].books.get(&entry.assignment)?;
        let before = book.restored.as_ref();
        let told = |retried: &Retried| {
            let taken = book
                .taken
                .binary_search_by_key(&retried.offset, |taken| taken.offset);
            let Some(taken) = taken.ok().and_then(|at| book.taken.get(at)) else {
                let carried = book.carried.get(&retried.offset);
                let carried = carried.is_some_and(|carry| retried.failures <= carry.failures);
                return carried || before.is_some_and(|before| before.retried.contains(retried));
            };
            // The last delivery may be alive, or have been when the partition was revoked: not known how it ended.
            let ended = taken.attempts.saturating_sub(1)..=taken.attempts;
            let vague = taken.vague || self.truths[taken.uid].incarnation > 0;
            let counted = ended.contains(&retried.attempts) || vague;
            taken.standing != Standing::Finished
                && (counted || taken.attempts_unsure)
                && (1..=retried.attempts).contains(&retried.failures)
                && (retried.failures <= taken.failures || vague)
        };
        let wrong = marks.retried.iter().find(|retried| !told(retried))?;
        let taken = book.taken.iter().find(|taken| taken.offset == wrong.offset);
        Some(format!(
            "I-B3: {:?} commits {wrong:?}, was taken in as {taken:?}, told before: {:?}",
            entry.partition,
            before.map(|before| &before.retried)
        ))
    }

    /// The client died, or left the group: nothing is outstanding any more.
    pub(crate) fn commit_given_up(&mut self, member: usize) {
        // A transaction goes on without the client (T2).
        if !self.is_transactional() {
            self.members[member].commit_out = None;
        }
    }

    pub(crate) fn commit_answered(&mut self, member: usize, request: CommitId) {
        if self.members[member]
            .commit_out
            .is_some_and(|(out, _)| out == request)
        {
            self.members[member].commit_out = None;
        }
    }

    /// The broker stores an offset in place of `before`.
    pub(crate) fn commit_applied(
        &mut self,
        partition: PartitionId,
        before: Option<i64>,
        offset: i64,
    ) {
        let back =
            before.is_some_and(|before| offset < before) && !self.disturbed.contains(&partition);
        self.check(!back, || {
            format!("I-S2: {partition:?} was committed at {before:?}, now at {offset}")
        });
    }

    // ---- the end

    pub(crate) fn shutting_down(&mut self, member: usize) {
        let of_member = &mut self.members[member];
        let alive = of_member
            .books
            .iter()
            .filter(|(_, book)| book.alive)
            .map(|(assignment, _)| *assignment)
            .collect();
        of_member.at_shutdown.get_or_insert(alive);
    }

    /// I-S6: after a stop that says so nothing that was accepted is delivered again.
    pub(crate) fn finished(&mut self, member: usize, drained: Drained, broker: &Broker) {
        let Some(assignments) = self.members[member].at_shutdown.clone() else {
            return;
        };
        // Whether what was offered last is kept is the application's business.
        if drained == Drained::Uncommitted || self.applications_keep() {
            return;
        }
        for assignment in assignments {
            self.check_committed(member, assignment, "I-S6: a clean stop", broker);
        }
    }

    /// What the old client had is not what the next one may give back.
    pub(crate) fn client_restarted(&mut self, member: usize) {
        self.members[member].newest.clear();
    }

    /// M4: what was finished before a partition is given back is committed, if the commit did not take too long.
    pub(crate) fn given_back(
        &mut self,
        member: usize,
        partitions: &BTreeSet<PartitionId>,
        broker: &Broker,
    ) {
        if self.applications_keep() {
            return;
        }
        for partition in partitions {
            let overtaken = self.members[member].overtaken.contains(partition);
            let newest = self.members[member].newest.get(partition).copied();
            let book = newest.and_then(|newest| self.members[member].books.get(&newest));
            // One that has left already was looked at then: of what came after it nothing was read yet.
            let excused = overtaken || book.is_some_and(|book| book.aborted || book.left);
            if let Some(newest) = newest.filter(|_| !excused) {
                self.check_committed(member, newest, "M4: given back", broker);
            }
        }
    }

    /// Everything that was acknowledged in an assignment is kept from being delivered again.
    fn check_committed(
        &mut self,
        member: usize,
        assignment: Assignment,
        when: &str,
        broker: &Broker,
    ) {
        let keeps_marks = self.settings.commit_metadata
            && self.settings.commit_metadata_max >= 4096
            && self.settings.commit_mode == CommitMode::OnAck;
        let Some(book) = self.members[member].books.get(&assignment) else {
            return;
        };
        if !keeps_marks || self.disturbed.contains(&book.partition) || book.moved {
            return;
        }
        let lost = book.taken.iter().find(|taken| {
            let truth = &self.truths[taken.uid];
            let there =
                !truth.gone && truth.incarnation == broker.topic(truth.partition.topic).incarnation;
            let finished = taken.standing == super::Standing::Finished;
            finished && there && !self.is_covered(broker, book.partition, taken.offset)
        });
        let lost = lost.map(|taken| (book.partition, taken.offset));
        self.check(lost.is_none(), || {
            format!("{when}: {lost:?} is acknowledged, but not committed")
        });
    }
}

fn is_newer(epoch: LeaderEpoch, than: LeaderEpoch) -> bool {
    matches!((epoch, than), (Some(epoch), Some(than)) if epoch > than)
}
