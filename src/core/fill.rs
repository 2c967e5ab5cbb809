//! Takes from one assignment what fits into one message.

use std::collections::VecDeque;

use super::assignment::AssignmentState;
use super::delivery::Stream;
use super::dispatch::{FramePlan, Planned, Room};
use super::ids::{Moment, RecordNumber, StreamId};
use super::lane::{Lane, LaneKey};

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
            if let Some(lane) = self.assignment.lane_mut(key) {
                lane.queued = false;
            }
            if !self.assignment.is_ready(key, self.now) {
                continue;
            }
            match self.take_from_lane(key) {
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

    fn take_from_lane(&mut self, key: LaneKey) -> Asked {
        let (id, now) = (self.id, self.now);
        let Some(lane) = self.assignment.lane_mut(key) else {
            return Asked::Done;
        };
        if let Some((avoided, until)) = lane.avoid
            && until > now
            && avoided == id
        {
            self.found.later.push((until, key));
            return Asked::More;
        }
        let mut taken = 0;
        let end = loop {
            match self.take_run(key, taken) {
                Ok(0) => break Asked::Done,
                Ok(count) => taken += count,
                Err(end) => break end,
            }
        };
        if taken > 0 {
            // Only now: a stream that asked and could not take it changes nothing.
            if let Some(lane) = self.assignment.lane_mut(key) {
                lane.avoid = None;
            }
            self.hold_lane(key, taken);
        }
        match end {
            Asked::Done if self.assignment.is_ready(key, now) => Asked::More,
            Asked::Done | Asked::More | Asked::MessageFull => end,
        }
    }

    /// Takes as much of a lane's first run as may go. `Ok(0)` if the lane cannot give more.
    fn take_run(&mut self, key: LaneKey, taken: u64) -> Result<u64, Asked> {
        let depth = u64::from(self.assignment.lane_room(key)).saturating_sub(taken);
        let Some(run) = self
            .assignment
            .lane(key)
            .and_then(|lane| lane.waiting.front_run())
        else {
            return Ok(0);
        };
        if depth == 0 {
            return Ok(0);
        }
        if let Some(due) = self.assignment.due(run.start)
            && due > self.now
        {
            self.found.later.push((due, key));
            return Ok(0);
        }
        // A record that was handed back may have a later one behind it that is not due: one at a time.
        let longest = if self.assignment.history.is_empty() {
            depth
        } else {
            1
        };
        let count = self.plan_run(run.start, (run.end - run.start).min(longest));
        if count == 0 {
            return self.first_does_not_fit(key, run.start, taken);
        }
        if let Some(lane) = self.assignment.lane_mut(key) {
            lane.waiting.take_front(count);
        }
        Ok(count)
    }

    /// Plans records from `start` on, at most `longest`, while they fit. Returns how many.
    fn plan_run(&mut self, start: u64, longest: u64) -> u64 {
        let mut count = 0;
        while count < longest {
            let sizes = self.assignment.window.sizes(start + count);
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
                let attempt = self.assignment.attempt(number);
                self.plan.records.push(Planned {
                    number: RecordNumber(number),
                    attempt,
                });
                count += 1;
            }
        }
        count
    }

    fn first_does_not_fit(&mut self, key: LaneKey, number: u64, taken: u64) -> Result<u64, Asked> {
        let size = self.assignment.window.size(number);
        if size <= self.room.record_max {
            return Err(Asked::MessageFull);
        }
        let offset = self.assignment.window.offset(number).unwrap_or(0);
        let Some(lane) = self.assignment.lane_mut(key) else {
            return Ok(0);
        };
        if lane.live == 0 && taken == 0 {
            lane.oversize = Some(size);
            self.found.oversize.push((size, key, offset));
        }
        // With something live the lane is asked again when that is settled.
        Err(Asked::Done)
    }

    /// The lane now has live records on this stream.
    fn hold_lane(&mut self, key: LaneKey, taken: u64) {
        let id = self.id;
        let assignment_id = self.assignment.id;
        let Some(lane) = self.assignment.lane_mut(key) else {
            return;
        };
        lane.live += u32::try_from(taken).unwrap_or(u32::MAX);
        lane.stream = Some(id);
        if lane.reserved == Some(id) {
            lane.reserved = None;
            self.stream.taking = None;
        }
        if self.sticky && !matches!(key, LaneKey::Single(_)) {
            self.stream.bound.insert((assignment_id, key));
        }
    }

    fn take_from_pool(&mut self) {
        while self.room.records > 0
            && let Some(run) = self.assignment.pool.front_run()
        {
            let count = self.plan_run(run.start, run.end - run.start);
            self.assignment.pool.take_front(count);
            if count > 0 {
                continue;
            }
            let size = self.assignment.window.size(run.start);
            if size <= self.room.record_max {
                return;
            }
            self.set_aside(run.start, size);
        }
    }

    /// A record without order that is too large for this stream gets a lane of its own.
    fn set_aside(&mut self, number: u64, size: u64) {
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
