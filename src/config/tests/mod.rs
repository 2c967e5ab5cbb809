#![allow(clippy::unwrap_in_result)] // a broken test directory fails the test

mod contradictions;
mod dead_letters;
mod hostile;
mod mistakes;
mod offset_store;
mod outputs;
mod per_topic;
mod precedence;
mod transactions;

use std::ffi::OsString;

use super::*;

/// What a person has to give at least.
const LEAST: &str =
    "kafka: {brokers: [kafka:9092]}\ngroup: {id: orders}\ntopics: [orders]\nstart: earliest\n";

/// Loads a file, variables and `--set` flags; files named by settings are not looked at.
fn load(yaml: &str, variables: &[(&str, &str)], flags: &[(&str, &str)]) -> Result<Config, String> {
    load_with(yaml, variables, flags, true)
}

fn load_with(
    yaml: &str,
    variables: &[(&str, &str)],
    flags: &[(&str, &str)],
    skip_files: bool,
) -> Result<Config, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.yaml");
    std::fs::write(&path, yaml).unwrap();
    let os = |text: &str| OsString::from(text);
    let sources = Sources {
        files: vec![path],
        variables: variables
            .iter()
            .map(|(name, value)| (os(name), os(value)))
            .collect(),
        flags: flags
            .iter()
            .map(|(key, value)| FlagValue::set(key, value))
            .collect(),
        skip_files,
        ..Sources::default()
    };
    let directory = format!("{}/", directory.path().display());
    Config::load(&sources).map_err(|problems| problems.to_string().replace(&directory, ""))
}

/// Settings that are valid.
fn valid(yaml: &str) -> Config {
    load(yaml, &[], &[]).unwrap()
}
