//! What a person may want to read or count.

use std::sync::Arc;

use super::effect::{Cause, StopReason};
use super::ids::{Assignment, PartitionId, StreamId};

/// What a person may want to read or count. `observe.rs` turns each into a log line and a metric.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A rebalance gave us partitions.
    Assigned {
        /// How many.
        partitions: usize,
    },
    /// A rebalance takes partitions away.
    Revoking {
        /// How many.
        partitions: usize,
    },
    /// Partitions were lost without warning.
    Lost {
        /// How many.
        partitions: usize,
    },
    /// A partition starts to flow.
    Started {
        /// The partition.
        partition: PartitionId,
        /// The assignment.
        assignment: Assignment,
        /// Where.
        offset: i64,
        /// Offsets at and above it that were finished before, from the commit metadata.
        restored: u64,
    },
    /// No committed offset: the `start` policy was applied.
    StartedByPolicy {
        /// The partition.
        partition: PartitionId,
        /// Where it led to.
        offset: i64,
        /// Whether the partition is newer than its siblings' commits, and so read from the beginning.
        new_partition: bool,
    },
    /// Commit metadata was not ours, damaged, or of another cluster: the offset counts, the rest does not.
    MetadataIgnored {
        /// The partition.
        partition: PartitionId,
        /// Why.
        reason: &'static str,
    },
    /// The group gave partitions of topics that are not read: it is left and joined again, so that others get them.
    UnreadAssigned {
        /// How many.
        partitions: usize,
    },
    /// Nobody owned partitions of topics that this static member reads: it leaves the group and joins again, so that they
    /// are handed out.
    Unowned {
        /// How many.
        partitions: usize,
    },
    /// Somebody else has claimed a partition in the store since we did. Everything of it was taken back; it is claimed
    /// again if the group says that it is ours.
    ClaimOvertaken {
        /// The partition.
        partition: PartitionId,
    },
    /// Topics that match a pattern were found, and are read from now on.
    TopicsFound {
        /// How many.
        topics: usize,
    },
    /// Topics that were found earlier do not exist any more.
    TopicsGone {
        /// How many.
        topics: usize,
    },
    /// Another number of topics than before is not read because there are too many.
    TopicsLeftOut {
        /// How many.
        topics: usize,
    },
    /// The topic was deleted and made again; reading starts at its beginning.
    TopicMadeAgain {
        /// The partition.
        partition: PartitionId,
    },
    /// The log was cut below our position; reading goes on where the logs part.
    Truncated {
        /// The partition.
        partition: PartitionId,
        /// Where we were.
        from: i64,
        /// Where we go on.
        to: i64,
    },
    /// Offsets were passed over because the log does not hold them any more, or by `latest`.
    Skipped {
        /// The partition.
        partition: PartitionId,
        /// First offset passed over.
        from: i64,
        /// First offset read.
        to: i64,
    },
    /// A partition stopped until a person acts.
    Stopped {
        /// The partition.
        partition: PartitionId,
        /// The offset at which it stands.
        offset: i64,
        /// Why.
        reason: StopReason,
    },
    /// A partition's fetch failed and is started again.
    FetchRestarted {
        /// The partition.
        partition: PartitionId,
        /// From where.
        offset: i64,
        /// The client's words.
        error: String,
    },
    /// A read of positions or topics failed and is tried again.
    ReadRetried {
        /// What was read.
        what: &'static str,
        /// The broker's words.
        error: String,
    },
    /// A commit failed; it stays due.
    CommitFailed {
        /// The partition.
        partition: PartitionId,
        /// The offset.
        offset: i64,
        /// Why.
        error: super::CommitError,
    },
    /// Commits work again after failures.
    CommitRecovered,
    /// A transaction ended without effect: what was in it is delivered again.
    TransactionAborted {
        /// How many partitions begin again at their committed offsets.
        partitions: usize,
        /// Why.
        reason: String,
    },
    /// It is not known how a transaction ended: a new producer settles it, and then everything that it did not commit is
    /// delivered again.
    TransactionUnknown {
        /// How many partitions begin again at their committed offsets.
        partitions: usize,
        /// What went wrong.
        reason: String,
    },
    /// A topic does not take what an application returned for this record.
    OutputRefused {
        /// The partition.
        partition: PartitionId,
        /// The record's offset.
        offset: i64,
        /// In the broker's words.
        reason: Arc<str>,
    },
    /// The transactional producer could not be made.
    ProducerFailed {
        /// Another process with the same transactional id took over.
        fenced: bool,
        /// Why.
        error: String,
    },
    /// The transactional producer could be made after that.
    ProducerRecovered,
    /// What was finished above the watermark of a partition does not fit the commit metadata: it is not committed before
    /// it does.
    MarksTooLarge {
        /// The partition.
        partition: PartitionId,
    },
    /// The broker takes less commit metadata than was believed.
    MetadataLimited {
        /// How many characters it is given from now on.
        characters: usize,
    },
    /// What was acknowledged and not committed of a partition is lost, because the partition is not what it was.
    OutputsLost {
        /// The partition.
        partition: PartitionId,
        /// How many outputs.
        records: u64,
    },
    /// The finished marks of a partition do not fit into the commit; only its offset is kept.
    MarksDropped {
        /// The partition.
        partition: PartitionId,
    },
    /// No commit of these succeeded for `commit.staleness_max`: nothing new of them is delivered.
    CommitsStale {
        /// The partitions, at least one.
        partitions: Vec<PartitionId>,
    },
    /// A commit of these succeeded after that.
    CommitsFresh {
        /// The partitions, at least one.
        partitions: Vec<PartitionId>,
    },
    /// Applications keep positions, and the stream that had a partition has ended: it is asked about anew.
    HomeLeft {
        /// The partition.
        partition: PartitionId,
        /// Its assignment before.
        before: super::Assignment,
        /// Its assignment now.
        after: super::Assignment,
    },
    /// Applications keep positions, and none has said for a while where this partition starts.
    StartUnanswered {
        /// The partition.
        partition: PartitionId,
        /// How many streams were asked.
        asked: usize,
    },
    /// A clock jump makes our membership doubtful; one commit must succeed before anything is delivered.
    MembershipDoubtful,
    /// The doubt is over.
    MembershipConfirmed,
    /// A delivery is unsettled for long.
    UnsettledForLong {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// The stream that holds it.
        stream: StreamId,
    },
    /// A record is larger than any open stream accepts; its lane waits.
    Oversize {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// Its size in a message.
        size: u64,
    },
    /// A record is set aside: it stays in its lane, which stands, until a person acts.
    Parked {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// Why.
        cause: Cause,
        /// In the words of whoever said so.
        reason: Arc<str>,
    },
    /// A record is finished: its dead-letter topic has it.
    DeadLettered {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// Why.
        cause: Cause,
    },
    /// A record could not be written to its dead-letter topic; it is tried again.
    DeadLetterFailed {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// The broker's words.
        error: String,
    },
    /// A record was dropped, by rule or because somebody said so.
    Discarded {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// Why.
        cause: Cause,
        /// In the words of whoever said so.
        reason: Arc<str>,
    },
    /// So many records of a topic were to be given up that it looks like an outage: they are tried on instead.
    GivingUpStopped {
        /// The partition of the one that is not.
        partition: PartitionId,
    },
    /// A parked record is let go on.
    Unparked {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// In the operator's words.
        reason: Arc<str>,
    },
    /// A stream died, and what it held may be why.
    ApplicationDied {
        /// The stream.
        stream: StreamId,
        /// How many records it held.
        records: u32,
        /// How many of them are suspect by now: they are delivered again alone.
        suspects: u32,
    },
    /// An application died of a record that it had alone.
    DiedOf {
        /// The partition.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// How often by now.
        deaths: u32,
    },
    /// Deliveries were not settled before their deadline, and were taken back.
    DeadlinePassed {
        /// The partition of the oldest one.
        partition: PartitionId,
        /// Its offset.
        offset: i64,
        /// The stream that held them.
        stream: StreamId,
        /// How many.
        deliveries: u32,
    },
    /// A partition is paused because it is full while others have room.
    Paused {
        /// The partition.
        partition: PartitionId,
    },
    /// A paused partition has room again.
    Resumed {
        /// The partition.
        partition: PartitionId,
    },
    /// Another member with our instance id took over.
    Fenced,
}
