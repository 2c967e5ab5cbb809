//! Which dead letters are meant?

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use crate::config::parse_duration;
use crate::dead_letter::{Cause, DeadLetterHeaders, parse_date};

/// Flags that choose. Those of one kind are alternatives, those of different kinds must all hold.
#[derive(Debug, Clone, Default, PartialEq, Args)]
#[command(next_help_heading = "Which dead letters")]
pub(super) struct Filter {
    /// Only those given up for this cause; may be repeated
    #[arg(long, value_name = "CAUSE", value_parser = PossibleValuesParser::new(Cause::LABELS))]
    pub(super) cause: Vec<String>,
    /// Only those that came from this topic; may be repeated
    #[arg(long, value_name = "TOPIC")]
    pub(super) source_topic: Vec<String>,
    /// Only those that this consumer group gave up
    #[arg(long, value_name = "GROUP")]
    pub(super) group: Option<String>,
    /// Only those given up since then: 2h ago, or at a moment such as 2026-11-28 or 2026-11-28T04:05:06Z
    #[arg(long, value_name = "WHEN", value_parser = since)]
    pub(super) since: Option<Since>,
}

/// A moment as the user wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Since {
    /// Before now.
    Ago(Duration),
    /// Milliseconds since 1970.
    At(i64),
}

impl Filter {
    /// Whether a dead letter is meant. What it does not say of itself is not what was asked for.
    pub(super) fn takes(&self, headers: &DeadLetterHeaders, now_ms: i64) -> bool {
        let among = |wanted: &[String], told: &Option<String>| {
            wanted.is_empty() || told.as_ref().is_some_and(|told| wanted.contains(told))
        };
        let group = self.group.as_slice();
        among(&self.cause, &headers.cause)
            && among(&self.source_topic, &headers.topic)
            && among(group, &headers.group)
            && self.since.as_ref().is_none_or(|since| {
                let from = since.resolve(now_ms);
                headers.at_ms.is_some_and(|at| at >= from)
            })
    }

    /// Whether it takes everything.
    pub(super) fn is_open(&self) -> bool {
        *self == Self::default()
    }
}

impl Since {
    fn resolve(&self, now_ms: i64) -> i64 {
        match self {
            Self::Ago(duration) => {
                now_ms.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX))
            }
            Self::At(ms) => *ms,
        }
    }
}

fn since(text: &str) -> Result<Since, String> {
    parse_duration(text)
        .map(Since::Ago)
        .or_else(|| parse_date(text).map(Since::At))
        .ok_or_else(|| {
            "write how long ago, such as 90m or 2h, or when, such as 2026-11-28 or 2026-11-28T04:05:06Z"
                .to_owned()
        })
}
