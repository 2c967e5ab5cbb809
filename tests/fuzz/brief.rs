//! Runs a target on its corpus and on mutations of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::mutation::Mutation;

/// Longest input of a corpus: beyond it an input shows nothing that a shorter one could not.
const INPUT_BYTES_MAX: usize = 4096;

/// Most that one input may take, in a build with little optimisation. What is meant is microseconds; what
/// this finds is work that follows a number in the input instead of its length.
const TIME_MAX: Duration = Duration::from_secs(2);

/// Most by which the memory of this process may grow, all targets together.
const GROWTH_KIB_MAX: u64 = 128 << 10;

/// How many more mutations a long run makes.
const LONG: u64 = 50;

pub(crate) fn run(target: &str, mutations: u64, judge: fn(&[u8])) {
    let corpus = corpus(target);
    assert!(!corpus.is_empty(), "{target} has no corpus");
    let peak = peak_kib();
    let judged = |input: &[u8], made: &str| {
        let shown = Shown { input, made };
        let before = Instant::now();
        judge(input);
        // On a busy machine others may have had the time: it counts what was worked.
        if before.elapsed() > TIME_MAX {
            let before = worked();
            judge(input);
            let took = worked().saturating_sub(before);
            assert!(took < TIME_MAX, "took {took:?}");
        }
        drop(shown);
    };
    for (name, input) in &corpus {
        assert!(
            input.len() <= INPUT_BYTES_MAX,
            "{name} has {} bytes",
            input.len()
        );
        judged(input, name);
    }
    let long = std::env::var_os("ACKLINE_TEST_LONG").is_some();
    let inputs: Vec<&[u8]> = corpus.iter().map(|(_, input)| input.as_slice()).collect();
    for seed in 0..mutations * if long { LONG } else { 1 } {
        let input = Mutation::of(seed).input(&inputs, INPUT_BYTES_MAX);
        judged(&input, &format!("mutation {seed}"));
    }
    let growth = peak_kib().saturating_sub(peak);
    assert!(growth < GROWTH_KIB_MAX, "memory grew by {growth} KiB");
}

/// The inputs of a target with their names, sorted, so that a seed means the same everywhere.
pub(crate) fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        (name, std::fs::read(path).unwrap())
    };
    files.into_iter().map(read).collect()
}

pub(crate) fn folder(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fuzz/corpus")
        .join(target)
}

/// Most memory that this process ever had.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    kib.unwrap().parse().unwrap()
}

/// How long this thread has worked.
fn worked() -> Duration {
    let spent = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanos = spent.split_whitespace().next().unwrap();
    Duration::from_nanos(nanos.parse().unwrap())
}

/// Prints the input when a target panics.
struct Shown<'a> {
    input: &'a [u8],
    made: &'a str,
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Self { input, made } = self;
            eprintln!("{made}: {}", input.escape_ascii());
        }
    }
}
