//! What scenarios on real Kafka are told with.
//!
//! ```text
//!  Topic ──produces──▶ broker (Cluster) ──▶ Sidecar (the real binary) ──Unix socket──▶ Reader, Worker
//!    │                    │                                                                │
//!    │                    └── committed: what Kafka's own tool says was committed          │
//!    └────────────── Ledger: what was written, delivered, acknowledged, accepted ──────────┘
//! ```
//!
//! Nothing here sleeps to let something happen: [`until`] waits for a condition, with patience that only a broken
//! program outlasts.

use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;

mod application;
mod browser;
mod client;
mod cluster;
mod committed;
mod copier;
mod environment;
pub(crate) mod http2;
mod ledger;
mod matrix;
mod operator;
mod postgres;
mod process;
mod raw_produce;
mod reader;
mod sidecar;
mod store;
mod topic;
mod worker;
mod zookeeper;

pub(crate) use application::{Address, Application, Over, digest_with_raw_name};
pub(crate) use browser::{Browser, another_site};
pub(crate) use client::{Client, example, on_every_client, tests_of_example};
pub(crate) use cluster::{Cluster, Line, repository};
pub(crate) use committed::{Commit, commits_of, described_offsets, generations_of};
pub(crate) use copier::{Copier, committed, committed_values, copied, copies};
pub(crate) use environment::Environment;
pub(crate) use ledger::{Ledger, Logged, Place, Sight};
pub(crate) use matrix::{Member, Protocol, on_every_protocol};
pub(crate) use operator::ackline;
pub(crate) use postgres::Database;
pub(crate) use process::{Job, Process};
pub(crate) use raw_produce::produce_with_raw_name;
pub(crate) use reader::{Delivered, Reader, connect, open_stream, proto};
pub(crate) use sidecar::{Settings, Sidecar};
pub(crate) use store::{Store, Stored};
pub(crate) use topic::{Ending, Topic, now_ms, unique};
pub(crate) use worker::{Door, Manner, Random, Worker};
pub(crate) use zookeeper::{Tree, User};

/// How long a condition may take to come true on a busy machine before the test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(90);

/// Waits until `check` has an answer.
pub(crate) async fn until<T>(what: &str, check: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, check).await
}

/// Waits for so long until `check` has an answer.
pub(crate) async fn until_within<T>(
    patience: Duration,
    what: &str,
    mut check: impl AsyncFnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = check().await {
            return answer;
        }
        assert!(Instant::now() < deadline, "gave up waiting until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Whether scenarios may take as long as they would in life (`tests/run --long`).
pub(crate) fn is_long() -> bool {
    std::env::var_os("ACKLINE_TEST_LONG").is_some()
}

/// Tells what a scenario measured, also when it passes: the test runner keeps what it catches to itself then.
pub(crate) fn figure(text: &str) {
    let line = format!("figure: {text}\n");
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
