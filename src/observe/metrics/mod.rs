//! Metrics: what is counted from events, and what is read from the core's status.
//!
//! The list of all [`metrics`] says for each its name, its labels, its meaning and how
//! to read it; the output and the reference in the README come from it.
//!
//! Everything is encoded from one snapshot, and a partition that left is simply not in it: no label
//! set has to be dropped, and none can be forgotten.

mod counts;
mod list;
mod totals;

use std::fmt::Write as _;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};

pub(super) use counts::Counts;
use list::{PARTITIONS, PROCESS};
use totals::TOTALS;

use crate::core::status::Counters;
use crate::core::{Moment, PartitionStatus, Status};

/// Partitions that get metrics of their own. Beyond it a scrape would cost more than it tells.
const PARTITIONS_MAX: usize = 2_000;

/// How things stand when somebody asks.
#[derive(Debug, Clone, Copy)]
pub struct Snapshot<'a> {
    /// What the core says.
    pub status: &'a Status,
    /// On the core's clock.
    pub now: Moment,
    /// On the wall.
    pub wall: SystemTime,
}

/// One metric.
struct Metric {
    /// Without the prefix `ackline_`, the unit and the `_total` of counters.
    name: &'static str,
    kind: Kind,
    unit: Option<Unit>,
    labels: &'static [&'static str],
    help: &'static str,
    read: Read,
}

/// How a metric is read.
#[derive(Clone, Copy)]
enum Read {
    /// One value, or none.
    Process(fn(&View<'_>) -> Option<f64>),
    /// From the totals of the core.
    Totals(fn(&Counters, &mut Samples)),
    /// One value for each partition, or none.
    Partition(fn(&View<'_>, &PartitionStatus) -> Option<f64>),
    /// From anything.
    All(fn(&View<'_>, &mut Samples)),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Counter,
    Gauge,
}

/// Everything that a metric can be read from.
struct View<'a> {
    snapshot: &'a Snapshot<'a>,
    topics: &'a [String],
    counts: &'a Counts,
}

type Labels = Vec<(&'static str, String)>;

/// The samples of one metric.
type Samples = Vec<Sample>;

#[derive(Debug)]
struct Sample {
    labels: Labels,
    value: Value,
}

#[derive(Debug, Clone, Copy)]
enum Value {
    Count(u64),
    Level(f64),
}

/// Every metric: first the process, then its totals, then its partitions.
fn metrics() -> impl Iterator<Item = &'static Metric> {
    [PROCESS, TOTALS, PARTITIONS].into_iter().flatten()
}

/// All metrics as OpenMetrics text.
pub(super) fn render(snapshot: &Snapshot<'_>, topics: &[String], counts: &Counts) -> String {
    let view = View {
        snapshot,
        topics,
        counts,
    };
    let rows = metrics().map(|metric| (metric, metric.read.samples(&view)));
    let mut registry = Registry::with_prefix("ackline");
    registry.register_collector(Box::new(Scrape(rows.collect())));
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = encode(&mut text, &registry);
    text
}

/// All metrics as a Markdown table for the README.
#[must_use]
pub fn metrics_reference() -> String {
    let mut text = String::from("| metric | kind | labels | meaning |\n|---|---|---|---|\n");
    for metric in metrics() {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let labels: Vec<String> = metric
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        let _ = writeln!(
            text,
            "| `{}` | {kind} | {} | {}. |",
            metric.full_name(),
            labels.join(", "),
            metric.help
        );
    }
    text
}

/// What one scrape reads, in the order of the list.
struct Scrape(Vec<(&'static Metric, Samples)>);

impl std::fmt::Debug for Scrape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scrape").field(&self.0.len()).finish()
    }
}

impl Collector for Scrape {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for (metric, samples) in self.0.iter().filter(|(_, samples)| !samples.is_empty()) {
            let kind = match metric.kind {
                Kind::Counter => MetricType::Counter,
                Kind::Gauge => MetricType::Gauge,
            };
            let help = format!("{}.", metric.help);
            let mut family =
                encoder.encode_descriptor(metric.name, &help, metric.unit.as_ref(), kind)?;
            for sample in samples {
                if sample.labels.is_empty() {
                    sample.value.encode(&mut family)?;
                } else {
                    sample
                        .value
                        .encode(&mut family.encode_family(&sample.labels)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Value {
    fn encode(self, encoder: &mut MetricEncoder<'_>) -> Result<(), std::fmt::Error> {
        match self {
            Self::Count(count) => encoder.encode_counter::<Labels, _, u64>(&count, None),
            Self::Level(level) => encoder.encode_gauge(&level),
        }
    }
}

impl Metric {
    fn full_name(&self) -> String {
        let unit = self
            .unit
            .as_ref()
            .map(|unit| format!("_{}", unit.as_str()))
            .unwrap_or_default();
        let total = if self.kind == Kind::Counter {
            "_total"
        } else {
            ""
        };
        format!("ackline_{}{unit}{total}", self.name)
    }
}

impl View<'_> {
    /// A moment of the core's clock as seconds since 1970.
    fn unix_seconds(&self, moment: Moment) -> f64 {
        let ago = self.snapshot.now.since(moment);
        self.unix_seconds_ago(ago)
    }

    fn unix_seconds_ago(&self, ago: Duration) -> f64 {
        let since_epoch = self
            .snapshot
            .wall
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        since_epoch.saturating_sub(ago).as_secs_f64()
    }
}
