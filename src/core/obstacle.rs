//! What may keep a partition from advancing.

use std::sync::Arc;

use super::aside::{Aside, AsideStep};
use super::effect::{Cause, StopReason};
use super::explain::InFlight;
use super::ids::Moment;
use super::pause::Scope;

/// The lowest unfinished record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// Its offset.
    pub offset: i64,
    /// Hash of its key, with `order: key`.
    pub key_hash: Option<u64>,
    /// How often it failed.
    pub failures: u32,
}

/// One reason why a partition does not advance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The committed offset is being read.
    Starting {
        /// Why that failed so far, if it did.
        error: Option<String>,
    },
    /// Applications keep positions, and none has said where it starts.
    StartUnanswered {
        /// How many streams were asked.
        asked: usize,
    },
    /// The range of the log is being read.
    Listing {
        /// Why that failed so far, if it did.
        error: Option<String>,
    },
    /// Reading or committing is not allowed.
    Unauthorized,
    /// It stands until a person acts.
    Stopped(StopReason),
    /// It moves to another member.
    Leaving,
    /// The process ends, or was drained.
    Ending,
    /// The process stood still for long and asks the group whether it is still a member.
    MembershipDoubtful,
    /// An operator paused it.
    Paused {
        /// The scope that does.
        scope: Scope,
        /// Since when.
        since: Moment,
        /// The operator's words.
        reason: String,
    },
    /// Commits of it fail.
    CommitFailing {
        /// Since when something is not committed.
        since: Moment,
        /// What the broker said last.
        error: String,
        /// For so long that nothing new is delivered.
        stale: bool,
    },
    /// Its fetch fails.
    FetchFailing {
        /// When it last did.
        at: Moment,
        /// What the client said.
        error: String,
    },
    /// The head is in flight.
    Held {
        /// The head.
        head: Head,
        /// Its delivery.
        delivery: InFlight,
    },
    /// The head failed or was released, and comes again later.
    RetryDue {
        /// The head.
        head: Head,
        /// When.
        due: Moment,
    },
    /// The head is parked.
    Parked {
        /// The head.
        head: Head,
        /// Why it was given up.
        cause: Cause,
        /// In the words of whoever said so.
        reason: Arc<str>,
        /// What the broker said, if it was to go to the dead-letter topic and cannot.
        refused: Option<Arc<str>>,
        /// Since when.
        since: Moment,
    },
    /// The head is to go to the dead-letter topic, which does not have it yet.
    DeadLetterPending {
        /// The head.
        head: Head,
        /// Since when.
        since: Moment,
        /// When it goes again, if it was not taken.
        again: Option<Moment>,
    },
    /// The head may have killed applications, and waits for a stream that holds nothing else.
    Suspected {
        /// The head.
        head: Head,
    },
    /// The head is larger than any open stream accepts.
    Oversize {
        /// The head.
        head: Head,
        /// Its size.
        size: u64,
    },
    /// No stream is open that wants the topic.
    NoStream,
    /// Every stream that wants the topic is paused by its application.
    StreamsPaused,
    /// Every stream that wants the topic holds as much as it may.
    StreamsFull,
    /// The process holds as much in flight as it may.
    ProcessFull,
    /// Nothing more is taken in: too many unfinished records.
    WindowFull {
        /// How many there are.
        unfinished: u64,
        /// How many there may be.
        max: u64,
    },
    /// Nothing more is taken in: too many bytes wait.
    ShareFull {
        /// How many do.
        bytes: u64,
        /// How many may.
        max: u64,
    },
    /// The producer of its transactions is not made yet, or cannot be.
    ProducerAwaited {
        /// Another process has its name.
        fenced: bool,
        /// Why it could not be made, if it was tried.
        error: Option<String>,
    },
    /// Several transactions in a row had no effect, and nothing is delivered before one has.
    TransactionsFailing {
        /// When the last one had none.
        at: Moment,
        /// Why.
        error: String,
    },
    /// Nothing more is delivered: too many outputs wait for a transaction.
    OutputsFull {
        /// Bytes that do.
        bytes: u64,
        /// Bytes that may.
        max: u64,
    },
    /// Nothing more is taken in: what might be finished out of order would not fit the commit metadata.
    MarksFull,
    /// The log goes on, and nothing of it can be read: a transaction was left open.
    NothingReadable {
        /// Since when.
        since: Moment,
    },
    /// The log goes on, and nothing of it arrives, though brokers have more.
    NothingArrives {
        /// Since when.
        since: Moment,
    },
}

impl Obstacle {
    /// Whether it ends only when a person acts.
    pub(super) fn needs_a_person(&self) -> bool {
        match self {
            Self::Unauthorized
            | Self::Stopped(_)
            | Self::Paused { .. }
            | Self::CommitFailing { stale: true, .. }
            | Self::Parked { .. }
            | Self::Oversize { .. }
            | Self::ProducerAwaited { fenced: true, .. }
            | Self::NothingReadable { .. } => true,
            Self::Starting { .. }
            | Self::StartUnanswered { .. }
            | Self::Listing { .. }
            | Self::Leaving
            | Self::Ending
            | Self::MembershipDoubtful
            | Self::CommitFailing { stale: false, .. }
            | Self::FetchFailing { .. }
            | Self::Held { .. }
            | Self::RetryDue { .. }
            | Self::DeadLetterPending { .. }
            | Self::Suspected { .. }
            | Self::NoStream
            | Self::StreamsPaused
            | Self::StreamsFull
            | Self::ProcessFull
            | Self::WindowFull { .. }
            | Self::ShareFull { .. }
            | Self::MarksFull
            | Self::ProducerAwaited { fenced: false, .. }
            | Self::TransactionsFailing { .. }
            | Self::OutputsFull { .. }
            | Self::NothingArrives { .. } => false,
        }
    }

    /// What a head that is set aside waits for.
    pub(super) fn of_aside(head: Head, aside: &Aside) -> Self {
        let since = aside.since;
        match &aside.step {
            AsideStep::Parked(error) => Self::Parked {
                head,
                cause: aside.cause,
                reason: Arc::clone(&aside.reason),
                refused: error.as_deref().map(Arc::from),
                since,
            },
            AsideStep::Sending => Self::DeadLetterPending {
                head,
                since,
                again: None,
            },
            AsideStep::SendAgain(at) => Self::DeadLetterPending {
                head,
                since,
                again: Some(*at),
            },
        }
    }
}
