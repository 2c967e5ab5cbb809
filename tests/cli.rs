//! The real binary: exit codes, and what goes to which output.

#![allow(clippy::unwrap_used)] // helpers of tests may fail the test

use std::process::{Command, Output};

fn ackline(words: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ackline"))
        .args(words)
        .env_clear()
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn wrong_settings_exit_with_64_and_name_every_mistake() {
    let output = ackline(&[
        "run",
        "--brokers",
        "nonsense",
        "--start",
        "first",
        "--set",
        "lane_dept=1",
    ]);
    assert_eq!(output.status.code(), Some(64));
    assert_eq!(text(&output.stdout), "");
    let errors = text(&output.stderr);
    assert!(
        errors.starts_with("error: 5 mistakes in the settings\n"),
        "{errors}"
    );
    for key in [
        "kafka.brokers",
        "group.id",
        "topics",
        "start",
        "did you mean `lane_depth`?",
    ] {
        assert!(errors.contains(key), "{key} in {errors}");
    }
}

#[test]
fn a_wrong_command_line_exits_with_64() {
    for words in [
        &["walk"][..],
        &["run", "--gruop", "g"],
        &["config"],
        &[],
        &["run", "--set", "x"],
    ] {
        let output = ackline(words);
        assert_eq!(output.status.code(), Some(64), "{words:?}: {output:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn help_and_version_exit_with_0() {
    for words in [
        &["--help"][..],
        &["run", "--help"],
        &["config", "check", "--help"],
        &["--version"],
    ] {
        let output = ackline(words);
        assert_eq!(output.status.code(), Some(0), "{words:?}");
        assert!(
            !output.stdout.is_empty() && output.stderr.is_empty(),
            "{words:?}"
        );
    }
    let version = text(&ackline(&["--version"]).stdout);
    assert_eq!(version, format!("ackline {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_example_file_passes_the_check() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.yaml");
    std::fs::write(&path, ackline(&["config", "example"]).stdout).unwrap();
    let file = path.to_str().unwrap();
    let output = ackline(&["config", "check", file]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(
        text(&output.stdout),
        format!("{file}: all settings are valid\n")
    );
    assert!(text(&ackline(&["config", "memory", "--config", file]).stdout).contains("at most"));
}

#[test]
fn a_check_of_a_file_with_mistakes_exits_with_64() {
    let output = ackline(&["config", "check", "/nowhere/ackline.yaml"]);
    assert_eq!(output.status.code(), Some(64));
    assert!(text(&output.stderr).contains("cannot be read"));
}

#[test]
fn completions_and_manual_pages_are_printed_or_written() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let output = ackline(&["completions", shell]);
        assert_eq!(output.status.code(), Some(0), "{shell}");
        assert!(text(&output.stdout).contains("ackline"), "{shell}");
    }
    assert_eq!(ackline(&["completions", "abacus"]).status.code(), Some(64));
    assert!(text(&ackline(&["man"]).stdout).contains(".TH ackline 1"));
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("man1");
    let output = ackline(&["man", "--dir", folder.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(folder.join("ackline-config-check.1").exists());
    let nowhere = ackline(&["man", "--dir", "/proc/nowhere"]);
    assert_eq!(nowhere.status.code(), Some(1));
    assert!(text(&nowhere.stderr).contains("cannot write"));
}

#[test]
fn the_schema_is_json_and_the_reference_a_table() {
    let schema: serde_json::Value =
        serde_json::from_slice(&ackline(&["config", "schema"]).stdout).unwrap();
    assert_eq!(schema["additionalProperties"], false);
    assert!(text(&ackline(&["config", "reference"]).stdout).starts_with("| setting | variable |"));
}

#[test]
fn the_committed_example_is_what_the_program_prints() {
    let printed = text(&ackline(&["config", "example"]).stdout);
    let committed = include_str!("../examples/ackline.yaml");
    let remedy = "run `cargo run -- config example > examples/ackline.yaml`";
    assert_eq!(committed, printed, "{remedy}");
}

/// Nothing is asked of a sidecar before the command line is right; without one, it is said where to look.
#[test]
fn parked_records_are_named_by_place_and_acted_upon_for_a_reason() {
    let because = ["--reason", "a test"];
    for (words, says) in [
        (&["retry"][..], "TOPIC[/PARTITION[/OFFSET]]"),
        (&["retry", "orders/3"], "--reason"),
        (
            &["skip", "orders/three", "--reason", "x"],
            "such as orders/3/17",
        ),
        (
            &["skip", "orders/3/-1", "--reason", "x"],
            "such as orders/3/17",
        ),
        (
            &["dead-letter", "orders", "--all", "--reason", "x"],
            "cannot be used with",
        ),
        (&["deadletter", "orders", "--reason", "x"], "dead-letter"),
        (&["list", "orders/3/17"], "TOPIC or TOPIC/PARTITION"),
        (&["list", "--limit", "0"], "1..=10000"),
        (&[], "retry"),
    ] {
        let output = ackline(&[&["parked"][..], words].concat());
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{words:?}: {errors}");
        assert!(errors.contains(says), "{words:?}: {errors}");
    }
    let directory = tempfile::tempdir().unwrap();
    let nowhere = format!("unix:{}", directory.path().join("admin.sock").display());
    for words in [
        &["list"][..],
        &["retry", "orders/3/17"],
        &["skip", "orders"],
        &["dead-letter", "--all"],
    ] {
        let why = if words == ["list"] {
            &[][..]
        } else {
            &because[..]
        };
        let words = [&["parked"][..], words, why, &["--admin", &nowhere]].concat();
        let output = ackline(&words);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {errors}");
        assert!(errors.contains("no sidecar listens on"), "{errors}");
    }
}

#[test]
fn values_are_asked_for_with_a_reason_and_an_end_is_not_nothing() {
    for (words, says) in [
        (&["--payload"][..], "--reason"),
        (&["--limit", "0"], "--limit"),
        (&["orders/3/17"], "TOPIC or TOPIC/PARTITION"),
    ] {
        let output = ackline(&[&["tail"][..], words].concat());
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{words:?}: {errors}");
        assert!(errors.contains(says), "{words:?}: {errors}");
    }
}

#[test]
fn a_system_that_gives_no_file_descriptors_is_named_as_what_is_in_the_way() {
    // One is left for what is read at the start, and what waits for sockets needs two.
    let script = format!(
        "ulimit -n 4; exec '{}' inject check",
        env!("CARGO_BIN_EXE_ackline")
    );
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    let errors = text(&output.stderr);
    assert!(errors.contains("`ulimit -n`"), "{errors}");
    assert_eq!(output.status.code(), Some(1));
}
