//! Streams open, change their limits and end, and with them their deliveries.

use std::time::Duration;

use ackline::core::{FlowChange, Moment, StreamId, StreamOpen};

use super::{Kind, Life, Oracle, StreamBook};

/// A stream that closes may take so long for it.
const CLOSING_MAX: Duration = Duration::from_millis(3010);

impl Oracle {
    pub(crate) fn stream_opened(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        open: StreamOpen,
    ) {
        let book = StreamBook {
            open,
            next_id: None,
            paused: false,
            receiving: true,
            kept_until: None,
            expired_at: None,
            live: 0,
            live_bytes: 0,
            held_at_close: None,
            trial_until: self.trial_from(now, member),
        };
        self.members[member].streams.insert(stream, book);
    }

    pub(crate) fn stream_flow(&mut self, member: usize, stream: StreamId, flow: FlowChange) {
        let Some(book) = self.members[member].streams.get_mut(&stream) else {
            return;
        };
        book.paused = flow.paused.unwrap_or(book.paused);
        book.open.in_flight_records_max = flow
            .in_flight_records_max
            .unwrap_or(book.open.in_flight_records_max);
        book.open.in_flight_bytes_max = flow
            .in_flight_bytes_max
            .unwrap_or(book.open.in_flight_bytes_max);
    }

    /// Half-close: what the stream holds was not worked on.
    pub(crate) fn stream_closing(&mut self, member: usize, stream: StreamId) {
        let Some(book) = self.members[member].streams.get_mut(&stream) else {
            return;
        };
        if book.receiving {
            book.receiving = false;
            self.end_deliveries(member, stream, Life::Settled(Kind::Release));
        }
    }

    pub(crate) fn stream_closed(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        stopping: bool,
        topics_known: usize,
    ) {
        let Some(book) = self.members[member].streams.get_mut(&stream) else {
            return;
        };
        let keep = book.open.keep_after_close;
        let open = book.receiving;
        if open && !stopping {
            self.note_held_at_close(now, member, stream, topics_known);
        }
        let Some(book) = self.members[member].streams.get_mut(&stream) else {
            return;
        };
        if book.receiving && !keep.is_zero() && book.live > 0 && !stopping {
            book.receiving = false;
            book.kept_until = Some(now.plus(keep));
        } else if book.kept_until.is_none() {
            book.receiving = false;
            self.end_deliveries(member, stream, Life::Dead);
        }
    }

    /// The core ended the stream.
    pub(crate) fn stream_ended(&mut self, member: usize, stream: StreamId) {
        if let Some(book) = self.members[member].streams.get_mut(&stream) {
            book.receiving = false;
            self.end_deliveries(member, stream, Life::Dead);
        }
    }

    /// What was kept for a connection that broke is over, before anything else happens at `now`.
    pub(crate) fn pass_time(&mut self, now: Moment, member: usize) {
        let over: Vec<StreamId> = self.members[member]
            .streams
            .iter()
            .filter(|(_, stream)| stream.kept_until.is_some_and(|until| until <= now))
            .map(|(id, _)| *id)
            .collect();
        for stream in over {
            if let Some(book) = self.members[member].streams.get_mut(&stream) {
                book.kept_until = None;
                book.expired_at = Some(now);
            }
            self.end_deliveries(member, stream, Life::Dead);
        }
    }

    /// Whoever has no application any more leaves the group after a while, counted from when it stood still last.
    pub(crate) fn check_loneliness(
        &mut self,
        now: Moment,
        member: usize,
        in_group: bool,
        thawed_at: Moment,
    ) {
        let leave_after = self.settings.leave_after;
        let book = &mut self.members[member];
        let alone = !book.streams.values().any(|stream| stream.receiving);
        if book.streams.is_empty() || !alone {
            book.alone_since = None;
            return;
        }
        let since = thawed_at.max(*book.alone_since.get_or_insert(now));
        let late = now > since.plus(leave_after + CLOSING_MAX);
        self.check(!(late && in_group), || {
            format!("member {member} is alone since {since:?}, and in the group")
        });
    }

    pub(super) fn end_deliveries(&mut self, member: usize, stream: StreamId, life: Life) {
        // Whatever ends them, the time after which the group is left begins anew.
        self.members[member].alone_since = None;
        let live: Vec<u64> = self.members[member]
            .deliveries
            .iter()
            .filter(|(_, delivery)| delivery.stream == stream && delivery.life == Life::Live)
            .map(|(id, _)| *id)
            .collect();
        for id in live {
            self.end_delivery(member, id, life);
        }
    }
}
