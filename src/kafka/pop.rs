//! Popping records.

use std::sync::Arc;

use super::client::Client;
use super::error::fetch_error;
use super::fetching::FetchState;
use super::ffi::{Failure, Message, Messages};

use crate::core::{Assignment, Fetch, FetchError, Input, PartitionId, PoppedRecord, PoppedRun};
use crate::dead_letter::is_for_another_group;
use crate::key_hash::key_hash;
use crate::record::Record;

/// What one pop brought. Its buffers are reused by the next pop into it.
///
/// A record pins the whole response of the broker that it came in: look at what is needed soon,
/// copy what must stay, and [`Batch::clear`].
#[derive(Default)]
pub struct Batch {
    messages: Messages,
    records: Vec<PoppedRecord>,
    /// Which of the records have headers.
    headers: Vec<bool>,
    runs: Vec<Run>,
    failures: Vec<(PartitionId, Fetch, FetchError)>,
}

/// Records of one partition that were popped one after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The partition.
    pub partition: PartitionId,
    /// Its assignment.
    pub assignment: Assignment,
    /// The fetch that was alive.
    pub fetch: Fetch,
    /// How many records.
    pub count: usize,
    position: Option<i64>,
    /// Place of the first one in `Batch::records`.
    first_record: usize,
    /// Place of the first one in `Batch::messages`, from where on there are no holes.
    first_message: usize,
}

impl Batch {
    /// Whether there is nothing to tell the core.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty() && self.failures.is_empty()
    }

    /// The runs, in the order popped.
    #[must_use]
    pub fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// The runs as [`Input::Popped`] wants them.
    #[must_use]
    pub fn popped_runs(&self) -> Vec<PoppedRun<'_>> {
        let run = |run: &Run| PoppedRun {
            partition: run.partition,
            fetch: run.fetch,
            position: run.position,
            records: self.records_of(run),
        };
        self.runs.iter().map(run).collect()
    }

    /// What the core knows of a run's records.
    #[must_use]
    pub fn records_of(&self, run: &Run) -> &[PoppedRecord] {
        &self.records[run.first_record..run.first_record + run.count]
    }

    /// Record number `index` of a run of this batch.
    ///
    /// # Panics
    ///
    /// If the run has no such record.
    #[must_use]
    pub fn message(&self, run: &Run, index: usize) -> Message<'_> {
        assert!(
            index < run.count,
            "record {index} of a run of {}",
            run.count
        );
        let message = self.messages.get(run.first_message + index);
        message
            .unwrap_or_else(|| unreachable!("a run lies within its batch"))
            .with_headers(self.headers[run.first_record + index])
    }

    /// Moves the failed fetches to `inputs`. They happened after the runs, so tell those first.
    pub fn take_failures(&mut self, inputs: &mut Vec<Input<'static>>) {
        inputs.extend(self.failures.drain(..).map(|(partition, fetch, error)| {
            Input::FetchFailed {
                partition,
                fetch,
                error,
            }
        }));
    }

    /// Frees the records. Failures not taken are forgotten, too.
    pub fn clear(&mut self) {
        self.messages.clear();
        self.records.clear();
        self.headers.clear();
        self.runs.clear();
        self.failures.clear();
    }

    fn push(&mut self, run: Run, record: PoppedRecord, headers: bool, goes_on: bool) {
        match self.runs.last_mut() {
            Some(last) if goes_on => last.count += 1,
            Some(_) | None => self.runs.push(run),
        }
        self.records.push(record);
        self.headers.push(headers);
    }
}

impl Client {
    /// Pops at most `max` records without waiting, and returns how many came out of the queue, among
    /// them some that are dropped because their fetch is over. Fewer than `max` means that the queue
    /// was found empty.
    ///
    /// `size_of` says how many bytes a record takes in a frame. Keys are hashed if `hash_keys`.
    pub fn pop(
        &mut self,
        batch: &mut Batch,
        max: usize,
        hash_keys: bool,
        size_of: impl Fn(&Message<'_>) -> u32,
    ) -> usize {
        batch.clear();
        let mut messages = std::mem::take(&mut batch.messages);
        self.records.pop(&mut messages, max);
        let popped = messages.len();

        // The fetch of the last message, if it may be believed.
        let mut current: Option<(PartitionId, Assignment, Fetch)> = None;
        let mut last: Option<Message<'_>> = None;
        let mut goes_on = false;
        for index in 0..popped {
            let Some(message) = messages.get(index) else {
                break;
            };
            if !last.is_some_and(|last| last.same_place(&message)) {
                current = self.alive(&message);
                goes_on = false;
            }
            last = Some(message);
            let Some((partition, assignment, fetch)) = current else {
                continue;
            };
            if message.code().is_error() {
                let failure = Failure {
                    code: message.code(),
                    text: message.error_text(),
                };
                batch
                    .failures
                    .push((partition, fetch, fetch_error(failure)));
                self.mark_failed(partition);
                current = None;
                continue;
            }
            let headers = message.has_headers();
            let message = message.with_headers(headers);
            let record = PoppedRecord {
                offset: message.offset(),
                key_hash: if hash_keys {
                    message.key().map(key_hash)
                } else {
                    None
                },
                size: size_of(&message),
                leader_epoch: message.leader_epoch(),
                foreign: headers && is_for_another_group(&message, self.group.to_bytes()),
            };
            let run = Run {
                partition,
                assignment,
                fetch,
                count: 1,
                position: None,
                first_record: batch.records.len(),
                first_message: index,
            };
            batch.push(run, record, headers, goes_on);
            goes_on = true;
        }
        batch.messages = messages;
        self.sample_runs(batch);
        popped
    }

    /// Tells where each fetch stands, if that is news: after a pop that found the queue empty, when
    /// transaction markers may have moved it without a record.
    pub fn sample_positions(&mut self, inputs: &mut Vec<Input<'static>>) {
        let handle = Arc::clone(&self.handle);
        for (id, fetching) in &mut self.assigned {
            if let Some(offset) = fetching.news_of_position(&handle) {
                let fetch = fetching.fetch;
                inputs.push(Input::PositionSampled {
                    partition: *id,
                    fetch,
                    offset,
                });
            }
        }
    }

    /// Samples the positions of the partitions in a batch. The position lies behind all that was
    /// popped, so it belongs to the last run of its partition; for the others there is no news.
    fn sample_runs(&mut self, batch: &mut Batch) {
        for run in batch.runs.iter_mut().rev() {
            if let Some(fetching) = self.assigned.get_mut(&run.partition) {
                run.position = fetching.news_of_position(&self.handle);
            }
        }
    }

    /// The fetch that a message belongs to, if it may be believed.
    fn alive(&self, message: &Message<'_>) -> Option<(PartitionId, Assignment, Fetch)> {
        let (topic, partition) = message.place()?;
        let id = self.topics.id(topic, partition)?;
        let fetching = self.assigned.get(&id)?;
        let fetch = (id, fetching.assignment, fetching.fetch);
        (fetching.state == FetchState::Alive).then_some(fetch)
    }

    /// Believes nothing of a fetch any more. The error event itself may have moved its position.
    pub(super) fn mark_failed(&mut self, id: PartitionId) {
        if let Some(fetching) = self.assigned.get_mut(&id) {
            fetching.state = FetchState::Failed;
        }
    }
}
