//! Where do the records of an assignment wait, and which lanes are looked at?
//!
//! # Invariants
//!
//! - A lane that may give a record stands in exactly one queue: that of the stream it is bound to, or that for anybody.
//! - A lane that has nothing waiting and nothing live is gone, but for that of the partition.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use super::assignment::AssignmentState;
use super::ids::{Moment, StreamId};
use super::input::PoppedRecord;
use super::lane::{Lane, LaneKey, Lanes};
use super::settings::Order;
use crate::mutant;

/// What all records of an assignment have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneOfAll {
    /// They are of this lane.
    One(LaneKey),
    /// They are of no lane.
    None,
    /// Nothing.
    Differs,
}

/// What is left of a lane some of whose live records are live no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LaneLeft {
    /// Nothing.
    Gone,
    /// Records that wait; no stream holds it any more.
    Free {
        /// It was the last one that stood ready for its holder.
        unqueued: bool,
    },
    /// Its stream holds it still.
    Held,
}

impl LaneLeft {
    /// Whether no stream holds it.
    pub(crate) fn is_free(self) -> bool {
        self != Self::Held
    }

    /// Whether nothing of the assignment stands ready for its holder any more.
    pub(crate) fn is_unqueued(self) -> bool {
        self == Self::Free { unqueued: true }
    }
}

impl AssignmentState {
    /// What can be said of the lanes of all records without a look at each.
    pub(crate) fn lane_of_all(&self) -> LaneOfAll {
        match self.policy.order {
            Order::Partition => LaneOfAll::One(LaneKey::Partition),
            Order::None if self.lanes.is_empty() => LaneOfAll::None,
            Order::None | Order::Key => LaneOfAll::Differs,
        }
    }

    /// The lane of a record; `None` for one of the pool.
    pub(crate) fn lane_of(&self, number: u64) -> Option<LaneKey> {
        match self.policy.order {
            Order::Partition => return Some(LaneKey::Partition),
            Order::Key => {
                if let Some(hash) = self.window.key(number) {
                    return Some(LaneKey::Key(hash));
                }
            }
            Order::None => {}
        }
        let single = LaneKey::Single(number);
        self.lanes.contains_key(&single).then_some(single)
    }

    /// The lane that a record not seen before belongs to; `None` for the pool.
    pub(crate) fn lane_for_new(&self, record: &PoppedRecord) -> Option<LaneKey> {
        match self.policy.order {
            Order::Partition => Some(LaneKey::Partition),
            Order::Key if mutant::planted("M9") => {
                Some(LaneKey::Key(record.key_hash.unwrap_or_default()))
            }
            Order::Key => record.key_hash.map(LaneKey::Key),
            Order::None => None,
        }
    }

    pub(crate) fn lane(&self, key: LaneKey) -> Option<&Lane> {
        match key {
            LaneKey::Partition => Some(&self.partition_lane),
            LaneKey::Key(_) | LaneKey::Single(_) => self.lanes.get(&key),
        }
    }

    pub(crate) fn lane_mut(&mut self, key: LaneKey) -> Option<&mut Lane> {
        lane_among(key, &mut self.partition_lane, &mut self.lanes)
    }

    pub(crate) fn lane_or_new(&mut self, key: LaneKey) -> &mut Lane {
        match key {
            LaneKey::Partition => &mut self.partition_lane,
            LaneKey::Key(_) | LaneKey::Single(_) => self.lanes.entry(key).or_default(),
        }
    }

    /// Whether a lane may give a record now (L2, L3).
    pub(crate) fn is_ready(&self, key: LaneKey, now: Moment) -> bool {
        let Some(lane) = self.lane(key) else {
            return false;
        };
        lane.is_ready(self.depth_of(key), &self.history, now)
    }

    /// How many records of a lane may be in flight.
    pub(crate) fn depth_of(&self, key: LaneKey) -> u32 {
        match key {
            LaneKey::Partition | LaneKey::Key(_) => self.policy.lane_depth,
            LaneKey::Single(_) => 1,
        }
    }

    /// Lines new records of one lane up behind those that wait there, and queues the lane if that made it ready.
    pub(crate) fn line_up(&mut self, key: LaneKey, run: Range<u64>) {
        let depth = self.depth_of(key);
        let lane = match key {
            LaneKey::Partition => &mut self.partition_lane,
            LaneKey::Key(_) | LaneKey::Single(_) => self.lanes.entry(key).or_default(),
        };
        // Only the first one can make a lane ready.
        let was_empty = lane.waiting.is_empty();
        lane.waiting.insert_run(run);
        if !was_empty || lane.queued || !lane.may_give(depth) {
            return;
        }
        enqueue(key, lane, &mut self.ready, &mut self.ready_bound);
    }

    /// Whether a record waits in its lane for nothing but its turn.
    pub(crate) fn awaits_turn(&self, number: u64) -> bool {
        let lane = self.lane_of(number).and_then(|key| self.lane(key));
        let waits = lane.is_some_and(|lane| lane.waiting.contains(number));
        waits && !self.aside.contains_key(&number)
    }

    /// Takes a waiting record out of its lane. A lane of which nothing is left is gone.
    pub(crate) fn take_from_lane(&mut self, key: LaneKey, number: u64) {
        let Some(lane) = lane_among(key, &mut self.partition_lane, &mut self.lanes) else {
            return;
        };
        let was_there = lane.waiting.remove(number);
        debug_assert!(was_there, "a waiting record is in its lane");
        if lane.is_idle() && key != LaneKey::Partition {
            self.unqueue(key);
            self.lanes.remove(&key);
        }
    }

    /// Takes a lane from where streams look. Costs time in proportion to the lanes there.
    pub(crate) fn unqueue(&mut self, key: LaneKey) {
        let lane = lane_among(key, &mut self.partition_lane, &mut self.lanes);
        if lane.is_some_and(|lane| std::mem::take(&mut lane.queued)) {
            self.ready.retain(|queued| *queued != key);
            for queue in self.ready_bound.values_mut() {
                queue.retain(|queued| *queued != key);
            }
        }
    }

    /// Some of a lane's live records are live no more. Without any, no stream holds it.
    pub(crate) fn lane_lost_live(&mut self, key: LaneKey, count: u32) -> LaneLeft {
        let Some(lane) = self.lane_mut(key) else {
            return LaneLeft::Gone;
        };
        debug_assert!(
            lane.live >= count,
            "a lane has as many live records as were dispatched"
        );
        lane.live = lane.live.saturating_sub(count);
        if lane.live > 0 {
            return LaneLeft::Held;
        }
        let holder = lane.stream.take();
        // If it stood ready for its holder, it does so for nobody in particular now.
        let was_queued = std::mem::take(&mut lane.queued);
        if lane.is_idle() && key != LaneKey::Partition {
            self.lanes.remove(&key);
            return LaneLeft::Gone;
        }
        let mut unqueued = false;
        if let Some(holder) = holder.filter(|_| was_queued)
            && let Some(queue) = self.ready_bound.get_mut(&holder)
        {
            queue.retain(|queued| *queued != key);
            unqueued = queue.is_empty();
            if unqueued {
                self.ready_bound.remove(&holder);
            }
        }
        LaneLeft::Free { unqueued }
    }

    /// Queues a lane where the stream that may have it looks, unless it stands there already.
    /// Returns whether it was queued.
    pub(crate) fn queue_if_ready(&mut self, key: LaneKey, now: Moment) -> bool {
        if !self.is_ready(key, now) {
            return false;
        }
        let Some(lane) = lane_among(key, &mut self.partition_lane, &mut self.lanes) else {
            return false;
        };
        if lane.queued {
            return false;
        }
        enqueue(key, lane, &mut self.ready, &mut self.ready_bound);
        true
    }
}

/// The lane of a key, for whoever uses other parts of its assignment meanwhile.
pub(crate) fn lane_among<'a>(
    key: LaneKey,
    partition_lane: &'a mut Lane,
    lanes: &'a mut Lanes,
) -> Option<&'a mut Lane> {
    match key {
        LaneKey::Partition => Some(partition_lane),
        LaneKey::Key(_) | LaneKey::Single(_) => lanes.get_mut(&key),
    }
}

/// Queues a lane where the stream that may have it looks.
fn enqueue(
    key: LaneKey,
    lane: &mut Lane,
    ready: &mut VecDeque<LaneKey>,
    ready_bound: &mut BTreeMap<StreamId, VecDeque<LaneKey>>,
) {
    lane.queued = true;
    match lane.bound_to() {
        Some(stream) => ready_bound.entry(stream).or_default().push_back(key),
        None => ready.push_back(key),
    }
}
