//! What the edges tell the core.
//!
//! Inputs are facts, per batch and never per record. An edge translates and decides nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use super::ids::{
    AskId, Assignment, CommitId, Fetch, GroupAsk, LeaderEpoch, PartitionId, ProducerAsk,
    RecordNumber, StreamId, TopicIndex, TopicUuid, WaitId,
};
use super::outputs::NewOutputs;
use super::pause::Scope;
use super::producer::ProducerError;
use super::seek::SeekTarget;
use super::transactions::TransactionEnd;

/// One fact, with everything that belongs to it.
#[derive(Debug)]
pub enum Input<'a> {
    /// Nothing but the passing of time. Due at [`super::Core::next_wakeup`], welcome at any time.
    Tick,
    /// The cluster named itself. Told at most once per cluster, before the first assignment if known.
    ClusterKnown {
        /// The cluster's id.
        id: String,
    },
    /// The group gave us partitions. Must be answered by an [`super::Effect::Assign`].
    GroupAssigned {
        /// What is new (incremental), or everything (whole).
        partitions: Vec<PartitionId>,
    },
    /// The group gave partitions of topics that the core does not know, as it does to a static member that comes back:
    /// they are what it had before. Told after the [`Self::GroupAssigned`] that leaves them out.
    UnreadAssigned {
        /// How many.
        partitions: usize,
    },
    /// The group takes partitions away. Must be answered by an [`super::Effect::Unassign`].
    GroupRevoked {
        /// What leaves (incremental), or everything (whole).
        partitions: Vec<PartitionId>,
    },
    /// The partitions are gone already, and somebody else may own them. Same answer, no commit.
    GroupLost {
        /// What is gone.
        partitions: Vec<PartitionId>,
    },
    /// The client left the group, as [`super::Effect::Leave`] asked.
    GroupLeft,
    /// The client is to be replaced (new certificates): leave the group cleanly and join it again. The
    /// client is replaced before the [`super::Effect::Join`] that follows.
    Rejoin,
    /// Answer to [`super::Effect::ReadCommitted`].
    CommittedRead {
        /// One answer for each partition asked about.
        answers: Vec<CommittedAnswer>,
        /// Raw metadata of everything the group committed in the same topics, these partitions included.
        siblings: Vec<(PartitionId, Vec<u8>)>,
    },
    /// Answer to [`super::Effect::ListOffsets`]: what the log of a partition holds now.
    OffsetsListed {
        /// The assignment that asked.
        assignment: Assignment,
        /// The log's range.
        answer: Result<LogRange, ReadError>,
    },
    /// Answer to [`super::Effect::DescribeGroup`].
    GroupDescribed {
        /// The question.
        ask: GroupAsk,
        /// Who owns what.
        answer: Result<GroupDescription, ReadError>,
    },
    /// Answer to [`super::Effect::DescribeTopics`], also sent whenever the edge looked by itself.
    TopicDescribed {
        /// The topic.
        topic: TopicIndex,
        /// What is known of it.
        answer: Result<TopicDescription, ReadError>,
    },
    /// Answer to [`super::Effect::FindTopics`].
    TopicsFound {
        /// The names of all topics that we may see.
        answer: Result<Vec<String>, ReadError>,
    },
    /// Records popped from the client, in the order popped.
    Popped {
        /// Runs of records of one partition each.
        runs: &'a [PoppedRun<'a>],
    },
    /// The client's position, sampled by the popping thread after a pop that found the queue empty.
    PositionSampled {
        /// The partition.
        partition: PartitionId,
        /// The fetch that is alive.
        fetch: Fetch,
        /// Next offset the client would return.
        offset: i64,
    },
    /// The end of a partition's log, as the client last heard of it. May be old, never too high.
    EndSampled {
        /// The partition.
        partition: PartitionId,
        /// The fetch that is alive.
        fetch: Fetch,
        /// One past the newest offset a consumer may read.
        end: i64,
    },
    /// The client could not fetch a partition. It may have moved its position; do not trust it.
    FetchFailed {
        /// The partition.
        partition: PartitionId,
        /// The fetch that failed.
        fetch: Fetch,
        /// Why.
        error: FetchError,
    },
    /// Result of [`super::Effect::Commit`]. Results of requests that are not outstanding are ignored.
    CommitDone {
        /// The request.
        request: CommitId,
        /// One result for each entry of the request, in its order.
        results: Vec<(Assignment, Result<(), CommitError>)>,
    },
    /// How the transaction of [`super::Effect::Transact`] ended. Told once for each, whatever happens meanwhile.
    TransactionDone {
        /// The request.
        request: CommitId,
        /// How.
        end: TransactionEnd,
    },
    /// Answer to [`super::Effect::MakeProducer`].
    ProducerMade {
        /// The question.
        ask: ProducerAsk,
        /// `Ok` once whatever an earlier producer of the same name left open is settled.
        result: Result<(), ProducerError>,
    },
    /// Another answer to [`super::Effect::DeadLetter`]: the letter waits for the next transaction.
    DeadLetterHeld {
        /// The assignment of the record.
        assignment: Assignment,
        /// The record.
        number: RecordNumber,
        /// The letter.
        outputs: NewOutputs,
    },
    /// An application opened a record stream.
    StreamOpened {
        /// Its number.
        stream: StreamId,
        /// Random bits for the start of its delivery ids.
        entropy: u64,
        /// What it asked for, with defaults filled in.
        open: StreamOpen,
    },
    /// An open stream changed its limits.
    StreamFlow {
        /// The stream.
        stream: StreamId,
        /// New limits; absent ones stay.
        flow: FlowChange,
    },
    /// The application said that it is done with the stream (half-close, or `close_stream`): its live
    /// deliveries are released, and the stream ends once they are committed, or after 3 s.
    StreamClosing {
        /// The stream.
        stream: StreamId,
    },
    /// The stream's response body is gone. Live deliveries are withdrawn, or kept for `keep_after_close`.
    StreamClosed {
        /// The stream.
        stream: StreamId,
    },
    /// The connection of a stream that closed a moment ago, within a second, is gone too: its application crashed, or
    /// ended without saying goodbye.
    StreamDied {
        /// The stream.
        stream: StreamId,
    },
    /// Answer to [`super::Effect::DeadLetter`].
    DeadLetterDone {
        /// The assignment of the record.
        assignment: Assignment,
        /// The record.
        number: RecordNumber,
        /// `Ok` only after every replica in sync has it.
        result: Result<(), DeadLetterError>,
    },
    /// The process ends: stop dispatching, wait for live deliveries until `drain_until`, commit, leave.
    /// A second one with an earlier time cuts the first short.
    Shutdown {
        /// When to stop waiting.
        drain_within: Duration,
        /// For the streams' notices.
        reason: &'static str,
    },
    /// An operator asks for something.
    Operate(Operation),
    /// Answer to [`super::Effect::FindOffset`]: the first offset that is new enough, `None` if no record is.
    OffsetFound {
        /// The assignment that asked.
        assignment: Assignment,
        /// The offset.
        answer: Result<Option<i64>, ReadError>,
    },
    /// Another member with our `group.instance_id` took over: withdraw everything, commit nothing.
    Fenced,
    /// The client died and is being rebuilt: every assignment is lost, and the group is joined again.
    ClientRestarted,
}

/// What an operator may ask for. Who asked and why is the edge's business, but for what is told to others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operation {
    /// Deliver nothing new of this.
    Pause {
        /// Of what; ignored if [`super::Core::may_pause`] says no.
        scope: Scope,
        /// The operator's words.
        reason: String,
    },
    /// Deliver it again, and everything within it.
    Resume {
        /// What.
        scope: Scope,
    },
    /// Move a partition's position; answered by [`super::Effect::Sought`].
    Seek {
        /// Names the question.
        ask: AskId,
        /// The partition.
        partition: PartitionId,
        /// Where to.
        target: SeekTarget,
    },
    /// Deliver nothing new at all, and leave the group when nothing is in flight. The process goes on.
    Drain {
        /// What streams are told of the time they have.
        within: Duration,
    },
}

/// One partition's committed offset, as the broker told it.
#[derive(Debug, Clone)]
pub struct CommittedAnswer {
    /// The assignment that asked.
    pub assignment: Assignment,
    /// `Ok(None)` only if the broker answered that there is none.
    pub answer: Result<Option<CommittedOffset>, ReadError>,
}

/// A committed offset with what was stored beside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch stored with it.
    pub leader_epoch: LeaderEpoch,
    /// Metadata as stored, possibly foreign, damaged or hostile.
    pub metadata: Vec<u8>,
}

/// The offsets a partition's log holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogRange {
    /// Oldest offset kept.
    pub earliest: i64,
    /// One past the newest offset a consumer may read.
    pub latest: i64,
}

/// Who owns what in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupDescription {
    /// No rebalance is under way.
    pub rests: bool,
    /// What its members own together, of topics that the core knows.
    pub owned: Vec<PartitionId>,
    /// What this member owns of that.
    pub ours: Vec<PartitionId>,
}

/// What a broker says of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its identity; `None` from brokers without topic ids.
    pub id: Option<TopicUuid>,
    /// Its partition count.
    pub partitions: u32,
}

/// Why a read failed. Reads are retried until they succeed or the partition leaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Worth trying again soon.
    Transient(String),
    /// Refused for lack of permission; tried again, and reported.
    Unauthorized(String),
    /// The topic does not exist.
    UnknownTopic(String),
    /// The broker cannot do this at all; not asked again.
    Unsupported,
}

/// Why a partition's fetch failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchError {
    /// The position is outside of the log.
    OutOfRange,
    /// The log was cut below the position: an unclean election.
    Truncated {
        /// Where the logs part.
        end: i64,
    },
    /// A batch failed its checksum.
    Corrupt(String),
    /// Refused for lack of permission.
    Unauthorized(String),
    /// Anything else; worth trying again.
    Transient(String),
}

/// Why one partition of a commit failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitError {
    /// The group is rebalancing, or does not know our generation. Only rebalance events decide
    /// about assignments; the commit is built again if the assignment outlives them.
    NotMember(String),
    /// Coordinator away, timeout, connection lost: the outcome is unknown, sending again is safe.
    Transient(String),
    /// The broker's limit on metadata is below what we sent.
    MetadataTooLarge,
    /// Refused for lack of permission.
    Unauthorized(String),
    /// The store keeps the partition for a later claim than ours. Told by stores outside Kafka only: brokers ask for
    /// no claim.
    Claimed(String),
}

impl CommitError {
    /// What the broker said.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::NotMember(words)
            | Self::Transient(words)
            | Self::Unauthorized(words)
            | Self::Claimed(words) => words,
            Self::MetadataTooLarge => "the metadata is larger than the broker allows",
        }
    }

    /// Whether it speaks of the request, and so of every partition, if nothing of the request succeeded.
    pub(crate) fn is_of_request(&self) -> bool {
        match self {
            Self::NotMember(_) | Self::Transient(_) => true,
            Self::MetadataTooLarge | Self::Unauthorized(_) | Self::Claimed(_) => false,
        }
    }
}

/// Why a record could not be written to its dead-letter topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeadLetterError {
    /// Worth trying again: a broker is away, a queue is full.
    Transient(String),
    /// Trying again will not help: too large, unknown topic, not allowed.
    Permanent(String),
}

/// A run of popped records of one partition.
#[derive(Debug, Clone, Copy)]
pub struct PoppedRun<'a> {
    /// The partition.
    pub partition: PartitionId,
    /// The fetch under which they were popped.
    pub fetch: Fetch,
    /// The client's position right after this pop, if it was sampled: next offset to read.
    pub position: Option<i64>,
    /// The records, offsets rising.
    pub records: &'a [PoppedRecord],
}

/// What the core needs to know of a record. The bytes stay in the edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoppedRecord {
    /// Its offset.
    pub offset: i64,
    /// Hash of its key; `None` without a key. Looked at only with [`super::Order::Key`].
    pub key_hash: Option<u64>,
    /// Bytes it takes in a frame, id and attempt included.
    pub size: u32,
    /// Leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// It was sent back for another group only: finished for this one as soon as it is taken in.
    pub foreign: bool,
}

/// What a stream asked for, with defaults filled in. All limits are at least 1.
#[derive(Debug, Clone)]
pub struct StreamOpen {
    /// Name given by the client, for logs and status.
    pub client: String,
    /// Topics it wants; `None` for all.
    pub topics: Option<BTreeSet<TopicIndex>>,
    /// Live deliveries it may hold.
    pub in_flight_records_max: u32,
    /// Bytes of live deliveries it may hold.
    pub in_flight_bytes_max: u64,
    /// Largest message it can receive; a larger record is never sent to it.
    pub message_bytes_max: u64,
    /// Records in one message.
    pub batch_records_max: u32,
    /// Bytes in one message.
    pub batch_bytes_max: u64,
    /// How long a message that is not full waits for more.
    pub batch_linger: Duration,
    /// How long its deliveries stay alive after its connection broke.
    pub keep_after_close: Duration,
    /// Notices about partitions coming and going.
    pub notice_partitions: bool,
    /// Notices about commits.
    pub notice_committed: bool,
    /// Notices about having reached the end of a partition.
    pub notice_caught_up: bool,
}

/// New limits of a stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlowChange {
    /// Stops or restarts deliveries.
    pub paused: Option<bool>,
    /// Live deliveries it may hold, at least 1.
    pub in_flight_records_max: Option<u32>,
    /// Bytes of live deliveries, at least 1.
    pub in_flight_bytes_max: Option<u64>,
}

/// What became of a delivery, as the application says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Finished.
    Ack,
    /// Failed: counts, and is delivered again after a back-off or the delay given here.
    Retry {
        /// The application's own delay, capped by the back-off's `max`.
        delay: Option<Duration>,
    },
    /// Not worked on: does not count, and is delivered again soon, rather to another stream.
    Release,
    /// Cannot be worked on: goes to the dead-letter topic, and is finished when that has it.
    DeadLetter,
    /// Not wanted: finished, counted apart.
    Discard,
}

/// Some deliveries with one outcome.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The deliveries; ranges may be huge, overlap or name ids never issued.
    pub ids: Vec<super::IdRange>,
    /// What became of them.
    pub outcome: Outcome,
    /// The application's words, cut by the edge; for logs and status.
    pub reason: String,
    /// What goes out with an acknowledgement, in the transaction that commits it. Such a settlement is applied whole or
    /// not at all.
    pub outputs: Option<NewOutputs>,
}

/// Deliveries whose deadline moves.
#[derive(Debug, Clone)]
pub struct Extend {
    /// The deliveries; ranges may be huge, overlap or name ids never issued.
    pub ids: Vec<super::IdRange>,
    /// How long from now on they may stay unsettled.
    pub by: Duration,
}

/// A batch of settlements from one call or one message, applied as one: acks first, then extensions, then the others.
#[derive(Debug, Clone, Default)]
pub struct SettleRequest {
    /// The settlements.
    pub settlements: Vec<Settlement>,
    /// The extensions.
    pub extends: Vec<Extend>,
    /// Set by a caller that waits for the commit; answered by [`super::Effect::CommitAwaited`].
    pub wait: Option<WaitId>,
}
