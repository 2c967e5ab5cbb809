//! A topic, read from end to end.

use std::collections::BTreeMap;
use std::time::Duration;

use super::explained;
use crate::kafka::{LogItem, LogReader, LogRecord};
use crate::record::Record as _;

/// How long a look at the queue waits.
const WAIT: Duration = Duration::from_millis(200);

/// So many looks without anything are a failure: brokers that are there answer within a second.
const LOOKS_IN_VAIN_MAX: u32 = 150;

/// What is to be read of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// The partition.
    pub(super) partition: i32,
    /// The first offset.
    pub(super) start: i64,
    /// The one behind the last.
    pub(super) end: i64,
}

/// The partitions of a topic, as far as they hold anything now.
pub(super) fn spans(reader: &mut LogReader, topic: &str) -> anyhow::Result<Vec<Span>> {
    let count = reader.partition_count(topic).map_err(explained)?;
    let ranges = reader.log_ranges(topic, count).map_err(explained)?;
    let spans = (0..).zip(ranges).map(|(partition, (start, end))| Span {
        partition,
        start,
        end,
    });
    Ok(spans.filter(|span| span.start < span.end).collect())
}

/// Records of spans as they come, until all are through.
pub(super) struct Scan {
    topic: String,
    /// Ends of those that are not through.
    open: BTreeMap<i32, i64>,
    in_vain: u32,
}

impl Scan {
    /// Starts to read.
    pub(super) fn start(
        reader: &mut LogReader,
        topic: &str,
        spans: &[Span],
    ) -> anyhow::Result<Self> {
        let starts: Vec<(i32, i64)> = spans
            .iter()
            .map(|span| (span.partition, span.start))
            .collect();
        reader.start(topic, &starts).map_err(explained)?;
        Ok(Self {
            topic: topic.to_owned(),
            open: spans
                .iter()
                .map(|span| (span.partition, span.end))
                .collect(),
            in_vain: 0,
        })
    }

    /// The next records, perhaps none, and the partitions that are through after them; `None` when all are.
    pub(super) fn next(&mut self, reader: &mut LogReader) -> anyhow::Result<Option<Step>> {
        if self.open.is_empty() {
            return Ok(None);
        }
        let items = reader.next(&self.topic, WAIT).map_err(explained)?;
        self.in_vain = if items.is_empty() {
            self.in_vain + 1
        } else {
            0
        };
        if self.in_vain > LOOKS_IN_VAIN_MAX {
            let trouble = reader.trouble().unwrap_or("no broker answers");
            anyhow::bail!(
                "nothing more of {} could be read: {trouble}; try again",
                self.topic
            );
        }
        let mut step = Step::default();
        for item in items {
            self.take(item, &mut step);
        }
        Ok(Some(step))
    }

    fn take(&mut self, item: LogItem, step: &mut Step) {
        let (partition, offset) = match &item {
            LogItem::End(partition) => (*partition, i64::MAX),
            LogItem::Record(record) => (record.partition, record.offset()),
        };
        let Some(end) = self.open.get(&partition).copied() else {
            return;
        };
        if let LogItem::Record(record) = item
            && offset < end
        {
            step.records.push(record);
        }
        // Markers may stand at the end, so that the last record is not the last offset.
        if offset >= end - 1 {
            self.open.remove(&partition);
            step.through.push((partition, end));
        }
    }
}

/// What one look brought.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// Records, in the order of each partition.
    pub(super) records: Vec<LogRecord>,
    /// Partitions that are through, with their ends.
    pub(super) through: Vec<(i32, i64)>,
}
