//! The one place that reads the monotonic clock.

use std::time::Instant;

use crate::core::Moment;

/// Tells moments since the process started.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    #[allow(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    pub(super) fn start() -> Self {
        Self {
            start: Instant::now(),
        }
    }

    /// The time since the start. Never zero, which the core takes for "not yet".
    #[must_use]
    pub(super) fn now(&self) -> Moment {
        let nanos = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        Moment(nanos.max(1))
    }

    /// The instant of a moment, for timers.
    #[must_use]
    pub(super) fn instant(&self, moment: Moment) -> Instant {
        self.start + std::time::Duration::from_nanos(moment.0)
    }
}
