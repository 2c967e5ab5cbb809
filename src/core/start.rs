//! Where does a partition begin?
//!
//! At its committed offset, if the group has one. The metadata beside it says whether it is ours, of this
//! topic, and what was finished above it; any doubt means: keep the offset, ignore the rest, never skip.
//! Without a committed offset the `start` policy decides, but for partitions that did not exist when their
//! siblings were committed: those begin at their beginning (B7).
//!
//! # Invariants
//!
//! - M12: a read that failed is tried again. Only an answered "no offset" is "no offset".
//! - B9: a start that a policy chose is committed at once.
//! - B6: a topic made again is read from its beginning, under a new assignment (`topic` notices it).

use std::collections::BTreeSet;
use std::time::Duration;

use super::Core;
use super::assignment::{AssignmentState, ListPurpose, Phase};
use super::effect::{Effect, Notice, StopReason, WithdrawReason};
use super::event::Event;
use super::home::Home;
use super::ids::{Assignment, LeaderEpoch, PartitionId, TopicIndex};
use super::input::{CommittedAnswer, CommittedOffset, LogRange, ReadError};
use super::metadata::{self, Decoded, Expectation};
use super::replay::Refused;
use super::settings::{CommitMode, Order, Policy, StartPolicy};
use super::timers::Timer;
use crate::mutant;

/// Back-off of reads, doubling up to the longest.
const READ_BACKOFF: Duration = Duration::from_millis(100);
const READ_BACKOFF_MAX: Duration = Duration::from_secs(5);

pub(super) fn backoff(tries: u32) -> Duration {
    (READ_BACKOFF * 2u32.pow(tries.min(6))).min(READ_BACKOFF_MAX)
}

impl Core {
    /// A new assignment of a partition, numbered and empty.
    pub(super) fn new_assignment(&mut self, partition: PartitionId) -> Assignment {
        self.next_assignment += 1;
        let id = Assignment(self.next_assignment);
        // Handing over finishes, so nothing is ever live that order could hold back.
        let policy = *self.settings.policy(partition.topic);
        let order = match self.settings.commit_mode {
            CommitMode::OnAck => policy.order,
            CommitMode::OnDelivery => Order::None,
        };
        let mut policy = Policy { order, ..policy };
        if self.is_transactional() && !self.has_room_for_marks() {
            // One after the other, nothing is ever finished above the watermark.
            (policy.order, policy.lane_depth) = (Order::Partition, 1);
        }
        let mut state = AssignmentState::new(id, partition, policy, self.now);
        state.on_hold = self.pauses.of(partition).is_some();
        state.keeps_unproven = self.is_transactional();
        self.assignments.insert(id, state);
        self.owned.insert(partition, id);
        id
    }

    /// Asks for everything that new assignments need to know.
    pub(super) fn read_positions(&mut self, ids: &[Assignment]) {
        let mut wanted = Vec::new();
        for id in ids {
            let known = self.assignments.get(id).map(|state| state.partition);
            let Some(partition) = known else { continue };
            if !self.is_in_transaction(partition) {
                wanted.push((*id, partition));
            } else if let Some(assignment) = self.assignments.get_mut(id) {
                // Read now it would be what the transaction that is out may be about to change (T7).
                assignment.unsettled = true;
            }
        }
        let mut topics: Vec<TopicIndex> = wanted
            .iter()
            .map(|(_, partition)| partition.topic)
            .collect();
        topics.dedup();
        for topic in topics {
            self.describe_anew(topic);
        }
        if self.applications_keep_positions() {
            self.ask_homes(ids);
        } else if !wanted.is_empty() {
            self.effects.push(Effect::ReadCommitted(wanted));
        }
        self.describe_later();
    }

    pub(super) fn read_again(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let wanted = assignment.committed_answer.is_none()
            && assignment.disputed.is_none()
            && !assignment.unsettled;
        if assignment.phase == Phase::Reading && wanted {
            self.effects
                .push(Effect::ReadCommitted(vec![(id, assignment.partition)]));
        }
    }

    pub(super) fn committed_read(
        &mut self,
        answers: Vec<CommittedAnswer>,
        siblings: &[(PartitionId, Vec<u8>)],
    ) {
        for CommittedAnswer {
            assignment: id,
            answer,
        } in answers
        {
            let Some(assignment) = self.assignments.get_mut(&id) else {
                continue;
            };
            if assignment.phase != Phase::Reading || assignment.committed_answer.is_some() {
                continue;
            }
            let answer = if mutant::planted("M12") {
                Ok(answer.unwrap_or(None))
            } else {
                answer
            };
            assignment.read_ended(answer.as_ref().err());
            match answer {
                Ok(answer) => {
                    let partition = assignment.partition;
                    assignment.committed_answer = Some(answer);
                    let count = self.sibling_partitions(partition, siblings);
                    if let Some(assignment) = self.assignments.get_mut(&id) {
                        assignment.sibling_partitions = count;
                    }
                    self.resolve_start(id);
                }
                Err(error) => {
                    assignment.read_tries += 1;
                    let wait = match error {
                        ReadError::Unsupported => READ_BACKOFF_MAX,
                        ReadError::Transient(_)
                        | ReadError::Unauthorized(_)
                        | ReadError::UnknownTopic(_) => backoff(assignment.read_tries),
                    };
                    self.read_failed("committed offset", error, wait, Timer::Read(id));
                }
            }
        }
    }

    /// What was asked of the broker is asked again after a while.
    pub(super) fn read_failed(
        &mut self,
        what: &'static str,
        error: ReadError,
        wait: Duration,
        again: Timer,
    ) {
        self.timers.at(self.now.plus(wait), again);
        self.report(Event::ReadRetried {
            what,
            error: error.into_text(),
        });
    }

    /// The highest partition count that commits of the topic's other partitions speak of.
    fn sibling_partitions(
        &self,
        partition: PartitionId,
        siblings: &[(PartitionId, Vec<u8>)],
    ) -> Option<u32> {
        siblings
            .iter()
            .filter(|(sibling, _)| sibling.topic == partition.topic && *sibling != partition)
            .filter_map(|(sibling, text)| {
                metadata::partition_count_of(text, &self.expectation(*sibling))
            })
            .max()
    }

    pub(super) fn expectation(&self, partition: PartitionId) -> Expectation<'_> {
        Expectation {
            cluster: self.cluster.as_deref(),
            topic: self.topics[usize::from(partition.topic.0)].id(),
            identity_hash: self.identity_hash(partition),
        }
    }

    pub(super) fn identity_hash(&self, partition: PartitionId) -> u64 {
        let topic = &self.settings.topics[usize::from(partition.topic.0)];
        metadata::identity_hash(&self.settings.group, topic, partition.partition)
    }

    /// Starts an assignment once both its committed offset and its topic are known.
    pub(super) fn resolve_start(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        let topic = &self.topics[usize::from(partition.topic.0)];
        if assignment.phase != Phase::Reading || !topic.is_known() {
            return;
        }
        let Some(answer) = assignment.committed_answer.take() else {
            return;
        };
        assignment.topic_id = topic.id();
        match answer {
            Some(committed) => self.start_committed(id, partition, committed),
            None => self.start_without_offset(id, partition),
        }
    }

    fn start_committed(
        &mut self,
        id: Assignment,
        partition: PartitionId,
        mut committed: CommittedOffset,
    ) {
        let decoded = metadata::decode(
            &committed.metadata,
            &self.expectation(partition),
            committed.offset,
        );
        let marks = match decoded {
            Decoded::Absent => None,
            Decoded::Ours { marks, .. } => marks.filter(|_| self.settings.commit_metadata),
            Decoded::Ignored(reason) => {
                committed.offset += i64::from(mutant::planted("M6"));
                self.report(Event::MetadataIgnored { partition, reason });
                None
            }
            Decoded::MadeAgain => {
                self.report(Event::TopicMadeAgain { partition });
                return self.list_for(id, ListPurpose::MadeAgain);
            }
        };
        let restored = marks.as_ref().map_or(0, |marks| marks.finished.offsets());
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let marks_kept = true;
        assignment.committed = Some(super::assignment::Committed {
            offset: committed.offset,
            marks_kept,
            leader_epoch: committed.leader_epoch,
            metadata: String::from_utf8(committed.metadata).unwrap_or_default(),
        });
        assignment.start_at(committed.offset, committed.leader_epoch, marks);
        self.started(id, restored);
    }

    fn start_without_offset(&mut self, id: Assignment, partition: PartitionId) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        let index = u32::try_from(partition.partition).unwrap_or(0);
        let siblings = assignment.sibling_partitions;
        let is_newborn = self.topics[usize::from(partition.topic.0)].is_newborn();
        if is_newborn || siblings.is_some_and(|count| index >= count) {
            return self.list_for(id, ListPurpose::NewPartition);
        }
        match self.settings.start {
            StartPolicy::Stop => self.stop(id, StopReason::NoCommittedOffset),
            StartPolicy::Earliest | StartPolicy::Latest => self.list_for(id, ListPurpose::Start),
        }
    }

    pub(super) fn list_for(&mut self, id: Assignment, purpose: ListPurpose) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.phase = Phase::Listing(purpose);
        if purpose == ListPurpose::MadeAgain {
            assignment.carried.clear();
        }
        assignment.read_tries = 0;
        assignment.topic_id = self.topics[usize::from(assignment.partition.topic.0)].id();
        self.list(id);
    }

    pub(super) fn list(&mut self, id: Assignment) {
        let Some(assignment) = self.assignments.get(&id) else {
            return;
        };
        self.effects
            .push(Effect::ListOffsets(vec![(id, assignment.partition)]));
    }

    pub(super) fn list_again(&mut self, id: Assignment) {
        if self
            .assignments
            .get(&id)
            .is_some_and(|assignment| matches!(assignment.phase, Phase::Listing(_)))
        {
            self.list(id);
        }
    }

    pub(super) fn offsets_listed(&mut self, id: Assignment, answer: Result<LogRange, ReadError>) {
        if self.seek_learns_range(id, &answer) {
            return;
        }
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let Phase::Listing(purpose) = assignment.phase else {
            return self.learn_what_is_readable(id, answer);
        };
        assignment.read_ended(answer.as_ref().err());
        let range = match answer {
            Ok(range) => range,
            Err(error) => {
                assignment.read_tries += 1;
                let wait = backoff(assignment.read_tries);
                return self.read_failed("log range", error, wait, Timer::List(id));
            }
        };
        match purpose {
            ListPurpose::OutOfRange => self.out_of_range(id, range.earliest, range.latest),
            ListPurpose::Start => {
                let latest = self.settings.start == StartPolicy::Latest;
                self.start_by_policy(
                    id,
                    if latest { range.latest } else { range.earliest },
                    false,
                );
            }
            ListPurpose::NewPartition => self.start_by_policy(id, range.earliest, true),
            ListPurpose::MadeAgain => self.start_by_policy(id, range.earliest, false),
        }
    }

    /// Starts where a policy says, and commits that at once (B9).
    fn start_by_policy(&mut self, id: Assignment, offset: i64, new_partition: bool) {
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        let partition = assignment.partition;
        assignment.start_at(offset, None, None);
        self.report(Event::StartedByPolicy {
            partition,
            offset,
            new_partition,
        });
        self.mark_dirty(id);
        self.commits.hurry = true;
        self.started(id, 0);
    }

    fn started(&mut self, id: Assignment, restored: u64) {
        self.starting = true;
        let now = self.now;
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return;
        };
        assignment.watermark_moved(now);
        let (partition, offset) = (assignment.partition, assignment.window.frontier().0);
        self.report(Event::Started {
            partition,
            assignment: id,
            offset,
            restored,
        });
        self.notify(&Notice::Assigned {
            partition,
            assignment: id,
            start_offset: offset,
        });
    }

    /// Moves a partition's position: everything taken in is withdrawn, and a new assignment goes on at `to`.
    pub(super) fn reposition(&mut self, id: Assignment, to: i64) {
        if self.is_transactional() && self.is_uncommitted(id) {
            // What is committed decides, and the client finds the same again if that lies behind the end as well.
            self.replay(BTreeSet::from([id]), &Refused::new());
            return;
        }
        let before = self.assignments.get(&id);
        // At or above the epoch of what lies below `to`, and below that of whatever is written there from
        // now on: with it the client notices the next cut, which may come before its next fetch.
        let epoch = before.and_then(|assignment| assignment.window.watermark_epoch());
        self.reposition_under(id, to, epoch);
    }

    /// The same with a leader epoch that is known to belong to the record below `to`, if any is. Returns the
    /// assignment that goes on.
    pub(super) fn reposition_under(
        &mut self,
        id: Assignment,
        to: i64,
        epoch: LeaderEpoch,
    ) -> Assignment {
        let before = self.assignments.get(&id);
        let topic_id = before.and_then(|assignment| assignment.topic_id);
        let id = self.replace(id, WithdrawReason::Repositioned);
        let Some(assignment) = self.assignments.get_mut(&id) else {
            return id;
        };
        assignment.topic_id = topic_id;
        assignment.start_at(to, epoch, None);
        self.mark_dirty(id);
        self.commits.hurry = true;
        self.started(id, 0);
        id
    }

    /// Ends an assignment and begins the next one of the same partition.
    pub(super) fn replace(&mut self, id: Assignment, reason: WithdrawReason) -> Assignment {
        let Some(assignment) = self.assignments.get(&id) else {
            return id;
        };
        let (partition, home) = (assignment.partition, assignment.home.clone());
        self.end_assignment(id, reason);
        self.take_from_client(partition);
        let id = self.new_assignment(partition);
        if matches!(home, Home::Left(_)) {
            // What it was to be asked about then is another assignment by now.
            self.timers.at(self.now, Timer::Home(id));
        }
        if let Some(assignment) = self.assignments.get_mut(&id) {
            assignment.home = home;
        }
        id
    }
}

impl AssignmentState {
    /// A question about its start was answered, or not.
    fn read_ended(&mut self, error: Option<&ReadError>) {
        self.read_refused = matches!(error, Some(ReadError::Unauthorized(_)));
        self.read_error = error.map(|error| error.clone().into_text());
    }
}

impl ReadError {
    fn into_text(self) -> String {
        match self {
            Self::Transient(text) | Self::Unauthorized(text) | Self::UnknownTopic(text) => text,
            Self::Unsupported => "the broker does not support it".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests;
