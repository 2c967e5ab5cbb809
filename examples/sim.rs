//! Runs simulated histories: `cargo run --release --example sim -- --seeds 0..1000000`, or one of them with
//! its event log: `cargo run --example sim -- --seed 17`. With the feature `mutants`, `--mutants` plants each
//! known bug in turn and demands that some history fails.

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
    /// Plants each known bug in turn; a seed of `seeds` must fail for each.
    #[cfg(feature = "mutants")]
    #[arg(long)]
    mutants: bool,
    /// Only the one of this name.
    #[cfg(feature = "mutants")]
    #[arg(long, requires = "mutants", value_name = "NAME")]
    mutant: Option<String>,
    /// How many may fail before the run stops.
    #[arg(long, default_value_t = 1)]
    failures: usize,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    #[cfg(feature = "mutants")]
    if arguments.mutants {
        return kill_mutants(&arguments);
    }
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

/// Says for each mutant which seed noticed it. Ends like a test run, so that both can be counted alike.
#[cfg(feature = "mutants")]
fn kill_mutants(arguments: &Arguments) -> ExitCode {
    use ackline::mutant::{MUTANTS, plant};
    // A panic of the core is one way to notice, and no news here.
    std::panic::set_hook(Box::new(|_| {}));
    let (mut killed, mut survived) = (0, 0);
    for (index, (name, what)) in MUTANTS.iter().enumerate() {
        if arguments.mutant.as_ref().is_some_and(|only| only != name) {
            continue;
        }
        plant(Some(index));
        let summary = run(arguments.seeds, arguments.threads, 1);
        match summary.failures.first() {
            Some(failure) => {
                killed += 1;
                println!(
                    "{name} ({what}): killed by seed {}: {}",
                    failure.seed, failure.violation
                );
            }
            None => {
                survived += 1;
                println!("{name} ({what}): SURVIVED {} histories", summary.histories);
            }
        }
    }
    plant(None);
    let is_known = killed + survived > 0;
    let word = if is_known && survived == 0 {
        "ok"
    } else {
        "FAILED"
    };
    println!("test result: {word}. {killed} passed; {survived} failed");
    if !is_known {
        eprintln!("no mutant has that name; they are listed in src/mutant.rs");
    }
    if is_known && survived == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
