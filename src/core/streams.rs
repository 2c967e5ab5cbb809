//! Streams open, change their limits, and close.

use super::delivery::StreamPhase;
use super::effect::{Effect, Notice, StreamEnd, WithdrawReason};
use super::home::Home;
use super::ids::{Moment, StreamId};
use super::input::{FlowChange, StreamOpen};
use super::timers::Timer;
use super::{Core, assignment::Phase};

use std::time::Duration;

/// How long the outcomes of a stream that ended are remembered.
const OUTCOMES_KEPT_FOR: Duration = Duration::from_secs(60);
/// How long a closing stream waits for its commit.
const CLOSING_MAX: Duration = Duration::from_secs(3);

impl Core {
    pub(super) fn stream_opened(&mut self, id: StreamId, entropy: u64, open: StreamOpen) {
        debug_assert!(!self.streams.map.contains_key(&id), "a stream opens once");
        let partitions = open.notice_partitions;
        self.streams.insert(id, open, entropy);
        self.put_on_trial(id);
        self.not_alone();
        self.join_if_wanted();
        if partitions {
            self.tell_present_partitions(id);
        }
        self.ask_newcomer(id);
        let of_drain = || Some(self.drain.as_ref()?.notice(self.now));
        let notice = self.shutdown.as_ref().map(|end| end.notice(self.now));
        if let Some(notice) = notice.or_else(of_drain) {
            self.effects.push(Effect::Notify { stream: id, notice });
        }
        // Lanes that were too large for every stream so far may fit into this one; it will ask.
        self.wake(id);
    }

    /// A stream that opens late learns what is there already.
    fn tell_present_partitions(&mut self, stream: StreamId) {
        let present: Vec<Notice> = self
            .assignments
            .values()
            .filter(|assignment| assignment.phase == Phase::Flowing)
            .filter(|assignment| assignment.home.concerns(stream))
            .map(|assignment| Notice::Assigned {
                partition: assignment.partition,
                assignment: assignment.id,
                start_offset: assignment.window.watermark().0,
            })
            .collect();
        for notice in present {
            self.notify_one(stream, notice);
        }
    }

    pub(super) fn stream_flow(&mut self, id: StreamId, flow: FlowChange) {
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        if let Some(paused) = flow.paused {
            stream.paused = paused;
        }
        if let Some(records) = flow.in_flight_records_max {
            stream.open.in_flight_records_max = records;
        }
        if let Some(bytes) = flow.in_flight_bytes_max {
            stream.open.in_flight_bytes_max = bytes;
        }
        if stream.paused {
            self.give_reserved_lanes_back(id);
            self.stop_clearing(id);
        } else {
            self.wake(id);
        }
    }

    /// The application is done: what it still holds was not worked on.
    pub(super) fn stream_closing(&mut self, id: StreamId) {
        let until = self.now.plus(CLOSING_MAX);
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        match stream.phase {
            StreamPhase::Open => stream.phase = StreamPhase::Closing(until),
            StreamPhase::Closing(_) | StreamPhase::Kept(_) | StreamPhase::Ended(_) => return,
        }
        self.release_all(id);
        self.give_reserved_lanes_back(id);
        self.stop_clearing(id);
        self.hungry.remove(&id);
        self.await_close(id);
        self.commits.hurry = true;
        self.timers.at(until, Timer::Stream(id));
        self.leave_later_if_alone();
    }

    /// Ends a stream that is open or closing, and tells it how.
    pub(super) fn end_stream(&mut self, id: StreamId, end: StreamEnd) {
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        if matches!(stream.phase, StreamPhase::Open | StreamPhase::Closing(_)) {
            self.effects.push(Effect::EndStream { stream: id, end });
            self.stop_stream(id);
        }
    }

    pub(super) fn stream_closed(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let mut unreceivable = None;
        if stream.phase == StreamPhase::Open {
            self.note_held_at_close(id);
            unreceivable = self.count_reset(id);
        }
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        let keep = stream.open.keep_after_close;
        let keeps = stream.phase == StreamPhase::Open
            && stream.live > 0
            && !keep.is_zero()
            && self.shutdown.is_none();
        match stream.phase {
            StreamPhase::Open if keeps => {
                stream.phase = StreamPhase::Kept(now.plus(keep));
                self.timers.at(now.plus(keep), Timer::Stream(id));
                self.hungry.remove(&id);
                self.give_reserved_lanes_back(id);
                self.stop_clearing(id);
                self.leave_later_if_alone();
            }
            StreamPhase::Open => self.end_silently(id),
            StreamPhase::Closing(_) => self.stop_stream(id),
            StreamPhase::Kept(_) | StreamPhase::Ended(_) => {}
        }
        if let Some(record) = unreceivable {
            self.set_unreceivable_aside(record);
        }
    }

    /// Takes everything back from a stream. Its ids stay known, its outcomes are remembered for a while.
    pub(super) fn stop_stream(&mut self, id: StreamId) {
        self.take_everything_back(id);
        self.leave_homes(id, false);
    }

    /// The same, of one that closed without a word.
    fn end_silently(&mut self, id: StreamId) {
        self.take_everything_back(id);
        self.leave_homes(id, true);
    }

    fn take_everything_back(&mut self, id: StreamId) {
        self.hungry.remove(&id);
        self.withdraw_stream(id, WithdrawReason::StreamEnded);
        self.give_reserved_lanes_back(id);
        self.stop_clearing(id);
        let until = self.now.plus(OUTCOMES_KEPT_FOR);
        if let Some(stream) = self.streams.map.get_mut(&id) {
            stream.phase = StreamPhase::Ended(until);
            self.timers.at(until, Timer::Stream(id));
        }
        self.commits.awaited.forget_stream(id);
        self.leave_later_if_alone();
    }

    pub(super) fn stream_timer(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        match stream.phase {
            StreamPhase::Closing(until) if until <= now => self.end_stream(id, StreamEnd::Closed),
            StreamPhase::Kept(until) if until <= now => self.stop_stream(id),
            StreamPhase::Ended(until) if until <= now => {
                stream.forget_outcomes();
                self.streams.remove(id);
            }
            StreamPhase::Open
            | StreamPhase::Closing(_)
            | StreamPhase::Kept(_)
            | StreamPhase::Ended(_) => {}
        }
    }

    /// Streams that an application has open.
    pub(super) fn open_streams(&self) -> impl Iterator<Item = StreamId> + '_ {
        self.streams
            .map
            .iter()
            .filter(|(_, stream)| {
                matches!(stream.phase, StreamPhase::Open | StreamPhase::Closing(_))
            })
            .map(|(id, _)| *id)
    }

    /// Tells every stream that asked for this kind of notice and wants the topic.
    pub(super) fn notify(&mut self, notice: &Notice) {
        let state = notice.about().and_then(|(id, _)| self.assignments.get(&id));
        let home = state.map_or(Home::Anywhere, |state| state.home.clone());
        self.notify_those(&home, notice);
    }

    /// The same of those whom a partition with this home concerns.
    pub(super) fn notify_those(&mut self, home: &Home, notice: &Notice) {
        let concerned = |stream: &StreamId| home.concerns(*stream);
        let streams: Vec<StreamId> = self.open_streams().filter(concerned).collect();
        for stream in streams {
            self.notify_one(stream, notice.clone());
        }
    }

    pub(super) fn notify_one(&mut self, id: StreamId, notice: Notice) {
        let Some(stream) = self.streams.map.get(&id) else {
            return;
        };
        let wanted = match &notice {
            Notice::StartWanted { .. }
            | Notice::Assigned { .. }
            | Notice::Revoking { .. }
            | Notice::Revoked { .. } => stream.open.notice_partitions,
            Notice::Committed { .. } => stream.open.notice_committed,
            Notice::CaughtUp { .. } => stream.open.notice_caught_up,
            Notice::Draining { .. } => true,
        };
        let about = notice.about();
        let wants_topic = about.is_none_or(|(_, partition)| stream.wants(partition.topic));
        if wanted && wants_topic {
            self.effects.push(Effect::Notify { stream: id, notice });
        }
    }

    /// Looks at a stream's deliveries later, if nobody does already.
    pub(super) fn warn_unsettled_later(&mut self, id: StreamId, when: Moment) {
        if let Some(stream) = self.streams.map.get_mut(&id)
            && !std::mem::replace(&mut stream.watched, true)
        {
            self.timers.at(when, Timer::Unsettled(id));
        }
    }

    /// Reports the oldest live delivery of each frame that is unsettled for long, once per frame.
    pub(super) fn warn_unsettled(&mut self, id: StreamId) {
        let after = self.settings.warn_unsettled_after;
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        stream.watched = false;
        let mut next = None;
        let mut late = Vec::new();
        for (first_id, frame) in stream.frames.range(stream.warn_from..) {
            let when = frame.delivered_at.plus(after);
            if when > self.now {
                next = Some(when);
                break;
            }
            stream.warn_from = first_id + 1;
            let oldest = frame.next_live(0, frame.numbers.len());
            late.extend(oldest.map(|index| (frame.assignment, frame.numbers[index])));
        }
        for (assignment, number) in late {
            let Some(assignment) = self.assignments.get(&assignment) else {
                continue;
            };
            let partition = assignment.partition;
            if let Some(offset) = assignment.window.offset(number) {
                self.report(super::Event::UnsettledForLong {
                    partition,
                    offset,
                    stream: id,
                });
            }
        }
        if let Some(when) = next {
            self.warn_unsettled_later(id, when);
        }
    }

    /// When the oldest live delivery of a stream was handed over.
    pub(super) fn oldest_delivery(&self, id: StreamId) -> Option<Moment> {
        self.streams
            .map
            .get(&id)?
            .frames
            .first_key_value()
            .map(|(_, frame)| frame.delivered_at)
    }
}

#[cfg(test)]
mod tests;
