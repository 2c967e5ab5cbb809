//! What can be asked of a running sidecar.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::parked::Parked;
use crate::cli::place::Place;
use crate::grpc::admin_proto as proto;

/// Time between two looks of a watch.
const WATCH_EVERY: f64 = 1.0;
/// How long `ackline drain` waits unless it is told.
const DRAIN_WAITS: f64 = 25.0;

/// Commands for a running sidecar.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum Operate {
    /// Show how the sidecar stands: partitions, streams, pauses
    #[command(after_help = STATUS_EXAMPLES)]
    Status(StatusArguments),
    /// Explain why partitions do not advance, and what ends that; exit code 1 if one is stuck
    #[command(after_help = EXPLAIN_EXAMPLES)]
    Explain(ExplainArguments),
    /// List what applications hold unsettled
    Inflight(ListArguments),
    /// See to records that wait for a person: list, retry, skip, dead-letter
    #[command(subcommand)]
    Parked(Parked),
    /// Show records as they are delivered to applications, until interrupted
    ///
    /// Deliveries never wait for it: what passes faster than it can be shown is left out, and counted. Keys
    /// are shown escaped and cut, values only with --payload.
    #[command(after_help = TAIL_EXAMPLES)]
    Tail(TailArguments),
    /// Deliver nothing new: of everything, a topic or a partition
    ///
    /// Settlements are taken and commits go on. The pause outlives rebalances, and ends with `ackline
    /// resume` or with the process.
    Pause(PauseArguments),
    /// Deliver again what was paused
    Resume(PauseArguments),
    /// Move the position of one partition
    ///
    /// Withdraws what is in flight, goes on at the target, and commits that at once. A partition that
    /// stopped starts again by it.
    #[command(after_help = SEEK_EXAMPLES)]
    Seek(SeekArguments),
    /// Deliver nothing new, commit what is settled, and leave the group; the process goes on running
    ///
    /// Waits until nothing is in flight and the group was left; exit code 1 if that takes too long.
    /// With --notice it does not wait, which is for the `preStop` of a pod. A drained sidecar consumes
    /// nothing until it is restarted.
    Drain(DrainArguments),
}

const STATUS_EXAMPLES: &str = "\
Examples:
  ackline status
  ackline status --watch
  ackline status -o json
  kubectl exec POD -c ackline -- ackline status";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  ackline explain
  ackline explain orders/3";

const TAIL_EXAMPLES: &str = "\
Examples:
  ackline tail
  ackline tail orders/3 --key customer-17 --limit 10
  ackline tail orders -o json | jq .offset
  ackline tail orders --payload --reason 'what does the new producer send?'";

const SEEK_EXAMPLES: &str = "\
Examples:
  ackline seek orders/3 --to earliest --reason 'replay after the fix'
  ackline seek orders/3 --to 1200 --reason 'behind the damaged batch'
  ackline seek orders/3 --to 2026-11-01T00:00:00Z --reason 'since the outage'";

/// Where the sidecar is.
#[derive(Debug, Clone, Args)]
pub(super) struct Target {
    /// Admin socket of the sidecar, as `unix:` and a path; else that of the settings file, else the
    /// default
    #[arg(long, value_name = "SOCKET", env = "ACKLINE_LISTEN_ADMIN")]
    pub(super) admin: Option<String>,
    /// Settings file of the sidecar
    #[arg(long, value_name = "FILE", env = "ACKLINE_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

/// How answers are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(super) enum Output {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    #[command(flatten)]
    target: Target,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
    /// Again and again, until interrupted
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks
    #[arg(long, value_name = "SECONDS", default_value_t = WATCH_EVERY, value_parser = seconds)]
    interval: f64,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ExplainArguments {
    /// A topic or a partition; everything without it
    #[arg(value_name = "TOPIC[/PARTITION]")]
    place: Option<Place>,
    #[command(flatten)]
    target: Target,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

/// A list of what a scope holds.
#[derive(Debug, Args)]
pub(in crate::cli) struct ListArguments {
    /// A topic or a partition; everything without it
    #[arg(value_name = "TOPIC[/PARTITION]")]
    place: Option<Place>,
    #[command(flatten)]
    target: Target,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// How to write it
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct TailArguments {
    /// A topic or a partition; everything without it
    #[arg(value_name = "TOPIC[/PARTITION]")]
    place: Option<Place>,
    #[command(flatten)]
    target: Target,
    /// Only records with exactly this key
    #[arg(long, value_name = "TEXT")]
    key: Option<String>,
    /// End after so many
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
    /// Show values, too; the sidecar's log says that you did, and why
    #[arg(long, requires = "reason")]
    payload: bool,
    /// Why, for the log
    #[arg(long, value_name = "WORDS")]
    reason: Option<String>,
    /// How to write it; as JSON, one object a line
    #[arg(short, long, value_enum, default_value_t)]
    output: Output,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct PauseArguments {
    /// A topic or a partition; everything without it
    #[arg(value_name = "TOPIC[/PARTITION]")]
    place: Option<Place>,
    #[command(flatten)]
    target: Target,
    /// Why, for the log and for whoever looks later
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SeekArguments {
    /// The partition
    #[arg(value_name = "TOPIC/PARTITION", value_parser = partition)]
    place: Place,
    #[command(flatten)]
    target: Target,
    /// Where to: earliest, latest, an offset, or a time such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "WHERE", value_parser = goal)]
    to: proto::seek_request::Target,
    /// Why, for the log and for whoever looks later
    #[arg(long, value_name = "WORDS")]
    reason: String,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct DrainArguments {
    #[command(flatten)]
    target: Target,
    /// Do not wait for the end of the drain
    #[arg(long)]
    notice: bool,
    /// Seconds to wait at most
    #[arg(long, value_name = "SECONDS", default_value_t = DRAIN_WAITS, value_parser = seconds, conflicts_with = "notice")]
    timeout: f64,
    /// Why, for the log
    #[arg(long, value_name = "WORDS", default_value = "ackline drain")]
    reason: String,
}

/// What is to be listed, and how.
#[derive(Debug)]
pub(super) struct List {
    pub(super) scope: Option<proto::Scope>,
    pub(super) limit: Option<u32>,
    pub(super) output: Output,
}

impl ListArguments {
    pub(super) fn split(self) -> (Target, List) {
        let list = List {
            scope: self.place.map(Place::into_scope),
            limit: Some(self.limit),
            output: self.output,
        };
        (self.target, list)
    }
}

/// A question, ready to be put.
#[derive(Debug)]
pub(super) enum Asked {
    Status {
        output: Output,
        watch: Option<Duration>,
    },
    Explain {
        scope: Option<proto::Scope>,
        output: Output,
    },
    InFlight(List),
    Parked(List),
    ActOnParked(proto::ActOnParkedRequest),
    Tail {
        request: proto::TailRequest,
        output: Output,
    },
    Pause {
        scope: Option<proto::Scope>,
        reason: String,
    },
    Resume {
        scope: Option<proto::Scope>,
        reason: String,
    },
    Seek(proto::SeekRequest),
    Drain {
        reason: String,
        wait: Option<Duration>,
    },
}

impl Operate {
    pub(super) fn split(self) -> (Target, Asked) {
        let scope = |place: Option<Place>| place.map(Place::into_scope);
        match self {
            Self::Status(asked) => {
                let watch = asked.watch.then(|| Duration::from_secs_f64(asked.interval));
                let output = asked.output;
                (asked.target, Asked::Status { output, watch })
            }
            Self::Explain(asked) => {
                let (scope, output) = (scope(asked.place), asked.output);
                (asked.target, Asked::Explain { scope, output })
            }
            Self::Inflight(asked) => {
                let (target, list) = asked.split();
                (target, Asked::InFlight(list))
            }
            Self::Parked(asked) => asked.split(),
            Self::Tail(asked) => {
                let request = proto::TailRequest {
                    scope: scope(asked.place),
                    key: asked.key.map(Into::into),
                    limit: asked.limit,
                    payload: asked.payload,
                    reason: asked.reason.unwrap_or_else(|| "ackline tail".to_owned()),
                };
                let output = asked.output;
                (asked.target, Asked::Tail { request, output })
            }
            Self::Pause(asked) => {
                let (scope, reason) = (scope(asked.place), asked.reason);
                (asked.target, Asked::Pause { scope, reason })
            }
            Self::Resume(asked) => {
                let (scope, reason) = (scope(asked.place), asked.reason);
                (asked.target, Asked::Resume { scope, reason })
            }
            Self::Seek(asked) => {
                let request = proto::SeekRequest {
                    topic: asked.place.topic,
                    partition: asked.place.partition,
                    reason: asked.reason,
                    target: Some(asked.to),
                };
                (asked.target, Asked::Seek(request))
            }
            Self::Drain(asked) => {
                let wait = (!asked.notice).then(|| Duration::from_secs_f64(asked.timeout));
                let reason = asked.reason;
                (asked.target, Asked::Drain { reason, wait })
            }
        }
    }
}

fn partition(text: &str) -> Result<Place, String> {
    let place: Place = text.parse()?;
    if place.partition.is_none() {
        return Err(
            "write TOPIC/PARTITION, such as orders/3; partitions are moved one by one".to_owned(),
        );
    }
    Ok(place)
}

fn goal(text: &str) -> Result<proto::seek_request::Target, String> {
    use proto::seek_request::Target as Goal;
    if text == "earliest" {
        return Ok(Goal::End(proto::LogEnd::Earliest.into()));
    }
    if text == "latest" {
        return Ok(Goal::End(proto::LogEnd::Latest.into()));
    }
    if let Ok(offset) = text.parse::<u64>() {
        let offset = i64::try_from(offset).map_err(|_| "no log has such an offset".to_owned())?;
        return Ok(Goal::Offset(offset));
    }
    text.parse().map(Goal::Timestamp).map_err(|_| {
        "write earliest, latest, an offset, or a time such as 2026-11-01T00:00:00Z".to_owned()
    })
}

fn seconds(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|seconds| (0.1..=86_400.0).contains(seconds))
        .ok_or_else(|| "write seconds between 0.1 and 86400".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_partition_is_moved() {
        assert!(partition("orders/3").is_ok());
        assert!(partition("orders").is_err());
    }

    #[test]
    fn a_goal_is_an_end_an_offset_or_a_time() {
        use proto::seek_request::Target as Goal;
        assert_eq!(goal("earliest"), Ok(Goal::End(1)));
        assert_eq!(goal("latest"), Ok(Goal::End(2)));
        assert_eq!(goal("12"), Ok(Goal::Offset(12)));
        let Ok(Goal::Timestamp(at)) = goal("2026-11-01T00:00:00Z") else {
            panic!("a time");
        };
        assert_eq!(at.seconds, 1_793_491_200);
        for wrong in ["", "-1", "yesterday", "18446744073709551615"] {
            assert!(goal(wrong).is_err(), "{wrong}");
        }
    }
}
