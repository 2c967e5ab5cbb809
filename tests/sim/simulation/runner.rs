//! Runs many histories on a few threads and stops at the first that fails.

use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::world::{Logging, Outcome, World};

/// Seeds, the first included and the last not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) from: u64,
    pub(crate) to: u64,
}

/// A history in which something did not hold.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) violation: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {}: {}\nreplay: cargo run --example sim -- --seed {}",
            self.seed, self.violation, self.seed
        )
    }
}

/// What many histories came to.
#[derive(Debug, Default)]
pub(crate) struct Summary {
    pub(crate) histories: u64,
    pub(crate) events: u64,
    pub(crate) deliveries: u64,
    pub(crate) redeliveries: u64,
    pub(crate) took: Duration,
    pub(crate) failures: Vec<Failure>,
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.histories as f64 / self.took.as_secs_f64().max(1e-9);
        write!(
            f,
            "{} histories, {} events, {} deliveries ({} repeated) in {:.1} s: {rate:.0} histories per second",
            self.histories,
            self.events,
            self.deliveries,
            self.redeliveries,
            self.took.as_secs_f64(),
        )
    }
}

/// The history of one seed. A panic of the core is a violation like any other.
pub(crate) fn run_one(seed: u64, logging: Logging) -> Outcome {
    let run = AssertUnwindSafe(|| World::run(seed, logging));
    std::panic::catch_unwind(run).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Outcome {
            violation: Some(format!("panic: {text}")),
            log: Vec::new(),
            events: 0,
            deliveries: 0,
            redeliveries: 0,
        }
    })
}

/// Runs the histories of a range, and stops all threads when `failures_max` have failed.
#[allow(
    clippy::disallowed_methods,
    reason = "histories per second are measured in real time"
)]
pub(crate) fn run(range: Range, threads: usize, failures_max: usize) -> Summary {
    let started = Instant::now();
    let next = AtomicU64::new(range.from);
    let end = AtomicU64::new(range.to);
    let summary = Mutex::new(Summary::default());
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= end.load(Ordering::Relaxed) {
                        return;
                    }
                    let outcome = run_one(seed, Logging::Off);
                    let Ok(mut summary) = summary.lock() else {
                        return;
                    };
                    summary.histories += 1;
                    summary.events += outcome.events;
                    summary.deliveries += outcome.deliveries;
                    summary.redeliveries += outcome.redeliveries;
                    if let Some(violation) = outcome.violation {
                        summary.failures.push(Failure { seed, violation });
                        if summary.failures.len() >= failures_max {
                            end.store(0, Ordering::Relaxed);
                        }
                    }
                }
            });
        }
    });
    let mut summary = summary.into_inner().unwrap_or_default();
    summary.took = started.elapsed();
    summary
}
