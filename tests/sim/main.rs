//! The deterministic simulation of the core, as a test.

#[allow(dead_code, reason = "the example uses more of it")]
mod simulation;

use simulation::{Logging, Range, run, run_one};

/// Histories of an ordinary test run, and of a long one (`ACKLINE_TEST_LONG`).
const HISTORIES: u64 = 20_000;
const HISTORIES_LONG: u64 = 200_000;

#[test]
fn every_history_holds_every_invariant() {
    let long = std::env::var_os("ACKLINE_TEST_LONG").is_some();
    let to = if long { HISTORIES_LONG } else { HISTORIES };
    let summary = run(Range { from: 0, to }, 2, 1);
    println!("{summary}");
    if let Some(failure) = summary.failures.first() {
        panic!("{failure}");
    }
}

#[test]
fn same_seed_makes_the_same_history() {
    for seed in 0..40 {
        let (first, second) = (run_one(seed, Logging::Kept), run_one(seed, Logging::Kept));
        assert_eq!(first.log, second.log, "seed {seed}");
        assert_eq!(first.violation, second.violation, "seed {seed}");
    }
}
