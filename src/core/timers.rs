//! What is due when.
//!
//! One ordered queue. An entry only says "look at this then": whoever looks decides by the state it finds,
//! so entries need not be taken out when their reason goes away.

use std::collections::BTreeSet;

use super::ids::{Assignment, Moment, StreamId, TopicIndex};
use super::lane::LaneKey;

/// What to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// A lane's first record may be due.
    Lane(Assignment, LaneKey),
    /// A failed read of a committed offset is to be tried again.
    Read(Assignment),
    /// A failed listing of a log's range is to be tried again.
    List(Assignment),
    /// A partition is to be handed to the client again.
    Fetch(Assignment),
    /// A failed description of a topic is to be tried again.
    Describe(TopicIndex),
    /// Look whether topics are still the same ones.
    DescribeAll,
    /// Look which topics there are.
    FindTopics,
    /// Look whether the group leaves something without an owner.
    Group,
    /// Ask whose the partitions are whose claims were overtaken.
    Claim,
    /// Partitions may have been full for long enough to be paused.
    Full,
    /// A commit may be due.
    Commit,
    /// Something may be uncommitted for too long.
    Staleness,
    /// A draining may be over.
    Rebalance,
    /// The shutdown may go on.
    Shutdown,
    /// A stream's message that is not full may go, or its trial is over.
    Linger(StreamId),
    /// A stream's closing, keeping or remembering ends.
    Stream(StreamId),
    /// The group may have been without a stream for long enough to be left.
    Leave,
    /// Brokers may have left a seek without an answer for too long.
    Seek(Assignment),
    /// A stream may hold deliveries that are unsettled for long.
    Unsettled(StreamId),
    /// A stream may hold deliveries that were not settled in time.
    Deadline(StreamId),
    /// Deaths of applications may be judged.
    Deaths,
    /// The stream that was asked where a partition starts may not have answered.
    Ask(Assignment),
    /// The stream that had a partition has ended, and its death is not told any more.
    Home(Assignment),
    /// A record that was given up before was taken in again.
    GivenUp(Assignment, u64),
    /// A dead letter that was not taken may go again.
    DeadLetter(Assignment, u64),
    /// The producer may be made now.
    Producer,
    /// A record came again that was to be given up, or parked.
    Carried(Assignment, u64),
    /// No stream can take the first record of a lane.
    Oversize(Assignment, LaneKey),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    queue: BTreeSet<(Moment, Timer)>,
}

impl Timers {
    pub(crate) fn at(&mut self, when: Moment, what: Timer) {
        self.queue.insert((when, what));
    }

    /// The next entry that is due.
    pub(crate) fn pop_due(&mut self, now: Moment) -> Option<Timer> {
        if self.queue.first()?.0 > now {
            return None;
        }
        self.queue.pop_first().map(|(_, what)| what)
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }

    #[cfg(test)]
    pub(crate) fn count(&self, what: &Timer) -> usize {
        self.queue.iter().filter(|(_, timer)| timer == what).count()
    }

    pub(crate) fn next(&self) -> Option<Moment> {
        self.queue.first().map(|(when, _)| *when)
    }
}
