//! Asks a store what the core wants to know, one question after the other.
//!
//! The engine never waits: questions go to a task of the same runtime, and answers come back as inputs of the core.

use std::collections::{BTreeMap, BTreeSet};

use std::sync::mpsc::{Receiver, Sender, channel};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::{OffsetStore, Place, Position, StoreError, Write};
use crate::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, Input,
    PartitionId, ReadError,
};
use crate::kafka::Wake;

/// What the core asks. One commit and one read for each assignment are out at most, so that the queue stays short.
enum Ask {
    Claim(Vec<(Assignment, PartitionId, Place)>),
    Write(CommitId, Vec<(CommitEntry, Place)>),
}

/// See the module.
pub struct Keeper {
    /// Names of topics, as the core numbers them.
    topics: Vec<String>,
    asks: UnboundedSender<Ask>,
    answers: Receiver<Input<'static>>,
}

impl Keeper {
    /// Begins to answer questions about these topics. `wake` is called when there is an answer.
    pub fn start(store: Box<dyn OffsetStore>, topics: &[String], wake: Wake) -> Self {
        let (asks, waiting) = unbounded_channel();
        let (told, answers) = channel();
        let task = Task {
            store,
            fences: BTreeMap::new(),
            told,
            wake,
        };
        tokio::spawn(task.run(waiting));
        Self {
            topics: topics.to_vec(),
            asks,
            answers,
        }
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

    /// Hands out what was answered.
    pub fn take(&self, inputs: &mut Vec<Input<'static>>) {
        inputs.extend(self.answers.try_iter());
    }

    fn ask(&self, ask: Ask) {
        // The task lives as long as this end of the channel.
        let _ = self.asks.send(ask);
    }

    fn place(&self, id: PartitionId) -> Place {
        let topic = self.topics.get(usize::from(id.topic.0));
        Place {
            topic: topic.cloned().unwrap_or_default(),
            partition: id.partition,
        }
    }
}

struct Task {
    store: Box<dyn OffsetStore>,
    /// The number of our last claim of each partition.
    fences: BTreeMap<PartitionId, i64>,
    told: Sender<Input<'static>>,
    wake: Wake,
}

impl Task {
    async fn run(mut self, mut waiting: UnboundedReceiver<Ask>) {
        while let Some(ask) = waiting.recv().await {
            let answer = match ask {
                Ask::Claim(asked) => self.claim(&asked).await,
                Ask::Write(request, entries) => self.write(request, entries).await,
            };
            if self.told.send(answer).is_err() {
                return;
            }
            (self.wake)();
        }
    }

    async fn claim(&mut self, asked: &[(Assignment, PartitionId, Place)]) -> Input<'static> {
        let read = self.read(asked).await;
        let (mut stored, siblings) = match read {
            Ok(read) => read,
            Err(error) => {
                let failed =
                    |(assignment, ..): &(Assignment, PartitionId, Place)| CommittedAnswer {
                        assignment: *assignment,
                        answer: Err(read_error(error.clone())),
                    };
                return Input::CommittedRead {
                    answers: asked.iter().map(failed).collect(),
                    siblings: Vec::new(),
                };
            }
        };
        let answers = asked
            .iter()
            .map(|(assignment, id, _)| CommittedAnswer {
                assignment: *assignment,
                answer: Ok(stored.remove(id).map(|position| CommittedOffset {
                    offset: position.offset,
                    leader_epoch: position.leader_epoch,
                    metadata: position.metadata.into_bytes(),
                })),
            })
            .collect();
        Input::CommittedRead { answers, siblings }
    }

    /// Positions of what was claimed, and the metadata of everything in the same topics.
    #[allow(clippy::type_complexity, reason = "a pair that lives for one line")]
    async fn read(
        &mut self,
        asked: &[(Assignment, PartitionId, Place)],
    ) -> Result<(BTreeMap<PartitionId, Position>, Vec<(PartitionId, Vec<u8>)>), StoreError> {
        let places: Vec<Place> = asked.iter().map(|(.., place)| place.clone()).collect();
        let ids: BTreeMap<&Place, PartitionId> =
            asked.iter().map(|(_, id, place)| (place, *id)).collect();
        let mut stored = BTreeMap::new();
        for claim in self.store.claim(&places).await? {
            let Some(id) = ids.get(&claim.place) else {
                continue;
            };
            self.fences.insert(*id, claim.fence);
            stored.extend(claim.position.map(|position| (*id, position)));
        }
        let topics: BTreeMap<&str, PartitionId> = asked
            .iter()
            .map(|(_, id, place)| (place.topic.as_str(), *id))
            .collect();
        let names: Vec<String> = topics.keys().map(|name| (*name).to_owned()).collect();
        let siblings = self.store.metadata(&names).await?;
        let siblings = siblings.into_iter().filter_map(|(place, metadata)| {
            let topic = topics.get(place.topic.as_str())?.topic;
            let partition = place.partition;
            Some((PartitionId { topic, partition }, metadata.into_bytes()))
        });
        Ok((stored, siblings.collect()))
    }

    async fn write(
        &mut self,
        request: CommitId,
        entries: Vec<(CommitEntry, Place)>,
    ) -> Input<'static> {
        let write = |(entry, place): &(CommitEntry, Place)| {
            Some(Write {
                place: place.clone(),
                fence: *self.fences.get(&entry.partition)?,
                position: Position {
                    offset: entry.offset,
                    leader_epoch: entry.leader_epoch,
                    metadata: entry.metadata.clone(),
                },
            })
        };
        let writes: Vec<Write> = entries.iter().filter_map(write).collect();
        let written = self.store.write(&writes).await;
        let written = written.map(BTreeSet::from_iter);
        let result = |place: &Place| match &written {
            Ok(written) if written.contains(place) => Ok(()),
            Ok(_) => Err(CommitError::Claimed(
                "another process has claimed the partition since".to_owned(),
            )),
            Err(StoreError::Away(text)) => Err(CommitError::Transient(text.clone())),
            Err(StoreError::Refused(text)) => Err(CommitError::Unauthorized(text.clone())),
        };
        let results = entries
            .iter()
            .map(|(entry, place)| (entry.assignment, result(place)));
        Input::CommitDone {
            request,
            results: results.collect(),
        }
    }
}

fn read_error(error: StoreError) -> ReadError {
    match error {
        StoreError::Away(text) => ReadError::Transient(text),
        StoreError::Refused(text) => ReadError::Unauthorized(text),
    }
}
