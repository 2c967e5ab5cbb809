//! The engine as the gRPC edge sees it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use tokio::sync::{Notify, oneshot};

use super::clock::Clock;
use super::engine::Engine;
use crate::core::{
    FlowChange, Input, Moment, NewOutputs, SettleRequest, StartAnswer, StartRefused, StreamId,
    StreamOpen,
};
use crate::grpc::{
    Answer, CommitAnswer, Event, OpenRefused, OpenedStream, Outgoing, Peer, Refused, RefusedReason,
    Sidecar, Terms,
};
use crate::record::Output;

/// A handle on the engine. Everything runs on one thread, so the lock is never contended; it is there
/// because the gRPC server wants its service to be shareable.
#[derive(Clone)]
pub(super) struct Handle {
    engine: Arc<Mutex<Engine>>,
    shared: Arc<Shared>,
}

/// What never changes.
struct Shared {
    clock: Clock,
    terms: Terms,
    /// Wakes the task that turns the engine: something may be due earlier than it thinks.
    changed: Arc<Notify>,
}

impl Handle {
    pub(super) fn new(engine: Engine, terms: Terms, changed: Arc<Notify>) -> Self {
        let shared = Shared {
            clock: engine.clock,
            terms,
            changed,
        };
        Self {
            engine: Arc::new(Mutex::new(engine)),
            shared: Arc::new(shared),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Engine> {
        // A panic while it was held ends the process: the panicking task is supervised.
        self.engine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something may be due earlier than the task that turns the engine thinks.
    pub(super) fn changed(&self) {
        self.shared.changed.notify_one();
    }

    /// Does something that may make a timer due earlier.
    pub(super) fn change<T>(&self, what: impl FnOnce(&mut Engine) -> T) -> T {
        let mut engine = self.lock();
        let before = engine.next_turn();
        let result = what(&mut engine);
        if engine.next_turn() != before || engine.ended.is_some() {
            self.shared.changed.notify_one();
        }
        result
    }
}

impl Sidecar for Handle {
    fn now(&self) -> Moment {
        self.shared.clock.now()
    }

    fn topics(&self) -> Arc<[String]> {
        Arc::clone(&self.lock().topics)
    }

    fn terms(&self) -> &Terms {
        &self.shared.terms
    }

    fn open(&self, open: StreamOpen, peer: &Peer) -> Result<OpenedStream, OpenRefused> {
        let entropy = super::entropy();
        self.change(|engine| engine.open_stream(open, peer, entropy))
    }

    fn poll(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<Outgoing> {
        self.change(|engine| engine.poll_stream(stream, cx))
    }

    fn poll_confirms(&self, outputs: bool, cx: &mut Context<'_>) -> Poll<()> {
        self.lock().poll_confirms(outputs, cx)
    }

    fn keep_outputs(&self, outputs: Vec<Output>) -> NewOutputs {
        self.lock().outputs.keep(outputs)
    }

    fn settle(&self, _from: Option<StreamId>, request: SettleRequest) -> Vec<Refused> {
        self.change(|engine| engine.settle(&request))
    }

    fn start_at(&self, answer: StartAnswer) -> Result<(), StartRefused> {
        self.change(|engine| engine.start_at(answer))
    }

    fn settle_and_commit(
        &self,
        request: SettleRequest,
    ) -> (Vec<Refused>, oneshot::Receiver<CommitAnswer>) {
        let (wait, receiver) = self.lock().waits.add();
        let request = SettleRequest {
            wait: Some(wait),
            ..request
        };
        (self.change(|engine| engine.settle(&request)), receiver)
    }

    fn answer(&self, stream: StreamId, answer: Answer) {
        self.lock().answer(stream, answer);
    }

    fn poll_room(&self, stream: StreamId, cx: &mut Context<'_>) -> Poll<()> {
        let mut engine = self.lock();
        engine
            .streams
            .get_mut(&stream)
            .map_or(Poll::Ready(()), |slot| slot.outbox.poll_room(cx))
    }

    fn flow(&self, stream: StreamId, flow: FlowChange) {
        self.change(|engine| engine.input(Input::StreamFlow { stream, flow }));
    }

    fn stream_named(&self, name: &str) -> Option<StreamId> {
        self.lock().stream_named(name)
    }

    fn closing(&self, stream: StreamId) {
        self.change(|engine| engine.input(Input::StreamClosing { stream }));
    }

    fn closed(&self, stream: StreamId) {
        self.change(|engine| engine.close_stream(stream));
    }

    fn disconnected(&self, connection: u64) {
        self.change(|engine| engine.connection_gone(connection));
    }

    fn report(&self, event: Event) {
        let engine = self.lock();
        if let Some(event) = super::telling::grpc(&event) {
            engine.tell_person(&event);
        }
    }
}

impl Engine {
    /// Applies settlements and carries out what follows.
    fn settle(&mut self, request: &SettleRequest) -> Vec<Refused> {
        let now = self.clock.now();
        let mut effects = Vec::new();
        let refused = self.core.settle(now, request, &mut effects);
        self.carry_out(&mut effects);
        self.run();
        refused
            .into_iter()
            .map(|refusal| Refused {
                reason: reason_of(refusal.reason),
                ids: refusal.ids,
            })
            .collect()
    }

    fn start_at(&mut self, answer: StartAnswer) -> Result<(), StartRefused> {
        let now = self.clock.now();
        let mut effects = Vec::new();
        let taken = self.core.start_at(now, answer, &mut effects);
        self.carry_out(&mut effects);
        self.run();
        taken
    }

    fn answer(&mut self, stream: StreamId, answer: Answer) {
        if let Some(slot) = self.streams.get_mut(&stream) {
            slot.outbox.answer(answer);
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    /// Those whose wait is over look again.
    pub(super) fn wake_unconfirmed(&mut self) {
        if !self.core.confirms() {
            return;
        }
        self.unconfirmed.drain(..).for_each(Waker::wake);
        if !self.core.holds_too_many_outputs() {
            self.without_room.drain(..).for_each(Waker::wake);
        }
    }

    /// Ready while settlements may be answered (B15), and what they bring along has room.
    fn poll_confirms(&mut self, outputs: bool, cx: &mut Context<'_>) -> Poll<()> {
        let waiting = if !self.core.confirms() {
            &mut self.unconfirmed
        } else if outputs && self.core.holds_too_many_outputs() {
            &mut self.without_room
        } else {
            return Poll::Ready(());
        };
        waiting.push(cx.waker().clone());
        Poll::Pending
    }
}

fn reason_of(reason: crate::core::RefusalReason) -> RefusedReason {
    match reason {
        crate::core::RefusalReason::Stale => RefusedReason::Stale,
        crate::core::RefusalReason::Conflict => RefusedReason::Conflict,
        crate::core::RefusalReason::Unknown => RefusedReason::Unknown,
    }
}
