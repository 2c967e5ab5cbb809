//! From the client's queue into frames.
//!
//! A stream that asks gets what the core has ready. If that is nothing, and the budget allows, records are
//! popped for it. What is picked from a popped batch is encoded straight into its frame; what must wait is
//! copied once, in wire form; then the batch is freed, because a message kept pins the whole response it
//! came in.

use std::task::Context;

use bytes::Bytes;

use super::engine::Engine;
use super::store::Store;
use crate::core::{
    Assignment, Core, Effect, FramePlan, Input, Moment, Order, Planned, RecordNumber, Settings,
    StreamId,
};
use crate::grpc::wire::{self, Frame, Head, RECORD_OVERHEAD, Slot};
use crate::kafka::{Batch, Message};

/// Pops for one stream in one go before others get their turn.
const POPS_MAX: usize = 8;
/// Shortest time between two samples of positions; a tail of markers needs no more.
const SAMPLE_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// Buffers of the path from pop to frame, reused.
pub(super) struct Feed {
    plan: FramePlan,
    batch: Batch,
    hash_keys: bool,
    sampled: Moment,
    inputs: Vec<Input<'static>>,
}

impl Feed {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            plan: FramePlan::default(),
            batch: Batch::default(),
            hash_keys: settings.order == Order::Key,
            sampled: Moment::default(),
            inputs: Vec::new(),
        }
    }
}

/// Bytes that a record takes in a frame at most, as the core is told.
fn size_of(message: &Message<'_>) -> u32 {
    wire::body_len(message).saturating_add(RECORD_OVERHEAD)
}

/// The next frame of a stream, if there is one. If not, and the client's queue was found empty, the stream
/// is marked as starving, to be woken when records come.
pub(super) fn next_frame(
    engine: &mut Engine,
    id: StreamId,
    cx: &mut Context<'_>,
    effects: &mut Vec<Effect>,
) -> Option<Bytes> {
    let now = engine.clock.now();
    if engine.core.pull(now, id, &mut engine.feed.plan, effects) {
        return Some(engine.encode_stored());
    }
    for _ in 0..POPS_MAX {
        let allowance = engine.core.pop_allowance(now, id);
        if allowance == 0 {
            return None;
        }
        // A client that is being made again has nothing yet: the same as an empty queue.
        let (popped, frame) = engine.pop_and_pull(now, id, allowance, effects);
        if frame.is_some() {
            return frame;
        }
        if popped < allowance {
            engine.found_empty(now, id);
            return None;
        }
    }
    // Everything popped had to wait. There is more; others first.
    cx.waker().wake_by_ref();
    None
}

impl Engine {
    /// Encodes a planned frame whose records all have copies of their own.
    fn encode_stored(&mut self) -> Bytes {
        let feed = &mut self.feed;
        encode(&feed.plan, None, &self.core, &mut self.store, &self.topics)
    }

    fn pop_and_pull(
        &mut self,
        now: Moment,
        id: StreamId,
        allowance: usize,
        effects: &mut Vec<Effect>,
    ) -> (usize, Option<Bytes>) {
        let Some(client) = &mut self.client else {
            return (0, None);
        };
        let feed = &mut self.feed;
        let popped = client.pop(&mut feed.batch, allowance, feed.hash_keys, size_of);
        if feed.batch.is_empty() {
            return (popped, None);
        }
        self.core.handle(
            now,
            Input::Popped {
                runs: &feed.batch.popped_runs(),
            },
            effects,
        );
        // What the turn decided may move bytes that the next message needs.
        self.carry_out(effects);
        let feed = &mut self.feed;
        feed.batch.take_failures(&mut feed.inputs);
        let frame = if self.core.pull(now, id, &mut feed.plan, effects) {
            let from = Some(&feed.batch);
            let (plan, store) = (&feed.plan, &mut self.store);
            Some(encode(plan, from, &self.core, store, &self.topics))
        } else {
            feed.plan.records.clear();
            None
        };
        store_the_rest(&feed.batch, &feed.plan, &self.core, &mut self.store);
        feed.batch.clear();
        let inputs = std::mem::take(&mut self.feed.inputs);
        self.queue_inputs(inputs);
        (popped, frame)
    }

    /// The client's queue was empty: positions may stand behind markers now, and the stream waits for records.
    fn found_empty(&mut self, now: Moment, id: StreamId) {
        if let Some(slot) = self.streams.get_mut(&id) {
            slot.starving = true;
        }
        if now.since(self.feed.sampled) < SAMPLE_EVERY {
            return;
        }
        self.feed.sampled = now;
        if let Some(client) = &mut self.client {
            client.sample_positions(&mut self.feed.inputs);
        }
        let inputs = std::mem::take(&mut self.feed.inputs);
        self.queue_inputs(inputs);
    }
}

/// Where in a batch the record of a number is.
fn locate<'a>(
    batch: &'a Batch,
    core: &Core,
    assignment: Assignment,
    number: RecordNumber,
) -> Option<Message<'a>> {
    let runs = batch.runs().iter().zip(core.numbering());
    for (run, first) in runs {
        if let Some((of, first)) = first
            && *of == assignment
            && let Some(index) = number.0.checked_sub(first.0)
            && index < run.count as u64
        {
            return Some(batch.message(run, usize::try_from(index).unwrap_or(0)));
        }
    }
    None
}

/// Writes a planned frame. Records of the batch come from the client's memory, others from their own copies.
fn encode(
    plan: &FramePlan,
    batch: Option<&Batch>,
    core: &Core,
    store: &mut Store,
    topics: &[String],
) -> Bytes {
    /// Where a record's body comes from.
    enum Source<'a> {
        Popped(Message<'a>),
        Stored(Box<[u8]>),
    }
    let mut sources = Vec::with_capacity(plan.records.len());
    for (index, Planned { number, attempt }) in plan.records.iter().enumerate() {
        let id = plan.first_id.0 + index as u64;
        let popped = batch.and_then(|batch| locate(batch, core, plan.assignment, *number));
        let source = match popped {
            Some(message) => Source::Popped(message),
            None => Source::Stored(stored(store, plan.assignment, *number)),
        };
        let body_len = match &source {
            Source::Popped(message) => wire::body_len(message),
            Source::Stored(body) => u32::try_from(body.len()).unwrap_or(u32::MAX),
        };
        sources.push((
            Slot {
                id,
                attempt: *attempt,
                body_len,
            },
            source,
        ));
    }
    let topic = topics
        .get(usize::from(plan.partition.topic.0))
        .map_or("", String::as_str);
    let head = Head {
        topic,
        partition: plan.partition.partition,
        assignment: plan.assignment.0,
    };
    let mut frame = Frame::new(&head, sources.iter().map(|(slot, _)| *slot));
    for (slot, source) in &sources {
        match source {
            Source::Popped(message) => frame.record(slot, message),
            Source::Stored(body) => frame.stored(slot, body),
        }
    }
    let frame = frame.finish();
    if plan.keep {
        store.keep_frame(plan.first_id, frame.clone());
    }
    frame
}

/// The bytes of a record that waited.
///
/// # Panics
///
/// If there are none. The core would take a record for delivered that nobody got, and hold its lane for ever; a
/// process that starts again from the commit loses nothing.
fn stored(store: &mut Store, assignment: Assignment, number: RecordNumber) -> Box<[u8]> {
    let body = store.take(assignment, number);
    body.unwrap_or_else(|| panic!("{assignment:?} plans {number:?}, whose bytes are gone"))
}

/// Copies what was popped, not picked, and must wait.
fn store_the_rest(batch: &Batch, plan: &FramePlan, core: &Core, store: &mut Store) {
    let picked_here =
        |assignment: Assignment| plan.assignment == assignment && !plan.records.is_empty();
    let mut picked: Vec<RecordNumber> = plan.records.iter().map(|planned| planned.number).collect();
    picked.sort_unstable();
    for (run, first) in batch.runs().iter().zip(core.numbering()) {
        let Some((assignment, first)) = *first else {
            continue;
        };
        for index in 0..run.count {
            let number = RecordNumber(first.0 + index as u64);
            let sent = picked_here(assignment) && picked.binary_search(&number).is_ok();
            if sent || !core.is_waiting(assignment, number) {
                continue;
            }
            let message = batch.message(run, index);
            let mut body = Vec::with_capacity(wire::body_len(&message) as usize);
            wire::encode_body(&message, &mut body);
            store.keep(assignment, number, body.into_boxed_slice());
        }
    }
}
