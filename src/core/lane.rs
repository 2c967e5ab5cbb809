//! Lanes: records that keep their order among themselves.
//!
//! A lane is a partition (`order: partition`), a key (`order: key`), or one record that was handed back
//! (of those that have no order). Records that have no order and were never handed back need no lane;
//! they wait in the assignment's pool. A lane exists only while something of it waits or is in flight.
//!
//! # Invariants
//!
//! - L1 (I-O1, I-O2): everything live in a lane has a lower number than everything waiting in it, or is
//!   withdrawn in the same step in which an earlier record comes back.
//! - L2: at most `lane_depth` records of a lane are live, all on one stream.
//! - L3: a lane whose first waiting record is not due, or was set aside, gives nothing, whatever waits behind it. A record
//!   that was set aside while later ones were live is no reason to take those back: their turn had come.

use hashbrown::HashMap;

use super::history::Histories;
use super::ids::{Moment, StreamId};
use super::runs::Runs;
use crate::fixed_hash::FixedState;

/// Names a lane within its assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LaneKey {
    /// The whole partition.
    Partition,
    /// Records whose key has this hash. A collision only shares the lane.
    Key(u64),
    /// A record without order that was handed back, by its number.
    Single(u64),
}

/// One lane.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Numbers of the records that wait.
    pub(crate) waiting: Runs,
    /// How many of its records are in flight.
    pub(crate) live: u32,
    /// The stream that holds the live ones.
    pub(crate) stream: Option<StreamId>,
    /// Gives nothing new until its live records are settled, then goes to this stream.
    pub(crate) reserved: Option<StreamId>,
    /// A released record is not offered to this stream before this time.
    pub(crate) avoid: Option<(StreamId, Moment)>,
    /// It stands in one of the queues of ready lanes.
    pub(crate) queued: bool,
    /// Size of the first waiting record, if no stream so far could take it.
    pub(crate) oversize: Option<u64>,
}

impl Lane {
    pub(crate) fn is_idle(&self) -> bool {
        self.live == 0 && self.waiting.is_empty()
    }

    /// Whether nothing but the back-off of its first record can keep the lane from giving it (L2).
    pub(crate) fn may_give(&self, depth: u32) -> bool {
        self.live < depth
            && !self.waiting.is_empty()
            && !(self.reserved.is_some() && self.live > 0)
            && self.oversize.is_none()
    }

    /// Whether it may give a record now (L2, L3).
    pub(crate) fn is_ready(&self, depth: u32, history: &Histories, now: Moment) -> bool {
        let may_go = |first| {
            let history = history.of(first);
            history.hold.is_over(now) && !history.suspect
        };
        self.may_give(depth) && self.waiting.front().is_some_and(may_go)
    }

    /// The record that it may give to a stream that holds nothing else, if that is what comes next.
    pub(crate) fn suspect(&self, history: &Histories, now: Moment) -> Option<u64> {
        let first = self.waiting.front()?;
        let known = history.of(first);
        let may_go = known.suspect && known.hold.is_over(now);
        (may_go && self.live == 0 && self.oversize.is_none()).then_some(first)
    }

    /// The one stream that may take from it, if not any.
    pub(crate) fn bound_to(&self) -> Option<StreamId> {
        if self.live > 0 {
            self.stream
        } else {
            self.reserved
        }
    }
}

/// Lane tables are never iterated, so their order cannot leak into a replay; the hash is fixed all the
/// same, so that memory and speed replay too.
pub(crate) type Lanes = HashMap<LaneKey, Lane, FixedState>;

#[cfg(test)]
mod tests;
