//! What is to be done about the certificate, decided from what is stored and from whom the API server trusts.
//!
//! | state | what follows |
//! |---|---|
//! | none stored | make one |
//! | the API server does not trust exactly what it should | tell it |
//! | less than a third of its life is left | stage the next one |
//! | the next one has been trusted for a while | serve it |
//! | otherwise | nothing |

use std::time::{Duration, SystemTime};

/// How long a certificate is valid.
pub(super) const VALID: Duration = Duration::from_secs(90 * 86_400);
/// What is left of its life when the next one is made.
const RENEWED_BEFORE: Duration = Duration::from_secs(30 * 86_400);
/// How long the next one is trusted before it is served. API servers hear of a change within seconds; this
/// also covers one that is cut off from its store for a moment.
pub(super) const TRUSTED_BEFORE_SERVED: Duration = Duration::from_secs(60);

/// A stored certificate, as far as decisions need it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) authority: String,
    pub(super) expires: SystemTime,
}

/// What is stored.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Served.
    pub(super) current: Option<Known>,
    /// To be served next.
    pub(super) next: Option<Known>,
    /// When the API server was told to trust the next one.
    pub(super) next_trusted_since: Option<SystemTime>,
    /// Authority of the one that was served before, and may be for a moment still.
    pub(super) previous: Option<String>,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Make one, and serve it: nobody has been able to call us yet, or the one there was has expired.
    Create,
    /// Tell the API server whom to trust.
    Trust(String),
    /// Make the next one.
    Stage,
    /// Note since when the next one is trusted.
    NoteTrust,
    /// Serve the next one.
    Serve,
    /// Nothing.
    Rest,
}

/// Decides the next step. `trusted` is the bundle that the API server has.
pub(super) fn plan(state: &State, trusted: &str, now: SystemTime) -> Step {
    let Some(current) = state.current.as_ref().filter(|it| it.expires > now) else {
        return Step::Create;
    };
    let wanted = state.bundle();
    if trusted != wanted {
        return Step::Trust(wanted);
    }
    let Some(next) = &state.next else {
        let ends_soon = current.expires <= now + RENEWED_BEFORE;
        return if ends_soon { Step::Stage } else { Step::Rest };
    };
    if next.expires <= now {
        return Step::Stage;
    }
    match state.next_trusted_since {
        None => Step::NoteTrust,
        // A clock that was set back does not make it wait for years.
        Some(since) if now >= since + TRUSTED_BEFORE_SERVED || since > now => Step::Serve,
        Some(_) => Step::Rest,
    }
}

impl State {
    /// Whom the API server should trust.
    pub(super) fn bundle(&self) -> String {
        let current = self.current.iter().map(|known| known.authority.as_str());
        let next = self.next.iter().map(|known| known.authority.as_str());
        let previous = self.previous.iter().map(String::as_str);
        let mut bundle = String::new();
        for authority in current.chain(next).chain(previous) {
            if !bundle.contains(authority) {
                bundle.push_str(authority);
            }
        }
        bundle
    }
}
