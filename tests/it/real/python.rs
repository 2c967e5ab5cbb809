//! The example consumer in Python: a client made from nothing but the `.proto`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::harness::{
    Ledger, Line, Logged, Member, PATIENCE, Place, Protocol, Sidecar, Topic, described_offsets,
    repository, unique,
};

use super::until_committed_to_the_end;

/// Python with the packages of `tests/clients/python/requirements.txt`.
fn interpreter() -> PathBuf {
    let cache = std::env::var_os("ACKLINE_TEST_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| repository().join("tests/cache"));
    let interpreter = repository().join(cache).join("python/bin/python");
    assert!(
        interpreter.exists(),
        "run tests/setup first: there is no {}",
        interpreter.display()
    );
    interpreter
}

/// Makes the stubs as the README tells it.
async fn stubs() -> TempDir {
    let stubs = TempDir::new().unwrap();
    let status = Command::new(interpreter())
        .args(["-m", "grpc_tools.protoc", "--proto_path=proto"])
        .arg(format!("--python_out={}", stubs.path().display()))
        .arg(format!("--grpc_python_out={}", stubs.path().display()))
        .arg("ackline/v1/consumer.proto")
        .current_dir(repository())
        .status();
    assert!(status.await.unwrap().success());
    stubs
}

/// The running example, and the lines it prints: topic, partition, offset, value.
fn consumer(sidecar: &Sidecar, stubs: &TempDir) -> (Child, Lines<BufReader<ChildStdout>>) {
    let mut child = Command::new(interpreter())
        .arg(repository().join("examples/python/consumer.py"))
        .env("PYTHONPATH", stubs.path())
        .env(
            "ACKLINE_TARGET",
            format!("unix:{}", sidecar.socket().display()),
        )
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines)
}

/// What must be printed, by where each record lies: a producer that tries again may change the
/// order, and write a record twice.
fn lines_of(ledger: &Ledger) -> BTreeSet<String> {
    let line = |(place, logged): (Place, Logged)| {
        let Place {
            topic,
            partition,
            offset,
        } = place;
        let value = String::from_utf8(logged.value.unwrap()).unwrap();
        format!("{topic} {partition} {offset} b'{value}'")
    };
    ledger.log().into_iter().map(line).collect()
}

// R22 R23 B39 B40 B48
#[tokio::test]
async fn the_python_example_killed_half_way_and_started_again_finishes_everything() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 3).await;
    topic.write_numbered(&ledger, 3000).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let stubs = stubs().await;
    let wanted = lines_of(&ledger);
    let mut printed: BTreeMap<String, u32> = BTreeMap::new();

    let (mut child, mut lines) = consumer(&sidecar, &stubs);
    while printed.len() < 1500 {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        *printed
            .entry(line.expect("it runs until it is killed"))
            .or_default() += 1;
    }
    child.kill().await.unwrap();
    let half_way: i64 = described_offsets(member.cluster, &group)
        .await
        .values()
        .map(|&(committed, _)| committed)
        .sum();
    assert!(half_way < 3000, "it was killed half-way");
    // What it had printed before it died counts as well.
    while let Some(line) = lines.next_line().await.unwrap() {
        *printed.entry(line).or_default() += 1;
    }

    let (mut child, mut lines) = consumer(&sidecar, &stubs);
    while wanted.iter().any(|line| !printed.contains_key(line)) {
        let line = timeout(PATIENCE, lines.next_line()).await.unwrap().unwrap();
        *printed
            .entry(line.expect("it runs until it is killed"))
            .or_default() += 1;
    }
    until_committed_to_the_end(member.cluster, &group, &topic).await;
    child.kill().await.unwrap();
    sidecar.stop().await;
    let repeated: u32 = printed.values().map(|count| count - 1).sum();
    assert!(
        repeated <= 100,
        "{repeated} came again, but at most 100 were in flight"
    );
}
