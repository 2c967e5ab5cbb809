//! What the core wants done.
//!
//! Effects are carried out in order, all of them, before the next input is given.

use std::sync::Arc;
use std::time::Duration;

use super::event::Event;
use super::ids::{
    AskId, Assignment, CommitId, DeliveryId, Fetch, GroupAsk, IdRange, LeaderEpoch, OutputsId,
    PartitionId, ProducerAsk, RecordNumber, StreamId, TopicIndex, WaitId,
};
use super::seek::{SeekRefused, Sought};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Join the group for the topics that are read ([`super::Core::topics_read`]).
    Join,
    /// Tell the group, of which we are a member, that other topics are read now.
    Subscribe,
    /// Leave the group; the client will first take its partitions away, as in any rebalance.
    Leave,
    /// Hand partitions to the client: forward each partition's queue, then (incrementally) assign.
    Assign {
        /// Incremental: what is added. Whole: everything from now on.
        partitions: Vec<FetchStart>,
        /// Whether this answers the rebalance event.
        answers_rebalance: bool,
    },
    /// Take partitions from the client.
    Unassign {
        /// Incremental: what leaves. Whole mode: everything leaves and this is empty of meaning.
        partitions: Vec<PartitionId>,
        /// Whether this answers the rebalance event.
        answers_rebalance: bool,
    },
    /// Stop fetching these partitions; their prefetched records are purged.
    Pause(Vec<PartitionId>),
    /// Fetch them again.
    Resume(Vec<PartitionId>),
    /// Ask the broker for committed offsets, and for those of the same topics' other partitions.
    ReadCommitted(Vec<(Assignment, PartitionId)>),
    /// Ask the broker which offsets the logs hold.
    ListOffsets(Vec<(Assignment, PartitionId)>),
    /// Ask the broker for the first record of a log that is not older than this.
    FindOffset {
        /// The assignment that asks.
        assignment: Assignment,
        /// The partition.
        partition: PartitionId,
        /// Milliseconds since 1970.
        timestamp: i64,
    },
    /// Ask the broker about topics.
    DescribeTopics(Vec<TopicIndex>),
    /// Ask the broker for the names of all topics.
    FindTopics,
    /// A topic that has not been seen before is known from now on, and comes before anything that speaks of it.
    TopicAdded {
        /// One more than the last.
        topic: TopicIndex,
        /// Its name.
        name: String,
    },
    /// Ask which partitions the group's members own.
    DescribeGroup(GroupAsk),
    /// Send one commit request.
    Commit {
        /// Its name.
        request: CommitId,
        /// What to commit; never empty.
        entries: Vec<CommitEntry>,
    },
    /// Write these outputs and commit these positions in one transaction; answered by one
    /// [`super::Input::TransactionDone`].
    Transact {
        /// Its name.
        request: CommitId,
        /// What to commit; never empty.
        entries: Vec<CommitEntry>,
        /// What to write, in this order. Nobody asks for them again.
        outputs: Vec<OutputsId>,
    },
    /// These are never written.
    DropOutputs(Vec<OutputsId>),
    /// Give the producer up, if there is one, and make one of the same name in its place; answered by
    /// [`super::Input::ProducerMade`].
    MakeProducer(ProducerAsk),
    /// Write a record to the dead-letter topic of its topic, and say what became of it
    /// ([`super::Input::DeadLetterDone`]). Its bytes are where those of waiting records are, and stay there.
    DeadLetter(Box<DeadLetter>),
    /// There may be records for this stream: poll it.
    Wake(StreamId),
    /// Deliveries were taken back. Precedes the answer that refuses them.
    Withdrawn {
        /// The stream that held them.
        stream: StreamId,
        /// Their ids, rising.
        ids: Vec<IdRange>,
        /// Why.
        reason: WithdrawReason,
    },
    /// Tell a stream something it asked for.
    Notify {
        /// The stream.
        stream: StreamId,
        /// What to tell.
        notice: Notice,
    },
    /// End a stream.
    EndStream {
        /// The stream.
        stream: StreamId,
        /// How.
        end: StreamEnd,
    },
    /// Answer a caller that waits for a commit.
    CommitAwaited {
        /// The caller.
        wait: WaitId,
        /// Whether a successful commit covers what it acknowledged.
        committed: bool,
        /// If applications keep positions: what covers it, one for each partition that it acknowledged something of.
        offered: Vec<CommitEntry>,
    },
    /// Answer an operator who moves a partition's position.
    Sought {
        /// The question.
        ask: AskId,
        /// What came of it.
        answer: Result<Sought, SeekRefused>,
    },
    /// Records that live in a frame need a copy of their own, keyed by assignment and number.
    CopyOut {
        /// First id of the frame.
        frame: DeliveryId,
        /// The assignment.
        assignment: Assignment,
        /// Which records: their id in the frame, and their number.
        records: Vec<(DeliveryId, RecordNumber)>,
    },
    /// Nothing in the frame is live any more: drop its bytes. Follows any `CopyOut` from it.
    FreeFrame(DeliveryId),
    /// Own copies that nobody needs any more.
    FreeRecords {
        /// The assignment.
        assignment: Assignment,
        /// The records.
        numbers: Vec<RecordNumber>,
    },
    /// The assignment ended: drop every own copy of its records.
    FreeAssignment(Assignment),
    /// The last thing to do: the group was left (or there was none), and the process may exit.
    Finished {
        /// What is left undone.
        drained: Drained,
    },
    /// Something happened that a person may want to read or count.
    Report(Event),
}

/// A record that goes to a dead-letter topic, with what is said of it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition.
    pub partition: PartitionId,
    /// The assignment.
    pub assignment: Assignment,
    /// Its number in the assignment.
    pub number: RecordNumber,
    /// Its offset.
    pub offset: i64,
    /// Leader epoch of its batch.
    pub leader_epoch: LeaderEpoch,
    /// Why it goes there.
    pub cause: Cause,
    /// In the words of the application or the operator, or what is known of it; may be empty.
    pub reason: Arc<str>,
    /// How often the application failed at it.
    pub failures: u32,
}

/// Why a record does not go the usual way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// It failed as often as it may.
    Failures,
    /// Applications died of it as often as they may.
    Crashes,
    /// No stream can receive it.
    Oversize,
    /// The application said so.
    Application,
    /// An operator said so.
    Operator,
}

impl Cause {
    /// Every label that [`Cause::label`] can give.
    pub const LABELS: [&'static str; 5] =
        ["failures", "crashes", "oversize", "application", "operator"];

    /// A name for headers, metrics and status, from a small closed set.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Failures => "failures",
            Self::Crashes => "crashes",
            Self::Oversize => "oversize",
            Self::Application => "application",
            Self::Operator => "operator",
        }
    }
}

/// What a shutdown leaves undone, the worse the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drained {
    /// Nothing: everything delivered was settled, and that is committed.
    Whole,
    /// Deliveries that were not settled in time will be made again. What was acknowledged is committed.
    Unsettled,
    /// Something acknowledged is not known to be committed, and may be delivered again.
    Uncommitted,
}

/// Where a partition's fetch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchStart {
    /// The partition.
    pub partition: PartitionId,
    /// The assignment it belongs to.
    pub assignment: Assignment,
    /// The new fetch number.
    pub fetch: Fetch,
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch of the record before it.
    pub leader_epoch: LeaderEpoch,
}

/// One partition of a commit: offset and metadata are one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitEntry {
    /// The partition.
    pub partition: PartitionId,
    /// The assignment that commits.
    pub assignment: Assignment,
    /// Lowest offset not finished.
    pub offset: i64,
    /// Leader epoch of the last record below it.
    pub leader_epoch: LeaderEpoch,
    /// Text for the broker; empty for none.
    pub metadata: String,
}

/// Why deliveries were taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WithdrawReason {
    /// The partition moved to another member.
    Revoked,
    /// The partition was lost without warning.
    Lost,
    /// It was not settled before its deadline.
    Deadline,
    /// An earlier record of the same lane must be retried or was released.
    EarlierRetry,
    /// The partition's position was moved (a seek, truncation, or a topic made again).
    Repositioned,
    /// The transaction that was to commit it did not, or was not known to: everything since the last one comes again.
    Aborted,
    /// The process ends.
    Shutdown,
    /// The stream that held them ended. Never told to the stream itself.
    StreamEnded,
    /// Another stream was the first to say where the partition starts. Nothing is held by then.
    OtherStream,
}

/// What a stream may be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A partition waits to be told where it starts ([`super::Core::start_at`]).
    StartWanted {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
    },
    /// A partition is flowing.
    Assigned {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
        /// First offset to be read.
        start_offset: i64,
    },
    /// A partition is about to leave.
    Revoking {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
        /// How long settlements are still taken.
        time_left: Duration,
    },
    /// A partition left.
    Revoked {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
        /// Why.
        reason: WithdrawReason,
    },
    /// An offset was committed.
    Committed {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
        /// The committed offset.
        offset: i64,
        /// If applications keep positions: what is to be kept.
        offered: Option<Box<CommitEntry>>,
    },
    /// Everything up to the end of the partition was delivered and finished.
    CaughtUp {
        /// The partition.
        partition: PartitionId,
        /// Its assignment.
        assignment: Assignment,
        /// The offset after the last record.
        end_offset: i64,
    },
    /// The process ends; nothing new is delivered.
    Draining {
        /// How long settlements are still taken.
        time_left: Duration,
        /// Why.
        reason: &'static str,
    },
}

impl Notice {
    /// The assignment it speaks of, with its partition.
    pub(crate) fn about(&self) -> Option<(Assignment, PartitionId)> {
        match self {
            Self::StartWanted {
                partition,
                assignment,
            }
            | Self::Assigned {
                partition,
                assignment,
                ..
            }
            | Self::Revoking {
                partition,
                assignment,
                ..
            }
            | Self::Revoked {
                partition,
                assignment,
                ..
            }
            | Self::Committed {
                partition,
                assignment,
                ..
            }
            | Self::CaughtUp {
                partition,
                assignment,
                ..
            } => Some((*assignment, *partition)),
            Self::Draining { .. } => None,
        }
    }
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamEnd {
    /// As the application asked.
    Closed,
    /// The sidecar goes away; reconnect.
    GoingAway,
    /// Its 2^44 ids are used up; reconnect.
    IdsExhausted,
}

/// Why a partition does not advance although records may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StopReason {
    /// No committed offset, and `start: stop`.
    NoCommittedOffset,
    /// The position is outside of the log, and `on_out_of_range: stop`.
    OutOfRange,
    /// A batch is corrupt after three more tries.
    Corrupt,
    /// The broker broke its promise of rising offsets.
    OffsetsWentBack,
}
