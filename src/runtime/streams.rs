//! The streams that applications have open, as the engine sees them.

use std::task::{Context, Poll, Waker};

use super::engine::Engine;
use super::telling;
use crate::core::{Input, StreamEnd, StreamId, StreamOpen};
use crate::grpc::{OpenRefused, OpenedStream, Outbox, Outgoing, Peer};
use crate::observe::ProcessEvent;

/// One open stream, as the engine sees it.
#[derive(Debug)]
pub(super) struct StreamSlot {
    pub(super) outbox: Outbox,
    pub(super) waker: Option<Waker>,
    /// It found the client's queue empty: new records are worth a wake-up.
    pub(super) starving: bool,
    name: String,
    /// Number of its connection.
    connection: u64,
    /// Why it ended, once it has for the core.
    ended: Option<&'static str>,
}

impl Engine {
    /// Puts something into a stream's outbox, and wakes whoever sends it.
    pub(super) fn tell(&mut self, stream: StreamId, what: impl FnOnce(&mut Outbox)) {
        if let Some(slot) = self.streams.get_mut(&stream) {
            what(&mut slot.outbox);
            if slot.outbox.has_overflowed() && slot.ended.is_none() {
                // Who does not read will not settle: others get what it holds.
                slot.ended = Some("too much was left unread");
                self.inputs.push_back(Input::StreamClosed { stream });
            }
            if let Some(waker) = slot.waker.take() {
                waker.wake();
            }
        }
    }

    pub(super) fn end_stream(&mut self, stream: StreamId, end: StreamEnd) {
        if let Some(slot) = self.streams.get_mut(&stream) {
            slot.ended.get_or_insert("as asked");
        }
        self.tell(stream, |outbox| outbox.end(end));
    }

    pub(super) fn wake_stream(&mut self, stream: StreamId) {
        if let Some(waker) = self
            .streams
            .get_mut(&stream)
            .and_then(|slot| slot.waker.take())
        {
            waker.wake();
        }
    }

    pub(super) fn open_stream(
        &mut self,
        open: StreamOpen,
        peer: &Peer,
        entropy: u64,
    ) -> Result<OpenedStream, OpenRefused> {
        if self.shutting_down || self.core.drain_status().is_some() {
            return Err(OpenRefused::ShuttingDown);
        }
        let streams_max = self.streams_max;
        if self.streams.len() >= usize::try_from(streams_max).unwrap_or(usize::MAX) {
            return Err(OpenRefused::TooManyStreams { streams_max });
        }
        self.next_stream += 1;
        let id = StreamId(self.next_stream);
        let name = format!("{:08x}-{}", entropy >> 32, self.next_stream);
        let client = open.client.clone();
        self.tell_person(&ProcessEvent::StreamOpened {
            stream: id,
            client,
            uid: telling::uid(peer),
        });
        let slot = StreamSlot {
            outbox: Outbox::new(),
            waker: None,
            starving: false,
            name: name.clone(),
            connection: peer.connection,
            ended: None,
        };
        self.streams.insert(id, slot);
        self.input(Input::StreamOpened {
            stream: id,
            entropy,
            open,
        });
        Ok(OpenedStream { id, name })
    }

    pub(super) fn close_stream(&mut self, id: StreamId) {
        if let Some(slot) = self.streams.remove(&id) {
            let reason = slot.ended.unwrap_or("the application went away");
            self.tell_person(&ProcessEvent::StreamEnded { stream: id, reason });
            self.input(Input::StreamClosed { stream: id });
            let now = self.clock.now();
            if slot.ended.is_none() && self.deaths.stream_closed(slot.connection, id, now) {
                self.input(Input::StreamDied { stream: id });
            }
        }
    }

    /// A connection is gone: streams of it that closed without a word died with it.
    pub(super) fn connection_gone(&mut self, connection: u64) {
        let now = self.clock.now();
        for stream in self.deaths.connection_gone(connection, now) {
            self.input(Input::StreamDied { stream });
        }
    }

    pub(super) fn stream_named(&self, name: &str) -> Option<StreamId> {
        self.streams
            .iter()
            .find(|(_, slot)| slot.name == name)
            .map(|(id, _)| *id)
    }

    /// The next thing to send on a stream.
    pub(super) fn poll_stream(&mut self, id: StreamId, cx: &mut Context<'_>) -> Poll<Outgoing> {
        let Some(slot) = self.streams.get_mut(&id) else {
            return Poll::Pending;
        };
        if let Some(outgoing) = slot.outbox.pop(&self.topics) {
            return Poll::Ready(outgoing);
        }
        // Before asking, so that a wake-up which the asking itself brings about is not lost.
        slot.waker = Some(cx.waker().clone());
        if let Some(frame) = self.next_frame(id, cx) {
            return Poll::Ready(Outgoing::Frame(frame));
        }
        // Popping may have brought a failure, and that a notice.
        let outgoing = self
            .streams
            .get_mut(&id)
            .and_then(|slot| slot.outbox.pop(&self.topics));
        outgoing.map_or(Poll::Pending, Poll::Ready)
    }
}
