//! `ackline dead-letters redrive`.
//!
//! ```text
//! dead-letter topic ──scan──► chosen? ──► under way ──► confirmed ──► position kept
//!                                └── no ──────────────────────────────────┘
//! ```
//!
//! The first record that cannot be sent ends the run: what comes after it in its partition must not overtake it. The next run
//! begins with it.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

use super::cursor::Cursor;
use super::options::Redrive as Plan;
use super::progress::Progress;
use super::scan::{Scan, Span, Step, spans};
use super::{explained, reader};
use crate::dead_letter::{DeadLetterHeaders, Redrive};
use crate::kafka::{
    Bell, ClientSettings, DeadLetterProducer, LogReader, LogRecord, SendError, Trouble,
};
use crate::record::Record as _;

/// How often the position is kept. What was sent since then is sent again after a kill.
const KEEP_EVERY: Duration = Duration::from_secs(1);

/// Longest wait without a look.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How it ended.
pub(super) struct Summary {
    /// What was done, and where it stands.
    pub(super) text: String,
    /// Why it did not go on.
    pub(super) failure: Option<String>,
}

/// Sends dead letters back.
pub(super) fn redrive(
    settings: &ClientSettings,
    plan: &Plan,
    now_ms: i64,
) -> anyhow::Result<Summary> {
    let bell = Bell::default();
    let mut reader = reader(settings, &plan.position_group, &bell)?;
    let spans = left_to_do(&mut reader, plan)?;
    let mut targets = BTreeMap::new();
    for target in &plan.targets {
        let count = reader.partition_count(target).map_err(explained)?;
        targets.insert(target.clone(), count);
    }
    let mut run = Run {
        plan,
        now_ms,
        targets,
        cursors: spans
            .iter()
            .map(|span| (span.partition, Cursor::at(span.start)))
            .collect(),
        producer: DeadLetterProducer::new(settings, bell.wake()),
        bell,
        start: Instant::now(),
        kept: Instant::now(),
        next_token: 0,
        under_way: BTreeMap::new(),
        counts: Counts::default(),
        failure: None,
    };
    let total = spans.iter().map(|span| span.end.abs_diff(span.start)).sum();
    let mut progress = Progress::new(total);
    // Before anything is sent: whoever may not keep a position would send it all again the next time.
    run.keep(&mut reader)?;
    let outcome = run.scan(&mut reader, &spans, &mut progress);
    // Whatever happened, what was confirmed is not to be sent again.
    let kept = run.settle(&mut reader);
    progress.end(run.counts.looked_at, run.counts.sent());
    outcome.and(kept)?;
    Ok(Summary {
        text: run.words(&spans),
        failure: run.failure.take(),
    })
}

/// What nobody has looked at.
fn left_to_do(reader: &mut LogReader, plan: &Plan) -> anyhow::Result<Vec<Span>> {
    let mut spans = spans(reader, &plan.topic)?;
    if plan.restart {
        return Ok(spans);
    }
    let partitions = spans.iter().map(|span| span.partition + 1);
    let count = partitions.max().unwrap_or(0);
    let kept = reader.positions(&plan.topic, count).map_err(explained)?;
    for span in &mut spans {
        let index = usize::try_from(span.partition)?;
        let kept = kept.get(index).copied().flatten();
        span.start = kept.map_or(span.start, |kept| kept.clamp(span.start, span.end));
    }
    spans.retain(|span| span.start < span.end);
    Ok(spans)
}

/// One run.
struct Run<'a> {
    plan: &'a Plan,
    now_ms: i64,
    /// Partitions of the topics that may be written to.
    targets: BTreeMap<String, i32>,
    cursors: BTreeMap<i32, Cursor>,
    producer: DeadLetterProducer,
    bell: Bell,
    start: Instant,
    kept: Instant,
    next_token: u64,
    /// Partition and offset of what is not confirmed.
    under_way: BTreeMap<u64, (i32, i64)>,
    counts: Counts,
    failure: Option<String>,
}

#[derive(Default)]
struct Counts {
    looked_at: u64,
    /// By target.
    sent: BTreeMap<String, u64>,
    not_chosen: u64,
    /// They do not say where they came from.
    without_source: u64,
    /// They came from a topic that was not named.
    not_named: BTreeMap<String, u64>,
}

/// Topics of forged headers are counted apart up to so many.
const NOT_NAMED_MAX: usize = 20;

impl Counts {
    fn sent(&self) -> u64 {
        self.sent.values().sum()
    }
}

impl Run<'_> {
    fn scan(
        &mut self,
        reader: &mut LogReader,
        spans: &[Span],
        progress: &mut Progress,
    ) -> anyhow::Result<()> {
        if spans.is_empty() {
            return Ok(());
        }
        let mut scan = Scan::start(reader, &self.plan.topic, spans)?;
        while let Some(Step { records, through }) = scan.next(reader)? {
            for record in records {
                self.look_at(&record, reader)?;
                if self.failure.is_some() || self.is_enough() {
                    return Ok(());
                }
                progress.show(self.counts.looked_at, self.counts.sent());
            }
            for (partition, end) in through {
                if let Some(cursor) = self.cursors.get_mut(&partition) {
                    cursor.through(end);
                }
            }
            self.turn(reader)?;
            progress.show(self.counts.looked_at, self.counts.sent());
            if self.failure.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    fn is_enough(&self) -> bool {
        let limit = self.plan.limit;
        limit.is_some_and(|limit| self.counts.sent() >= u64::from(limit.get()))
    }

    fn look_at(&mut self, record: &LogRecord, reader: &mut LogReader) -> anyhow::Result<()> {
        self.counts.looked_at += 1;
        let (partition, offset) = (record.partition, record.offset());
        let headers = DeadLetterHeaders::read(record);
        let Some(target) = self.target(&headers) else {
            if let Some(cursor) = self.cursors.get_mut(&partition) {
                cursor.passed(offset);
            }
            return Ok(());
        };
        if !self.plan.dry_run {
            self.wait_for_the_rate(reader)?;
            if self.failure.is_some() {
                return Ok(());
            }
            self.send(record, &headers, &target, reader)?;
        }
        if self.failure.is_none() {
            *self.counts.sent.entry(target).or_default() += 1;
        }
        Ok(())
    }

    /// Where a record goes back to, if it is to go.
    fn target(&mut self, headers: &DeadLetterHeaders) -> Option<String> {
        if !self.plan.filter.takes(headers, self.now_ms) {
            self.counts.not_chosen += 1;
            return None;
        }
        let Some(source) = &headers.topic else {
            self.counts.without_source += 1;
            return None;
        };
        if self.targets.contains_key(source) {
            return Some(source.clone());
        }
        let known = self.counts.not_named.contains_key(source);
        let name = if known || self.counts.not_named.len() < NOT_NAMED_MAX {
            source.clone()
        } else {
            "others".to_owned()
        };
        *self.counts.not_named.entry(name).or_default() += 1;
        None
    }

    fn send(
        &mut self,
        record: &LogRecord,
        headers: &DeadLetterHeaders,
        target: &str,
        reader: &mut LogReader,
    ) -> anyhow::Result<()> {
        let (partition, offset) = (record.partition, record.offset());
        let only = self.plan.only_group.as_deref();
        let back = Redrive::new(record.clone(), &self.plan.topic, partition, only);
        // Where it was before, if there is such a partition still: whatever chose it then.
        let count = self.targets.get(target).copied().unwrap_or(0);
        let before = headers
            .partition
            .filter(|before| (0..count).contains(before));
        let outgoing = back.outgoing(before);
        self.next_token += 1;
        let token = self.next_token;
        while self.failure.is_none() {
            match self.producer.send(token, target, &outgoing) {
                Ok(()) => {
                    self.under_way.insert(token, (partition, offset));
                    if let Some(cursor) = self.cursors.get_mut(&partition) {
                        cursor.sent(offset);
                    }
                    break;
                }
                // The queue is full, and what is in it makes room.
                Err(SendError::Transient(_)) if self.producer.outstanding() > 0 => {
                    self.bell.wait(LOOK_EVERY);
                    self.turn(reader)?;
                }
                Err(error) => self.fail(partition, offset, &error),
            }
        }
        Ok(())
    }

    fn wait_for_the_rate(&mut self, reader: &mut LogReader) -> anyhow::Result<()> {
        let Some(rate) = self.plan.rate else {
            return Ok(());
        };
        let due = Duration::from_secs(1).mul_f64(f64::from(u32::try_from(self.counts.sent())?))
            / rate.get();
        loop {
            let early = due.saturating_sub(self.start.elapsed());
            if early.is_zero() || self.failure.is_some() {
                return Ok(());
            }
            self.bell.wait(early.min(LOOK_EVERY));
            self.turn(reader)?;
        }
    }

    /// Takes confirmations in, and keeps the position now and then.
    fn turn(&mut self, reader: &mut LogReader) -> anyhow::Result<()> {
        let mut reports = Vec::new();
        let _: Vec<Trouble> = self.producer.poll(&mut reports);
        for (token, result) in reports {
            let Some((partition, offset)) = self.under_way.remove(&token) else {
                continue;
            };
            match result {
                Ok(()) => {
                    if let Some(cursor) = self.cursors.get_mut(&partition) {
                        cursor.confirmed(offset);
                    }
                }
                Err(error) => self.fail(partition, offset, &error),
            }
        }
        if self.kept.elapsed() >= KEEP_EVERY {
            self.keep(reader)?;
        }
        Ok(())
    }

    fn fail(&mut self, partition: i32, offset: i64, error: &SendError) {
        let place = format!("{}/{partition}/{offset}", self.plan.topic);
        let remedy = match error {
            SendError::Transient(_) => "run it again to go on there when brokers answer",
            SendError::Permanent(_) => {
                "it stays where it is. Look at the topic's limits and permissions (WRITE and DESCRIBE), and run it again to go on there"
            }
        };
        let failure = format!("{place} could not be sent back: {error}; {remedy}");
        self.failure.get_or_insert(failure);
    }

    /// Waits for what is under way, and keeps the position.
    fn settle(&mut self, reader: &mut LogReader) -> anyhow::Result<()> {
        while !self.under_way.is_empty() {
            self.turn(reader)?;
            if !self.under_way.is_empty() {
                self.bell.wait(LOOK_EVERY);
            }
        }
        self.keep(reader)
    }

    fn keep(&mut self, reader: &mut LogReader) -> anyhow::Result<()> {
        self.kept = Instant::now();
        if self.plan.dry_run {
            return Ok(());
        }
        let positions = self.cursors.iter_mut();
        let positions: Vec<(i32, i64)> = positions
            .filter_map(|(partition, cursor)| Some((*partition, cursor.news()?)))
            .collect();
        reader
            .keep_positions(&self.plan.topic, &positions)
            .map_err(explained)
    }

    /// What was done, and where it stands.
    fn words(&self, spans: &[Span]) -> String {
        let Self { plan, counts, .. } = self;
        let topic = &plan.topic;
        let verb = if plan.dry_run { "would send" } else { "sent" };
        let mut text = format!("{verb} {} records of {topic} back", counts.sent());
        for (target, count) in &counts.sent {
            text.push_str(&format!("\n  {count} to {target}"));
        }
        let mut left = |count: u64, why: &str| {
            if count > 0 {
                text.push_str(&format!("\n  left alone: {count} {why}"));
            }
        };
        left(counts.not_chosen, "that were not chosen");
        left(
            counts.without_source,
            "that do not say where they came from (no header ackline.topic)",
        );
        for (source, count) in &counts.not_named {
            let source = crate::cli::terminal::safe(source);
            left(
                *count,
                &format!(
                    "from {source}, which was not named; --source-topic {source} would send them there"
                ),
            );
        }
        if plan.dry_run {
            text.push_str("\nnothing was sent, and no position was kept\n");
            return text;
        }
        text.push_str(&format!(
            "\nposition, kept in group {}:",
            plan.position_group
        ));
        for span in spans {
            if let Some(cursor) = self.cursors.get(&span.partition) {
                let (partition, position) = (span.partition, cursor.position());
                let end = span.end;
                text.push_str(&format!("\n  partition {partition} at {position} of {end}"));
            }
        }
        if spans.is_empty() {
            text.push_str(" at the end; --restart begins again");
        }
        text.push('\n');
        text
    }
}
