//! A settings file and the environment.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};

use ackline::config::{Config, Sources, memory_bytes_max, memory_report, print};
use tempfile::TempDir;

/// What messages may have besides what is wrong, for each byte of input: each line of a file may be a mistake.
const MESSAGE_BYTES_MAX: usize = 1000;

/// A settings file, and behind each zero byte a variable `NAME=value`.
pub(crate) fn settings(input: &[u8]) {
    let mut parts = input.split(|byte| *byte == 0);
    let file = parts.next().unwrap_or_default();
    let variables: Vec<_> = parts.map(variable).collect();
    match load(file, variables) {
        Ok(config) => are_usable(&config),
        Err(message) => says_what_to_do(&message, input.len()),
    }
}

fn are_usable(config: &Config) {
    assert!(memory_bytes_max(config) > 0);
    assert!(memory_report(config).contains("at most"));
    // What is printed is a settings file that says the same. An instance id that came out of a variable may look as if
    // another one were to be filled in, and possible secrets are hidden.
    let printed = print(config);
    let again = load(printed.as_bytes(), Vec::new());
    let hidden = printed.contains("***") || config.group.instance_id.contains("${");
    match again {
        Ok(again) => assert!(hidden || values(&print(&again)) == values(&printed)),
        Err(message) => assert!(hidden, "{message}\n{printed}"),
    }
}

/// Without the comments, which say where each value came from.
fn values(printed: &str) -> Vec<String> {
    let line = |line: &str| {
        line.rsplit_once(" # ")
            .map_or(line, |(value, _)| value)
            .trim_end()
            .to_owned()
    };
    printed.lines().map(line).collect()
}

/// Each mistake takes three lines: what it is about, what is wrong, and what to do.
fn says_what_to_do(message: &str, input_len: usize) {
    let mut mistakes = message.split("\n\n");
    let head = mistakes.next().unwrap_or_default();
    assert!(head.contains("in the settings"), "{message}");
    let mut count = 0;
    for mistake in mistakes {
        let lines: Vec<&str> = mistake.split('\n').collect();
        let [about, wrong, remedy] = lines[..] else {
            panic!("{} lines: {mistake}", lines.len());
        };
        assert!(
            about.trim_start().len() > 1 && about.starts_with("  "),
            "{mistake}"
        );
        assert!(
            wrong.trim_start().len() > 1 && wrong.starts_with("    "),
            "{mistake}"
        );
        let remedy = remedy.strip_prefix("    -> ").unwrap_or_default();
        assert!(!remedy.trim().is_empty(), "{mistake}");
        count += 1;
    }
    assert!(count > 0, "{message}");
    assert!(head.starts_with(&count.to_string()), "{message}");
    assert!(
        !message.contains(|c: char| c.is_control() && c != '\n'),
        "{message:?}"
    );
    let longest = MESSAGE_BYTES_MAX * (input_len + 10);
    assert!(message.len() <= longest, "{} bytes", message.len());
}

fn load(file: &[u8], variables: Vec<(OsString, OsString)>) -> Result<Config, String> {
    static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().unwrap());
    static FILES: AtomicU64 = AtomicU64::new(0);
    let name = FILES.fetch_add(1, Ordering::Relaxed).to_string();
    let path = FOLDER.path().join(name);
    std::fs::write(&path, file).unwrap();
    let loaded = Config::load(&Sources {
        files: vec![path.clone()],
        variables,
        // Files that hostile settings name are none of our business.
        skip_files: true,
        ..Sources::default()
    });
    std::fs::remove_file(path).unwrap();
    loaded.map_err(|problems| {
        assert!(problems.iter().count() > 0);
        problems.to_string()
    })
}

fn variable(part: &[u8]) -> (OsString, OsString) {
    let at = part.iter().position(|byte| *byte == b'=');
    let (name, value) = part.split_at(at.unwrap_or(part.len()));
    let os = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    (os(name), os(value.get(1..).unwrap_or_default()))
}
