//! Which measurements, in which order.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use serde::Deserialize;

use super::RunArguments;
use super::hop;
use super::load::{self, Shape};
use super::report::{Latency, Pass, Percentiles, Report, Resident, Throughput};
use super::sidecar::{Settings, Sidecar};
use super::slow;

const SHAPES: [Shape; 4] = [
    Shape {
        name: "100 B",
        value_bytes: 100,
        compression: "none",
        records: 4_000_000,
        hot: false,
    },
    Shape {
        name: "1 KB",
        value_bytes: 1000,
        compression: "none",
        records: 1_500_000,
        hot: false,
    },
    Shape {
        name: "10 KB",
        value_bytes: 10_000,
        compression: "none",
        records: 200_000,
        hot: false,
    },
    Shape {
        name: "1 KB lz4",
        value_bytes: 1000,
        compression: "lz4",
        records: 1_500_000,
        hot: false,
    },
];

/// Records of which a fetch queue holds the most.
const SMALLEST: Shape = Shape {
    name: "10 B",
    value_bytes: 10,
    compression: "lz4",
    records: 2_000_000,
    hot: false,
};

/// Records of which one response of a broker unpacks to the most.
const PACKED: Shape = Shape {
    name: "200 B zstd",
    value_bytes: 200,
    compression: "zstd",
    records: 1_000_000,
    hot: false,
};

/// Records a second at which latency is measured.
const RATES: [u64; 2] = [1000, 20_000];
/// Records of the first seconds do not count: broker and clients warm up.
const WARM_UP_SECONDS: u64 = 2;
/// A producer that ends later than this did not keep its pace: latencies then are its own.
const LATE: Duration = Duration::from_millis(300);

/// What a program that read a topic prints at its end.
#[derive(Debug, Deserialize)]
struct Printed {
    records: u64,
    seconds: f64,
    #[serde(default)]
    cpu_seconds: f64,
    #[serde(default)]
    latencies_us: Vec<u64>,
}

struct Bench<'a> {
    arguments: &'a RunArguments,
    group: u32,
    ackline: PathBuf,
}

/// Measures everything, prints the table and writes the files that were asked for.
pub(crate) fn run(arguments: &RunArguments) -> anyhow::Result<()> {
    let mut bench = Bench {
        arguments,
        group: 0,
        ackline: arguments.programs.join("ackline"),
    };
    let report = bench.measure()?;
    let table = report.markdown();
    println!("\n{table}");
    if let Some(path) = &arguments.json {
        std::fs::write(path, serde_json::to_string_pretty(&report)?)?;
    }
    if let Some(path) = &arguments.markdown {
        std::fs::write(path, &table)?;
    }
    let far_off = report.far_off();
    anyhow::ensure!(
        !arguments.short || far_off.is_empty(),
        "far off the targets:\n{}",
        far_off.join("\n")
    );
    Ok(())
}

impl Bench<'_> {
    fn measure(&mut self) -> anyhow::Result<Report> {
        let short = self.arguments.short;
        let mut report = Report::new(short, &self.arguments.kafka_version);
        let rounds = if short { 2 } else { 3 };
        for mut shape in SHAPES.into_iter().take(if short { 2 } else { 4 }) {
            if short {
                shape.records /= 4;
            }
            let topic = self.topic(shape)?;
            let orders: &[&'static str] = match shape.name {
                _ if short => &["partition"],
                "100 B" | "1 KB" => &["partition", "none", "key"],
                _ => &["partition"],
            };
            let mut throughput = Throughput::new(shape, orders);
            for round in 1..=rounds {
                self.round(shape, &topic, &mut throughput)
                    .with_context(|| format!("round {round} of {}", shape.name))?;
                eprintln!(
                    "{}, round {round} of {rounds}: {}",
                    shape.name,
                    throughput.last()
                );
            }
            if shape.name == "1 KB" {
                report.resident.full_speed_bytes = self.resident_at_full_speed(shape, &topic)?;
            }
            report.throughput.push(throughput);
        }
        let smallest = self.topic(SMALLEST)?;
        report.resident.smallest_bytes = self.resident_at_full_speed(SMALLEST, &smallest)?;
        let packed = self.topic(PACKED)?;
        report.resident.packed_bytes = self.resident_at_full_speed(PACKED, &packed)?;
        report.resident.promised_bytes = self.resident_promised()?;
        report.resident.idle_bytes = self.resident_idle()?;
        for rate in RATES.into_iter().take(if short { 1 } else { 2 }) {
            let latency = self.latency(rate, &mut report.resident)?;
            report.latency.push(latency);
        }
        if !short {
            let RunArguments {
                brokers, programs, ..
            } = self.arguments;
            report.slow = slow::measure(brokers, programs, || self.next_group())?;
        }
        Ok(report)
    }

    fn topic(&mut self, shape: Shape) -> anyhow::Result<String> {
        let topic = format!("bench-{}", shape.name.replace(' ', "-"));
        eprintln!("writing {} records to {topic}", shape.records);
        load::create(&self.arguments.brokers, &topic)?;
        load::fill(&self.arguments.brokers, &topic, shape)?;
        Ok(topic)
    }

    fn next_group(&mut self) -> String {
        self.group += 1;
        format!("bench-{}-{}", std::process::id(), self.group)
    }

    /// Everybody reads the topic once.
    fn round(
        &mut self,
        shape: Shape,
        topic: &str,
        throughput: &mut Throughput,
    ) -> anyhow::Result<()> {
        for (program, mode, passes) in [
            ("raw-glibc", "poll", &mut throughput.raw_poll_glibc),
            ("raw-mimalloc", "poll", &mut throughput.raw_poll),
            ("raw-mimalloc", "batch", &mut throughput.raw_batch),
        ] {
            passes.push(self.raw(program, mode, topic, shape)?);
        }
        for (order, passes) in &mut throughput.ackline {
            passes.push(self.through(order, topic, shape, Settings::Wide)?.0);
        }
        Ok(())
    }

    fn raw(
        &mut self,
        program: &str,
        mode: &str,
        topic: &str,
        shape: Shape,
    ) -> anyhow::Result<Pass> {
        let group = self.next_group();
        let output = self
            .raw_command(program, mode, topic, &group, shape.records)
            .output()
            .with_context(|| format!("could not run {program}"))?;
        anyhow::ensure!(
            output.status.success(),
            "{program} ended with {}",
            output.status
        );
        let printed: Printed = last_line(&output.stdout)?;
        Ok(pass(&printed, printed.cpu_seconds, shape))
    }

    fn raw_command(
        &self,
        program: &str,
        mode: &str,
        topic: &str,
        group: &str,
        count: u64,
    ) -> Command {
        let mut command = Command::new(self.arguments.programs.join("examples").join(program));
        command
            .args(["--brokers", &self.arguments.brokers])
            .args(["--topic", topic, "--group", group, "--mode", mode])
            .args(["--count", &count.to_string()])
            .stderr(Stdio::inherit());
        command
    }

    /// Reads the topic through ackline. Also returns the peak of its resident memory.
    fn through(
        &mut self,
        order: &str,
        topic: &str,
        shape: Shape,
        settings: Settings,
    ) -> anyhow::Result<(Pass, u64)> {
        let group = self.next_group();
        let names = (self.arguments.brokers.as_str(), topic, group.as_str());
        let sidecar = Sidecar::start(&self.ackline, names, order, "earliest", settings)?;
        let before = sidecar.usage()?;
        let mut sink = self.sink(&sidecar.socket(), shape.records);
        if order == "partition" {
            sink.arg("--ordered");
        }
        if settings == Settings::Wide {
            sink.args(["--in-flight", "65536"]);
        }
        let output = sink.output().context("could not run the sink")?;
        anyhow::ensure!(
            output.status.success(),
            "the sink ended with {}",
            output.status
        );
        let after = sidecar.usage()?;
        sidecar.stop()?;
        let printed: Printed = last_line(&output.stdout)?;
        let cpu = after.cpu_seconds - before.cpu_seconds;
        Ok((pass(&printed, cpu, shape), after.peak_bytes))
    }

    fn sink(&self, socket: &Path, count: u64) -> Command {
        let mut command = Command::new(self.arguments.programs.join("examples").join("pipeline"));
        command
            .arg("sink")
            .arg("--socket")
            .arg(socket)
            .args(["--count", &count.to_string()])
            .stderr(Stdio::inherit());
        command
    }

    fn resident_at_full_speed(&mut self, shape: Shape, topic: &str) -> anyhow::Result<u64> {
        Ok(self
            .through("partition", topic, shape, Settings::Default)?
            .1)
    }

    /// The limit that `ackline config memory` advises with default settings.
    fn resident_promised(&self) -> anyhow::Result<u64> {
        let output = Command::new(&self.ackline)
            .args(["config", "memory", "--brokers", "localhost:9092"])
            .args(["--group", "g", "--topic", "t", "--start", "earliest"])
            // With default settings, whatever the caller's shell has set.
            .env_clear()
            .output()?;
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().find_map(|line| line.strip_prefix("at most"));
        let mebibytes = line.and_then(|line| line.split_once("MiB")?.0.trim().parse::<u64>().ok());
        Ok(mebibytes.with_context(|| format!("no limit in: {text}"))? << 20)
    }

    /// Joined, with a stream open, and nothing to read.
    fn resident_idle(&mut self) -> anyhow::Result<u64> {
        load::create(&self.arguments.brokers, "bench-idle")?;
        let group = self.next_group();
        let names = (
            self.arguments.brokers.as_str(),
            "bench-idle",
            group.as_str(),
        );
        let sidecar = Sidecar::start(
            &self.ackline,
            names,
            "partition",
            "earliest",
            Settings::Default,
        )?;
        let mut sink = Running::start(self.sink(&sidecar.socket(), 1))?;
        sink.until_ready()?;
        std::thread::sleep(Duration::from_secs(5));
        let resident = sidecar.usage()?.resident_bytes;
        sink.kill();
        sidecar.stop()?;
        Ok(resident)
    }

    fn latency(&mut self, rate: u64, resident: &mut Resident) -> anyhow::Result<Latency> {
        let (rounds, seconds) = if self.arguments.short {
            (1, 5)
        } else {
            (3, 10)
        };
        let mut latency = Latency::new(rate);
        for round in 1..=rounds {
            let topic = format!("bench-pace-{rate}-{round}");
            load::create(&self.arguments.brokers, &topic)?;
            let count = rate * seconds;
            if rate == RATES[0] {
                let hop = Percentiles::of(hop::latencies_us(count)?)?;
                latency.hop.push(hop);
            }
            let (raw, raw_late) = self.raw_latency(&topic, rate, count)?;
            let (ackline, late, bytes) = self.latency_through(&topic, rate, count)?;
            latency.raw.push(raw);
            latency.ackline.push(ackline);
            latency.kept_pace &= raw_late.max(late) < LATE;
            if rate == RATES[0] {
                resident.lightly_loaded_bytes = resident.lightly_loaded_bytes.max(bytes);
            }
            eprintln!("{rate}/s, round {round} of {rounds}: {}", latency.last());
        }
        Ok(latency)
    }

    /// And by how much the producer was late.
    fn raw_latency(
        &mut self,
        topic: &str,
        rate: u64,
        count: u64,
    ) -> anyhow::Result<(Percentiles, Duration)> {
        let group = self.next_group();
        let mut command = self.raw_command("raw-mimalloc", "latency", topic, &group, count);
        command.args(["--start", "latest"]);
        let mut raw = Running::start(command)?;
        raw.until_ready()?;
        let late = self.pace(topic, rate, count)?;
        Ok((warm(raw.printed()?.latencies_us, rate)?, late))
    }

    /// And by how much the producer was late, and the sidecar's resident memory.
    fn latency_through(
        &mut self,
        topic: &str,
        rate: u64,
        count: u64,
    ) -> anyhow::Result<(Percentiles, Duration, u64)> {
        let group = self.next_group();
        let names = (self.arguments.brokers.as_str(), topic, group.as_str());
        let sidecar = Sidecar::start(
            &self.ackline,
            names,
            "partition",
            "latest",
            Settings::Default,
        )?;
        let mut command = self.sink(&sidecar.socket(), count);
        command.arg("--latency");
        let mut sink = Running::start(command)?;
        sink.until_ready()?;
        // The stream is open; the group is joined and positions are found within this.
        std::thread::sleep(Duration::from_secs(2));
        let late = self.pace(topic, rate, count)?;
        let percentiles = warm(sink.printed()?.latencies_us, rate)?;
        let resident = sidecar.usage()?.resident_bytes;
        sidecar.stop()?;
        Ok((percentiles, late, resident))
    }

    /// Writes at a steady pace, and returns when everything is written: how much later than planned.
    fn pace(&self, topic: &str, rate: u64, count: u64) -> anyhow::Result<Duration> {
        let mut command = Command::new(self.arguments.programs.join("examples").join("pipeline"));
        command
            .args([
                "pace",
                "--brokers",
                &self.arguments.brokers,
                "--topic",
                topic,
            ])
            .args(["--rate", &rate.to_string(), "--count", &count.to_string()])
            .args(["--linger-ms", if rate > RATES[0] { "1" } else { "0" }])
            .stdin(Stdio::piped());
        let mut pace = Running::start(command)?;
        pace.until_ready()?;
        let go = pace.child.stdin.as_mut().context("no standard input")?;
        writeln!(go, "go")?;
        let late = pace.last_line()?.trim().parse()?;
        Ok(Duration::from_millis(late))
    }
}

/// Percentiles without the records of the warm-up.
fn warm(mut latencies_us: Vec<u64>, rate: u64) -> anyhow::Result<Percentiles> {
    let warm_up = usize::try_from(rate * WARM_UP_SECONDS)?;
    latencies_us.drain(..warm_up.min(latencies_us.len()));
    Percentiles::of(latencies_us)
}

fn pass(printed: &Printed, cpu_seconds: f64, shape: Shape) -> Pass {
    let records = printed.records as f64;
    let payload = records * (shape.value_bytes + 8) as f64;
    Pass {
        records_per_second: records / printed.seconds,
        megabytes_per_second: payload / printed.seconds / 1e6,
        cpu_seconds_per_million: cpu_seconds / records * 1e6,
    }
}

fn last_line(output: &[u8]) -> anyhow::Result<Printed> {
    let text = std::str::from_utf8(output)?;
    let line = text.lines().last().context("nothing was printed")?;
    serde_json::from_str(line).with_context(|| format!("not what was expected: {line}"))
}

/// A program that says when it is ready.
pub(crate) struct Running {
    child: Child,
    output: BufReader<ChildStdout>,
}

impl Running {
    pub(crate) fn start(mut command: Command) -> anyhow::Result<Self> {
        let mut child = command.stdout(Stdio::piped()).spawn()?;
        let output = BufReader::new(child.stdout.take().context("no standard output")?);
        Ok(Self { child, output })
    }

    pub(crate) fn until_ready(&mut self) -> anyhow::Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        anyhow::ensure!(line.trim() == "ready", "expected `ready`, got `{line}`");
        Ok(())
    }

    fn printed(self) -> anyhow::Result<Printed> {
        last_line(self.last_line()?.as_bytes())
    }

    /// What it prints after that, once it has ended well.
    pub(crate) fn last_line(mut self) -> anyhow::Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "a program ended with {status}");
        Ok(line)
    }

    fn kill(mut self) {
        let _ended_before = self.child.kill();
        let _nothing_to_reap = self.child.wait();
    }
}
