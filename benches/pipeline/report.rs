//! What the measurements say, next to the targets.
//!
//! A ratio is taken within each round, where both sides ran one after the other, and its median over the rounds
//! counts. Its spread, lowest to highest, stands beside it.

use std::fmt::Write as _;

use anyhow::Context as _;
use serde::Serialize;

use super::load::Shape;
use super::sidecar::Settings;
use super::slow::{self, Curve};

/// How far below its target a ratio may fall in the short form before it fails: machines drift, and a run that
/// is short tells little. What this finds is that something broke.
const FAR_OFF: f64 = 0.5;

/// One reading of a topic.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Pass {
    pub(crate) records_per_second: f64,
    pub(crate) megabytes_per_second: f64,
    pub(crate) cpu_seconds_per_million: f64,
}

/// All readings of one kind of topic, by round.
#[derive(Debug, Serialize)]
pub(crate) struct Throughput {
    name: &'static str,
    records: u64,
    pub(crate) raw_poll_glibc: Vec<Pass>,
    pub(crate) raw_poll: Vec<Pass>,
    pub(crate) raw_batch: Vec<Pass>,
    /// By `order`.
    pub(crate) ackline: Vec<(&'static str, Vec<Pass>)>,
}

/// Ages of records when the application saw them, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Percentiles {
    p50: u64,
    p99: u64,
    p999: u64,
}

/// Latency at one rate, by round.
#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    records_per_second: u64,
    /// Of one message between two threads.
    pub(crate) hop: Vec<Percentiles>,
    pub(crate) raw: Vec<Percentiles>,
    pub(crate) ackline: Vec<Percentiles>,
    /// Whether the producer did. If not, the figures are its own, and not judged.
    pub(crate) kept_pace: bool,
}

/// Resident memory with default settings.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Resident {
    pub(crate) idle_bytes: u64,
    pub(crate) lightly_loaded_bytes: u64,
    pub(crate) full_speed_bytes: u64,
    /// At full speed with records so small that the client's bookkeeping outweighs them.
    pub(crate) smallest_bytes: u64,
    /// With records that their producer packed to a small part of their size.
    pub(crate) packed_bytes: u64,
    /// What `ackline config memory` promises.
    pub(crate) promised_bytes: u64,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: String,
    date: String,
    kafka: String,
    command: &'static str,
    settings: serde_json::Value,
    pub(crate) throughput: Vec<Throughput>,
    pub(crate) latency: Vec<Latency>,
    pub(crate) resident: Resident,
    pub(crate) slow: Vec<Curve>,
}

/// A figure beside its target.
struct Row {
    what: String,
    figure: String,
    spread: String,
    target: String,
    /// Above 1: the target is met.
    met: f64,
    /// Whether the figure says anything.
    judged: bool,
}

/// How much neighbouring runs on the same machine differ, which the targets allow for.
const DRIFT: f64 = 0.85;

impl Percentiles {
    pub(crate) fn of(mut latencies_us: Vec<u64>) -> anyhow::Result<Self> {
        latencies_us.sort_unstable();
        let at = |per_mille: usize| {
            let index = latencies_us.len() * per_mille / 1000;
            latencies_us.get(index).or(latencies_us.last()).copied()
        };
        let all = || Some((at(500)?, at(990)?, at(999)?));
        let (p50, p99, p999) = all().context("nothing was measured")?;
        Ok(Self { p50, p99, p999 })
    }
}

impl Throughput {
    pub(crate) fn new(shape: Shape, orders: &[&'static str]) -> Self {
        Self {
            name: shape.name,
            records: shape.records,
            raw_poll_glibc: Vec::new(),
            raw_poll: Vec::new(),
            raw_batch: Vec::new(),
            ackline: orders.iter().map(|order| (*order, Vec::new())).collect(),
        }
    }

    /// The last round, in a line.
    pub(crate) fn last(&self) -> String {
        let rate = |passes: &[Pass]| {
            let rate = passes.last().map_or(0.0, |pass| pass.records_per_second);
            format!("{:.0} k/s", rate / 1e3)
        };
        let mut line = format!(
            "raw {}, batch {}",
            rate(&self.raw_poll),
            rate(&self.raw_batch)
        );
        for (order, passes) in &self.ackline {
            let cpu = passes
                .last()
                .map_or(0.0, |pass| pass.cpu_seconds_per_million);
            let _infallible = write!(line, ", {order} {} (cpu {cpu:.2})", rate(passes));
        }
        line
    }

    fn rows(&self, rows: &mut Vec<Row>) {
        let rate = |pass: &Pass| pass.records_per_second;
        let cpu = |pass: &Pass| pass.cpu_seconds_per_million;
        for (order, passes) in &self.ackline {
            let target = self.rate_target(order);
            let ratios = ratios(passes, &self.raw_poll, rate);
            rows.push(Row::at_least(
                format!(
                    "throughput, {}, `order: {order}`, against raw poll",
                    self.name
                ),
                &ratios,
                target,
            ));
        }
        let cpu_target = match self.name {
            "100 B" => 0.6,
            "1 KB" => 1.0,
            _ => return,
        };
        let Some((order, passes)) = self.ackline.first() else {
            return;
        };
        let ratios = ratios(passes, &self.raw_poll_glibc, cpu);
        rows.push(Row::at_most(
            format!(
                "CPU, {}, `order: {order}`, against raw poll with glibc's malloc",
                self.name
            ),
            &ratios,
            cpu_target,
        ));
    }

    fn rate_target(&self, order: &str) -> f64 {
        let target = match self.name {
            "100 B" => 1.0,
            "10 KB" => 0.55,
            _ => 0.75,
        };
        if order == "key" { target * 0.6 } else { target }
    }

    fn absolute(&self, table: &mut String) {
        let mut line = |who: &str, passes: &[Pass]| {
            let [rate, bytes, cpu] = [
                |pass: &Pass| pass.records_per_second,
                |pass: &Pass| pass.megabytes_per_second,
                |pass: &Pass| pass.cpu_seconds_per_million,
            ]
            .map(|value: fn(&Pass) -> f64| median(passes.iter().map(value).collect()));
            let _infallible = writeln!(
                table,
                "| {} | {who} | {:.0} k | {bytes:.0} | {cpu:.2} |",
                self.name,
                rate / 1e3
            );
        };
        line("raw poll, glibc", &self.raw_poll_glibc);
        line("raw poll", &self.raw_poll);
        line("raw batch queue", &self.raw_batch);
        for (order, passes) in &self.ackline {
            line(&format!("ackline, `order: {order}`"), passes);
        }
    }
}

impl Latency {
    pub(crate) fn new(records_per_second: u64) -> Self {
        Self {
            records_per_second,
            hop: Vec::new(),
            raw: Vec::new(),
            ackline: Vec::new(),
            kept_pace: true,
        }
    }

    pub(crate) fn last(&self) -> String {
        let all = |list: &[Percentiles]| {
            list.last().map_or_else(String::new, |at| {
                format!("{} / {} / {} µs", at.p50, at.p99, at.p999)
            })
        };
        format!("raw {}, ackline {}", all(&self.raw), all(&self.ackline))
    }

    fn rows(&self, rows: &mut Vec<Row>) {
        let p50_target = if self.records_per_second <= 1000 {
            50.0
        } else {
            100.0
        };
        let p50: fn(&Percentiles) -> u64 = |at| at.p50;
        let p99: fn(&Percentiles) -> u64 = |at| at.p99;
        for (name, value, target) in [("p50", p50, p50_target), ("p99", p99, 1000.0)] {
            let added: Vec<f64> = self
                .ackline
                .iter()
                .zip(&self.raw)
                .map(|(with, without)| value(with) as f64 - value(without) as f64)
                .collect();
            rows.push(Row {
                what: format!("added {name} at {}/s", self.records_per_second),
                figure: format!("{:.0} µs", median(added.clone())),
                spread: spread(&added, 0),
                target: format!("≤ {target:.0} µs"),
                met: target / median(added).max(1.0),
                judged: self.kept_pace,
            });
        }
    }

    fn absolute(&self, table: &mut String) {
        let lists = [
            ("one message over a Unix socket, nothing else", &self.hop),
            ("raw poll", &self.raw),
            ("ackline", &self.ackline),
        ];
        for (who, list) in lists.into_iter().filter(|(_, list)| !list.is_empty()) {
            let values: [fn(&Percentiles) -> u64; 3] = [|at| at.p50, |at| at.p99, |at| at.p999];
            let [p50, p99, p999] = values.map(|value| {
                let all = list.iter().map(|at| value(at) as f64).collect();
                median(all)
            });
            let _infallible = writeln!(
                table,
                "| {}/s | {who} | {p50:.0} | {p99:.0} | {p999:.0} |",
                self.records_per_second
            );
        }
    }
}

impl Report {
    pub(crate) fn new(short: bool, kafka: &str) -> Self {
        Self {
            machine: machine(),
            date: date(),
            kafka: kafka.to_owned(),
            command: if short {
                "benches/run --short"
            } else {
                "benches/run"
            },
            settings: Settings::Wide.changes(),
            throughput: Vec::new(),
            latency: Vec::new(),
            resident: Resident::default(),
            slow: Vec::new(),
        }
    }

    fn rows(&self) -> Vec<Row> {
        let mut rows = Vec::new();
        for throughput in &self.throughput {
            throughput.rows(&mut rows);
        }
        for latency in &self.latency {
            latency.rows(&mut rows);
        }
        let promised = self.resident.promised_bytes as f64 / 1e6;
        for (what, bytes, target) in [
            ("idle and joined", self.resident.idle_bytes, 16.0),
            ("at 1000/s", self.resident.lightly_loaded_bytes, 32.0),
            ("at full speed", self.resident.full_speed_bytes, 110.0),
            (
                "at full speed with values of 10 B",
                self.resident.smallest_bytes,
                promised,
            ),
            (
                "at full speed with values of 200 B in zstd",
                self.resident.packed_bytes,
                promised,
            ),
        ] {
            let megabytes = bytes as f64 / 1e6;
            rows.push(Row {
                what: format!("resident {what}, default settings"),
                figure: format!("{megabytes:.1} MB"),
                spread: String::new(),
                target: format!("≤ {target:.0} MB"),
                met: target / megabytes.max(0.1),
                judged: true,
            });
        }
        rows
    }

    /// The table, as Markdown.
    pub(crate) fn markdown(&self) -> String {
        let mut table = format!(
            "{}; Apache Kafka {}; {}; `{}`. Throughput with `{}`, everything else with default settings.\n\n\
             | | figure | spread | target | |\n|---|---|---|---|---|\n",
            self.machine, self.kafka, self.date, self.command, self.settings
        );
        for row in self.rows() {
            let verdict = match row.met {
                _ if !row.judged => "not judged: the producer fell behind",
                1.0.. => "met",
                DRIFT.. => "within drift",
                _ => "missed",
            };
            let _infallible = writeln!(
                table,
                "| {} | {} | {} | {} | {verdict} |",
                row.what, row.figure, row.spread, row.target
            );
        }
        table.push_str(
            "\n| values | reader | records/s | MB/s | CPU s per million |\n|---|---|---|---|---|\n",
        );
        for throughput in &self.throughput {
            throughput.absolute(&mut table);
        }
        table.push_str("\n| rate | reader | p50 µs | p99 µs | p99.9 µs |\n|---|---|---|---|---|\n");
        for latency in &self.latency {
            latency.absolute(&mut table);
        }
        if !self.slow.is_empty() {
            table.push('\n');
            table.push_str(&slow::markdown(&self.slow));
        }
        table
    }

    /// Figures so far from their targets that something must be broken.
    pub(crate) fn far_off(&self) -> Vec<String> {
        self.rows()
            .into_iter()
            .filter(|row| match row.what.split_once(' ') {
                // Latency on a machine that does other things, too, says nothing.
                Some(("added", _)) => false,
                // How much of the program's code the kernel maps around what is used depends on what else it holds.
                Some(("resident", what)) if what.starts_with("idle") => row.met < DRIFT,
                // What records take does not drift.
                Some(("resident", _)) => row.met < 1.0,
                _ => row.met < FAR_OFF,
            })
            .map(|row| format!("{}: {}, target {}", row.what, row.figure, row.target))
            .collect()
    }
}

impl Row {
    fn at_least(what: String, ratios: &[f64], target: f64) -> Self {
        let ratio = median(ratios.to_vec());
        Self {
            what,
            figure: format!("{ratio:.2} ×"),
            spread: spread(ratios, 2),
            target: format!("≥ {target:.2} ×"),
            met: ratio / target,
            judged: true,
        }
    }

    fn at_most(what: String, ratios: &[f64], target: f64) -> Self {
        let ratio = median(ratios.to_vec());
        Self {
            what,
            figure: format!("{ratio:.2} ×"),
            spread: spread(ratios, 2),
            target: format!("≤ {target:.2} ×"),
            met: target / ratio,
            judged: true,
        }
    }
}

fn ratios(of: &[Pass], to: &[Pass], value: fn(&Pass) -> f64) -> Vec<f64> {
    of.iter()
        .zip(to)
        .map(|(of, to)| value(of) / value(to))
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = |index: usize| values.get(index).copied().unwrap_or(0.0);
    let middle = values.len() / 2;
    if values.len() % 2 == 1 {
        at(middle)
    } else {
        f64::midpoint(at(middle.saturating_sub(1)), at(middle))
    }
}

fn spread(values: &[f64], digits: usize) -> String {
    let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
    let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    format!("{lowest:.digits$} to {highest:.digits$}")
}

/// Processor and cores.
fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map_or("unknown processor", |(_, name)| name.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{cores} cores of {model}, shared by broker, ackline and application")
}

fn date() -> String {
    let output = std::process::Command::new("date").arg("+%Y-%m-%d").output();
    output.map_or_else(
        |_| "unknown date".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
