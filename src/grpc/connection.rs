//! One accepted connection: who it is, and what it has used up of its limits.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;

use super::call_error::CallError;
use super::request::BUFFER_MAX;
use super::token::Token;
use super::{Event, Peer, Refused, RefusedReason, Sidecar};
use crate::core::Moment;

/// Never-issued ids that a connection may name in a minute; a range counts once.
pub(super) const UNKNOWN_IDS_MAX: usize = 10_000;

/// How long ids are counted together.
const UNKNOWN_IDS_WINDOW: Duration = Duration::from_secs(60);

/// After a restart applications still hold the ids of the process before: no fault of theirs.
const UNKNOWN_IDS_GRACE: Duration = Duration::from_secs(600);

/// `Consume` calls of one connection that may wait for their `open`.
pub(super) const UNOPENED_MAX: usize = 64;

/// What decides whether a connection's calls are taken.
#[derive(Debug)]
pub(super) enum Door {
    /// Whoever can connect may call.
    Open,
    /// The peer's user is not allowed.
    WrongUser { uid: u32 },
    /// Each call must carry the token.
    Token(Arc<Token>),
}

/// State shared by the calls of one connection.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Peer,
    door: Door,
    /// Bytes of unfinished requests.
    held: AtomicUsize,
    unopened: AtomicUsize,
    unknown: Mutex<UnknownIds>,
    admitted: AtomicBool,
}

#[derive(Debug, Default)]
struct UnknownIds {
    since: Moment,
    count: usize,
}

impl Connection {
    pub(super) fn new(peer: Peer, door: Door) -> Self {
        Self {
            peer,
            door,
            held: AtomicUsize::new(0),
            unopened: AtomicUsize::new(0),
            unknown: Mutex::default(),
            admitted: AtomicBool::new(false),
        }
    }

    pub(super) fn peer(&self) -> &Peer {
        &self.peer
    }

    /// The user at the other end, if it may not call.
    pub(super) fn wrong_user(&self) -> Option<u32> {
        match &self.door {
            Door::WrongUser { uid } => Some(*uid),
            Door::Open | Door::Token(_) => None,
        }
    }

    /// Whether a call was taken already.
    pub(super) fn is_admitted(&self) -> bool {
        self.admitted.load(Ordering::Relaxed)
    }

    /// Whether a call with these headers is taken.
    pub(super) fn admit(
        &self,
        headers: &HeaderMap,
        sidecar: &impl Sidecar,
    ) -> Result<(), CallError> {
        let known = match &self.door {
            Door::Open => Ok(()),
            Door::WrongUser { uid } => Err(CallError::WrongUser { uid: *uid }),
            Door::Token(token) => token.check(headers, sidecar),
        };
        if known.is_err() {
            sidecar.report(Event::Unauthenticated(self.peer.clone()));
        }
        known?;
        self.admitted.store(true, Ordering::Relaxed);
        self.check_unknown(sidecar.now())
    }

    /// Fails while the connection is over its rate of never-issued ids.
    pub(super) fn check_unknown(&self, now: Moment) -> Result<(), CallError> {
        let unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        let age = now.since(unknown.since);
        if unknown.count > UNKNOWN_IDS_MAX && age < UNKNOWN_IDS_WINDOW {
            return Err(CallError::UnknownIds {
                retry_in: UNKNOWN_IDS_WINDOW - age,
            });
        }
        Ok(())
    }

    /// Counts the never-issued ids among what was refused.
    pub(super) fn count_unknown(&self, refused: &[Refused], sidecar: &impl Sidecar) {
        let count: usize = refused
            .iter()
            .filter(|refused| refused.reason == RefusedReason::Unknown)
            .map(|refused| refused.ids.len())
            .sum();
        let now = sidecar.now();
        if count == 0 || now < Moment::default().plus(UNKNOWN_IDS_GRACE) {
            return;
        }
        let mut unknown = self.unknown.lock().unwrap_or_else(PoisonError::into_inner);
        if now.since(unknown.since) >= UNKNOWN_IDS_WINDOW {
            *unknown = UnknownIds {
                since: now,
                count: 0,
            };
        }
        let before = unknown.count;
        unknown.count = before.saturating_add(count);
        if before <= UNKNOWN_IDS_MAX && unknown.count > UNKNOWN_IDS_MAX {
            sidecar.report(Event::UnknownIds(self.peer.clone()));
        }
    }

    /// Notes bytes that wait for the rest of their request; false if there are too many.
    pub(super) fn hold(&self, bytes: usize) -> bool {
        let within = |held: usize| held.checked_add(bytes).filter(|held| *held <= BUFFER_MAX);
        self.held
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, within)
            .is_ok()
    }

    /// Takes bytes off that were held.
    pub(super) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Bytes that are held.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// A place for a `Consume` call that was not opened yet.
    pub(super) fn unopened(self: &Arc<Self>) -> Result<Unopened, CallError> {
        if self.unopened.fetch_add(1, Ordering::Relaxed) >= UNOPENED_MAX {
            self.unopened.fetch_sub(1, Ordering::Relaxed);
            return Err(CallError::TooManyUnopened);
        }
        Ok(Unopened(Arc::clone(self)))
    }
}

/// Counts one `Consume` call until it is opened or gone.
#[derive(Debug)]
pub(super) struct Unopened(Arc<Connection>);

impl Drop for Unopened {
    fn drop(&mut self) {
        self.0.unopened.fetch_sub(1, Ordering::Relaxed);
    }
}
