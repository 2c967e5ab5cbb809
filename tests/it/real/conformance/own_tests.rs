//! The tests that `docs/testing.md` shows. They need the stubs of their language, and no Kafka.

use std::process::Command;

use crate::harness::{Client, tests_of_example};

fn passes(client: Client) {
    if !client.is_tested() {
        return;
    }
    let mut command: Command = tests_of_example(client.language());
    let output = command.output().unwrap();
    let (out, errors) = (&output.stdout, &output.stderr);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(out),
        String::from_utf8_lossy(errors)
    );
}

#[test]
fn the_python_example_settles_everything_on_a_bad_day() {
    passes(Client::PythonSync);
}

#[test]
fn the_go_example_settles_everything_on_a_bad_day() {
    passes(Client::Go);
}
