//! Is the process alive, is it ready, and what does it measure?
//!
//! Alive means that the engine turned not long ago: it is what polls the client, which tells the group that
//! we live. Ready means that records can flow as soon as an application asks; the reason why not is in the
//! answer. Neither depends on how fast the application is.

use std::time::{Duration, SystemTime};

use super::sidecar::Handle;
use super::telling;
use crate::core::{Blocked, Status};
use crate::http::Health;
use crate::kafka::TroubleKind;
use crate::observe::Snapshot;

/// The engine turns at least four times a second, whatever happens.
const TURN_MAX: Duration = Duration::from_secs(30);

impl Health for Handle {
    fn live(&self) -> Result<(), String> {
        let engine = self.lock();
        let since = engine.clock.now().since(engine.last_turn);
        if since > TURN_MAX {
            return Err(format!("the client was not polled for {} s", since.as_secs()));
        }
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        let engine = self.lock();
        let status = engine.core.status();
        not_ready(&status)?;
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
        engine.observer.metrics(&Snapshot { status: &status, now, wall: SystemTime::now() })
    }
}

/// Why records cannot flow, as far as the core knows.
fn not_ready(status: &Status) -> Result<(), String> {
    if status.shutting_down {
        return Err("the process is ending".to_owned());
    }
    if status.commits_stale {
        return Err("no commit has succeeded for commit.staleness_max; nothing new is delivered".to_owned());
    }
    if status.membership_doubtful {
        return Err("the process was stopped for so long that its membership is in doubt".to_owned());
    }
    let unauthorized = status.partitions.iter().find(|state| state.blocked == Some(Blocked::Unauthorized));
    if let Some(state) = unauthorized {
        return Err(format!(
            "committing partition {} of topic {} is not allowed",
            state.partition.partition, state.partition.topic.0
        ));
    }
    Ok(())
}

/// Whether a trouble keeps records from flowing.
fn hinders(kind: TroubleKind) -> bool {
    match kind {
        TroubleKind::BrokersDown
        | TroubleKind::Authentication
        | TroubleKind::Authorization
        | TroubleKind::UnknownTopic
        | TroubleKind::PollTooLate => true,
        // One broker away is what replicas are for.
        TroubleKind::Connection | TroubleKind::Other => false,
    }
}
