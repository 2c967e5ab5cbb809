//! What an operator asks for, in terms of the core.

use std::time::Duration;

use tonic::Status;

use crate::core::{ParkedAction, PartitionId, Scope, SeekTarget, TopicIndex, WhichParked};
use crate::grpc::admin_proto as proto;

/// Longest reason, in characters; more is cut.
const REASON_CHARS_MAX: usize = 200;
/// Topics named in a refusal.
const TOPICS_NAMED_MAX: usize = 10;
/// Fastest watch.
const INTERVAL_MIN: Duration = Duration::from_millis(100);
/// Slowest watch, and the longest wait for a drain.
const TIME_MAX: Duration = Duration::from_secs(86_400);
/// Deliveries listed by default, and at most.
const IN_FLIGHT_LISTED: u32 = 100;
const IN_FLIGHT_LISTED_MAX: u32 = 10_000;

pub(super) fn scope(scope: Option<&proto::Scope>, topics: &[String]) -> Result<Scope, Status> {
    let Some(scope) = scope else {
        return Ok(Scope::Everything);
    };
    match (scope.topic.as_str(), scope.partition) {
        ("", None) => Ok(Scope::Everything),
        ("", Some(_)) => Err(Status::invalid_argument(
            "scope.partition is set, but scope.topic is not; name both",
        )),
        (topic, None) => Ok(Scope::Topic(topic_index(topic, topics)?)),
        (topic, Some(partition)) => {
            Ok(Scope::Partition(self::partition(topic, partition, topics)?))
        }
    }
}

pub(super) fn partition(
    topic: &str,
    partition: i32,
    topics: &[String],
) -> Result<PartitionId, Status> {
    let topic = topic_index(topic, topics)?;
    if partition < 0 {
        return Err(Status::invalid_argument("a partition is not negative"));
    }
    Ok(PartitionId { topic, partition })
}

fn topic_index(topic: &str, topics: &[String]) -> Result<TopicIndex, Status> {
    let at = topics.iter().position(|known| known == topic);
    at.and_then(|at| u16::try_from(at).ok())
        .map(TopicIndex)
        .ok_or_else(|| {
            let known: Vec<&str> = topics
                .iter()
                .take(TOPICS_NAMED_MAX)
                .map(String::as_str)
                .collect();
            Status::not_found(format!(
                "this sidecar does not read topic `{}`; its topics are {}",
                topic.escape_default(),
                known.join(", ")
            ))
        })
}

/// A reason that is not empty, without characters that a log or a terminal might obey (A3, C-9).
pub(super) fn reason(reason: &str) -> Result<String, Status> {
    let reason: String = reason
        .trim()
        .chars()
        .take(REASON_CHARS_MAX)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if reason.is_empty() {
        return Err(Status::invalid_argument(
            "reason is required: who looks at the log later wants to know why",
        ));
    }
    Ok(reason)
}

pub(super) fn which_parked(
    request: &proto::ActOnParkedRequest,
    topics: &[String],
) -> Result<WhichParked, Status> {
    match (scope(request.scope.as_ref(), topics)?, request.offset) {
        (scope, None) => Ok(WhichParked::Of(scope)),
        (Scope::Partition(id), Some(offset)) => Ok(WhichParked::Record(id, offset)),
        (Scope::Everything | Scope::Topic(_), Some(_)) => Err(Status::invalid_argument(
            "offset is set, but scope names no partition; name both",
        )),
    }
}

pub(super) fn parked_action(action: i32) -> Result<ParkedAction, Status> {
    match proto::ParkedAction::try_from(action) {
        Ok(proto::ParkedAction::Retry) => Ok(ParkedAction::Retry),
        Ok(proto::ParkedAction::Skip) => Ok(ParkedAction::Skip),
        Ok(proto::ParkedAction::DeadLetter) => Ok(ParkedAction::DeadLetter),
        Ok(proto::ParkedAction::Unspecified) | Err(_) => Err(Status::invalid_argument(
            "action is required: retry, skip or dead_letter",
        )),
    }
}

pub(super) fn target(target: Option<&proto::seek_request::Target>) -> Result<SeekTarget, Status> {
    use proto::seek_request::Target;
    let refused = |what: &str| Err(Status::invalid_argument(what));
    match target {
        None => refused("target is required: an end of the log, an offset or a timestamp"),
        Some(Target::End(end)) => match proto::LogEnd::try_from(*end) {
            Ok(proto::LogEnd::Earliest) => Ok(SeekTarget::Earliest),
            Ok(proto::LogEnd::Latest) => Ok(SeekTarget::Latest),
            Ok(proto::LogEnd::Unspecified) | Err(_) => {
                refused("target.end must be LOG_END_EARLIEST or LOG_END_LATEST")
            }
        },
        Some(Target::Offset(offset)) if *offset < 0 => {
            refused("target.offset is not negative; use target.end for an end of the log")
        }
        Some(Target::Offset(offset)) => Ok(SeekTarget::Offset(*offset)),
        Some(Target::Timestamp(at)) => at
            .seconds
            .checked_mul(1000)
            .and_then(|millis| millis.checked_add(i64::from(at.nanos / 1_000_000)))
            .filter(|millis| *millis >= 0)
            .map(SeekTarget::Timestamp)
            .map_or_else(|| refused("target.timestamp lies before 1970"), Ok),
    }
}

pub(super) fn interval(asked: Option<&prost_types::Duration>) -> Result<Duration, Status> {
    let interval = time("interval", asked)?.unwrap_or(Duration::from_secs(1));
    Ok(interval.max(INTERVAL_MIN))
}

/// A time that an operator wants to wait.
pub(super) fn time(
    field: &str,
    asked: Option<&prost_types::Duration>,
) -> Result<Option<Duration>, Status> {
    let Some(asked) = asked else {
        return Ok(None);
    };
    let (Ok(seconds), Ok(nanos)) = (u64::try_from(asked.seconds), u32::try_from(asked.nanos))
    else {
        return Err(Status::invalid_argument(format!("{field} is negative")));
    };
    let nanos = nanos.min(999_999_999);
    Ok(Some(Duration::new(seconds, nanos).min(TIME_MAX)))
}

pub(super) fn limit(asked: Option<u32>) -> Result<usize, Status> {
    match asked {
        Some(0) => Err(Status::invalid_argument("limit is 0; leave it out for 100")),
        asked => {
            let limit = asked.unwrap_or(IN_FLIGHT_LISTED).min(IN_FLIGHT_LISTED_MAX);
            Ok(usize::try_from(limit).unwrap_or(usize::MAX))
        }
    }
}

/// How many records may pass before a look at them ends.
pub(super) fn records(limit: Option<u64>) -> Result<u64, Status> {
    match limit {
        Some(0) => Err(Status::invalid_argument(
            "limit is 0; leave it out for no end",
        )),
        limit => Ok(limit.unwrap_or(u64::MAX)),
    }
}
