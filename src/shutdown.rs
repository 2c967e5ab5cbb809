//! The end of the process: who asks for it, and in which order it happens.
//!
//! A [`Shutdown`] is asked to begin, once, by a signal or by whoever finds that the process cannot
//! go on; a second signal hurries it. [`run`] then works through one list with one deadline:
//!
//! 1. The core drains. It stops dispatching first, so that records in flight can only become fewer,
//!    and keeps streams open until the last commit, so that settlements have a way in.
//! 2. When the core has ended streams and left the group, the Kafka client is closed.
//! 3. Listeners close last, so that probes can tell until the end what is going on.
//!
//! # Invariants
//!
//! - I-L4: the list ends by its deadline, whatever a part does.
//! - A second signal ends the wait for records in flight, not the last commit.
//! - Parts run in the order of the list, each at most once.

use std::future::Future;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use crate::core::Drained;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;

/// What the last commit and leaving the group may take, 3 s each, after records in flight are no
/// longer waited for.
const AFTER_DRAIN: Duration = Duration::from_secs(6);

/// A request to end, shared by everybody who may make it or must heed it.
#[derive(Debug, Clone, Default)]
pub struct Shutdown(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    reason: OnceLock<&'static str>,
    begun: CancellationToken,
    hurried: CancellationToken,
}

impl Shutdown {
    /// A request that nobody has made yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for the end, or, if that was done before, to hurry.
    pub fn request(&self, reason: &'static str) {
        if self.0.reason.set(reason).is_ok() {
            self.0.begun.cancel();
        } else {
            self.0.hurried.cancel();
        }
    }

    /// Resolves when the end was asked for, with the first reason.
    pub async fn begun(&self) -> &'static str {
        self.0.begun.cancelled().await;
        self.0.reason.get().copied().unwrap_or("unknown")
    }

    /// Resolves when the end was asked for twice.
    pub async fn hurried(&self) {
        self.0.hurried.cancelled().await;
    }

    /// Whether the end was asked for.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.begun.is_cancelled()
    }
}

/// SIGTERM and SIGINT, taken from the moment this exists.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals over from their defaults.
    ///
    /// # Errors
    ///
    /// If the system refuses.
    pub fn install() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Turns every signal into a request; never ends.
    pub async fn forward_to(mut self, shutdown: Shutdown) {
        loop {
            let name = tokio::select! {
                Some(()) = self.terminate.recv() => "SIGTERM",
                Some(()) = self.interrupt.recv() => "SIGINT",
                else => return std::future::pending().await,
            };
            shutdown.request(name);
        }
    }
}

/// What has to end. Implemented by the runtime, and by tests.
pub trait Parts {
    /// Tells the core to end, and to wait at most `within` for records in flight. A second call may
    /// only shorten the wait.
    fn drain(&self, within: Duration, reason: &'static str);

    /// Resolves when the core is through, with what it leaves undone. May be asked by two at once.
    fn drained(&self) -> impl Future<Output = Drained>;

    /// Closes the Kafka client.
    fn close_client(&self) -> impl Future<Output = ()>;

    /// Closes the listeners.
    fn close_listeners(&self);
}

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Step by step, in time.
    InOrder(Drained),
    /// The deadline passed first.
    TooLate,
}

/// Ends all parts in order within `deadline`, the `drain.shutdown` of the settings.
pub async fn run(parts: &impl Parts, shutdown: &Shutdown, deadline: Duration) -> Ending {
    let reason = shutdown.begun().await;
    let end = Instant::now() + deadline;
    parts.drain(drain_within(deadline), reason);
    let in_order = async {
        let drained = tokio::select! {
            biased; // an end that comes with the second signal is still an end in order
            drained = parts.drained() => drained,
            drained = drained_in_a_hurry(parts, shutdown, reason) => drained,
        };
        parts.close_client().await;
        drained
    };
    let ending = match time::timeout_at(end, in_order).await {
        Ok(drained) => Ending::InOrder(drained),
        Err(_) => Ending::TooLate,
    };
    parts.close_listeners();
    ending
}

/// How long records in flight are waited for, if all must be over after `deadline`. A deadline too
/// short for everything is shared half and half.
fn drain_within(deadline: Duration) -> Duration {
    deadline - AFTER_DRAIN.min(deadline / 2)
}

async fn drained_in_a_hurry(
    parts: &impl Parts,
    shutdown: &Shutdown,
    reason: &'static str,
) -> Drained {
    shutdown.hurried().await;
    parts.drain(Duration::ZERO, reason);
    parts.drained().await
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(25);

    /// Parts that take as long as they are told, and note what was asked of them and when.
    struct Scripted {
        start: Instant,
        calls: RefCell<Vec<String>>,
        settles_after: Duration,
        commit_takes: Duration,
        client_takes: Duration,
        drain_until: RefCell<Option<Instant>>,
    }

    impl Scripted {
        fn new(settles_after: u64, commit_takes: u64, client_takes: u64) -> Self {
            Self {
                start: Instant::now(),
                calls: RefCell::default(),
                settles_after: Duration::from_secs(settles_after),
                commit_takes: Duration::from_secs(commit_takes),
                client_takes: Duration::from_secs(client_takes),
                drain_until: RefCell::default(),
            }
        }

        fn note(&self, call: &str) {
            let at = self.start.elapsed().as_secs();
            self.calls.borrow_mut().push(format!("{at} {call}"));
        }
    }

    impl Parts for Scripted {
        fn drain(&self, within: Duration, reason: &'static str) {
            self.note(&format!("drain {} {reason}", within.as_secs()));
            *self.drain_until.borrow_mut() = Some(Instant::now() + within);
        }

        async fn drained(&self) -> Drained {
            let settled = self.start + self.settles_after;
            let until = self.drain_until.borrow().unwrap();
            time::sleep_until(settled.min(until)).await;
            time::sleep(self.commit_takes).await;
            if settled <= until {
                Drained::Whole
            } else {
                Drained::Unsettled
            }
        }

        async fn close_client(&self) {
            self.note("close client");
            time::sleep(self.client_takes).await;
        }

        fn close_listeners(&self) {
            self.note("close listeners");
        }
    }

    async fn end(parts: &Scripted, signals_at: &[u64]) -> Ending {
        let shutdown = Shutdown::new();
        let signals = async {
            for second in signals_at {
                time::sleep_until(parts.start + Duration::from_secs(*second)).await;
                shutdown.request("SIGTERM");
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            ending = run(parts, &shutdown, DEADLINE) => ending,
            () = signals => unreachable!("signals never end"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn parts_end_in_order_as_soon_as_everything_is_settled() {
        let parts = Scripted::new(4, 1, 1);
        assert_eq!(end(&parts, &[0]).await, Ending::InOrder(Drained::Whole));
        let calls = parts.calls.borrow();
        assert_eq!(
            *calls,
            ["0 drain 19 SIGTERM", "5 close client", "6 close listeners"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_happens_before_somebody_asks() {
        let parts = Scripted::new(0, 0, 0);
        assert_eq!(end(&parts, &[7]).await, Ending::InOrder(Drained::Whole));
        let calls = parts.calls.borrow();
        assert_eq!(
            *calls,
            ["7 drain 19 SIGTERM", "7 close client", "7 close listeners"]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn application_that_never_settles_leaves_time_for_the_last_commit() {
        let parts = Scripted::new(1_000, 3, 1);
        assert_eq!(end(&parts, &[0]).await, Ending::InOrder(Drained::Unsettled));
        let calls = parts.calls.borrow();
        assert_eq!(
            *calls,
            [
                "0 drain 19 SIGTERM",
                "22 close client",
                "23 close listeners"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_ends_the_wait_but_not_the_last_commit() {
        let parts = Scripted::new(1_000, 2, 0);
        assert_eq!(
            end(&parts, &[0, 5, 6, 7]).await,
            Ending::InOrder(Drained::Unsettled)
        );
        let calls = parts.calls.borrow();
        assert_eq!(
            *calls,
            [
                "0 drain 19 SIGTERM",
                "5 drain 0 SIGTERM",
                "7 close client",
                "7 close listeners"
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_part_that_hangs_cannot_outlast_the_deadline() {
        for (commit_takes, client_takes) in [(1_000, 0), (0, 1_000)] {
            let parts = Scripted::new(0, commit_takes, client_takes);
            assert_eq!(end(&parts, &[0]).await, Ending::TooLate);
            assert_eq!(parts.start.elapsed(), DEADLINE);
            assert_eq!(parts.calls.borrow().last().unwrap(), "25 close listeners");
        }
    }

    #[test]
    fn the_wait_leaves_time_for_commit_and_leaving() {
        let seconds = |deadline| drain_within(Duration::from_secs(deadline)).as_secs_f64();
        assert_eq!(
            (seconds(25), seconds(12), seconds(6), seconds(1)),
            (19.0, 6.0, 3.0, 0.5)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_reason_stays() {
        let shutdown = Shutdown::new();
        assert!(!shutdown.is_begun());
        shutdown.request("SIGINT");
        shutdown.request("fenced");
        assert!(shutdown.is_begun());
        assert_eq!(shutdown.begun().await, "SIGINT");
        shutdown.hurried().await;
    }
}
