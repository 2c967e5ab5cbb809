//! Takes from one assignment what fits into one message.

use std::collections::VecDeque;

use super::assignment::AssignmentState;
use super::delivery::Stream;
use super::dispatch::{FramePlan, Planned};
use super::history::Histories;
use super::ids::{Moment, RecordNumber, StreamId};
use super::lane::{Lane, LaneKey};
use super::lineup::lane_among;
use super::room::Room;
use super::window::Window;

/// What filling came across besides records to send.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// Lanes to look at again, and when.
    pub(super) later: Vec<(Moment, LaneKey)>,
    /// Lanes whose first record is too large for this stream: its size, the lane, its offset.
    pub(super) oversize: Vec<(u64, LaneKey, i64)>,
}

/// One attempt to fill a message for `stream` from `assignment`.
pub(super) struct Filling<'a> {
    pub(super) now: Moment,
    pub(super) id: StreamId,
    /// Lanes may hold several live records, so it matters which stream holds them.
    pub(super) sticky: bool,
    pub(super) stream: &'a mut Stream,
    pub(super) assignment: &'a mut AssignmentState,
    pub(super) room: &'a mut Room,
    pub(super) plan: &'a mut FramePlan,
    pub(super) found: Found,
}

/// What became of a lane that was asked.
enum Asked {
    /// It cannot give more now.
    Done,
    /// It could give more, or could give to another stream.
    More,
    /// The message is full.
    MessageFull,
}

impl Filling<'_> {
    /// Lanes that stick to the stream first, or they would starve behind an endless supply of others.
    pub(super) fn run(&mut self) {
        let bound = self
            .assignment
            .ready_bound
            .remove(&self.id)
            .unwrap_or_default();
        let bound = self.drain(bound);
        for key in bound {
            self.queue_for_stream(key);
        }
        let ready = std::mem::take(&mut self.assignment.ready);
        let ready = self.drain(ready);
        for key in ready {
            self.queue_again(key);
        }
        self.take_from_pool();
    }

    /// Asks each lane once; returns those that stay ready, in order.
    fn drain(&mut self, mut lanes: VecDeque<LaneKey>) -> VecDeque<LaneKey> {
        let mut keep = VecDeque::new();
        while self.room.records > 0
            && let Some(key) = lanes.pop_front()
        {
            match self.ask(key) {
                Asked::Done => {}
                Asked::More => keep.push_back(key),
                Asked::MessageFull => {
                    lanes.push_front(key);
                    break;
                }
            }
        }
        if keep.is_empty() {
            return lanes;
        }
        // Those asked already go behind those that were not.
        lanes.append(&mut keep);
        lanes
    }

    fn queue_for_stream(&mut self, key: LaneKey) {
        if let Some(lane) = self.assignment.lane_mut(key) {
            lane.queued = true;
            self.assignment
                .ready_bound
                .entry(self.id)
                .or_default()
                .push_back(key);
        }
    }

    fn queue_again(&mut self, key: LaneKey) {
        let Some(lane) = self.assignment.lane_mut(key) else {
            return;
        };
        if lane.live > 0 && lane.stream == Some(self.id) {
            return self.queue_for_stream(key);
        }
        lane.queued = true;
        self.assignment.ready.push_back(key);
    }

    /// Takes from one lane what may go.
    fn ask(&mut self, key: LaneKey) -> Asked {
        let (id, now) = (self.id, self.now);
        let depth = self.assignment.depth_of(key);
        let assignment = &mut *self.assignment;
        let lanes = &mut assignment.lanes;
        let Some(lane) = lane_among(key, &mut assignment.partition_lane, lanes) else {
            return Asked::Done;
        };
        lane.queued = false;
        if !lane.is_ready(depth, &assignment.history, now) {
            return Asked::Done;
        }
        if let Some((avoided, until)) = lane.avoid
            && until > now
            && avoided == id
        {
            self.found.later.push((until, key));
            return Asked::More;
        }
        let mut packing = Packing {
            now,
            window: &assignment.window,
            history: &assignment.history,
            room: self.room,
            plan: self.plan,
            found: &mut self.found,
        };
        let (taken, end) = packing.take_from_lane(key, lane, depth);
        if taken > 0 {
            // Only now: a stream that asked and could not take it changes nothing.
            lane.avoid = None;
            lane.live += u32::try_from(taken).unwrap_or(u32::MAX);
            lane.stream = Some(id);
            if lane.reserved == Some(id) {
                lane.reserved = None;
                self.stream.taking = None;
            }
            if self.sticky && !matches!(key, LaneKey::Single(_)) {
                self.stream.bound.insert((assignment.id, key));
            }
        }
        match end {
            Asked::Done if lane.is_ready(depth, &assignment.history, now) => Asked::More,
            Asked::Done | Asked::More | Asked::MessageFull => end,
        }
    }

    fn take_from_pool(&mut self) {
        while self.room.records > 0
            && let Some(run) = self.assignment.pool.front_run()
        {
            let mut packing = Packing {
                now: self.now,
                window: &self.assignment.window,
                history: &self.assignment.history,
                room: self.room,
                plan: self.plan,
                found: &mut self.found,
            };
            let count = packing.plan_run(run.start, run.end - run.start);
            self.assignment.pool.take_front(count);
            if count > 0 {
                continue;
            }
            let size = self.assignment.window.size(run.start);
            if size <= self.room.record_max {
                return;
            }
            self.give_a_lane(run.start, size);
        }
    }

    /// A record without order that is too large for this stream gets a lane of its own.
    fn give_a_lane(&mut self, number: u64, size: u64) {
        let key = LaneKey::Single(number);
        let offset = self.assignment.window.offset(number).unwrap_or(0);
        self.assignment.pool.take_front(1);
        let mut lane = Lane {
            oversize: Some(size),
            ..Lane::default()
        };
        lane.waiting.insert(number);
        self.assignment.lanes.insert(key, lane);
        self.found.oversize.push((size, key, offset));
    }
}

/// Puts records of an assignment into a message.
struct Packing<'a> {
    now: Moment,
    window: &'a Window,
    history: &'a Histories,
    room: &'a mut Room,
    plan: &'a mut FramePlan,
    found: &'a mut Found,
}

impl Packing<'_> {
    /// Takes as much of a lane as may go. Returns how many records, and why no more.
    fn take_from_lane(&mut self, key: LaneKey, lane: &mut Lane, depth: u32) -> (u64, Asked) {
        let depth = u64::from(depth.saturating_sub(lane.live));
        let mut taken = 0;
        while taken < depth
            && let Some(run) = lane.waiting.front_run()
        {
            let first = self.history.of(run.start);
            if !first.hold.is_over(self.now) || first.suspect {
                let due = first.hold.due().filter(|due| *due > self.now);
                self.found.later.extend(due.map(|due| (due, key)));
                break;
            }
            // A record that was handed back may have a later one behind it that is not due: one at a time.
            let longest = if self.history.is_empty() {
                depth - taken
            } else {
                1
            };
            let count = self.plan_run(run.start, (run.end - run.start).min(longest));
            if count == 0 {
                return (taken, self.does_not_fit(key, lane, run.start, taken));
            }
            lane.waiting.take_front(count);
            taken += count;
        }
        (taken, Asked::Done)
    }

    /// Plans records from `start` on, at most `longest`, while they fit. Returns how many.
    fn plan_run(&mut self, start: u64, longest: u64) -> u64 {
        let mut count = 0;
        while count < longest {
            let sizes = self.window.sizes(start + count);
            if sizes.is_empty() {
                debug_assert!(false, "a waiting record has no page");
                break;
            }
            for size in sizes.iter().map(|size| u64::from(*size)) {
                if count == longest || !self.room.fits(size) {
                    return count;
                }
                self.room.take(size);
                let number = start + count;
                self.plan.records.push(Planned {
                    number: RecordNumber(number),
                    attempt: self.history.of(number).attempts.saturating_add(1),
                });
                count += 1;
            }
        }
        count
    }

    fn does_not_fit(&mut self, key: LaneKey, lane: &mut Lane, number: u64, taken: u64) -> Asked {
        let size = self.window.size(number);
        if size <= self.room.record_max {
            return Asked::MessageFull;
        }
        if lane.live == 0 && taken == 0 {
            let offset = self.window.offset(number).unwrap_or(0);
            lane.oversize = Some(size);
            self.found.oversize.push((size, key, offset));
        }
        // With something live the lane is asked again when that is settled.
        Asked::Done
    }
}
