//! What the broker and the coordinator answer, when, and whether the answer arrives.

use std::time::Duration;

use ackline::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, GroupAsk,
    GroupDescription, Input, LogRange, PartitionId, ReadError, TopicDescription, TopicIndex,
};

use super::group::{Grant, Heartbeat, Join, MemberName};
use super::world::{Happening, What, World};

/// A commit on its way to the coordinator.
#[derive(Debug)]
pub(crate) struct CommitInFlight {
    pub(crate) member: usize,
    pub(crate) life: u32,
    pub(crate) client: u32,
    pub(crate) name: Option<MemberName>,
    pub(crate) generation: i32,
    pub(crate) request: CommitId,
    pub(crate) entries: Vec<CommitEntry>,
    pub(crate) answer_lost: bool,
    /// Numbers of the claims under which a store outside Kafka is written to.
    pub(crate) fences: Vec<Option<u64>>,
}

/// An answer on its way to a process.
#[derive(Debug)]
pub(crate) enum Answer {
    Committed {
        answers: Vec<CommittedAnswer>,
        siblings: Vec<(PartitionId, Vec<u8>)>,
    },
    Listed {
        assignment: Assignment,
        answer: Result<LogRange, ReadError>,
    },
    Found {
        assignment: Assignment,
        answer: Result<Option<i64>, ReadError>,
    },
    Described {
        topic: TopicIndex,
        answer: Result<TopicDescription, ReadError>,
    },
    Topics(Result<Vec<String>, ReadError>),
    Group(GroupAsk, Result<GroupDescription, ReadError>),
    Commit {
        request: CommitId,
        results: Vec<(Assignment, Result<(), CommitError>)>,
    },
}

impl World {
    fn is_cut_off(&self, member: usize) -> bool {
        self.now < self.members[member].cut_off_until
    }

    /// The fate of a read: how long it takes, and the error that it ends with, if it does.
    pub(crate) fn read_fate(&mut self, member: usize) -> (Duration, Option<ReadError>) {
        if self.is_cut_off(member) {
            return (
                Duration::from_millis(700),
                Some(ReadError::Transient("no connection".to_owned())),
            );
        }
        let latency = self.latency();
        let failed = !self.is_healed() && self.random.chance(self.plan.faults.read_failed);
        let error = failed.then(|| match self.random.below(3) {
            0 => ReadError::Unauthorized("not allowed for now".to_owned()),
            1 => ReadError::UnknownTopic("not known yet".to_owned()),
            _ => ReadError::Transient("try again".to_owned()),
        });
        (latency, error)
    }

    pub(crate) fn read_committed(&mut self, member: usize, asked: Vec<(Assignment, PartitionId)>) {
        for (assignment, partition) in &asked {
            self.oracle.read_asked(member, *assignment, *partition);
        }
        if self.plan.claims {
            return self.claim(member, asked);
        }
        let (wait, error) = self.read_fate(member);
        let answer = What::Answer(Box::new(self.committed_answer(&asked, error)));
        self.later_of_client(member, wait, answer);
    }

    /// What is stored of these partitions, and of their siblings, or why that is not told.
    pub(crate) fn committed_answer(
        &self,
        asked: &[(Assignment, PartitionId)],
        error: Option<ReadError>,
    ) -> Answer {
        let told = error.is_none();
        let answers = asked.iter().map(|(assignment, partition)| CommittedAnswer {
            assignment: *assignment,
            answer: error
                .clone()
                .or_else(|| self.unstable(*partition))
                .map_or_else(|| Ok(self.broker.committed.get(partition).cloned()), Err),
        });
        let is_asked = |sibling: &PartitionId| asked.iter().any(|(_, asked)| asked == sibling);
        let of_topic = |sibling: &PartitionId| {
            let mut topics = asked.iter().map(|(_, asked)| asked.topic);
            topics.any(|topic| topic == sibling.topic)
        };
        let siblings = self.broker.committed.iter();
        let siblings = siblings
            .filter(|(sibling, _)| told && of_topic(sibling))
            .filter(|(sibling, _)| !is_asked(sibling) || asked.len() > 1)
            .map(|(sibling, committed)| (*sibling, committed.metadata.clone()));
        Answer::Committed {
            answers: answers.collect(),
            siblings: siblings.collect(),
        }
    }

    /// A position under an unfinished transaction is not told.
    fn unstable(&self, partition: PartitionId) -> Option<ReadError> {
        let unstable = || ReadError::Transient("unstable offset commit".to_owned());
        self.transactions.holds(partition).then(unstable)
    }

    pub(crate) fn list_offsets(&mut self, member: usize, asked: Vec<(Assignment, PartitionId)>) {
        let (wait, error) = self.read_fate(member);
        for (assignment, partition) in asked {
            self.oracle.list_asked(member, assignment, partition);
            let unknown = || ReadError::UnknownTopic("no such partition".to_owned());
            let answer = error
                .clone()
                .map_or_else(|| self.broker.range(partition).ok_or_else(unknown), Err);
            self.later_of_client(
                member,
                wait,
                What::Answer(Box::new(Answer::Listed { assignment, answer })),
            );
        }
    }

    pub(crate) fn describe_topics(&mut self, member: usize, topics: Vec<TopicIndex>) {
        let (wait, error) = self.read_fate(member);
        for topic in topics {
            let known = self.broker.topic(topic);
            let description = TopicDescription {
                id: self.broker.topic_ids.then(|| known.uuid(topic)),
                partitions: u32::try_from(known.logs.len()).unwrap_or(0),
            };
            let answer = error.clone().map_or(Ok(description), Err);
            self.later_of_client(
                member,
                wait,
                What::Answer(Box::new(Answer::Described { topic, answer })),
            );
        }
    }

    pub(crate) fn describe_group(&mut self, member: usize, ask: GroupAsk) {
        let (wait, error) = self.read_fate(member);
        let name = self
            .process(member)
            .and_then(|process| process.library.name);
        let answer = error.map_or_else(|| Ok(self.group.describe(name)), Err);
        let answer = Box::new(Answer::Group(ask, answer));
        self.later_of_client(member, wait, What::Answer(answer));
    }

    pub(crate) fn answered(&mut self, member: usize, answer: Answer) {
        match answer {
            Answer::Committed { answers, siblings } => {
                let knows_cluster = self
                    .process(member)
                    .is_some_and(|process| process.knows_cluster);
                for answer in &answers {
                    self.oracle.read_answered(
                        member,
                        answer,
                        &siblings,
                        &self.broker,
                        knows_cluster,
                    );
                }
                self.tell(member, Input::CommittedRead { answers, siblings });
            }
            Answer::Listed { assignment, answer } => {
                self.tell(member, Input::OffsetsListed { assignment, answer })
            }
            Answer::Found { assignment, answer } => {
                self.tell(member, Input::OffsetFound { assignment, answer })
            }
            Answer::Described { topic, answer } => {
                self.tell(member, Input::TopicDescribed { topic, answer })
            }
            Answer::Topics(answer) => self.tell(member, Input::TopicsFound { answer }),
            Answer::Group(ask, answer) => self.tell(member, Input::GroupDescribed { ask, answer }),
            Answer::Commit { request, results } => {
                self.oracle.commit_answered(member, request);
                self.tell(member, Input::CommitDone { request, results });
            }
        }
    }

    // ---- commits

    pub(crate) fn commit(&mut self, member: usize, request: CommitId, entries: Vec<CommitEntry>) {
        if self.plan.applications_keep {
            return self.offer(member, request, &entries);
        }
        let now = self.now;
        let Some(process) = self.members[member].process.as_ref() else {
            return;
        };
        self.oracle.commit_sent(
            now,
            member,
            request,
            &entries,
            &self.broker,
            &process.library,
        );
        let (name, generation) = (process.library.name, process.library.generation);
        let client = process.client;
        let faults = self.plan.faults.clone();
        let healed = self.is_healed();
        let cut_off = self.is_cut_off(member) && !self.plan.claims;
        let lost = cut_off || (!healed && self.random.chance(faults.commit_lost));
        if lost {
            let results = entries
                .iter()
                .map(|entry| {
                    (
                        entry.assignment,
                        Err(CommitError::Transient("timed out".to_owned())),
                    )
                })
                .collect();
            let wait = self.random.millis(500..5000);
            return self.later_of_client(
                member,
                wait,
                What::Answer(Box::new(Answer::Commit { request, results })),
            );
        }
        let late = !healed && self.random.chance(faults.commit_late);
        let wait = if late {
            self.random.millis(100..7000)
        } else {
            self.latency()
        };
        let answer_lost = !healed && self.random.chance(faults.commit_answer_lost);
        let life = self.members[member].life;
        let commit = CommitInFlight {
            member,
            life,
            client,
            name,
            generation,
            request,
            fences: self.fences_of(member, &entries),
            entries,
            answer_lost,
        };
        self.after(wait, Happening::CommitArrives(Box::new(commit)));
    }

    pub(crate) fn commit_arrives(&mut self, commit: CommitInFlight) {
        let claims = self.plan.claims;
        let refusal = if !claims && !self.group.accepts(commit.name, commit.generation) {
            Some(CommitError::NotMember(
                "unknown member or old generation".to_owned(),
            ))
        } else if !self.is_healed() && self.random.chance(self.plan.faults.commit_refused) {
            Some(match self.random.below(3) {
                0 => CommitError::Unauthorized("not allowed for now".to_owned()),
                1 if !claims => CommitError::NotMember("rebalance in progress".to_owned()),
                _ => CommitError::Transient("coordinator loading".to_owned()),
            })
        } else {
            None
        };
        self.note(|| {
            format!(
                "commit {:?} of member {} arrives: {refusal:?}",
                commit.request, commit.member
            )
        });
        let mut results = Vec::new();
        for (entry, fence) in commit.entries.iter().zip(&commit.fences) {
            let overtaken = claims.then(|| self.claims.refuses(entry.partition, *fence));
            let refusal = refusal.clone().or(overtaken.flatten());
            let result = refusal.map_or_else(|| self.apply(entry), Err);
            results.push((entry.assignment, result));
        }
        let mut wait = self.latency();
        if commit.answer_lost {
            wait = self.random.millis(500..4000);
            for (_, result) in &mut results {
                *result = Err(CommitError::Transient("connection lost".to_owned()));
            }
        }
        let answer = Box::new(Answer::Commit {
            request: commit.request,
            results,
        });
        let at = self.now.plus(wait);
        self.at(
            at,
            Happening::Of {
                member: commit.member,
                life: commit.life,
                client: (!claims).then_some(commit.client),
                what: What::Answer(answer),
            },
        );
    }

    pub(crate) fn apply(&mut self, entry: &CommitEntry) -> Result<(), CommitError> {
        let before = self
            .broker
            .committed
            .get(&entry.partition)
            .map(|committed| committed.offset);
        let committed = CommittedOffset {
            offset: entry.offset,
            leader_epoch: entry.leader_epoch.filter(|_| self.broker.epochs),
            metadata: entry.metadata.clone().into_bytes(),
        };
        self.broker.store(entry.partition, committed)?;
        self.oracle
            .commit_applied(entry.partition, before, entry.offset);
        Ok(())
    }

    // ---- group

    pub(crate) fn heartbeat(&mut self, member: usize) {
        let now = self.now;
        let cut_off = self.is_cut_off(member);
        let session = self.plan.settings.session_timeout;
        let wait = self.random.millis(300..500);
        self.later(member, wait, What::Heartbeat);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let Some(name) = process.library.name else {
            process.heard_of_at = now;
            return;
        };
        if cut_off {
            if now.since(process.heard_of_at) > session {
                process.heard_of_at = now;
                self.lose(member);
            }
            return;
        }
        process.heard_of_at = now;
        match self.group.heartbeat(now, name) {
            Heartbeat::Fine => {}
            Heartbeat::RebalanceInProgress => process.library.rebalance_in_progress(),
            Heartbeat::UnknownMember => return self.lose(member),
        }
        self.run_library(member);
    }

    fn lose(&mut self, member: usize) {
        let lost = self
            .process(member)
            .and_then(|process| process.library.lose());
        if let Some(lost) = lost {
            self.raise(member, lost);
        }
        self.run_library(member);
    }

    pub(crate) fn join_arrives(&mut self, member: usize) {
        if self.is_cut_off(member) {
            return self.later_of_client(member, Duration::from_millis(300), What::JoinArrives);
        }
        let now = self.now;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        if !process.library.joining || !process.library.subscribed {
            return;
        }
        if process
            .library
            .name
            .is_some_and(|name| !self.group.knows(name))
        {
            return self.lose(member);
        }
        let is_static = self.plan.settings.static_member;
        let join = Join {
            number: process.library.joins,
            name: process.library.name,
            owned: process.library.owned.clone(),
            topics: process.library.topics.clone(),
            instance: is_static.then_some(member),
        };
        let (name, grant) = self.group.join(now, join);
        process.library.name = Some(name);
        process.heard_of_at = now;
        if let Some(grant) = grant {
            let wait = self.latency();
            self.later_of_client(member, wait, What::Granted(grant));
        }
        self.complete_rebalance();
    }

    pub(crate) fn complete_rebalance(&mut self) {
        let partitions = self.broker.partitions();
        for grant in self.group.complete(self.now, &partitions, &mut self.random) {
            let Some(member) = self.member_named(grant.member) else {
                continue;
            };
            let wait = self.latency();
            self.later_of_client(member, wait, What::Granted(grant));
        }
    }

    pub(crate) fn granted(&mut self, member: usize, grant: Grant) {
        let current = self.group.is_current(&grant);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        if !current
            || process.library.name != Some(grant.member)
            || !process.library.subscribed
            || !process.library.joining
            || process.library.joins != grant.join
        {
            return;
        }
        process.library.granted(grant);
        self.run_library(member);
    }

    /// The member has given everything back and leaves the group.
    pub(crate) fn left(&mut self, member: usize) {
        let now = self.now;
        let cut_off = self.is_cut_off(member);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        if let Some(name) = process.library.name.take()
            && !cut_off
        {
            self.group.leave(now, name);
        }
        process.library.generation = -1;
        process.library.joining = false;
        self.tell(member, Input::GroupLeft);
        self.complete_rebalance();
    }

    pub(crate) fn coordinator_looks(&mut self) {
        self.group.expire(self.now);
        self.expire_transactions();
        self.complete_rebalance();
        self.after(Duration::from_millis(300), Happening::Coordinator);
    }
}
