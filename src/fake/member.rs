//! The member of the group, as the runtime asks it: what [`crate::kafka::Client`] is to Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::batch::{Batch, Run};
use super::cluster::{Cluster, State};
use crate::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, Fetch,
    FetchStart, FramePlan, GroupAsk, GroupDescription, Input, LogRange, Moment, PartitionId,
    PoppedRecord, Status, TopicDescription, TopicIndex, TopicUuid,
};
use crate::kafka::Wake;
use crate::key_hash::key_hash;
use crate::record::Record as _;

/// Id of the cluster, as it stands in commit metadata.
pub(super) const CLUSTER_ID: &str = "fake";
/// Records of one partition in a row.
const RUN_MAX: usize = 64;

/// See the module.
pub struct Member {
    cluster: Arc<Cluster>,
    fetching: BTreeMap<PartitionId, Fetching>,
    paused: BTreeSet<PartitionId>,
    /// Places in the log of the records of each assignment, by their numbers.
    places: BTreeMap<Assignment, Vec<usize>>,
    /// Answers for the next [`Member::poll`].
    ready: Vec<Input<'static>>,
    cluster_told: bool,
    /// The partition popped from last.
    last: Option<PartitionId>,
    closed: bool,
}

/// A partition that is being read.
struct Fetching {
    assignment: Assignment,
    fetch: Fetch,
    /// Place of the next record.
    next: usize,
    /// Place of the first record of the assignment.
    first: usize,
}

/// Id of a topic, as it stands in commit metadata.
pub(super) fn topic_id(topic: TopicIndex) -> TopicUuid {
    let [high, low] = topic.0.to_be_bytes();
    let mut id = [0xfa; 16];
    (id[14], id[15]) = (high, low);
    TopicUuid(id)
}

impl Member {
    /// A member that has joined nothing yet. `wake` is called when [`Member::poll`] or [`Member::pop`] have
    /// something to do.
    #[must_use]
    pub fn new(cluster: Arc<Cluster>, wake: Wake) -> Self {
        cluster.wake_with(wake);
        Self {
            cluster,
            fetching: BTreeMap::new(),
            paused: BTreeSet::new(),
            places: BTreeMap::new(),
            ready: Vec::new(),
            cluster_told: false,
            last: None,
            closed: false,
        }
    }

    /// Joins the group.
    pub fn join(&mut self) {
        self.cluster.lock().join();
    }

    /// Leaves the group; ends with [`Input::GroupLeft`].
    pub fn leave(&mut self) {
        self.cluster.lock().leave();
    }

    /// Goes for good.
    pub fn close(&mut self) {
        self.closed = true;
    }

    /// Whether it went.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Lets the script go on, and appends what the core must know to `inputs`.
    pub fn poll(&mut self, now: Moment, inputs: &mut Vec<Input<'static>>) {
        if !std::mem::replace(&mut self.cluster_told, true) {
            let id = CLUSTER_ID.to_owned();
            inputs.push(Input::ClusterKnown { id });
        }
        inputs.append(&mut self.ready);
        let mut state = self.cluster.lock();
        state.now = state.now.max(now);
        state.do_steps();
        state.give_back_by_itself();
        state.next_rebalance(inputs);
        drop(state);
        self.cluster.tell_change();
    }

    /// When [`Member::poll`] has something to do, if nothing else happens before.
    #[must_use]
    pub fn due(&self) -> Option<Moment> {
        let state = self.cluster.lock();
        // What was due before and could not be done waits for something else.
        let later = |at: &Moment| *at > state.now;
        let at = [state.next_step_at(), state.next_back_at()];
        at.into_iter().flatten().filter(later).min()
    }

    /// Whether the script closes all streams now; true once each time.
    #[must_use]
    pub fn takes_streams_down(&mut self) -> bool {
        std::mem::take(&mut self.cluster.lock().script.close_streams)
    }

    /// Starts to read partitions.
    pub fn assign(&mut self, starts: &[FetchStart], answers_rebalance: bool) {
        let mut state = self.cluster.lock();
        for start in starts {
            let place = state.log_mut(start.partition).place_of(start.offset);
            let places = self.places.entry(start.assignment).or_default();
            let first = places.first().copied().unwrap_or(place);
            let fetching = Fetching {
                assignment: start.assignment,
                fetch: start.fetch,
                next: place,
                first,
            };
            self.paused.remove(&start.partition);
            self.fetching.insert(start.partition, fetching);
        }
        if answers_rebalance {
            state.rebalance_answered();
        }
        state.wake();
    }

    /// Stops to read partitions.
    pub fn unassign(&mut self, partitions: &[PartitionId], answers_rebalance: bool) {
        for partition in partitions {
            self.paused.remove(partition);
            if let Some(fetching) = self.fetching.remove(partition) {
                self.places.remove(&fetching.assignment);
            }
        }
        if answers_rebalance {
            self.cluster.lock().rebalance_answered();
        }
    }

    /// Hands nothing out of these.
    pub fn pause(&mut self, partitions: &[PartitionId]) {
        self.paused.extend(partitions);
    }

    /// Goes on with these.
    pub fn resume(&mut self, partitions: &[PartitionId]) {
        for partition in partitions {
            self.paused.remove(partition);
        }
        self.cluster.lock().wake();
    }

    /// Answers with what was committed.
    pub fn read_committed(&mut self, asked: &[(Assignment, PartitionId)]) {
        let state = self.cluster.lock();
        let committed = |id: &PartitionId| state.log(*id)?.committed.clone();
        let answers = asked.iter().map(|(assignment, id)| CommittedAnswer {
            assignment: *assignment,
            answer: Ok(committed(id)),
        });
        let is_sibling = |id: &PartitionId| asked.iter().any(|(_, of)| of.topic == id.topic);
        let siblings = state.logs.keys().filter(|id| is_sibling(id));
        let siblings = siblings.filter_map(|id| Some((*id, committed(id)?.metadata)));
        let input = Input::CommittedRead {
            answers: answers.collect(),
            siblings: siblings.collect(),
        };
        self.ready.push(input);
        state.wake();
    }

    /// Answers with what the logs hold.
    pub fn list_offsets(&mut self, asked: &[(Assignment, PartitionId)]) {
        let state = self.cluster.lock();
        for (assignment, id) in asked {
            let range = state
                .log(*id)
                .map_or((0, 0), |log| (log.start(), log.end()));
            self.ready.push(Input::OffsetsListed {
                assignment: *assignment,
                answer: Ok(LogRange {
                    earliest: range.0,
                    latest: range.1,
                }),
            });
        }
        state.wake();
    }

    /// Answers with the first offset at or after a time.
    pub fn find_offset(&mut self, assignment: Assignment, id: PartitionId, timestamp: i64) {
        let state = self.cluster.lock();
        let found = state.log(id).and_then(|log| log.offset_at(timestamp));
        self.ready.push(Input::OffsetFound {
            assignment,
            answer: Ok(found),
        });
        state.wake();
    }

    /// Answers with the names of all topics.
    pub fn find_topics(&mut self) {
        let state = self.cluster.lock();
        self.ready.push(Input::TopicsFound {
            answer: Ok(state.shape.topics.clone()),
        });
        state.wake();
    }

    /// Answers with ids and partition counts.
    pub fn describe_topics(&mut self, topics: &[TopicIndex]) {
        let state = self.cluster.lock();
        for topic in topics {
            self.ready.push(Input::TopicDescribed {
                topic: *topic,
                answer: Ok(TopicDescription {
                    id: Some(topic_id(*topic)),
                    partitions: u32::try_from(state.shape.partitions).unwrap_or(0),
                }),
            });
        }
        state.wake();
    }

    /// Answers with what the group has given to its members.
    pub fn describe_group(&mut self, ask: GroupAsk) {
        let state = self.cluster.lock();
        let owned: Vec<PartitionId> = state.group.owned.iter().copied().collect();
        self.ready.push(Input::GroupDescribed {
            ask,
            answer: Ok(GroupDescription {
                rests: true,
                ours: owned.clone(),
                owned,
            }),
        });
        state.wake();
    }

    /// Commits what is ours, unless the script lets it fail.
    pub fn commit(&mut self, request: CommitId, entries: &[CommitEntry]) {
        let mut state = self.cluster.lock();
        let fails = state.commit_fails();
        let mut results = Vec::with_capacity(entries.len());
        for entry in entries {
            let fetching = self.fetching.get(&entry.partition);
            let ours = state.group.owned.contains(&entry.partition)
                && fetching.is_none_or(|fetching| fetching.assignment == entry.assignment);
            let result = if !ours {
                Err(CommitError::NotMember("the partition moved".to_owned()))
            } else if fails {
                Err(CommitError::Transient("the script says so".to_owned()))
            } else {
                state.log_mut(entry.partition).committed = Some(CommittedOffset {
                    offset: entry.offset,
                    leader_epoch: entry.leader_epoch,
                    metadata: entry.metadata.clone().into_bytes(),
                });
                Ok(())
            };
            results.push((entry.assignment, result));
        }
        self.ready.push(Input::CommitDone { request, results });
        state.wake();
        drop(state);
        self.cluster.tell_change();
    }

    /// Tells how far the logs go.
    pub fn sample_ends(&self, inputs: &mut Vec<Input<'static>>) {
        let state = self.cluster.lock();
        for (partition, fetching) in &self.fetching {
            inputs.push(Input::EndSampled {
                partition: *partition,
                fetch: fetching.fetch,
                end: state.log(*partition).map_or(0, super::log::Log::end),
            });
        }
    }

    /// Pops at most `max` records, partitions in turns, and returns how many. Fewer than `max` means that there
    /// are no more for now.
    pub fn pop(
        &mut self,
        batch: &mut Batch,
        max: usize,
        hash_keys: bool,
        size_of: impl Fn(&super::StoredRecord) -> u32,
    ) -> usize {
        batch.clear();
        let cluster = Arc::clone(&self.cluster);
        let mut state = cluster.lock();
        let mut in_turn: Vec<PartitionId> = self.fetching.keys().copied().collect();
        let behind = in_turn.partition_point(|id| self.last.is_some_and(|last| *id <= last));
        in_turn.rotate_left(behind);
        let mut found = true;
        while found && batch.records.len() < max {
            found = false;
            for id in &in_turn {
                let count = RUN_MAX.min(max - batch.records.len());
                found |= self.pop_run(&mut state, batch, *id, count, hash_keys) > 0;
            }
        }
        for (popped, record) in batch.popped.iter_mut().zip(&batch.records) {
            popped.size = size_of(record);
        }
        batch.records.len()
    }

    /// Pops at most `max` records of one partition.
    fn pop_run(
        &mut self,
        state: &mut State,
        batch: &mut Batch,
        id: PartitionId,
        max: usize,
        hash_keys: bool,
    ) -> usize {
        let room = state.room(id);
        let log = state.log_mut(id);
        let Some(fetching) = self.fetching.get_mut(&id) else {
            return 0;
        };
        if self.paused.contains(&id) {
            return 0;
        }
        let end = log.records.len().min(log.popped.saturating_add(room));
        let end = end.min(fetching.next.saturating_add(max));
        let count = end.saturating_sub(fetching.next);
        if count == 0 {
            return 0;
        }
        let first = batch.records.len();
        let places = self.places.entry(fetching.assignment).or_default();
        for (place, record) in log.records[..end].iter().enumerate().skip(fetching.next) {
            places.push(place);
            batch.popped.push(PoppedRecord {
                offset: record.offset,
                key_hash: record.key().filter(|_| hash_keys).map(key_hash),
                size: 0,
                leader_epoch: None,
                foreign: false,
            });
            batch.records.push(Arc::clone(record));
        }
        fetching.next = end;
        log.popped = log.popped.max(end);
        let fetch = fetching.fetch;
        batch.runs.push(Run {
            partition: id,
            fetch,
            first,
            count,
        });
        self.last = Some(id);
        count
    }

    /// These records are on their way to an application.
    pub fn delivered(&mut self, plan: &FramePlan) {
        let mut state = self.cluster.lock();
        let log = state.log_mut(plan.partition);
        let places = self.places.get(&plan.assignment);
        for planned in &plan.records {
            let number = usize::try_from(planned.number.0).unwrap_or(usize::MAX);
            if let Some(place) = places.and_then(|places| places.get(number)) {
                log.note_delivery(*place);
            }
        }
        state.wake_if_due();
    }

    /// Whether [`Member::look`] is worth a look at the status.
    #[must_use]
    pub fn wants_status(&self) -> bool {
        self.cluster.lock().counts_acknowledgements()
    }

    /// Learns from the core's status how many records are finished.
    pub fn look(&mut self, status: &Status) {
        let mut state = self.cluster.lock();
        for partition in &status.partitions {
            let Some(fetching) = self.fetching.get(&partition.partition) else {
                continue;
            };
            let places = self.places.get(&fetching.assignment);
            let unfinished = usize::try_from(partition.unfinished).unwrap_or(usize::MAX);
            let taken_in = places.map_or(0, Vec::len);
            let finished = fetching.first + taken_in.saturating_sub(unfinished);
            let log = state.log_mut(partition.partition);
            log.finished = log.finished.max(finished);
        }
        state.wake_if_due();
    }
}
