//! Requests to brokers, and their results as inputs of the core.
//!
//! Some questions of the core take two requests; the answer is told when both are in. A request that
//! never comes back is one of a client that was destroyed.

use std::collections::BTreeMap;

use super::client::{Client, refused};
use super::error::{Error, commit_error, read_error};
use super::ffi::{Event, EventKind, Failure, LogEnd, Partitions};
use crate::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, GroupAsk,
    GroupDescription, Input, LogRange, PartitionId, ReadError, TopicDescription, TopicIndex,
};

/// The requests that are out.
#[derive(Default)]
pub(super) struct Requests {
    last: usize,
    open: BTreeMap<usize, Request>,
}

/// Number of halves in which a question is put at most. A request goes out under the number of its
/// question times this, plus which half it is.
const HALVES: usize = 2;

enum Request {
    Commit(CommitId, Vec<Outcome>),
    Committed(CommittedQuestion),
    Offsets(OffsetsQuestion),
    /// The first offset that is not older than a timestamp.
    Timestamp(Assignment, PartitionId),
    Topics(Vec<TopicIndex>),
    Group(GroupAsk),
}

/// One entry of a commit, with its result if that is known before the broker answers.
struct Outcome {
    partition: PartitionId,
    assignment: Assignment,
    refused: Option<CommitError>,
}

type Asked = Vec<(Assignment, PartitionId)>;

/// Raw metadata by partition.
type Metadata = Vec<(PartitionId, Vec<u8>)>;

/// What the group committed for the partitions asked about, and, separately, for all it ever
/// committed. The first names every partition, because of a partition that we may not read a broker
/// says nothing at all when asked for everything, and that must not look like "nothing committed".
struct CommittedQuestion {
    asked: Asked,
    own: Option<Answers<Option<CommittedOffset>>>,
    all: Option<Result<Metadata, ReadError>>,
}

/// Both ends of some logs.
struct OffsetsQuestion {
    asked: Asked,
    earliest: Option<Answers<i64>>,
    latest: Option<Answers<i64>>,
}

/// Answers of one request by partition, or why there are none.
type Answers<T> = Result<BTreeMap<PartitionId, Result<T, ReadError>>, ReadError>;

impl Requests {
    /// Files a request, and returns the number of its first half.
    fn open(&mut self, request: Request) -> usize {
        self.last += HALVES;
        self.open.insert(self.last, request);
        self.last
    }
}

impl Client {
    /// Asks what the group committed; answered by [`Input::CommittedRead`].
    pub fn read_committed(&mut self, asked: &[(Assignment, PartitionId)]) -> Result<(), Error> {
        let question = CommittedQuestion {
            asked: asked.to_vec(),
            own: None,
            all: None,
        };
        let number = self.requests.open(Request::Committed(question));
        let list = self.topics.list(asked.iter().map(|(_, id)| *id));
        for (half, list) in [Some(&list), None].into_iter().enumerate() {
            self.handle
                .read_committed(&self.group, list, &self.replies, number + half)
                .map_err(refused("read committed offsets"))?;
        }
        Ok(())
    }

    /// Asks which offsets some logs hold; answered by one [`Input::OffsetsListed`] each.
    pub fn list_offsets(&mut self, asked: &[(Assignment, PartitionId)]) -> Result<(), Error> {
        let question = OffsetsQuestion {
            asked: asked.to_vec(),
            earliest: None,
            latest: None,
        };
        let number = self.requests.open(Request::Offsets(question));
        for (half, end) in [LogEnd::Earliest, LogEnd::Latest].into_iter().enumerate() {
            let mut list = Partitions::with_capacity(asked.len());
            for (_, id) in asked {
                list.add(self.topics.name(id.topic), id.partition)
                    .offset(end.as_offset());
            }
            self.handle
                .list_offsets(&list, self.isolation, &self.replies, number + half)
                .map_err(refused("list offsets"))?;
        }
        Ok(())
    }

    /// Asks for the first offset of a log whose record is not older than `timestamp`; answered by one
    /// [`Input::OffsetFound`].
    pub fn find_offset(
        &mut self,
        assignment: Assignment,
        id: PartitionId,
        timestamp: i64,
    ) -> Result<(), Error> {
        let number = self.requests.open(Request::Timestamp(assignment, id));
        let mut list = Partitions::with_capacity(1);
        // Negative numbers name the ends of the log; nothing is older than 1970.
        list.add(self.topics.name(id.topic), id.partition)
            .offset(timestamp.max(0));
        self.handle
            .list_offsets(&list, self.isolation, &self.replies, number)
            .map_err(refused("find an offset by its time"))
    }

    /// Asks for topic ids and partition counts; answered by one [`Input::TopicDescribed`] each.
    pub fn describe_topics(&mut self, topics: &[TopicIndex]) -> Result<(), Error> {
        let number = self.requests.open(Request::Topics(topics.to_vec()));
        let names = topics.iter().map(|topic| self.topics.name(*topic));
        self.handle
            .describe_topics(names, &self.replies, number)
            .map_err(refused("describe topics"))
    }

    /// Asks who owns what in the group; answered by [`Input::GroupDescribed`].
    pub fn describe_group(&mut self, ask: GroupAsk) -> Result<(), Error> {
        let number = self.requests.open(Request::Group(ask));
        self.handle
            .describe_group(&self.group, &self.replies, number)
            .map_err(refused("describe the group"))
    }

    /// Sends one commit; answered by [`Input::CommitDone`].
    ///
    /// The fence: brokers do not check that a member owns what it commits. An entry whose partition
    /// the group has taken away, or gave to us anew since, is not sent.
    pub fn commit(&mut self, request: CommitId, entries: &[CommitEntry]) -> Result<(), Error> {
        let mut list = Partitions::with_capacity(entries.len());
        let mut outcomes = Vec::with_capacity(entries.len());
        for entry in entries {
            let CommitEntry {
                partition,
                assignment,
                ..
            } = *entry;
            let ours = self.may_commit(partition, assignment);
            if ours {
                let element = list.add(self.topics.name(partition.topic), partition.partition);
                let element = element
                    .offset(entry.offset)
                    .leader_epoch(entry.leader_epoch);
                element.metadata(&entry.metadata);
            }
            let refused = (!ours).then(|| CommitError::NotMember("the partition moved".to_owned()));
            outcomes.push(Outcome {
                partition,
                assignment,
                refused,
            });
        }
        if list.is_empty() {
            self.ready.push(commit_done(request, outcomes, |_| Ok(())));
            (self.wake)();
            return Ok(());
        }
        let number = self.requests.open(Request::Commit(request, outcomes));
        self.handle
            .commit(&list, &self.replies, number)
            .map_err(refused("commit"))
    }

    pub(super) fn may_commit(&self, partition: PartitionId, assignment: Assignment) -> bool {
        let fetching = self.assigned.get(&partition);
        self.owned.contains(&partition)
            && fetching.is_none_or(|fetching| fetching.assignment == assignment)
    }

    /// Translates the result of a request.
    pub(super) fn on_reply(&mut self, event: &Event, inputs: &mut Vec<Input<'static>>) {
        let (number, half) = (event.request() / HALVES * HALVES, event.request() % HALVES);
        let Some(mut request) = self.requests.open.remove(&number) else {
            tracing::debug!(kind = ?event.kind(), "a reply of kafka to nothing that was asked");
            return;
        };
        match &mut request {
            Request::Commit(..) => {}
            Request::Topics(asked) => return self.on_topics(event, asked, inputs),
            Request::Group(ask) => {
                let answer = self.described_group(event);
                return inputs.push(Input::GroupDescribed { ask: *ask, answer });
            }
            Request::Timestamp(assignment, id) => {
                let answer = self.found_offset(event, *id);
                return inputs.push(Input::OffsetFound {
                    assignment: *assignment,
                    answer,
                });
            }
            Request::Committed(question) => {
                if half == 0 {
                    question.own = Some(self.own_offsets(event));
                } else {
                    question.all = Some(self.all_metadata(event));
                }
            }
            Request::Offsets(question) => {
                let answers = Some(self.listed_offsets(event));
                if half == 0 {
                    question.earliest = answers;
                } else {
                    question.latest = answers;
                }
            }
        }
        match request {
            Request::Commit(id, outcomes) => {
                debug_assert_eq!(event.kind(), EventKind::Committed, "the reply to a commit");
                inputs.push(self.commit_result(event, id, outcomes));
            }
            Request::Committed(CommittedQuestion {
                asked,
                own: Some(own),
                all: Some(all),
            }) => {
                inputs.push(committed_read(&asked, own, all));
            }
            Request::Offsets(OffsetsQuestion {
                asked,
                earliest: Some(earliest),
                latest: Some(latest),
            }) => offsets_listed(&asked, &earliest, &latest, inputs),
            // The other half is still out.
            unfinished @ (Request::Committed(_)
            | Request::Offsets(_)
            | Request::Timestamp(..)
            | Request::Topics(_)
            | Request::Group(_)) => {
                self.requests.open.insert(number, unfinished);
            }
        }
    }

    fn commit_result(&self, event: &Event, id: CommitId, outcomes: Vec<Outcome>) -> Input<'static> {
        let mut failures: BTreeMap<PartitionId, Failure> = BTreeMap::new();
        let mut any = false;
        for view in event.partitions() {
            any = true;
            if let Some(id) = self.topics.id_of(&view)
                && let Err(failure) = view.code().check()
            {
                failures.insert(id, failure);
            }
        }
        // The code of the whole repeats that of a failed partition, if one has failed. Only when none
        // has, it tells that the request failed for all.
        let whole = event.failure().filter(|_| failures.is_empty() || !any);
        commit_done(id, outcomes, |partition| {
            match whole.as_ref().or_else(|| failures.get(&partition)) {
                Some(failure) => Err(commit_error(failure.clone())),
                None => Ok(()),
            }
        })
    }

    fn own_offsets(&self, event: &Event) -> Answers<Option<CommittedOffset>> {
        let mut answers = BTreeMap::new();
        for view in event.committed().map_err(read_error)? {
            let Some(id) = self.topics.id_of(&view) else {
                continue;
            };
            let answer = view.code().check().map_err(read_error).map(|()| {
                // Negative: nothing was committed.
                (view.offset() >= 0).then(|| CommittedOffset {
                    offset: view.offset(),
                    leader_epoch: view.leader_epoch(),
                    metadata: view.metadata().to_vec(),
                })
            });
            answers.insert(id, answer);
        }
        Ok(answers)
    }

    fn all_metadata(&self, event: &Event) -> Result<Metadata, ReadError> {
        let mut all = Vec::new();
        for view in event.committed().map_err(read_error)? {
            let Some(id) = self.topics.id_of(&view) else {
                continue;
            };
            view.code().check().map_err(read_error)?;
            if view.offset() >= 0 && !view.metadata().is_empty() {
                all.push((id, view.metadata().to_vec()));
            }
        }
        Ok(all)
    }

    fn listed_offsets(&self, event: &Event) -> Answers<i64> {
        let mut answers = BTreeMap::new();
        for view in event.listed().map_err(read_error)? {
            let Some(id) = self.topics.id_of(&view) else {
                continue;
            };
            let answer = view.code().check().map_err(read_error).and_then(|()| {
                if view.offset() < 0 {
                    return Err(ReadError::Transient(
                        "the broker named no offset".to_owned(),
                    ));
                }
                Ok(view.offset())
            });
            answers.insert(id, answer);
        }
        Ok(answers)
    }

    fn found_offset(&self, event: &Event, wanted: PartitionId) -> Result<Option<i64>, ReadError> {
        for view in event.listed().map_err(read_error)? {
            if self.topics.id_of(&view) == Some(wanted) {
                view.code().check().map_err(read_error)?;
                // Negative: no record is that new.
                return Ok((view.offset() >= 0).then(|| view.offset()));
            }
        }
        Err(left_out())
    }

    fn described_group(&self, event: &Event) -> Result<GroupDescription, ReadError> {
        let group = event.group().map_err(read_error)?;
        let group = group.ok_or_else(|| {
            ReadError::Transient("the broker left the group out of its answer".to_owned())
        })?;
        let own = self.handle.member_id();
        let mut described = GroupDescription {
            rests: group.rests,
            owned: Vec::new(),
            ours: Vec::new(),
        };
        for member in &group.members {
            let known = member.owned.iter();
            let ids = known.filter_map(|view| self.topics.id_of(view));
            described.owned.extend(ids.clone());
            if own.as_deref() == Some(member.id) {
                described.ours.extend(ids);
            }
        }
        Ok(described)
    }

    fn on_topics(&self, event: &Event, asked: &[TopicIndex], inputs: &mut Vec<Input<'static>>) {
        let described = match event.described() {
            Ok(described) => described,
            Err(failure) => {
                let error = read_error(failure);
                inputs.extend(asked.iter().map(|topic| Input::TopicDescribed {
                    topic: *topic,
                    answer: Err(error.clone()),
                }));
                return;
            }
        };
        for topic in described {
            let Some(number) = self.topics.find(topic.name) else {
                continue;
            };
            let answer = topic.answer.map_err(read_error).map(|(id, partitions)| {
                let partitions = u32::try_from(partitions).unwrap_or(u32::MAX);
                TopicDescription { id, partitions }
            });
            inputs.push(Input::TopicDescribed {
                topic: number,
                answer,
            });
        }
    }
}

fn commit_done(
    request: CommitId,
    outcomes: Vec<Outcome>,
    sent: impl Fn(PartitionId) -> Result<(), CommitError>,
) -> Input<'static> {
    let result = |outcome: Outcome| {
        let result = outcome.refused.map_or_else(|| sent(outcome.partition), Err);
        (outcome.assignment, result)
    };
    Input::CommitDone {
        request,
        results: outcomes.into_iter().map(result).collect(),
    }
}

/// A sibling's metadata decides whether a partition without an offset is new, so an answer without
/// them would be half the truth: either request failing fails the whole.
fn committed_read(
    asked: &[(Assignment, PartitionId)],
    own: Answers<Option<CommittedOffset>>,
    all: Result<Metadata, ReadError>,
) -> Input<'static> {
    let failed = own.as_ref().err().or(all.as_ref().err()).cloned();
    let own = own.unwrap_or_default();
    let answer = |(assignment, id): &(Assignment, PartitionId)| CommittedAnswer {
        assignment: *assignment,
        answer: match &failed {
            Some(error) => Err(error.clone()),
            None => own.get(id).cloned().unwrap_or_else(|| Err(left_out())),
        },
    };
    let answers = asked.iter().map(answer).collect();
    // Partitions asked about together are siblings of each other as well.
    let is_sibling = |id: &PartitionId| asked.iter().any(|(_, own)| own.topic == id.topic);
    let siblings = all
        .unwrap_or_default()
        .into_iter()
        .filter(|(id, _)| is_sibling(id))
        .collect();
    Input::CommittedRead { answers, siblings }
}

fn offsets_listed(
    asked: &[(Assignment, PartitionId)],
    earliest: &Answers<i64>,
    latest: &Answers<i64>,
    inputs: &mut Vec<Input<'static>>,
) {
    let find = |answers: &Answers<i64>, id: &PartitionId| match answers {
        Ok(answers) => answers.get(id).cloned().unwrap_or_else(|| Err(left_out())),
        Err(error) => Err(error.clone()),
    };
    for (assignment, id) in asked {
        let answer = find(earliest, id).and_then(|earliest| {
            let latest = find(latest, id)?;
            Ok(LogRange { earliest, latest })
        });
        inputs.push(Input::OffsetsListed {
            assignment: *assignment,
            answer,
        });
    }
}

fn left_out() -> ReadError {
    ReadError::Transient("the broker left the partition out of its answer".to_owned())
}
