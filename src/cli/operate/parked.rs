//! `ackline parked`: records that wait for a person.

use std::fmt::Write as _;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::arguments::{Asked, ListArguments, Target};
use super::json::seconds;
use super::text::{THIS_ONLY, time};
use crate::cli::place::Which;
use crate::cli::terminal::{safe, table};
use crate::grpc::admin_proto as proto;

#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Parked {
    /// List records that are parked, or on their way to the dead-letter topic
    List(ListArguments),
    /// Deliver them again, as if they had never failed
    ///
    /// What is in flight behind one in its lane is taken back, so that the order stays.
    Retry(ActArguments),
    /// Finish them without their having been worked on
    Skip(ActArguments),
    /// Send them to the dead-letter topic
    DeadLetter(ActArguments),
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ActArguments {
    /// A record, or all that are parked of a partition or topic
    #[arg(
        value_name = "TOPIC[/PARTITION[/OFFSET]]",
        required_unless_present = "all"
    )]
    which: Option<Which>,
    /// All that are parked in this process
    #[arg(long, conflicts_with = "which")]
    all: bool,
    #[command(flatten)]
    target: Target,
    /// Why, for the log and for whoever looks later
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

impl Parked {
    pub(super) fn split(self) -> (Target, Asked) {
        let (asked, action) = match self {
            Self::List(asked) => {
                let (target, list) = asked.split();
                return (target, Asked::Parked(list));
            }
            Self::Retry(asked) => (asked, proto::ParkedAction::Retry),
            Self::Skip(asked) => (asked, proto::ParkedAction::Skip),
            Self::DeadLetter(asked) => (asked, proto::ParkedAction::DeadLetter),
        };
        let offset = asked.which.as_ref().and_then(|which| which.offset);
        let request = proto::ActOnParkedRequest {
            scope: asked.which.map(|which| which.place.into_scope()),
            offset,
            action: action.into(),
            reason: asked.reason,
        };
        (asked.target, Asked::ActOnParked(request))
    }
}

/// The list, for people.
pub(super) fn text(answer: &proto::ListParkedResponse) -> String {
    if answer.records.is_empty() {
        return format!("Nothing of it is set aside here. {THIS_ONLY}\n");
    }
    let header = [
        "TOPIC",
        "PARTITION",
        "OFFSET",
        "STATE",
        "CAUSE",
        "FAILURES",
        "DEATHS",
        "AGE",
        "BEHIND",
        "REASON",
    ];
    let row = |at: &proto::ParkedRecord| {
        vec![
            safe(&at.topic),
            at.partition.to_string(),
            at.offset.to_string(),
            state(at),
            safe(&at.cause),
            at.failures.to_string(),
            at.deaths.to_string(),
            time(at.age.as_ref()),
            at.behind.to_string(),
            why(at),
        ]
    };
    let rows: Vec<_> = answer.records.iter().map(row).collect();
    let mut text = table(&header, &rows);
    let shown = answer.records.len();
    let _ = writeln!(text, "\n{shown} of {} set aside. {THIS_ONLY}", answer.aside);
    text
}

/// What was said of it, and what the broker of the dead-letter topic said.
fn why(at: &proto::ParkedRecord) -> String {
    match (safe(&at.reason), safe(&at.error)) {
        (reason, error) if error.is_empty() => reason,
        (reason, error) if reason.is_empty() => format!("dead-letter topic: {error}"),
        (reason, error) => format!("{reason}; dead-letter topic: {error}"),
    }
}

fn state(at: &proto::ParkedRecord) -> String {
    match at.step() {
        proto::ParkedStep::Unspecified => "?".to_owned(),
        proto::ParkedStep::Parked => "parked".to_owned(),
        proto::ParkedStep::Sending => "sending".to_owned(),
        proto::ParkedStep::SendAgain => format!("sent again in {}", time(at.again_in.as_ref())),
    }
}

/// The list, for programs.
pub(super) fn json(answer: &proto::ListParkedResponse) -> Value {
    let record = |at: &proto::ParkedRecord| {
        json!({
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "state": match at.step() {
                proto::ParkedStep::Unspecified => "unknown",
                proto::ParkedStep::Parked => "parked",
                proto::ParkedStep::Sending => "sending",
                proto::ParkedStep::SendAgain => "send_again",
            },
            "cause": at.cause,
            "reason": at.reason,
            "error": at.error,
            "failures": at.failures,
            "deaths": at.deaths,
            "age": seconds(at.age.as_ref()),
            "again_in": seconds(at.again_in.as_ref()),
            "behind": at.behind,
        })
    };
    json!({
        "records": answer.records.iter().map(record).collect::<Vec<_>>(),
        "aside": answer.aside,
    })
}

/// What was done, and what was not.
pub(super) fn done(action: proto::ParkedAction, answer: &proto::ActOnParkedResponse) -> String {
    let (one, several) = match action {
        proto::ParkedAction::Unspecified => ("was left alone", "were left alone"),
        proto::ParkedAction::Retry => ("is delivered again", "are delivered again"),
        proto::ParkedAction::Skip => ("is skipped", "are skipped"),
        proto::ParkedAction::DeadLetter => (
            "goes to the dead-letter topic",
            "go to the dead-letter topic",
        ),
    };
    let mut text = match answer.records {
        0 if answer.on_their_way + answer.without_dead_letter_topic > 0 => String::new(),
        0 => "Nothing of it is parked here; see `ackline parked list`. ".to_owned(),
        1 => format!("1 record {one}. "),
        records => format!("{records} records {several}. "),
    };
    let mut left = |count: u64, why: &str| {
        if count > 0 {
            let _ = write!(text, "Left alone: {count}, {why}. ");
        }
    };
    left(
        answer.without_dead_letter_topic,
        "since `dead_letter.topic` is not set for their topic; skip or retry them",
    );
    left(
        answer.on_their_way,
        "since they are on their way to the dead-letter topic",
    );
    format!("{text}{THIS_ONLY}\n")
}

#[cfg(test)]
mod tests;
