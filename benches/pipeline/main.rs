//! How fast ackline is, and what it costs, beside the raw Kafka client in the same run.
//!
//! ```text
//!  raw:      broker ──▶ raw client (this machine's ceiling)
//!  ackline:  broker ──▶ ackline run ──Unix socket──▶ sink, which acknowledges everything
//! ```
//!
//! Both take turns, several rounds each, on the same topics: a machine drifts, so only ratios of neighbouring
//! rounds say anything. `benches/run` builds what is needed, starts a broker and calls this.
//!
//! | file | question |
//! |---|---|
//! | `load` | what is in the topics? |
//! | `hop` | what does one message take on this machine? |
//! | `sink` | what does the application do? |
//! | `sidecar` | which settings does ackline run with? |
//! | `slow`, `work` | what if the application takes its time? |
//! | `plan` | which measurements, in which order? |
//! | `report` | what do they say, next to the targets? |
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a program that measures reads the clock and prints"
)]

mod hop;
mod load;
mod plan;
mod report;
mod sidecar;
mod sink;
mod slow;
mod work;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[derive(Debug, Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Measure everything and print the table
    Run(RunArguments),
    /// Create and fill a topic, to look at one thing by hand
    Fill(load::FillArguments),
    /// The application: reads a stream and acknowledges everything
    Sink(sink::Arguments),
    /// An application that takes its time, and acknowledges everything
    Work(work::Arguments),
    /// Write records at a steady pace, each with the time in it
    Pace(load::PaceArguments),
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Bootstrap list of the broker
    #[arg(long)]
    brokers: String,
    /// Folder of the programs that were built for it
    #[arg(long)]
    programs: PathBuf,
    /// Version of the broker, for the report
    #[arg(long)]
    kafka_version: String,
    /// Under three minutes: fewer records and rounds; fails if a ratio is far off its target
    #[arg(long)]
    short: bool,
    /// Also write the figures here, as JSON
    #[arg(long)]
    json: Option<PathBuf>,
    /// Also write the table here, as Markdown
    #[arg(long)]
    markdown: Option<PathBuf>,
}

fn main() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Run(arguments) => plan::run(&arguments),
        Command::Fill(arguments) => load::fill_by_hand(&arguments),
        Command::Sink(arguments) => sink::run(&arguments),
        Command::Work(arguments) => work::run(&arguments),
        Command::Pace(arguments) => load::pace(&arguments),
    }
}
