//! Slow applications: how much is done, and how much memory it takes, when the work is what takes the time.
//!
//! A hundred records at once, by key, with default settings. Best would be a hundred records in the time of one.

use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::load::{self, Shape};
use super::plan::Running;
use super::sidecar::{Settings, Sidecar};

/// Work on one record, in milliseconds.
const WORK_MS: [u64; 4] = [0, 1, 10, 100];
/// How long each is measured.
const SECONDS: u64 = 8;
/// Records that are written for it; what is not worked on in time stays.
const RECORDS: u64 = 2_000_000;

/// What makes it hard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Trouble {
    /// Nothing but keys of which some are frequent.
    None,
    /// Half of the records have the same key.
    HotKey,
    /// The first record is never finished.
    StuckRecord,
}

impl Trouble {
    fn text(self) -> &'static str {
        match self {
            Self::None => "Zipf keys",
            Self::HotKey => "half of the records with one key",
            Self::StuckRecord => "Zipf keys, one record stuck",
        }
    }
}

/// One measurement.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Curve {
    trouble: Trouble,
    work_ms: u64,
    records_per_second: f64,
    /// After a quarter of the time, and at its end.
    resident_bytes: [u64; 2],
    redelivered: u64,
    moves: u64,
}

/// What the application prints.
#[derive(Debug, Deserialize)]
struct Done {
    records: u64,
    redelivered: u64,
    /// Partitions that came back under a new assignment.
    moves: u64,
}

/// Measures every combination; `group` names a new consumer group each time.
pub(crate) fn measure(
    brokers: &str,
    programs: &Path,
    mut group: impl FnMut() -> String,
) -> anyhow::Result<Vec<Curve>> {
    for (topic, hot) in [("bench-slow", false), ("bench-hot", true)] {
        eprintln!("writing {RECORDS} records to {topic}");
        load::create(brokers, topic)?;
        let shape = Shape {
            name: "100 B",
            value_bytes: 100,
            compression: "none",
            records: RECORDS,
            hot,
        };
        load::fill(brokers, topic, shape)?;
    }
    let mut curves = Vec::new();
    for trouble in [Trouble::None, Trouble::HotKey, Trouble::StuckRecord] {
        for work_ms in WORK_MS {
            let curve = one(brokers, programs, &group(), trouble, work_ms)?;
            eprintln!("{}", curve.line());
            curves.push(curve);
        }
    }
    Ok(curves)
}

fn one(
    brokers: &str,
    programs: &Path,
    group: &str,
    trouble: Trouble,
    work_ms: u64,
) -> anyhow::Result<Curve> {
    let topic = if trouble == Trouble::HotKey {
        "bench-hot"
    } else {
        "bench-slow"
    };
    let ackline = programs.join("ackline");
    let names = (brokers, topic, group);
    let sidecar = Sidecar::start(&ackline, names, "key", "earliest", Settings::Default)?;
    let mut command = Command::new(programs.join("examples").join("pipeline"));
    command
        .arg("work")
        .arg("--socket")
        .arg(sidecar.socket())
        .args([
            "--work-ms",
            &work_ms.to_string(),
            "--seconds",
            &SECONDS.to_string(),
        ])
        .stderr(Stdio::inherit());
    if trouble == Trouble::StuckRecord {
        command.arg("--stuck");
    }
    let mut application = Running::start(command)?;
    application.until_ready()?;
    std::thread::sleep(Duration::from_secs(SECONDS) / 4);
    let early = sidecar.usage()?.resident_bytes;
    let line = application.last_line()?;
    let done: Done =
        serde_json::from_str(&line).with_context(|| format!("not expected: {line}"))?;
    let late = sidecar.usage()?.resident_bytes;
    sidecar.stop()?;
    Ok(Curve {
        trouble,
        work_ms,
        records_per_second: done.records as f64 / SECONDS as f64,
        resident_bytes: [early, late],
        redelivered: done.redelivered,
        moves: done.moves,
    })
}

impl Curve {
    fn line(&self) -> String {
        let [early, late] = self.resident_bytes.map(|bytes| bytes as f64 / 1e6);
        format!(
            "| {} | {} ms | {:.0} | {early:.0} MB | {late:.0} MB | {} | {} |",
            self.trouble.text(),
            self.work_ms,
            self.records_per_second,
            self.redelivered,
            self.moves
        )
    }
}

/// The table, as Markdown.
pub(crate) fn markdown(curves: &[Curve]) -> String {
    let mut table = format!(
        "| 100 records at once, by key | work on one | records/s | resident after {} s | after {SECONDS} s | redelivered | \
         partitions moved |\n|---|---|---|---|---|---|---|\n",
        SECONDS / 4
    );
    for curve in curves {
        let _infallible = writeln!(table, "{}", curve.line());
    }
    table
}
