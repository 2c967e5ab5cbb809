//! Deliveries that are not settled in time.
//!
//! With a deadline a delivery is taken back when it has been unsettled for that long, and its record is delivered again.
//! One that is behind others may be late through no fault of its own, so only the oldest delivery of its stream counts
//! as a failure.
//!
//! # Invariants
//!
//! - No delivery is live after its deadline, or after what it was extended to.
//! - An extension holds for the delivery that it names, and moves no other.
//! - However many deliveries are settled or extended in time, what is remembered to be looked at is bounded by the frames
//!   that live.

use std::collections::BTreeSet;

use super::Core;
use super::effect::WithdrawReason;
use super::event::Event;
use super::history::Hold;
use super::ids::{IdRange, Moment, StreamId, push_id};
use super::settle::{Progress, RefusalReason};
use super::timers::Timer;
use super::withdraw::{Place, Return, Returned};

use std::sync::Arc;

impl Core {
    /// Moves the deadlines of live deliveries. Dead ones are refused.
    pub(super) fn extend_range(&mut self, range: IdRange, until: Moment, progress: &mut Progress) {
        for (stream, stretch) in self.issued(range, progress) {
            self.extend_of_stream(stream, stretch, until, progress);
        }
    }

    fn extend_of_stream(
        &mut self,
        id: StreamId,
        range: IdRange,
        until: Moment,
        progress: &mut Progress,
    ) {
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        let mut next = range.first;
        let mut stale = Vec::new();
        let mut extended = BTreeSet::new();
        let before = stream.frames.range(..=range.first).next_back();
        let from = before.map_or(range.first, |(first, _)| *first);
        for (first, frame) in stream.frames.range_mut(from..=range.last) {
            let count = frame.numbers.len();
            let index = |id: u64| usize::try_from(id.saturating_sub(*first)).unwrap_or(count);
            let end = count.min(index(range.last).saturating_add(1));
            let mut at = index(next);
            while let Some(live) = frame.next_live(at, end) {
                let live_id = first + live as u64;
                if live_id > next {
                    stale.push(IdRange {
                        first: next,
                        last: live_id - 1,
                    });
                }
                if frame.deadline.is_some() {
                    frame.extended.insert(live, until);
                    extended.insert(*first);
                }
                next = live_id + 1;
                at = live + 1;
            }
        }
        if next <= range.last {
            stale.push(IdRange {
                first: next,
                last: range.last,
            });
        }
        for frame in extended {
            if stream.look_at_deadline(until, frame) {
                self.timers.at(until, Timer::Deadline(id));
            }
        }
        for range in stale {
            self.counters.stale_settlements += 1;
            progress.refuse(RefusalReason::Stale, range);
        }
    }

    /// Takes back what a stream did not settle in time.
    pub(super) fn pass_deadlines(&mut self, id: StreamId) {
        let now = self.now;
        let Some(stream) = self.streams.map.get_mut(&id) else {
            return;
        };
        let mut places = Vec::new();
        while let Some(&(when, frame)) = stream.deadlines.first() {
            if when > now {
                self.timers.at(when, Timer::Deadline(id));
                break;
            }
            stream.deadlines.pop_first();
            let Some(late) = stream.frames.get(&frame) else {
                continue;
            };
            let live = |from| late.next_live(from, late.numbers.len());
            let mut next = live(0);
            let mut later: Option<Moment> = None;
            while let Some(index) = next {
                match late.deadline_of(index) {
                    Some(deadline) if deadline <= now => places.push(Place {
                        stream: id,
                        frame,
                        index,
                    }),
                    Some(deadline) => later = Some(later.map_or(deadline, |at| at.min(deadline))),
                    None => {}
                }
                next = live(index + 1);
            }
            stream.deadlines.extend(later.map(|later| (later, frame)));
        }
        places.sort_unstable();
        places.dedup();
        self.take_back_late(id, &places);
    }

    fn take_back_late(&mut self, id: StreamId, places: &[Place]) {
        let Some(oldest) = places.first() else {
            return;
        };
        let first_live = self.first_live(id).map(|id| id.0);
        self.tell_late(id, *oldest, places.len());
        let mut returned = Returned::default();
        let mut ids = Vec::new();
        for place in places {
            let delivery = place.frame + place.index as u64;
            push_id(&mut ids, delivery);
            self.counters.withdrawn_deadline += 1;
            let Some((assignment_id, number)) = self.record_at(*place) else {
                continue;
            };
            let how = if first_live == Some(delivery) {
                let reason: Arc<str> = Arc::from("not settled before its deadline");
                self.failed((assignment_id, number), None, &reason, &mut returned)
            } else {
                Return {
                    hold: Hold::Until(self.after_initial_retry(assignment_id)),
                    ..Return::WITHDRAWN
                }
            };
            self.take_back(*place, how, &mut returned);
        }
        self.tell_withdrawn(id, ids, WithdrawReason::Deadline);
        self.settle_returned(returned);
    }

    fn tell_late(&mut self, stream: StreamId, oldest: Place, deliveries: usize) {
        let record = self.record_at(oldest);
        let Some((assignment, number)) = record.and_then(|(id, number)| {
            let assignment = self.assignments.get(&id)?;
            Some((assignment, number))
        }) else {
            return;
        };
        let partition = assignment.partition;
        let offset = assignment.window.offset(number).unwrap_or(0);
        self.report(Event::DeadlinePassed {
            partition,
            offset,
            stream,
            deliveries: u32::try_from(deliveries).unwrap_or(u32::MAX),
        });
    }
}

#[cfg(test)]
mod tests;
