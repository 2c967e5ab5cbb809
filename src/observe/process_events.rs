//! What the edges and the process itself report, as log lines.

use std::time::Duration;

use tracing::Level;

use super::line::{Fields, Line, cut};
use crate::core::{Drained, StreamId};
use crate::shutdown::Ending;

/// Longest name of a client in a line, in characters.
const CLIENT_CHARS_MAX: usize = 64;

/// Something that happened outside of the core.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// The process starts.
    Starting {
        /// Its version.
        version: &'static str,
    },
    /// A socket listens.
    Listening {
        /// For whom.
        purpose: &'static str,
        /// Where.
        place: String,
    },
    /// The group is being joined.
    Joining,
    /// The group was left.
    Left,
    /// An application opened a stream.
    StreamOpened {
        /// The stream.
        stream: StreamId,
        /// Name given by the client.
        client: String,
        /// User of the process at the other end, if the socket knows.
        uid: Option<u32>,
    },
    /// A stream ended.
    StreamEnded {
        /// The stream.
        stream: StreamId,
        /// How.
        reason: &'static str,
    },
    /// An application was turned away.
    Refused {
        /// Why, from a small closed set: it is a metric label.
        reason: &'static str,
        /// User of the process at the other end, if the socket knows.
        uid: Option<u32>,
    },
    /// The Kafka client failed for good and is built again.
    ClientRebuilt {
        /// Its words.
        error: String,
    },
    /// Something is wrong between us and Kafka, and may pass by itself.
    KafkaTrouble {
        /// What, from a small closed set.
        kind: &'static str,
        /// The client's words.
        error: String,
    },
    /// A copy of positions could not be committed to the group; it is tried again.
    MirrorFailed {
        /// The broker's words.
        error: String,
    },
    /// A listener could not accept a connection; it tries again.
    AcceptFailed {
        /// The system's words.
        error: String,
    },
    /// A file that was watched changed and is in use.
    FileReloaded {
        /// The file.
        file: String,
    },
    /// A file that was watched changed and is of no use; the old content stays.
    FileUnusable {
        /// The file.
        file: String,
        /// Why.
        error: String,
    },
    /// An operator asked for something.
    Operated(Operated),
    /// Something that nobody asked for by a setting could not be set up.
    DoneWithout {
        /// The setting whose default it is.
        what: &'static str,
        /// Why.
        error: String,
    },
    /// The process begins to end.
    Draining {
        /// Why.
        reason: &'static str,
        /// How long it may take.
        within: Duration,
    },
    /// The password goes over the network as it is.
    PasswordInClear,
    /// Records in flight are no longer waited for.
    DrainCutShort,
    /// The process has ended.
    Ended {
        /// How, and what is left undone.
        ending: Ending,
    },
}

/// What an operator did: every act that changes something is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operated {
    /// What, from a small closed set: it names the event.
    pub action: &'static str,
    /// A topic, a partition, everything.
    pub place: String,
    /// To how many records it was done.
    pub count: Option<usize>,
    /// Where a moved partition stood.
    pub from: Option<i64>,
    /// Where it goes on.
    pub to: Option<i64>,
    /// User of the calling process.
    pub uid: Option<u32>,
    /// The calling process.
    pub pid: Option<i32>,
    /// The operator's words.
    pub why: String,
}

/// The line of an event.
pub(super) fn line(event: &ProcessEvent) -> Line {
    let (level, name, message) = words(event);
    Line {
        level,
        event: name,
        message,
        fields: fields(event),
    }
}

fn words(event: &ProcessEvent) -> (Level, &'static str, &'static str) {
    use ProcessEvent as E;
    const INFO: Level = Level::INFO;
    const WARN: Level = Level::WARN;
    match event {
        E::Starting { .. } => (INFO, "starting", "starting"),
        E::Listening { .. } => (INFO, "listening", "listening"),
        E::Joining => (INFO, "joining", "joining the group"),
        E::Left => (INFO, "left", "left the group"),
        E::StreamOpened { .. } => (INFO, "stream_opened", "an application opened a stream"),
        E::StreamEnded { .. } => (INFO, "stream_ended", "a stream ended"),
        E::Refused { .. } => (WARN, "refused", "an application was turned away"),
        E::AcceptFailed { .. } => (
            WARN,
            "accept_failed",
            "could not accept a connection; tried again",
        ),
        E::KafkaTrouble { kind, .. } => (WARN, "kafka_trouble", trouble(kind)),
        E::ClientRebuilt { .. } => (
            WARN,
            "client_rebuilt",
            "the Kafka client failed and is built again",
        ),
        E::MirrorFailed { .. } => (
            WARN,
            "mirror_failed",
            "positions are stored, but could not be copied to the group for lag tools; tried again",
        ),
        E::FileReloaded { .. } => (INFO, "file_reloaded", "a file changed and is in use"),
        E::FileUnusable { .. } => (
            Level::ERROR,
            "file_unusable",
            "a file changed and cannot be used; repair it, the old content stays in use",
        ),
        E::Operated(operated) => (INFO, operated.action, operation(operated.action)),
        E::DoneWithout { .. } => (
            WARN,
            "done_without",
            "running without what this setting's default asks for; make it possible, or set it to something else or to nothing",
        ),
        E::Draining { .. } => (
            INFO,
            "draining",
            "ending: nothing new is delivered, records in flight are waited for",
        ),
        E::PasswordInClear => (
            WARN,
            "password_in_clear",
            "`kafka.sasl.mechanism: PLAIN` without `kafka.tls` shows the password to everybody on the way; \
             enable TLS, or use SCRAM",
        ),
        E::DrainCutShort => (
            WARN,
            "drain_cut_short",
            "ending now: records in flight are not waited for and will be delivered again",
        ),
        E::Ended { ending } => ended(*ending),
    }
}

/// What an operator did, in words.
fn operation(action: &str) -> &'static str {
    match action {
        "operator_pause" => "an operator paused it: nothing new of it is delivered",
        "operator_resume" => "an operator resumed it",
        "operator_seek" => "an operator moved a partition; what was in flight is withdrawn",
        "operator_seek_refused" => "an operator wanted to move a partition, which was not possible",
        "operator_parked_retry" => "an operator lets parked records go on",
        "operator_parked_skip" => "an operator drops parked records",
        "operator_parked_dead_letter" => {
            "an operator sends parked records to the dead-letter topic"
        }
        "operator_tail" => "an operator looks at records as they are delivered, without values",
        "operator_tail_payload" => {
            "an operator looks at records as they are delivered, with their values"
        }
        "operator_drain" => {
            "an operator drained the process: nothing new is delivered, and the group is left"
        }
        _ => "an operator did something",
    }
}

/// What a kind of trouble means and what to do. All of it is tried again until it passes.
fn trouble(kind: &str) -> &'static str {
    match kind {
        "brokers_down" => {
            "no broker answers; check `kafka.brokers`, the network, and `kafka.tls`; tried again"
        }
        "connection" => "a connection to a broker failed; tried again",
        "authentication" => {
            "brokers do not take our credentials; check `kafka.sasl` and `kafka.tls`; tried again"
        }
        "authorization" => {
            "brokers do not allow it; give READ and DESCRIBE on the topics, and READ on the group; tried again"
        }
        "unknown_topic" => {
            "a topic does not exist or may not be seen; create it, or correct `topics`; tried again"
        }
        "poll_too_late" => {
            "the process got no CPU for `group.max_poll_interval` and has lost its partitions; give it more"
        }
        _ => "trouble with Kafka; tried again until it passes",
    }
}

fn ended(ending: Ending) -> (Level, &'static str, &'static str) {
    match ending {
        Ending::InOrder(Drained::Whole) => (
            Level::INFO,
            "ended",
            "ended: everything delivered was settled and committed",
        ),
        Ending::InOrder(Drained::Unsettled) => (
            Level::WARN,
            "ended",
            "ended: what was acknowledged is committed; what was in flight will be delivered again",
        ),
        Ending::InOrder(Drained::Uncommitted) | Ending::TooLate => (
            Level::ERROR,
            "ended",
            "ended: acknowledged records could not be committed and may be delivered again",
        ),
    }
}

fn fields(event: &ProcessEvent) -> Fields {
    use ProcessEvent as E;
    match event {
        E::Starting { version } => Fields {
            version: Some(version),
            ..Fields::default()
        },
        E::Listening { purpose, place } => Fields {
            place: Some(cut(place)),
            ..Fields::default()
        }
        .reason(purpose),
        E::StreamOpened {
            stream,
            client,
            uid,
        } => Fields {
            stream: Some(stream.0),
            client: (!client.is_empty()).then(|| client.chars().take(CLIENT_CHARS_MAX).collect()),
            uid: *uid,
            ..Fields::default()
        },
        E::StreamEnded { stream, reason } => Fields {
            stream: Some(stream.0),
            ..Fields::default()
        }
        .reason(reason),
        E::Refused { reason, uid } => Fields {
            uid: *uid,
            ..Fields::default()
        }
        .reason(reason),
        E::ClientRebuilt { error } => Fields::default().error(error),
        E::AcceptFailed { error } | E::MirrorFailed { error } => Fields::default().error(error),
        E::KafkaTrouble { kind, error } => Fields::default().error(error).reason(kind),
        E::FileReloaded { file } => Fields {
            place: Some(cut(file)),
            ..Fields::default()
        },
        E::FileUnusable { file, error } => Fields {
            place: Some(cut(file)),
            ..Fields::default()
        }
        .error(error),
        E::Operated(operated) => Fields {
            place: Some(cut(&operated.place)),
            count: operated.count.map(|count| count as u64),
            offset: operated.from,
            to_offset: operated.to,
            uid: operated.uid,
            pid: operated.pid,
            why: Some(cut(&operated.why)),
            ..Fields::default()
        },
        E::DoneWithout { what, error } => Fields {
            place: Some((*what).to_owned()),
            ..Fields::default()
        }
        .error(error),
        E::Draining { reason, within } => Fields {
            seconds: Some(within.as_secs()),
            ..Fields::default()
        }
        .reason(reason),
        E::Joining | E::Left | E::PasswordInClear | E::DrainCutShort | E::Ended { .. } => {
            Fields::default()
        }
    }
}
