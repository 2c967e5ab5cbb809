//! Why a call ends, and the status that tells the client what to do about it.
//!
//! The code alone decides what a client should do: UNAVAILABLE means "again, after the delay in
//! `RetryInfo`", RESOURCE_EXHAUSTED "a limit is reached", everything else "not again like this". The
//! reason in `ErrorInfo` is for programs, the message for people.

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::outbox::EVENTS_MAX;
use super::request::{BUFFER_MAX, ENTRIES_MAX, MESSAGE_MAX};
use super::validate::Invalid;
use super::{End, OpenRefused};
use crate::core::StreamEnd;

/// Domain of every `ErrorInfo`.
pub(super) const DOMAIN: &str = "ackline.dev";

/// Longest message: percent-encoded it triples at worst, and clients take 8 KiB of metadata.
const MESSAGE_BYTES_MAX: usize = 512;

/// When to come back after the sidecar went away; it usually comes back itself within seconds.
const AFTER_GOING_AWAY: Duration = Duration::from_secs(1);

/// When to come back after a stream that only needs to be opened anew.
const AT_ONCE: Duration = Duration::from_millis(50);

/// Why a call ends with an error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Wrong user on the Unix socket.
    #[error("user {uid} is not in `listen.uids`")]
    WrongUser {
        /// The user.
        uid: u32,
    },
    /// No token.
    #[error("send the token as metadata `authorization: Bearer …`")]
    NoToken,
    /// Wrong token.
    #[error("the token in metadata `authorization` is not the one in `listen.app_tcp.token_file`")]
    WrongToken,
    /// A field that cannot be accepted.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// An answer to a question that is never asked.
    #[error(
        "`start_at` is for applications that keep the positions themselves; set `offset_store.kind: application` of the sidecar, or leave it out"
    )]
    PositionsElsewhere,
    /// Outputs, and nobody to write them.
    #[error(
        "outputs: this sidecar writes none; set `processing: transactional` of the sidecar, or leave them out"
    )]
    NotTransactional,
    /// Unary calls carry exactly one message.
    #[error("the call carries {0}, must be exactly one")]
    MessageCount(&'static str),
    /// Not protobuf, or cut short.
    #[error("a request cannot be decoded: {0}")]
    Malformed(String),
    /// One request is too large.
    #[error("a request has {0} bytes, more than {MESSAGE_MAX}; split it")]
    TooLarge(usize),
    /// One request names too much.
    #[error(
        "a request lists more than {ENTRIES_MAX} ids, ranges, settlements, outputs and headers of outputs; split it"
    )]
    TooManyEntries,
    /// `Consume` must begin with `open`.
    #[error("the first request of Consume must be `open`")]
    NotOpened,
    /// `Consume` must not `open` twice.
    #[error("the stream is open already; `open` is the first request only")]
    OpenedTwice,
    /// Numbers of requests must rise.
    #[error("request_id {now} follows {before}; numbers other than 0 must rise")]
    RequestIdNotRising {
        /// The highest before.
        before: u64,
        /// The offender.
        now: u64,
    },
    /// A request of a newer client.
    #[error("this sidecar does not know the request; use a newer sidecar")]
    UnknownRequest,
    /// No such method.
    #[error("this sidecar has no such method")]
    UnknownMethod,
    /// Requests must not be compressed.
    #[error("requests must not be compressed; turn compression off in the client")]
    Compressed,
    /// Too much is on its way in on one connection.
    #[error("unfinished requests of this connection have more than {BUFFER_MAX} bytes")]
    BufferFull,
    /// Too many `Consume` calls of one connection wait for their `open`.
    #[error("too many Consume calls of this connection were not opened; send `open` first")]
    TooManyUnopened,
    /// The connection named too many ids that were never issued.
    #[error(
        "this connection named too many ids that were never issued by this process; settle the ids of records it received"
    )]
    UnknownIds {
        /// When its calls are taken again.
        retry_in: Duration,
    },
    /// No stream was opened.
    #[error("{}", open_refused(*.0))]
    OpenRefused(OpenRefused),
    /// The stream ended before the client ended it.
    #[error("{}", ended(*.0))]
    Ended(End),
    /// The connection or the call broke; nobody reads the answer.
    #[error("the request stream broke: {0}")]
    Broken(String),
}

impl CallError {
    /// The status with its details, below 4 KiB.
    #[must_use]
    pub fn status(&self) -> Status {
        let (code, reason) = self.code();
        let mut metadata = HashMap::new();
        if let Self::Invalid(invalid) = self {
            metadata.insert("field".to_owned(), invalid.field.to_owned());
        }
        let mut details = ErrorDetails::with_error_info(reason, DOMAIN, metadata);
        if let Some(delay) = self.retry_in() {
            details.set_retry_info(Some(delay));
        }
        Status::with_error_details(code, cut(self.to_string()), details)
    }

    fn code(&self) -> (Code, &'static str) {
        match self {
            Self::WrongUser { .. } => (Code::Unauthenticated, "WRONG_USER"),
            Self::NoToken => (Code::Unauthenticated, "NO_TOKEN"),
            Self::WrongToken => (Code::Unauthenticated, "WRONG_TOKEN"),
            Self::Invalid(_) => (Code::InvalidArgument, "INVALID_FIELD"),
            Self::PositionsElsewhere => (Code::FailedPrecondition, "POSITIONS_ELSEWHERE"),
            Self::NotTransactional => (Code::FailedPrecondition, "NOT_TRANSACTIONAL"),
            Self::MessageCount(_) => (Code::InvalidArgument, "MESSAGE_COUNT"),
            Self::Malformed(_) => (Code::InvalidArgument, "MALFORMED_REQUEST"),
            Self::TooLarge(_) => (Code::InvalidArgument, "REQUEST_TOO_LARGE"),
            Self::TooManyEntries => (Code::InvalidArgument, "TOO_MANY_IDS"),
            Self::NotOpened => (Code::InvalidArgument, "NOT_OPENED"),
            Self::OpenedTwice => (Code::InvalidArgument, "OPENED_TWICE"),
            Self::RequestIdNotRising { .. } => (Code::InvalidArgument, "REQUEST_ID_NOT_RISING"),
            Self::UnknownRequest => (Code::Unimplemented, "UNKNOWN_REQUEST"),
            Self::UnknownMethod => (Code::Unimplemented, "UNKNOWN_METHOD"),
            Self::Compressed => (Code::Unimplemented, "COMPRESSED_REQUEST"),
            Self::BufferFull => (Code::ResourceExhausted, "REQUESTS_UNFINISHED"),
            Self::TooManyUnopened => (Code::ResourceExhausted, "STREAMS_UNOPENED"),
            Self::UnknownIds { .. } => (Code::ResourceExhausted, "UNKNOWN_IDS"),
            Self::OpenRefused(OpenRefused::TooManyStreams { .. }) => {
                (Code::ResourceExhausted, "TOO_MANY_STREAMS")
            }
            Self::OpenRefused(OpenRefused::ShuttingDown) => (Code::Unavailable, "SHUTTING_DOWN"),
            Self::Ended(End::Decided(StreamEnd::Closed)) => (Code::Ok, "CLOSED"),
            Self::Ended(End::Decided(StreamEnd::GoingAway)) => (Code::Unavailable, "GOING_AWAY"),
            Self::Ended(End::Decided(StreamEnd::IdsExhausted)) => {
                (Code::Unavailable, "IDS_EXHAUSTED")
            }
            Self::Ended(End::TooManyUnread) => (Code::ResourceExhausted, "TOO_MANY_UNREAD"),
            Self::Broken(_) => (Code::Cancelled, "BROKEN"),
        }
    }

    fn retry_in(&self) -> Option<Duration> {
        match self {
            Self::UnknownIds { retry_in } => Some(*retry_in),
            Self::OpenRefused(OpenRefused::ShuttingDown)
            | Self::Ended(End::Decided(StreamEnd::GoingAway)) => Some(AFTER_GOING_AWAY),
            Self::Ended(End::Decided(StreamEnd::IdsExhausted)) => Some(AT_ONCE),
            Self::WrongUser { .. }
            | Self::NoToken
            | Self::WrongToken
            | Self::Invalid(_)
            | Self::PositionsElsewhere
            | Self::NotTransactional
            | Self::MessageCount(_)
            | Self::Malformed(_)
            | Self::TooLarge(_)
            | Self::TooManyEntries
            | Self::NotOpened
            | Self::OpenedTwice
            | Self::RequestIdNotRising { .. }
            | Self::UnknownRequest
            | Self::UnknownMethod
            | Self::Compressed
            | Self::BufferFull
            | Self::TooManyUnopened
            | Self::OpenRefused(OpenRefused::TooManyStreams { .. })
            | Self::Ended(End::Decided(StreamEnd::Closed) | End::TooManyUnread)
            | Self::Broken(_) => None,
        }
    }
}

fn cut(mut message: String) -> String {
    let mut end = message.len().min(MESSAGE_BYTES_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    message.truncate(end);
    message
}

fn open_refused(refused: OpenRefused) -> String {
    match refused {
        OpenRefused::TooManyStreams { streams_max } => format!(
            "{streams_max} record streams are open, the most that `listen.streams_max` allows; close one or raise it"
        ),
        OpenRefused::ShuttingDown => "the sidecar is about to stop; reconnect later".to_owned(),
    }
}

fn ended(end: End) -> String {
    match end {
        End::Decided(StreamEnd::Closed) => "closed".to_owned(),
        End::Decided(StreamEnd::GoingAway) => "the sidecar goes away; reconnect".to_owned(),
        End::Decided(StreamEnd::IdsExhausted) => {
            "the ids of this stream are used up; open a new one".to_owned()
        }
        End::TooManyUnread => format!(
            "the client left {EVENTS_MAX} partition events unread; read faster or ask for fewer notices"
        ),
    }
}
