//! From the client's queue into frames.
//!
//! A stream that asks gets what the core has ready. If that is nothing, and the budget allows, records are
//! popped for it. What is picked from a popped batch is encoded straight into its frame, now or while the batch
//! is held ([`super::held`]); what must wait for longer is copied once, in wire form.

use std::task::Context;

use bytes::Bytes;

use super::buffers::Buffers;
use super::engine::Engine;
use super::held::{Held, Spot};
use super::store::Store;
use crate::core::{
    Assignment, Effect, FramePlan, Input, Moment, Order, Planned, RecordNumber, Settings, StreamId,
};
use crate::grpc::admin::Passing;
use crate::grpc::wire::{Frame, Head, Slot};

/// Pops for one stream in one go before others get their turn.
const POPS_MAX: usize = 8;
/// Shortest time between two samples of positions; a tail of markers needs no more.
const SAMPLE_EVERY: std::time::Duration = std::time::Duration::from_millis(250);

/// Buffers of the path from pop to frame, reused.
pub(super) struct Feed {
    plan: FramePlan,
    pub(super) held: Held,
    pub(super) buffers: Buffers,
    places: Vec<(Slot, Place)>,
    pub(super) hash_keys: bool,
    sampled: Moment,
    inputs: Vec<Input<'static>>,
}

/// Where a planned record's body comes from.
enum Place {
    Held(Spot),
    Stored(Box<[u8]>),
}

impl Feed {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            plan: FramePlan::default(),
            held: Held::default(),
            buffers: Buffers::default(),
            places: Vec::new(),
            hash_keys: settings
                .policies
                .iter()
                .any(|policy| policy.order == Order::Key),
            sampled: Moment::default(),
            inputs: Vec::new(),
        }
    }
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
    let mut wanted = engine.core.top_up(now, id);
    for _ in 0..POPS_MAX {
        // A client that is being made again has nothing yet: the same as an empty queue.
        let popped = engine.pop(now, wanted, effects);
        if engine.core.pull(now, id, &mut engine.feed.plan, effects) {
            return Some(engine.encode_planned(id));
        }
        if popped < wanted {
            engine.found_empty(now, id);
            return None;
        }
        wanted = engine.core.pop_allowance(now, id);
        if wanted == 0 {
            return None;
        }
    }
    // Everything popped had to wait. There is more; others first.
    cx.waker().wake_by_ref();
    None
}

impl Engine {
    /// Encodes the planned frame of a stream.
    fn encode_planned(&mut self, stream: StreamId) -> Bytes {
        if let Some(client) = &mut self.client {
            client.delivered(&self.feed.plan);
        }
        let topic = self
            .topics
            .get(usize::from(self.feed.plan.partition.topic.0))
            .map_or("", String::as_str);
        let frame = self.feed.encode(topic, &mut self.store);
        // Who looks on reads the finished frame, so that encoding knows nothing of it.
        if !self.taps.is_empty() {
            let passing = Passing {
                topic,
                partition: self.feed.plan.partition,
                stream,
                frame: &frame,
            };
            let attempts = self.feed.plan.records.iter().map(|planned| planned.attempt);
            self.taps.show(&passing, attempts);
        }
        frame
    }

    /// Pops at most `wanted` records for the core. Returns how many came out of the client's queue.
    fn pop(&mut self, now: Moment, wanted: usize, effects: &mut Vec<Effect>) -> usize {
        let Some(client) = self.client.as_mut().filter(|_| wanted > 0) else {
            return 0;
        };
        let feed = &mut self.feed;
        let mut popped = feed.held.spare();
        let batch = &mut popped.batch;
        let count = client.pop(batch, wanted, feed.hash_keys);
        if !batch.is_empty() {
            let runs = &batch.popped_runs();
            self.core.handle(now, Input::Popped { runs }, effects);
            batch.take_failures(&mut feed.inputs);
        }
        feed.held.hold(popped, &self.core, now, &mut self.store);
        // What the turn decided may move bytes that the next message needs.
        self.carry_out(effects);
        let inputs = std::mem::take(&mut self.feed.inputs);
        self.queue_inputs(inputs);
        count
    }

    /// Copies what waits of the batches that are held, and frees all memory of the client.
    pub(super) fn release_held(&mut self) {
        self.feed.held.release_all(&self.core, &mut self.store);
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

impl Feed {
    /// Writes the planned frame. Records of the held batch come from the client's memory, others from their own copies.
    fn encode(&mut self, topic: &str, store: &mut Store) -> Bytes {
        let plan = &self.plan;
        self.places.clear();
        for (index, Planned { number, attempt }) in plan.records.iter().enumerate() {
            let (place, body_len) = match self.held.take(plan.assignment, *number) {
                Some(spot) => (Place::Held(spot), spot.body_len),
                None => {
                    let body = stored(store, plan.assignment, *number);
                    let body_len = u32::try_from(body.len()).unwrap_or(u32::MAX);
                    (Place::Stored(body), body_len)
                }
            };
            let slot = Slot {
                id: plan.first_id.0 + index as u64,
                attempt: *attempt,
                body_len,
            };
            self.places.push((slot, place));
        }
        let head = Head {
            topic,
            partition: plan.partition.partition,
            assignment: plan.assignment.0,
        };
        let slots = self.places.iter().map(|(slot, _)| *slot);
        let mut frame = Frame::new(&head, slots, |size| self.buffers.take(size));
        for (slot, place) in self.places.drain(..) {
            match place {
                Place::Held(spot) => self.held.write(spot, &slot, &mut frame),
                Place::Stored(body) => frame.stored(&slot, &body),
            }
        }
        self.held.free_empty();
        let frame = self.buffers.freeze(frame.finish());
        if plan.keep {
            store.keep_frame(plan.first_id, frame.clone());
        }
        frame
    }
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
