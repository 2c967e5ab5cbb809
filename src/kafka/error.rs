//! Errors of this edge, and what librdkafka's error codes mean to the core.

use rdkafka::bindings::rd_kafka_resp_err_t as E;

use super::ffi::{Code, Failure};
use crate::core::{CommitError, FetchError, ReadError};

/// A call that the client refused. Failures of requests are no errors of this kind: they reach the
/// core as inputs.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// librdkafka does not accept the settings: an unknown property, a wrong value, an unreadable
    /// file.
    #[error("the kafka client cannot be created with these settings")]
    Settings {
        /// librdkafka's words.
        #[source]
        source: Failure,
    },
    /// A name contains a NUL byte.
    #[error("the {what} contains a NUL byte")]
    Name {
        /// Which name.
        what: &'static str,
    },
    /// A call to the client failed that fails only when the client is dead or the caller is wrong.
    #[error("the kafka client refused to {what}")]
    Refused {
        /// What was asked.
        what: &'static str,
        /// librdkafka's words.
        #[source]
        source: Failure,
    },
    /// There can be no thread for transactions.
    #[error("there can be no thread that makes transactions")]
    NoThread {
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// A rebalance waits for its answer, and anything else would be taken for it.
    #[error("the kafka client cannot {what} while a rebalance is unanswered")]
    RebalanceUnanswered {
        /// What was asked.
        what: &'static str,
    },
}

/// What to do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Disposition {
    /// A person must change the settings.
    Fatal,
    /// The client is beyond use: make a new one.
    Rebuild,
}

impl Error {
    /// Decided here once, so that no caller looks at texts.
    #[must_use]
    pub fn disposition(&self) -> Disposition {
        match self {
            Self::Settings { .. } | Self::NoThread { .. } | Self::Name { .. } => Disposition::Fatal,
            // Whatever was refused did not happen, so the client and the core no longer agree on what
            // is assigned. Only a fresh start is safe.
            Self::Refused { .. } | Self::RebalanceUnanswered { .. } => Disposition::Rebuild,
        }
    }
}

/// Whether the code is one of `names`.
fn is(code: Code, names: &[E]) -> bool {
    names.iter().any(|name| Code::of(*name) == code)
}

const UNAUTHORIZED: &[E] = &[
    E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
    E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED,
    E::RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
];

const UNKNOWN_TOPIC: &[E] = &[
    E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
    E::RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC,
    E::RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION,
];

const UNSUPPORTED: &[E] = &[
    E::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
    E::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
];

/// What librdkafka says with `auto.offset.reset=error`, both of a position outside of the log and of
/// a log that was cut below it.
const OUT_OF_RANGE: &[E] = &[
    E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET,
    E::RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE,
];

const CORRUPT: &[E] = &[
    E::RD_KAFKA_RESP_ERR__BAD_MSG,
    E::RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
    E::RD_KAFKA_RESP_ERR_INVALID_MSG,
    E::RD_KAFKA_RESP_ERR_INVALID_RECORD,
];

/// Codes after which the group decides who owns what.
const NOT_MEMBER: &[E] = &[
    E::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
    E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
    E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
    E::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH,
    E::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH,
    E::RD_KAFKA_RESP_ERR_UNRELEASED_INSTANCE_ID,
    E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID,
    E::RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST,
];

const METADATA_TOO_LARGE: &[E] = &[
    E::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
    E::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
];

/// Why a read failed.
pub(super) fn read_error(failure: Failure) -> ReadError {
    let Failure { code, text } = failure;
    if is(code, UNAUTHORIZED) {
        ReadError::Unauthorized(text)
    } else if is(code, UNKNOWN_TOPIC) {
        ReadError::UnknownTopic(text)
    } else if is(code, UNSUPPORTED) {
        ReadError::Unsupported
    } else {
        ReadError::Transient(text)
    }
}

/// Why a commit failed.
pub(super) fn commit_error(failure: Failure) -> CommitError {
    let Failure { code, text } = failure;
    if is(code, NOT_MEMBER) {
        CommitError::NotMember(text)
    } else if is(code, METADATA_TOO_LARGE) {
        CommitError::MetadataTooLarge
    } else if is(code, UNAUTHORIZED) {
        CommitError::Unauthorized(text)
    } else {
        CommitError::Transient(text)
    }
}

/// Why the fetch of a partition failed.
pub(super) fn fetch_error(failure: Failure) -> FetchError {
    let Failure { code, text } = failure;
    if is(code, OUT_OF_RANGE) {
        end_offset(&text).map_or(FetchError::OutOfRange, |end| FetchError::Truncated { end })
    } else if is(code, CORRUPT) {
        FetchError::Corrupt(text)
    } else if is(code, UNAUTHORIZED) {
        FetchError::Unauthorized(text)
    } else {
        FetchError::Transient(text)
    }
}

/// Whether trying again would not help a record that could not be written.
pub(super) fn is_permanent_for_a_write(code: Code) -> bool {
    const REFUSED: &[E] = &[
        E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE,
        E::RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE,
        E::RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE,
        E::RD_KAFKA_RESP_ERR_INVALID_RECORD,
        E::RD_KAFKA_RESP_ERR_INVALID_TIMESTAMP,
        E::RD_KAFKA_RESP_ERR_POLICY_VIOLATION,
        E::RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION,
        E::RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT,
        E::RD_KAFKA_RESP_ERR__INVALID_ARG,
    ];
    is(code, REFUSED) || is(code, UNAUTHORIZED) || is(code, UNKNOWN_TOPIC)
}

/// Whether what a broker refuses in this way may be another record of the same batch.
pub(super) fn is_of_a_batch(code: Code) -> bool {
    !(is(code, UNAUTHORIZED) || is(code, UNKNOWN_TOPIC))
}

/// Whether a permission is missing.
pub(super) fn is_unauthorized(code: Code) -> bool {
    is(code, UNAUTHORIZED)
}

/// Whether another producer has taken our name.
pub(super) fn is_fenced(code: Code) -> bool {
    const FENCED: &[E] = &[
        E::RD_KAFKA_RESP_ERR__FENCED,
        E::RD_KAFKA_RESP_ERR_PRODUCER_FENCED,
        E::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH,
    ];
    is(code, FENCED)
}

/// Where the logs part, which librdkafka tells in words alone. Minus one means that the broker found
/// no such point.
fn end_offset(text: &str) -> Option<i64> {
    let (_, after) = text.split_once("broker end offset is ")?;
    let digits = after.split(|sign: char| !sign.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// What is wrong, as far as a person or a probe wants to know it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TroubleKind {
    /// No broker can be reached.
    BrokersDown,
    /// One broker cannot be reached, or its name cannot be resolved.
    Connection,
    /// User name, password or certificate are not accepted, by one side or the other.
    Authentication,
    /// Topic or group may not be read.
    Authorization,
    /// A topic does not exist.
    UnknownTopic,
    /// We did not poll for longer than the group allows.
    PollTooLate,
    /// The client gave up and is built again.
    ClientFailed,
    /// Anything else.
    Other,
}

impl TroubleKind {
    pub(super) fn of(code: Code) -> Self {
        const CONNECTION: &[E] = &[
            E::RD_KAFKA_RESP_ERR__TRANSPORT,
            E::RD_KAFKA_RESP_ERR__RESOLVE,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT,
            E::RD_KAFKA_RESP_ERR__TIMED_OUT_QUEUE,
        ];
        const AUTHENTICATION: &[E] = &[
            E::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            E::RD_KAFKA_RESP_ERR__SSL,
            E::RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED,
            E::RD_KAFKA_RESP_ERR_UNSUPPORTED_SASL_MECHANISM,
            E::RD_KAFKA_RESP_ERR_ILLEGAL_SASL_STATE,
        ];
        let kinds = [
            (
                &[E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN][..],
                Self::BrokersDown,
            ),
            (CONNECTION, Self::Connection),
            (AUTHENTICATION, Self::Authentication),
            (UNAUTHORIZED, Self::Authorization),
            (UNKNOWN_TOPIC, Self::UnknownTopic),
            (
                &[E::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED],
                Self::PollTooLate,
            ),
        ];
        kinds
            .iter()
            .find(|(codes, _)| is(code, codes))
            .map_or(Self::Other, |(_, kind)| *kind)
    }
}

/// Something that is wrong and may pass by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Its kind.
    pub kind: TroubleKind,
    /// librdkafka's words.
    pub text: String,
}

/// The client is dead and must be replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fatal {
    /// Another member with our `group.instance.id` took over: the process must not go on.
    FencedInstance,
    /// Anything else: every assignment is lost, and a new client joins again.
    Rebuild(String),
}

impl Fatal {
    pub(super) fn of(failure: &Failure) -> Self {
        if is(failure.code, &[E::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID]) {
            return Self::FencedInstance;
        }
        Self::Rebuild(failure.text.clone())
    }
}
