//! The small types that everything else is made of.
//!
//! Each number of Kafka or of ours has a type of its own, so that "next to read" cannot be passed
//! where "lowest not finished" is meant.

use std::fmt;
use std::time::Duration;

/// A point in time: nanoseconds on the monotonic clock since the process started.
///
/// The core never reads a clock. Whoever calls it says what time it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(pub u64);

impl Moment {
    /// The moment `after` later, saturating at the end of time (584 years).
    #[must_use]
    pub fn plus(self, after: Duration) -> Self {
        let nanos = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
        Self(self.0.saturating_add(nanos))
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// A configured topic, by its place in [`super::Settings::topics`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicIndex(pub u16);

/// One partition of one configured topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic.
    pub topic: TopicIndex,
    /// Kafka's partition number.
    pub partition: i32,
}

/// One period in which this member owns one partition. Unique within the process, never reused:
/// a partition that leaves and comes back, or is sought, is a new assignment with new state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Assignment(pub u64);

/// A number raised each time a partition is handed to the Kafka client, also when the partition is
/// restarted after an error. Records carry the fetch they were popped under; those of an older one
/// are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fetch(pub u64);

/// One stream of one application. Unique within the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StreamId(pub u64);

/// The id of one delivery, as the application sees it: below 2^53 and consecutive in its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeliveryId(pub u64);

/// The place of a record among those taken in by its assignment: 0, 1, 2, … without gaps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordNumber(pub u64);

/// The next offset to take in. Everything below was taken in or does not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frontier(pub i64);

/// The lowest offset that is not finished; what a commit carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Watermark(pub i64);

/// Kafka's leader epoch of a record or position; `None` where the broker does not say.
pub type LeaderEpoch = Option<i32>;

/// Names one commit request from the core to the Kafka edge and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CommitId(pub u64);

/// Names what an application returned with one acknowledgement. Chosen by the edge that keeps the bytes; later ones are
/// greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OutputsId(pub u64);

/// Names a producer from the core to the Kafka edge and back; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerAsk(pub u64);

/// Names a question to the group from the core to the Kafka edge and back; later ones are greater.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupAsk(pub u64);

/// Names an operator's question from the edge to the core and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AskId(pub u64);

/// Names a caller that waits until its acknowledgements are committed. Chosen by the gRPC edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitId(pub u64);

/// Delivery ids from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdRange {
    /// Lowest id.
    pub first: u64,
    /// Highest id.
    pub last: u64,
}

impl IdRange {
    /// The range of a single id.
    #[must_use]
    pub fn one(id: u64) -> Self {
        Self {
            first: id,
            last: id,
        }
    }
}

/// Appends `id` to `ranges`, joining it with the last range when it follows on.
pub(crate) fn push_id(ranges: &mut Vec<IdRange>, id: u64) {
    match ranges.last_mut() {
        Some(range) if range.last + 1 == id => range.last = id,
        Some(_) | None => ranges.push(IdRange::one(id)),
    }
}

/// A topic's identity across deletion and re-creation (KIP-516). Never all zeros.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicUuid(pub [u8; 16]);

impl fmt::Debug for TopicUuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
