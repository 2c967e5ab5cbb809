//! `ackline demo` as a user runs it, without a terminal.

#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Command, Output, Stdio};

fn demo(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ackline"));
    command.arg("demo").args(words).env_clear();
    command.stdin(Stdio::null());
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The figures of the summary by their names.
fn figures(output: &str) -> BTreeMap<String, u64> {
    let (_, summary) = output.split_once("\nackline demo, ").unwrap();
    let lines = summary.lines().filter_map(|line| {
        let name = line.get(2..16)?.trim().to_owned();
        let figure = line.get(16..24)?.trim().parse().ok()?;
        Some((name, figure))
    });
    lines.collect()
}

fn assert_clean(output: &Output) -> BTreeMap<String, u64> {
    let (out, errors) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}{errors}");
    assert_eq!(errors, "");
    assert!(!out.contains('\u{1b}'), "escape codes in {out}");
    figures(&out)
}

#[test]
fn every_record_is_acknowledged_and_committed_although_things_fail() {
    let output = demo(&["--seconds", "4"]).output().unwrap();
    let figures = assert_clean(&output);
    let out = text(&output.stdout);
    for words in [
        "): RETRY",
        "the application crashes with ",
        "the application is back",
        "Every record was acknowledged; the committed offsets are the ends of the logs.",
    ] {
        assert!(out.contains(words), "{words} in {out}");
    }
    assert!(figures["produced"] > 0, "{out}");
    assert_eq!(figures["acknowledged"], figures["produced"], "{out}");
    assert_eq!(figures["committed"], figures["produced"], "{out}");
    assert!(figures["redelivered"] > 0, "{out}");
    assert_eq!(
        figures["delivered"],
        figures["produced"] + figures["redelivered"],
        "{out}"
    );
    assert_eq!((figures["lost"], figures["out of order"]), (0, 0), "{out}");
}

#[test]
fn sigterm_ends_it_with_a_summary() {
    let mut child = demo(&[]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let acknowledges =
        |line: &str| line.contains(" acknowledged ") && !line.contains("acknowledged      0");
    lines
        .by_ref()
        .find(|line| acknowledges(line.as_ref().unwrap()));
    let id = child.id().to_string();
    let signalled = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(signalled.success());
    let rest: Vec<String> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:?}");
    let figures = figures(&rest.join("\n"));
    assert_eq!(figures["lost"], 0, "{rest:?}");
    assert_eq!(figures["acknowledged"], figures["produced"], "{rest:?}");
}

#[test]
fn with_listen_it_says_how_to_connect() {
    let directory = tempfile::tempdir().unwrap();
    let target = format!("unix:{}/a.sock", directory.path().display());
    let output = demo(&["--seconds", "1", "--listen", &target])
        .output()
        .unwrap();
    let figures = assert_clean(&output);
    let out = text(&output.stdout);
    assert!(out.contains(&format!("ACKLINE_TARGET={target} ")), "{out}");
    assert!(figures["produced"] > 0, "{out}");
    assert_eq!(figures["left"], figures["produced"], "{out}");
}
