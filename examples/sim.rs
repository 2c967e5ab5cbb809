//! Runs simulated histories: `cargo run --release --example sim -- --seeds 0..1000000`, or one of them with
//! its event log: `cargo run --example sim -- --seed 17`.

#[path = "../tests/sim/simulation/mod.rs"]
#[expect(dead_code, reason = "the test uses more of it")]
mod simulation;

use std::process::ExitCode;

use clap::Parser;
use simulation::{Logging, Range, run, run_one};

/// Deterministic simulation of the core.
#[derive(Parser)]
struct Arguments {
    /// Seeds to run, the last one not included.
    #[arg(long, value_parser = range, default_value = "0..20000")]
    seeds: Range,
    /// One seed, with its event log.
    #[arg(long, conflicts_with = "seeds")]
    seed: Option<u64>,
    /// How many histories run at once.
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// How many may fail before the run stops.
    #[arg(long, default_value_t = 1)]
    failures: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let failures: Vec<String> = if let Some(seed) = arguments.seed {
        run_one(seed, Logging::Printed)
            .violation
            .into_iter()
            .collect()
    } else {
        let summary = run(arguments.seeds, arguments.threads, arguments.failures);
        println!("{summary}");
        summary.failures.iter().map(ToString::to_string).collect()
    };
    for failure in &failures {
        eprintln!("{failure}");
    }
    if failures.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn range(text: &str) -> Result<Range, String> {
    let wrong = || format!("`{text}` is not a range of seeds like 0..1000");
    let (from, to) = text.split_once("..").ok_or_else(wrong)?;
    match (from.parse(), to.parse()) {
        (Ok(from), Ok(to)) if from < to => Ok(Range { from, to }),
        (_, _) => Err(wrong()),
    }
}
