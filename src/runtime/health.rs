//! Is the process alive, is it ready, and what does it measure?
//!
//! Alive means that the engine turned not long ago: it is what polls the client, which tells the group that
//! we live. Ready means that records can flow as soon as an application asks; the reason why not is in the
//! answer. Neither depends on how fast the application is.

use std::time::SystemTime;

use super::sidecar::Handle;
use super::telling;
use crate::http::{Health, liveness, readiness};

use crate::kafka::TroubleKind;
use crate::observe::Snapshot;

impl Health for Handle {
    fn live(&self) -> Result<(), String> {
        let engine = self.lock();
        liveness(engine.clock.now(), &[("the engine", engine.last_turn)])
    }

    fn ready(&self) -> Result<(), String> {
        let engine = self.lock();
        let status = engine.core.status();
        readiness(&status, &engine.topics)?;
        // Out of the group we wait for a stream; what the brokers do is not needed yet.
        match &engine.trouble {
            Some((trouble, _)) if status.joined && hinders(trouble.kind) => {
                Err(format!("{}: {}", telling::kind(trouble.kind), trouble.text))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn metrics(&self) -> String {
        let engine = self.lock();
        let status = engine.core.status();
        let now = engine.clock.now();
        engine.observer.metrics(&Snapshot {
            status: &status,
            now,
            wall: SystemTime::now(),
        })
    }
}

/// Whether a trouble keeps records from flowing.
fn hinders(kind: TroubleKind) -> bool {
    match kind {
        TroubleKind::BrokersDown
        | TroubleKind::Authentication
        | TroubleKind::Authorization
        | TroubleKind::UnknownTopic
        | TroubleKind::PollTooLate
        | TroubleKind::ClientFailed => true,
        // One broker away is what replicas are for.
        TroubleKind::Connection | TroubleKind::Other => false,
    }
}
