//! One log line, as data: what an event becomes before it is written.

use tracing::Level;

use crate::core::PartitionId;

/// Longest text of others in a field, in characters.
const WORDS_CHARS_MAX: usize = 300;

/// A line. Absent fields are not written.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Line {
    /// How severe.
    pub(super) level: Level,
    /// Name of the event, from a closed set.
    pub(super) event: &'static str,
    /// What happened, and what to do if a person must act.
    pub(super) message: &'static str,
    /// Everything else.
    pub(super) fields: Fields,
}

/// What a line can say besides its message.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Fields {
    pub(super) partition: Option<PartitionId>,
    pub(super) offset: Option<i64>,
    pub(super) to_offset: Option<i64>,
    pub(super) count: Option<u64>,
    pub(super) bytes: Option<u64>,
    pub(super) seconds: Option<u64>,
    pub(super) version: Option<&'static str>,
    pub(super) stream: Option<u64>,
    pub(super) client: Option<String>,
    pub(super) uid: Option<u32>,
    pub(super) reason: Option<&'static str>,
    /// What an application or an operator said of it.
    pub(super) said: Option<String>,
    /// Words of others: brokers, clients, the operating system.
    pub(super) error: Option<String>,
    /// A place of ours: a socket, an address, a file.
    pub(super) place: Option<String>,
    pub(super) pid: Option<i32>,
    /// An operator's reason.
    pub(super) why: Option<String>,
}

impl Fields {
    pub(super) fn of(partition: PartitionId) -> Self {
        Self {
            partition: Some(partition),
            ..Self::default()
        }
    }

    pub(super) fn at(partition: PartitionId, offset: i64) -> Self {
        Self {
            offset: Some(offset),
            ..Self::of(partition)
        }
    }

    pub(super) fn count(count: impl TryInto<u64>) -> Self {
        Self {
            count: count.try_into().ok(),
            ..Self::default()
        }
    }

    pub(super) fn error(mut self, words: &str) -> Self {
        self.error = Some(cut(words));
        self
    }

    pub(super) fn said(mut self, words: &str) -> Self {
        self.said = (!words.is_empty()).then(|| cut(words));
        self
    }

    pub(super) fn reason(mut self, reason: &'static str) -> Self {
        self.reason = Some(reason);
        self
    }
}

impl Line {
    /// Writes the line. `left_out` lines of its kind were not written before it.
    pub(super) fn write(&self, topics: &[String], left_out: u64) {
        // The macros want level and field names at compile time.
        macro_rules! write {
            ($level:expr) => {{
                let fields = &self.fields;
                tracing::event!(
                    target: "ackline",
                    $level,
                    event = self.event,
                    topic = self.topic(topics),
                    partition = fields.partition.map(|id| id.partition),
                    offset = fields.offset,
                    to_offset = fields.to_offset,
                    count = fields.count,
                    bytes = fields.bytes,
                    seconds = fields.seconds,
                    version = fields.version,
                    stream = fields.stream,
                    client = fields.client.as_deref(),
                    uid = fields.uid,
                    reason = fields.reason,
                    said = fields.said.as_deref(),
                    place = fields.place.as_deref(),
                    pid = fields.pid,
                    why = fields.why.as_deref(),
                    error = fields.error.as_deref(),
                    left_out = (left_out > 0).then_some(left_out),
                    "{}",
                    self.message
                )
            }};
        }
        match self.level {
            Level::ERROR => write!(Level::ERROR),
            Level::WARN => write!(Level::WARN),
            Level::INFO => write!(Level::INFO),
            Level::DEBUG => write!(Level::DEBUG),
            Level::TRACE => write!(Level::TRACE),
        }
    }

    fn topic<'a>(&self, topics: &'a [String]) -> Option<&'a str> {
        let index = self.fields.partition?.topic.0;
        topics.get(usize::from(index)).map(String::as_str)
    }
}

/// Cuts the words of others to a length that a log can bear.
pub(super) fn cut(words: &str) -> String {
    match words.char_indices().nth(WORDS_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &words[..end]),
        None => words.to_owned(),
    }
}
