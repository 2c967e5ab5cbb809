//! Where records come from: Kafka, or the cluster of `ackline fake`.
//!
//! # Invariants
//!
//! - The choice is made once for each call, and for each record once when it is written into a frame. Nothing is
//!   allocated for it.
//! - A batch is filled and read by the source that it came from.

use std::sync::Arc;

use super::engine::Engine;
use crate::core::{Effect, FramePlan, Input, Moment, PoppedRun, StreamEnd, StreamId, TopicIndex};
use crate::fake;
use crate::grpc::wire::{self, Frame, RECORD_OVERHEAD, Slot};
use crate::kafka::{self, ClientSettings, Polled, Wake};
use crate::record::Record;

/// What a source is made of, again and again if it dies.
pub(super) enum Origin {
    Kafka(Box<ClientSettings>),
    Fake(Arc<fake::Cluster>),
}

impl Origin {
    /// Makes the source. Brokers are contacted, but nothing is joined yet.
    pub(super) fn open(&self, topics: &[String], wake: Wake) -> Result<Source, kafka::Error> {
        Ok(match self {
            Self::Kafka(settings) => {
                Source::Kafka(Box::new(kafka::Client::new(settings, topics, wake)?))
            }
            Self::Fake(cluster) => Source::Fake(fake::Member::new(Arc::clone(cluster), wake)),
        })
    }
}

/// One member of the group.
pub(super) enum Source {
    Kafka(Box<kafka::Client>),
    Fake(fake::Member),
}

/// What the core asks for.
impl Source {
    /// Joins the group for these topics, or tells it that they are others now.
    pub(super) fn subscribe(&mut self, topics: &[TopicIndex]) -> Result<(), kafka::Error> {
        match self {
            Self::Kafka(client) => client.subscribe(topics),
            Self::Fake(member) => {
                member.join();
                Ok(())
            }
        }
    }

    /// A topic that the core has added to those it knows.
    pub(super) fn add_topic(&mut self, name: &str) -> Result<(), kafka::Error> {
        match self {
            Self::Kafka(client) => client.add_topic(name),
            // Its topics are those of its lines, in their order.
            Self::Fake(_) => Ok(()),
        }
    }

    /// Does what an effect asks of the source; others ask nothing of it.
    pub(super) fn ask(&mut self, effect: &Effect) -> Result<(), kafka::Error> {
        match self {
            Self::Kafka(client) => ask_kafka(client, effect),
            Self::Fake(member) => {
                ask_fake(member, effect);
                Ok(())
            }
        }
    }
}

fn ask_kafka(client: &mut kafka::Client, effect: &Effect) -> Result<(), kafka::Error> {
    match effect {
        Effect::Leave => client.leave(),
        Effect::Assign {
            partitions,
            answers_rebalance,
        } => client.assign(partitions, *answers_rebalance),
        Effect::Unassign {
            partitions,
            answers_rebalance,
        } => client.unassign(partitions, *answers_rebalance),
        Effect::Pause(partitions) => client.pause(partitions),
        Effect::Resume(partitions) => client.resume(partitions),
        Effect::ReadCommitted(wanted) => client.read_committed(wanted),
        Effect::ListOffsets(wanted) => client.list_offsets(wanted),
        Effect::FindOffset {
            assignment,
            partition,
            timestamp,
        } => client.find_offset(*assignment, *partition, *timestamp),
        Effect::DescribeTopics(topics) => client.describe_topics(topics),
        Effect::FindTopics => {
            client.find_topics();
            Ok(())
        }
        Effect::DescribeGroup(ask) => client.describe_group(*ask),
        Effect::Commit { request, entries } => client.commit(*request, entries),
        Effect::Join
        | Effect::Subscribe
        | Effect::TopicAdded { .. }
        | Effect::Transact { .. }
        | Effect::DropOutputs(_)
        | Effect::MakeProducer(_)
        | Effect::DeadLetter(_)
        | Effect::Wake(_)
        | Effect::Withdrawn { .. }
        | Effect::Notify { .. }
        | Effect::EndStream { .. }
        | Effect::CommitAwaited { .. }
        | Effect::Sought { .. }
        | Effect::CopyOut { .. }
        | Effect::FreeFrame(_)
        | Effect::FreeRecords { .. }
        | Effect::FreeAssignment(_)
        | Effect::Finished { .. }
        | Effect::Report(_) => Ok(()),
    }
}

fn ask_fake(member: &mut fake::Member, effect: &Effect) {
    match effect {
        Effect::Leave => member.leave(),
        Effect::Assign {
            partitions,
            answers_rebalance,
        } => member.assign(partitions, *answers_rebalance),
        Effect::Unassign {
            partitions,
            answers_rebalance,
        } => member.unassign(partitions, *answers_rebalance),
        Effect::Pause(partitions) => member.pause(partitions),
        Effect::Resume(partitions) => member.resume(partitions),
        Effect::ReadCommitted(wanted) => member.read_committed(wanted),
        Effect::ListOffsets(wanted) => member.list_offsets(wanted),
        Effect::FindOffset {
            assignment,
            partition,
            timestamp,
        } => member.find_offset(*assignment, *partition, *timestamp),
        Effect::DescribeTopics(topics) => member.describe_topics(topics),
        Effect::FindTopics => member.find_topics(),
        Effect::DescribeGroup(ask) => member.describe_group(*ask),
        Effect::Commit { request, entries } => member.commit(*request, entries),
        Effect::Join
        | Effect::Subscribe
        | Effect::TopicAdded { .. }
        | Effect::Transact { .. }
        | Effect::DropOutputs(_)
        | Effect::MakeProducer(_)
        | Effect::DeadLetter(_)
        | Effect::Wake(_)
        | Effect::Withdrawn { .. }
        | Effect::Notify { .. }
        | Effect::EndStream { .. }
        | Effect::CommitAwaited { .. }
        | Effect::Sought { .. }
        | Effect::CopyOut { .. }
        | Effect::FreeFrame(_)
        | Effect::FreeRecords { .. }
        | Effect::FreeAssignment(_)
        | Effect::Finished { .. }
        | Effect::Report(_) => {}
    }
}

/// What the source has to say and to give.
impl Source {
    /// Appends what the core must know to `inputs`.
    pub(super) fn poll(&mut self, now: Moment, inputs: &mut Vec<Input<'static>>) -> Polled {
        match self {
            Self::Kafka(client) => client.poll(now, inputs),
            Self::Fake(member) => {
                member.poll(now, inputs);
                Polled::default()
            }
        }
    }

    /// When it wants to be polled, if it does not wake us before.
    pub(super) fn due(&self) -> Option<Moment> {
        match self {
            Self::Kafka(client) => client.due(),
            Self::Fake(member) => member.due(),
        }
    }

    pub(super) fn assignment_lost(&self) -> bool {
        match self {
            Self::Kafka(client) => client.assignment_lost(),
            Self::Fake(_) => false,
        }
    }

    /// Pops at most `max` records into `batch`, and returns how many came out of the queue.
    pub(super) fn pop(&mut self, batch: &mut Batch, max: usize, hash_keys: bool) -> usize {
        match self {
            Self::Kafka(client) => {
                client.pop(batch.of_kafka(), max, hash_keys, |message| size_of(message))
            }
            Self::Fake(member) => member.pop(batch.of_fake(), max, hash_keys, size_of),
        }
    }

    pub(super) fn sample_ends(&mut self, inputs: &mut Vec<Input<'static>>) {
        match self {
            Self::Kafka(client) => client.sample_ends(inputs),
            Self::Fake(member) => member.sample_ends(inputs),
        }
    }

    pub(super) fn sample_positions(&mut self, inputs: &mut Vec<Input<'static>>) {
        match self {
            Self::Kafka(client) => client.sample_positions(inputs),
            // Its logs have no markers.
            Self::Fake(_) => {}
        }
    }

    /// What was planned is on its way.
    pub(super) fn delivered(&mut self, plan: &FramePlan) {
        match self {
            Self::Kafka(_) => {}
            Self::Fake(member) => member.delivered(plan),
        }
    }

    pub(super) fn begin_close(&mut self) {
        match self {
            Self::Kafka(client) => client.begin_close(),
            Self::Fake(member) => member.close(),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        match self {
            Self::Kafka(client) => client.is_closed(),
            Self::Fake(member) => member.is_closed(),
        }
    }
}

impl Engine {
    /// Closes all streams, if the script of a fake cluster says so.
    pub(super) fn take_streams_down(&mut self) {
        let Some(Source::Fake(member)) = &mut self.client else {
            return;
        };
        if !member.takes_streams_down() {
            return;
        }
        let streams: Vec<StreamId> = self.streams.keys().copied().collect();
        for stream in streams {
            self.end_stream(stream, StreamEnd::GoingAway);
        }
    }

    /// Shows a fake cluster how things stand, if its script depends on it.
    pub(super) fn show_status(&mut self) {
        if let Some(Source::Fake(member)) = &mut self.client
            && member.wants_status()
        {
            member.look(&self.core.status());
        }
    }
}

/// Bytes that a record takes in a frame at most, as the core is told.
fn size_of(record: &impl Record) -> u32 {
    wire::body_len(record).saturating_add(RECORD_OVERHEAD)
}

/// What one pop brought.
pub(super) enum Batch {
    Kafka(kafka::Batch),
    Fake(fake::Batch),
}

impl Default for Batch {
    fn default() -> Self {
        Self::Kafka(kafka::Batch::default())
    }
}

impl Batch {
    fn of_kafka(&mut self) -> &mut kafka::Batch {
        loop {
            match self {
                Self::Kafka(batch) => return batch,
                Self::Fake(_) => *self = Self::Kafka(kafka::Batch::default()),
            }
        }
    }

    fn of_fake(&mut self) -> &mut fake::Batch {
        loop {
            match self {
                Self::Fake(batch) => return batch,
                Self::Kafka(_) => *self = Self::Fake(fake::Batch::default()),
            }
        }
    }

    /// Whether there is nothing to tell the core.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Kafka(batch) => batch.is_empty(),
            Self::Fake(batch) => batch.runs() == 0,
        }
    }

    /// How many runs there are.
    pub(super) fn runs(&self) -> usize {
        match self {
            Self::Kafka(batch) => batch.runs().len(),
            Self::Fake(batch) => batch.runs(),
        }
    }

    /// How many records are in a run.
    pub(super) fn count(&self, run: usize) -> usize {
        match self {
            Self::Kafka(batch) => batch.runs()[run].count,
            Self::Fake(batch) => batch.count(run),
        }
    }

    /// The runs as [`Input::Popped`] wants them.
    pub(super) fn popped_runs(&self) -> Vec<PoppedRun<'_>> {
        match self {
            Self::Kafka(batch) => batch.popped_runs(),
            Self::Fake(batch) => batch.popped_runs(),
        }
    }

    /// Moves the failed fetches to `inputs`.
    pub(super) fn take_failures(&mut self, inputs: &mut Vec<Input<'static>>) {
        match self {
            Self::Kafka(batch) => batch.take_failures(inputs),
            Self::Fake(_) => {}
        }
    }

    /// Length of a record's body on the wire.
    pub(super) fn body_len(&self, run: usize, index: usize) -> u32 {
        let size = match self {
            Self::Kafka(batch) => batch.records_of(&batch.runs()[run])[index].size,
            Self::Fake(batch) => batch.size(run, index),
        };
        size.saturating_sub(RECORD_OVERHEAD)
    }

    /// Writes a record into a frame.
    pub(super) fn write(&self, run: usize, index: usize, slot: &Slot, frame: &mut Frame) {
        match self {
            Self::Kafka(batch) => frame.record(slot, &batch.message(&batch.runs()[run], index)),
            Self::Fake(batch) => frame.record(slot, batch.record(run, index)),
        }
    }

    /// Copies a record in wire form.
    pub(super) fn copy(&self, run: usize, index: usize) -> Box<[u8]> {
        let mut body = Vec::with_capacity(self.body_len(run, index) as usize);
        match self {
            Self::Kafka(batch) => {
                wire::encode_body(&batch.message(&batch.runs()[run], index), &mut body);
            }
            Self::Fake(batch) => wire::encode_body(batch.record(run, index), &mut body),
        }
        body.into_boxed_slice()
    }

    /// Lets the records go.
    pub(super) fn clear(&mut self) {
        match self {
            Self::Kafka(batch) => batch.clear(),
            Self::Fake(batch) => batch.clear(),
        }
    }
}
