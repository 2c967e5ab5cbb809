//! Who of the replicas may write: the holder of a Lease.
//!
//! Clocks of different nodes disagree, so times in the Lease are not compared with ours. A Lease has run out
//! when it was seen unchanged for its whole duration, by our own clock.

use std::time::Duration;

/// How long a holder that is not heard of keeps the Lease.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// What a Lease says, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) holder: String,
    /// Anything that differs after each renewal.
    pub(super) renewed: String,
}

/// What to do about the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is ours: renew it.
    Renew,
    /// Nobody holds it any more: take it.
    Take,
    /// Somebody else holds it.
    Wait,
}

/// One candidate.
#[derive(Debug)]
pub(super) struct Candidate {
    identity: String,
    /// What was last seen, and since when it stands so, by our clock.
    seen: Option<(Seen, Duration)>,
}

impl Candidate {
    pub(super) fn new(identity: String) -> Self {
        Self {
            identity,
            seen: None,
        }
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    /// Decides, `now` being on a clock that only goes forward.
    pub(super) fn decide(&mut self, lease: Seen, now: Duration) -> Decision {
        let since = match &self.seen {
            Some((seen, since)) if *seen == lease => *since,
            Some(_) | None => now,
        };
        let decision = if lease.holder == self.identity {
            Decision::Renew
        } else if lease.holder.is_empty() || now.saturating_sub(since) >= LEASE {
            Decision::Take
        } else {
            Decision::Wait
        };
        self.seen = Some((lease, since));
        decision
    }
}
