//! What a record costs in the core: taken in, put into a message, settled, committed.
//!
//! No broker, no client, no bytes: the driver hands batches of descriptors in, pulls messages, acknowledges each as one
//! range, and answers commits. `core` prints nanoseconds per record for every case; `core CASE RECORDS` runs one case
//! once, for a profiler that counts instructions (`benches/instructions`).

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures reads the clock and prints"
)]

use std::process::ExitCode;
use std::time::Instant;

mod cases;
mod driver;

use cases::{CASES, Case};

/// Measured several times, because machines have moods.
const ROUNDS: usize = 5;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.as_slice() {
        [] => print_all(),
        [list] if list == "--list" => CASES.iter().for_each(|case| println!("{}", case.name)),
        [name, records] => {
            let case = CASES.iter().find(|case| case.name == name);
            let records = records.parse().ok();
            match (case, records) {
                (Some(case), Some(records)) => driver::run(case, records),
                (None, _) | (_, None) => return usage(),
            }
        }
        _ => return usage(),
    }
    ExitCode::SUCCESS
}

fn usage() -> ExitCode {
    eprintln!("usage: core [--list | CASE RECORDS]\n\nCases:");
    for case in CASES {
        eprintln!("  {:<22} {}", case.name, case.what);
    }
    ExitCode::from(2)
}

fn print_all() {
    println!("| case | ns per record, median | lowest | highest | target |");
    println!("|---|---|---|---|---|");
    for case in CASES {
        let mut nanos: Vec<f64> = (0..ROUNDS).map(|_| measure(case)).collect();
        nanos.sort_by(f64::total_cmp);
        println!(
            "| {} | {:.1} | {:.1} | {:.1} | {} |",
            case.what,
            nanos[ROUNDS / 2],
            nanos[0],
            nanos[ROUNDS - 1],
            case.target
        );
    }
}

/// Nanoseconds per record of one round.
#[allow(clippy::cast_precision_loss, reason = "a few digits are shown")]
fn measure(case: &Case) -> f64 {
    let mut driver = driver::Driver::new(case);
    driver.pass(case.records / 10);
    let start = Instant::now();
    driver.pass(case.records);
    start.elapsed().as_nanos() as f64 / case.records as f64
}
