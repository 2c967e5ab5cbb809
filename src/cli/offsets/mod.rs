//! `ackline offsets`: positions of a group, moved between what keeps them.
//!
//! The command talks to Kafka and to the store itself, with the settings of the sidecar.
//!
//! # Invariants
//!
//! - Nothing is moved while the group has members: they would go on writing to the old place. Kafka refuses commits of
//!   strangers then, too; a store has no such fence, so the group is asked before and after.
//! - A position goes with its leader epoch and its metadata, so that nothing finished above it is delivered again.
//! - What the source has not is left alone.

mod copy;
mod options;
#[cfg(test)]
mod tests;

use std::io;

use anyhow::Context as _;

pub use options::Request;
pub(super) use options::{OffsetsCommand, Wanted};

/// Does what was asked: the body of `ackline offsets copy`.
///
/// # Errors
///
/// If Kafka or the store does not answer, or the group has members.
pub fn run(request: &Request) -> anyhow::Result<()> {
    let report = copy::copy(request)?;
    eprintln!("{}", report.note);
    super::write_all(&mut io::stdout().lock(), &report.text).context("cannot write")
}
