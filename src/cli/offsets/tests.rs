use clap::Parser as _;

use super::{Request, Wanted};
use crate::cli::dead_letters::Refusal;
use crate::cli::{Cli, Command};

const STORE: &str = "--brokers a:1 --group g --topic t --start earliest --set offset_store.kind=postgres \
    --set offset_store.postgres.address=db:5432 --set offset_store.postgres.username_file=Cargo.toml";

/// What a command line asks for, or what its user reads.
fn wanted(words: &str) -> Result<Wanted, String> {
    let words = ["ackline", "offsets"]
        .into_iter()
        .chain(words.split_whitespace());
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::Offsets(command) = cli.command else {
        panic!("another command");
    };
    command
        .prepare(Vec::new())
        .map_err(|refusal| match refusal {
            Refusal::Settings(problems) => problems.to_string(),
            Refusal::Usage(error) => error.to_string(),
        })
}

fn copy(words: &str) -> Result<Request, String> {
    match wanted(&format!("copy {words}"))? {
        Wanted::Copy(request) => Ok(*request),
        Wanted::Print(text) => panic!("printed {text}"),
    }
}

fn refused(words: &str) -> String {
    match copy(words) {
        Ok(request) => panic!("not refused: {request:?}"),
        Err(text) => text,
    }
}

#[test]
fn a_copy_has_kafka_on_one_side() {
    for words in ["--from kafka --to kafka", "--from postgres --to postgres"] {
        let text = refused(&format!("{words} {STORE}"));
        assert!(text.contains("has to be kafka"), "{text}");
    }
}

#[test]
fn both_directions_take_the_settings_of_the_other_store() {
    assert!(
        copy(&format!("--from kafka --to postgres {STORE}"))
            .unwrap()
            .from_kafka
    );
    let back = copy(&format!("--from postgres --to kafka --dry-run {STORE}")).unwrap();
    assert!(!back.from_kafka && back.dry_run);
    let plain = "--brokers a:1 --group g --topic t --start earliest";
    let text = refused(&format!("--from postgres --to kafka {plain}"));
    assert!(text.contains("offset_store.kind is not postgres"), "{text}");
}

#[test]
fn wrong_settings_are_told_as_always() {
    let text = refused("--from kafka --to postgres --brokers a:1");
    assert!(
        text.contains("group.id") && text.contains("topics"),
        "{text}"
    );
}

#[test]
fn the_schema_names_the_table() {
    let Ok(Wanted::Print(text)) = wanted("schema postgres --table shop.offsets") else {
        panic!("nothing printed");
    };
    assert!(
        text.starts_with("CREATE TABLE IF NOT EXISTS shop.offsets ("),
        "{text}"
    );
    let text = wanted("schema postgres --table a;b").err().unwrap();
    assert!(text.contains("plain name of a table"), "{text}");
}
