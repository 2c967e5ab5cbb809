//! What the edges saw, as events that a person may read or count.

use crate::grpc::{Event, Origin, Peer};
use crate::kafka::{Error, Trouble, TroubleKind};
use crate::observe::ProcessEvent;

/// User of the process at the other end, if the socket knows.
pub(super) fn uid(peer: &Peer) -> Option<u32> {
    of_origin(&peer.origin)
}

fn of_origin(origin: &Origin) -> Option<u32> {
    match origin {
        Origin::Unix { uid, .. } => Some(*uid),
        Origin::Tcp(_) => None,
    }
}

/// Something is wrong with the connection to Kafka, and may pass.
pub(super) fn trouble(trouble: &Trouble) -> ProcessEvent {
    ProcessEvent::KafkaTrouble {
        kind: kind(trouble.kind),
        error: trouble.text.clone(),
    }
}

/// A word for each kind, from a small closed set.
pub(super) fn kind(kind: TroubleKind) -> &'static str {
    match kind {
        TroubleKind::BrokersDown => "brokers_down",
        TroubleKind::Connection => "connection",
        TroubleKind::Authentication => "authentication",
        TroubleKind::Authorization => "authorization",
        TroubleKind::UnknownTopic => "unknown_topic",
        TroubleKind::PollTooLate => "poll_too_late",
        TroubleKind::ClientFailed => "client_failed",
        TroubleKind::Other => "other",
    }
}

/// The Kafka client did not do what it was told.
pub(super) fn client_refused(error: &Error) -> ProcessEvent {
    let source = std::error::Error::source(error).map(|source| format!(": {source}"));
    ProcessEvent::KafkaTrouble {
        kind: "refused",
        error: format!("{error}{}", source.unwrap_or_default()),
    }
}

/// What the gRPC edge reports.
pub(super) fn grpc(event: &Event) -> Option<ProcessEvent> {
    let refused = |reason, origin: &Origin| ProcessEvent::Refused {
        reason,
        uid: of_origin(origin),
    };
    Some(match event {
        Event::TooManyConnections(origin) => refused("too_many_connections", origin),
        Event::Unauthenticated(peer) => refused("unauthenticated", &peer.origin),
        Event::UnknownIds(peer) => refused("unknown_ids", &peer.origin),
        Event::AcceptFailed(error) => ProcessEvent::AcceptFailed {
            error: error.clone(),
        },
        Event::TokenReloaded => ProcessEvent::FileReloaded {
            file: "listen.app_tcp.token_file".to_owned(),
        },
        Event::TokenUnusable(error) => ProcessEvent::FileUnusable {
            file: "listen.app_tcp.token_file".to_owned(),
            error: error.clone(),
        },
    })
}
