//! Reads the clocks: the monotonic one, here alone, and that on the wall.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

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

/// Milliseconds since 1970, for people.
pub(crate) fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| {
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    })
}
