//! `ackline fake` as an application's tests use it: the binary, lines, and a client made from the `.proto`.
//!
//! Nothing here needs Kafka.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use crate::harness::{Delivered, PATIENCE, Reader, proto};

mod lines;
mod operator;
mod order;
mod script;
mod settled;

/// A running `ackline fake`.
struct Fake {
    directory: TempDir,
    child: Child,
}

/// How it ended.
struct Ended {
    status: ExitStatus,
    out: String,
    errors: String,
}

impl Fake {
    /// Starts it on a file of these lines, with JSON for its summary.
    fn start(lines: &[&str], words: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let records = directory.path().join("records.jsonl");
        std::fs::write(&records, lines.join("\n")).unwrap();
        Self::launch(directory, records.to_str().unwrap(), words)
    }

    /// Starts it on standard input.
    fn start_streaming(words: &[&str]) -> (Self, ChildStdin) {
        let mut fake = Self::launch(tempfile::tempdir().unwrap(), "-", words);
        let input = fake.child.stdin.take().unwrap();
        (fake, input)
    }

    fn launch(directory: TempDir, records: &str, words: &[&str]) -> Self {
        let socket = directory.path().join("ackline.sock");
        let admin = socket.with_file_name("admin.sock");
        let child = Command::new(env!("CARGO_BIN_EXE_ackline"))
            .args(["fake", "--records", records, "--output", "json"])
            .arg("--listen")
            .arg(format!("unix:{}", socket.display()))
            .arg("--set")
            .arg(format!("listen.admin=unix:{}", admin.display()))
            .args(words)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Self { directory, child }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("ackline.sock")
    }

    async fn reader(&self) -> Reader {
        Reader::open(&self.socket(), &crate::harness::Ledger::default()).await
    }

    async fn reader_with(&self, open: proto::Open) -> Reader {
        Reader::open_with(&self.socket(), &crate::harness::Ledger::default(), open).await
    }

    /// Sends SIGTERM.
    async fn terminate(&self) {
        let id = self.child.id().expect("it runs").to_string();
        let sent = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(sent.unwrap().success());
    }

    /// Waits for its end.
    async fn ended(mut self) -> Ended {
        let (mut out, mut errors) = (String::new(), String::new());
        let mut stdout = self.child.stdout.take().unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        let end = async {
            let (read_out, read_errors) = tokio::join!(
                stdout.read_to_string(&mut out),
                stderr.read_to_string(&mut errors)
            );
            read_out.unwrap();
            read_errors.unwrap();
            self.child.wait().await.unwrap()
        };
        let status = timeout(PATIENCE, end).await.expect("it ends");
        Ended {
            status,
            out,
            errors,
        }
    }
}

impl Ended {
    /// The summary, after an end with this code.
    fn summary(&self, code: i32) -> Value {
        let errors = &self.errors;
        assert_eq!(self.status.code(), Some(code), "{}{errors}", self.out);
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {errors}"))
    }
}

/// Records with these values and no more.
fn values(count: usize) -> Vec<String> {
    (0..count)
        .map(|n| format!("{{\"value\": \"{n}\"}}"))
        .collect()
}

fn as_lines(lines: &[String]) -> Vec<&str> {
    lines.iter().map(String::as_str).collect()
}

fn ids(records: &[Delivered]) -> Vec<u64> {
    records.iter().map(|record| record.id).collect()
}

fn offsets(records: &[Delivered]) -> Vec<i64> {
    records.iter().map(|record| record.place.offset).collect()
}

async fn write_line(input: &mut ChildStdin, line: &str) {
    input.write_all(line.as_bytes()).await.unwrap();
    input.write_all(b"\n").await.unwrap();
    input.flush().await.unwrap();
}
