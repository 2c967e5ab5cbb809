//! The headers of a dead letter: how they are written, and what can be read from them.

use super::date::{date_text, parse_date};
use super::letter::Facts;
use crate::record::{Header, Record, TimestampKind};

/// Longest reason that is written, and longest text that is read.
pub const REASON_BYTES_MAX: usize = 1_024;

/// Names of the headers.
pub(super) mod name {
    pub(crate) const CLUSTER: &str = "ackline.cluster";
    pub(crate) const GROUP: &str = "ackline.group";
    pub(crate) const TOPIC: &str = "ackline.topic";
    pub(crate) const PARTITION: &str = "ackline.partition";
    pub(crate) const OFFSET: &str = "ackline.offset";
    pub(crate) const LEADER_EPOCH: &str = "ackline.leader-epoch";
    pub(crate) const TIMESTAMP: &str = "ackline.timestamp";
    pub(crate) const TIMESTAMP_TYPE: &str = "ackline.timestamp-type";
    pub(crate) const CAUSE: &str = "ackline.cause";
    pub(crate) const REASON: &str = "ackline.reason";
    pub(crate) const FAILURES: &str = "ackline.failures";
    pub(crate) const AT: &str = "ackline.at";

    /// All of them.
    pub(crate) const ALL: [&str; 12] = [
        CLUSTER,
        GROUP,
        TOPIC,
        PARTITION,
        OFFSET,
        LEADER_EPOCH,
        TIMESTAMP,
        TIMESTAMP_TYPE,
        CAUSE,
        REASON,
        FAILURES,
        AT,
    ];
}

/// Whether a header of this name says something of a dead letter.
pub(super) fn is_ours(name: &[u8]) -> bool {
    name::ALL.iter().any(|ours| ours.as_bytes() == name)
}

/// What the headers of a record say of its life before the dead-letter topic.
///
/// Everything may be missing: who can write to the topic can write anything. Of a header that stands there twice the last
/// one counts, as ours come last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeadLetterHeaders {
    /// Id of the cluster.
    pub cluster: Option<String>,
    /// The group that gave it up.
    pub group: Option<String>,
    /// The topic it came from.
    pub topic: Option<String>,
    /// The partition it came from.
    pub partition: Option<i32>,
    /// Its offset there.
    pub offset: Option<i64>,
    /// Leader epoch of its batch there.
    pub leader_epoch: Option<i32>,
    /// Its timestamp there, in milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
    /// Who set that.
    pub timestamp_kind: Option<TimestampKind>,
    /// Why it was given up: a label of [`super::Cause`], or one of a newer version.
    pub cause: Option<String>,
    /// In words.
    pub reason: Option<String>,
    /// How often the application failed at it.
    pub failures: Option<u32>,
    /// When it was given up, in milliseconds since 1970.
    pub at_ms: Option<i64>,
}

impl DeadLetterHeaders {
    /// Reads what there is.
    #[must_use]
    pub fn read(record: &impl Record) -> Self {
        let mut read = Self::default();
        let headers = (0..).map_while(|index| record.header(index));
        for header in headers {
            let (Ok(name), Some(value)) = (std::str::from_utf8(header.name), header.value) else {
                continue;
            };
            match name {
                name::CLUSTER => read.cluster = Some(text(value)),
                name::GROUP => read.group = Some(text(value)),
                name::TOPIC => read.topic = Some(text(value)),
                name::PARTITION => read.partition = number(value),
                name::OFFSET => read.offset = number(value),
                name::LEADER_EPOCH => read.leader_epoch = number(value),
                name::TIMESTAMP => read.timestamp_ms = number(value),
                name::TIMESTAMP_TYPE => read.timestamp_kind = kind_of(value),
                name::CAUSE => read.cause = Some(text(value)),
                name::REASON => read.reason = Some(text(value)),
                name::FAILURES => read.failures = number(value),
                name::AT => read.at_ms = parse_date(&text(value)),
                _ => {}
            }
        }
        read
    }

    /// Whether nothing was found: no sidecar has written this record.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The headers to be added to a record, in the order of the table of the module.
pub(super) fn write(record: &impl Record, facts: &Facts<'_>) -> Vec<(&'static str, String)> {
    let (timestamp_ms, kind) = record.timestamp();
    let leader_epoch = record.leader_epoch();
    let all = [
        (name::CLUSTER, facts.cluster.map(str::to_owned)),
        (name::GROUP, Some(facts.group.to_owned())),
        (name::TOPIC, Some(facts.topic.to_owned())),
        (name::PARTITION, Some(facts.partition.to_string())),
        (name::OFFSET, Some(record.offset().to_string())),
        (
            name::LEADER_EPOCH,
            leader_epoch.map(|epoch| epoch.to_string()),
        ),
        (name::TIMESTAMP, Some(timestamp_ms.to_string())),
        (name::TIMESTAMP_TYPE, Some(kind_label(kind).to_owned())),
        (name::CAUSE, Some(facts.cause.label().to_owned())),
        (
            name::REASON,
            Some(cut(facts.reason, REASON_BYTES_MAX).to_owned()),
        ),
        (name::FAILURES, Some(facts.failures.to_string())),
        (name::AT, Some(date_text(facts.at_ms))),
    ];
    all.into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect()
}

/// A word for who set a timestamp.
#[must_use]
pub(super) fn kind_label(kind: TimestampKind) -> &'static str {
    match kind {
        TimestampKind::Unknown => "none",
        TimestampKind::CreateTime => "create_time",
        TimestampKind::LogAppendTime => "log_append_time",
    }
}

fn kind_of(value: &[u8]) -> Option<TimestampKind> {
    match value {
        b"none" => Some(TimestampKind::Unknown),
        b"create_time" => Some(TimestampKind::CreateTime),
        b"log_append_time" => Some(TimestampKind::LogAppendTime),
        _ => None,
    }
}

/// The longest beginning of a text within so many bytes, by whole characters.
fn cut(text: &str, bytes_max: usize) -> &str {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Text that somebody wrote, cut, with replacement characters for what is not UTF-8.
fn text(value: &[u8]) -> String {
    let head = &value[..value.len().min(REASON_BYTES_MAX)];
    cut(&String::from_utf8_lossy(head), REASON_BYTES_MAX).to_owned()
}

/// A decimal number as we write it.
fn number<T: std::str::FromStr>(value: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(value).ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// Headers of a record that stay, then those added.
pub(super) fn replaced<'a>(
    record: &'a impl Record,
    is_replaced: impl Fn(&[u8]) -> bool,
    added: &'a [(&'static str, String)],
) -> Vec<Header<'a>> {
    let kept = (0..)
        .map_while(|index| record.header(index))
        .filter(|header| !is_replaced(header.name));
    let added = added.iter().map(|(name, value)| Header {
        name: name.as_bytes(),
        value: Some(value.as_bytes()),
    });
    kept.chain(added).collect()
}
