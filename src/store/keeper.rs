//! Asks a store what the core wants to know, one question after the other.
//!
//! The engine never waits: questions go to a task of the same runtime, and answers come back as inputs of the core.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::mpsc;

use super::{OffsetStore, Place, Position, StoreError, Write};
use crate::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, Input,
    PartitionId, ReadError, TopicIndex,
};
use crate::kafka::Wake;

/// How many questions may wait. One commit is out at most, and one read for each assignment.
const WAITING_MAX: usize = 1024;

/// A partition that is to be claimed.
type Wanted = (Assignment, PartitionId, Place);

/// What a store says of partitions that were claimed, and of their topics.
struct Stored {
    positions: BTreeMap<PartitionId, Position>,
    /// Metadata of everything in the same topics.
    siblings: Vec<(PartitionId, Vec<u8>)>,
}

/// What the store said.
struct Answer {
    /// In the words of the core.
    input: Input<'static>,
    /// What was written.
    written: Vec<CommitEntry>,
}

/// What the core asks.
enum Ask {
    Claim(Vec<Wanted>),
    Write(CommitId, Vec<(CommitEntry, Place)>),
}

/// See the module.
pub struct Keeper {
    /// Names of topics, as the core numbers them.
    topics: Vec<String>,
    asks: mpsc::Sender<Ask>,
    told: Sender<Answer>,
    answers: Receiver<Answer>,
    wake: Wake,
}

impl Keeper {
    /// What answers questions about these topics, and the task that asks the store. `wake` is called when there is an
    /// answer.
    pub fn new(store: Box<dyn OffsetStore>, topics: &[String], wake: Wake) -> (Self, KeeperTask) {
        let (asks, waiting) = mpsc::channel(WAITING_MAX);
        let (told, answers) = channel();
        let task = KeeperTask {
            store,
            fences: BTreeMap::new(),
            waiting,
            told: told.clone(),
            wake: wake.clone(),
        };
        let keeper = Self {
            topics: topics.to_vec(),
            asks,
            told,
            answers,
            wake,
        };
        (keeper, task)
    }

    /// The next topic of the core.
    pub fn add_topic(&mut self, name: &str) {
        self.topics.push(name.to_owned());
    }

    /// Claims partitions and asks what is stored of them; answered by one [`Input::CommittedRead`].
    pub fn claim(&self, asked: &[(Assignment, PartitionId)]) {
        let asked = asked
            .iter()
            .map(|(assignment, id)| (*assignment, *id, self.place(*id)));
        self.ask(Ask::Claim(asked.collect()));
    }

    /// Stores positions under our claims; answered by one [`Input::CommitDone`].
    pub fn write(&self, request: CommitId, entries: &[CommitEntry]) {
        let entries = entries
            .iter()
            .map(|entry| (entry.clone(), self.place(entry.partition)));
        self.ask(Ask::Write(request, entries.collect()));
    }

    /// Hands out what was answered. Returns what was written.
    pub fn take(&self, inputs: &mut Vec<Input<'static>>) -> Vec<CommitEntry> {
        let mut written = Vec::new();
        for answer in self.answers.try_iter() {
            inputs.push(answer.input);
            written.extend(answer.written);
        }
        written
    }

    fn ask(&self, ask: Ask) {
        if let Err(error) = self.asks.try_send(ask) {
            let away = StoreError::Away("too many questions wait for the offset store".to_owned());
            // The receiving end is ours.
            let _ = self.told.send(error.into_inner().unanswered(&away).into());
            (self.wake)();
        }
    }

    fn place(&self, id: PartitionId) -> Place {
        let topic = self.topics.get(usize::from(id.topic.0));
        Place {
            topic: topic.cloned().unwrap_or_default(),
            partition: id.partition,
        }
    }
}

/// Asks the store, one question after the other. See the module.
pub struct KeeperTask {
    store: Box<dyn OffsetStore>,
    /// The number of our last claim of each partition. It outlives the assignment: one whose position was moved goes on
    /// under another number, without a claim of its own. What is written for an earlier one is asked before the claim is.
    fences: BTreeMap<PartitionId, i64>,
    waiting: mpsc::Receiver<Ask>,
    told: Sender<Answer>,
    wake: Wake,
}

impl KeeperTask {
    /// Answers until its keeper is gone.
    pub async fn run(mut self) {
        self.answer_waiting().await;
    }

    async fn answer_waiting(&mut self) {
        while let Some(ask) = self.waiting.recv().await {
            let answer = match ask {
                Ask::Claim(asked) => self.claim(&asked).await.into(),
                Ask::Write(request, entries) => self.write(request, &entries).await,
            };
            if self.told.send(answer).is_err() {
                return;
            }
            (self.wake)();
        }
    }

    async fn claim(&mut self, asked: &[Wanted]) -> Input<'static> {
        let stored = match self.read(asked).await {
            Ok(stored) => stored,
            Err(error) => return unread(asked, &error),
        };
        let answer = |(assignment, id, _): &Wanted| CommittedAnswer {
            assignment: *assignment,
            answer: Ok(stored.positions.get(id).map(|position| CommittedOffset {
                offset: position.offset,
                leader_epoch: position.leader_epoch,
                metadata: position.metadata.clone().into_bytes(),
            })),
        };
        Input::CommittedRead {
            answers: asked.iter().map(answer).collect(),
            siblings: stored.siblings,
        }
    }

    async fn read(&mut self, asked: &[Wanted]) -> Result<Stored, StoreError> {
        let places: Vec<Place> = asked.iter().map(|(.., place)| place.clone()).collect();
        let wanted: BTreeMap<&Place, PartitionId> =
            asked.iter().map(|(_, id, place)| (place, *id)).collect();
        let mut positions = BTreeMap::new();
        for claim in self.store.claim(&places).await? {
            if let Some(id) = wanted.get(&claim.place) {
                self.fences.insert(*id, claim.fence);
                positions.extend(claim.position.map(|position| (*id, position)));
            }
        }
        let topics = asked
            .iter()
            .map(|(_, id, place)| (place.topic.as_str(), id.topic));
        let topics: BTreeMap<&str, TopicIndex> = topics.collect();
        let names: Vec<String> = topics.keys().map(|name| (*name).to_owned()).collect();
        let siblings = self.store.metadata(&names).await?;
        let siblings = siblings.into_iter().filter_map(|(place, metadata)| {
            let topic = *topics.get(place.topic.as_str())?;
            let partition = place.partition;
            Some((PartitionId { topic, partition }, metadata.into_bytes()))
        });
        Ok(Stored {
            positions,
            siblings: siblings.collect(),
        })
    }

    async fn write(&mut self, request: CommitId, entries: &[(CommitEntry, Place)]) -> Answer {
        let writes = entries.iter().filter_map(|(entry, place)| {
            Some(Write {
                place: place.clone(),
                fence: *self.fences.get(&entry.partition)?,
                position: Position {
                    offset: entry.offset,
                    leader_epoch: entry.leader_epoch,
                    metadata: entry.metadata.clone(),
                },
            })
        });
        let writes: Vec<Write> = writes.collect();
        let written = match self.store.write(&writes).await {
            Ok(written) => BTreeSet::from_iter(written),
            Err(error) => return unwritten(request, entries, &error).into(),
        };
        let results = entries.iter().map(|(entry, place)| {
            let claimed =
                || CommitError::Claimed("another process has claimed it since".to_owned());
            let result = written.contains(place).then_some(()).ok_or_else(claimed);
            (entry.assignment, result)
        });
        let input = Input::CommitDone {
            request,
            results: results.collect(),
        };
        let is_written =
            |(entry, place): &(CommitEntry, Place)| written.contains(place).then(|| entry.clone());
        Answer {
            input,
            written: entries.iter().filter_map(is_written).collect(),
        }
    }
}

impl From<Input<'static>> for Answer {
    /// One by which nothing was written.
    fn from(input: Input<'static>) -> Self {
        Self {
            input,
            written: Vec::new(),
        }
    }
}

impl Ask {
    /// The answer to a question that got none.
    fn unanswered(&self, error: &StoreError) -> Input<'static> {
        match self {
            Self::Claim(asked) => unread(asked, error),
            Self::Write(request, entries) => unwritten(*request, entries, error),
        }
    }
}

/// Whoever reads it may think of brokers first. What only a person can mend passes like everything else when he has: no topic
/// is refused to us, of which the words for brokers speak.
fn of_store(error: &StoreError) -> String {
    format!("offset store: {error}")
}

fn unread(asked: &[Wanted], error: &StoreError) -> Input<'static> {
    let failed = |(assignment, ..): &Wanted| CommittedAnswer {
        assignment: *assignment,
        answer: Err(ReadError::Transient(of_store(error))),
    };
    Input::CommittedRead {
        answers: asked.iter().map(failed).collect(),
        siblings: Vec::new(),
    }
}

fn unwritten(
    request: CommitId,
    entries: &[(CommitEntry, Place)],
    error: &StoreError,
) -> Input<'static> {
    let failed = |(entry, _): &(CommitEntry, Place)| {
        (
            entry.assignment,
            Err(CommitError::Transient(of_store(error))),
        )
    };
    Input::CommitDone {
        request,
        results: entries.iter().map(failed).collect(),
    }
}

#[cfg(test)]
mod tests;
