//! `ackline dead-letters`: what was given up, and its way back.
//!
//! The command talks to Kafka itself, with settings of whoever runs it: READ on the dead-letter topic, and for `redrive` WRITE
//! on the topics that records go back to and READ on the group that keeps its position. A sidecar needs neither.
//!
//! | file | what |
//! |---|---|
//! | `options` | the flags, and what is wrong with them |
//! | `filter` | which dead letters are meant |
//! | `scan` | a topic, read from end to end |
//! | `list`, `show` | looking |
//! | `redrive`, `cursor` | sending back, and how far that is |
//! | `progress` | how it goes, for people |
//!
//! # Invariants
//!
//! - Nothing that was written by somebody else reaches a terminal unescaped, and payloads only when asked for.
//! - `redrive` writes only to topics that the user named. A header names the topic that a record goes back to, and whoever can
//!   write to the dead-letter topic can write any header.
//! - A position is kept only when everything below it was confirmed by every replica in sync, or is not to be sent.

mod cursor;
mod filter;
mod list;
mod options;
mod progress;
mod redrive;
mod scan;
mod show;
#[cfg(test)]
mod tests;

use std::error::Error as _;
use std::io;

use anyhow::Context as _;

pub use options::{Action, Request};
pub(super) use options::{DeadLettersCommand, Format, Refusal};

use crate::kafka::{Bell, ClientSettings, LogReader, ReadFailure};
use crate::runtime::{client_settings, wall_ms};

/// Name of the group of readers that keep no position.
const GROUP: &str = "ackline-dead-letters";

/// Does what was asked: the body of `ackline dead-letters`.
///
/// # Errors
///
/// If Kafka does not answer, or something could not be sent back.
pub fn run(request: Request) -> anyhow::Result<()> {
    let settings = client_settings(&request.config)?;
    let mut out = io::stdout().lock();
    match request.action {
        Action::List(what) => {
            let mut reader = reader(&settings, GROUP, &Bell::default())?;
            let listed = list::list(&mut reader, &what, wall_ms())?;
            write(&mut out, &listed.text)?;
            if let Some(note) = listed.note {
                eprintln!("{note}");
            }
        }
        Action::Show(what) => {
            let mut reader = reader(&settings, GROUP, &Bell::default())?;
            let text = show::show(&mut reader, &what)?;
            write(&mut out, &text)?;
        }
        Action::Redrive(what) => {
            let summary = redrive::redrive(&settings, &what, wall_ms())?;
            write(&mut out, &summary.text)?;
            if let Some(failure) = summary.failure {
                anyhow::bail!(failure);
            }
        }
    }
    Ok(())
}

fn reader(settings: &ClientSettings, group: &str, bell: &Bell) -> anyhow::Result<LogReader> {
    LogReader::new(settings, group, bell).context("cannot connect with these settings")
}

/// A failure in the words of this command: what went wrong, and what to do.
pub(super) fn explained(failure: ReadFailure) -> anyhow::Error {
    let remedy = match &failure {
        ReadFailure::UnknownTopic { .. } => {
            "look at its name with `kafka-topics --list`, and give DESCRIBE on it"
        }
        ReadFailure::Unauthorized { .. } => {
            "give READ on the dead-letter topic and on the group, or use other credentials (`--config`, `kafka.sasl`)"
        }
        ReadFailure::Failed { .. } => {
            "look at `--brokers`, `kafka.tls` and `kafka.sasl`, and try again"
        }
    };
    let because = failure.source().map(|source| format!(": {source}"));
    anyhow::anyhow!("{failure}{}\n  -> {remedy}", because.unwrap_or_default())
}

fn write(out: &mut impl io::Write, text: &str) -> anyhow::Result<()> {
    super::write_all(out, text).context("cannot write")
}
