//! Hostile input for whatever reads bytes of others: no panic, bounded time and memory, and what must hold of the answer.
//!
//! - [`targets`]: one function for each reader. It panics if something does not hold.
//! - `corpus`: a folder of inputs for each of them, which [`seeds`] made of real encodings, and others found or wrote.
//! - [`brief`]: every input of the corpus and some thousand mutations, the same in each run.
//! - `guided/run`: the same targets for as long as one likes, led by coverage.
//!
//! # Why two ways
//!
//! A run that follows coverage finds more, but needs a program of its own, built with other flags: ten minutes of
//! compiling, which is too much for each change. A mutation loop needs nothing and repeats itself exactly, so what it
//! finds is found again. For both, libFuzzer and the flags it lives on are to be had with a stable compiler; `cargo fuzz`
//! asks for a nightly because of its sanitizers, and `bolero` and `proptest` bring harnesses where a loop is enough.
//!
//! `ACKLINE_TEST_LONG` in the environment multiplies the mutations by fifty.
#![allow(
    clippy::unwrap_used,
    clippy::unwrap_in_result,
    clippy::disallowed_methods,
    reason = "a test may panic, and measures time"
)]

mod brief;
mod mutation;
mod seeds;
mod targets;

#[test]
fn commit_metadata_of_anybody_is_read_or_ignored() {
    brief::run("metadata", 60_000, targets::metadata);
}

#[test]
fn requests_of_anybody_are_answered() {
    brief::run("requests", 20_000, targets::requests);
}

#[test]
fn bytes_of_any_connection_pass_and_only_an_authority_changes() {
    brief::run("authority", 40_000, targets::authority);
}

#[test]
fn settings_of_anybody_are_valid_or_refused_with_a_remedy() {
    brief::run("settings", 4_000, targets::settings);
}

#[test]
fn answers_of_any_server_are_read_or_refused() {
    brief::run("zookeeper", 4_000, targets::zookeeper);
}
