//! Answers for programs. Names are those of `admin.proto`; ages are in seconds.

use serde_json::{Value, json};

use crate::grpc::admin_proto as proto;

pub(super) fn status(status: &proto::ProcessStatus) -> Value {
    json!({
        "host": status.host,
        "version": status.version,
        "group": status.group,
        "uptime": seconds(status.uptime.as_ref()),
        "joined": status.joined,
        "rebalancing": status.rebalancing,
        "ending": status.ending,
        "drain": drain(status.drain()),
        "not_ready": status.not_ready,
        "in_flight": status.in_flight,
        "held_bytes": status.held_bytes,
        "budget_bytes": status.budget_bytes,
        "last_commit_age": seconds(status.last_commit_age.as_ref()),
        "partitions": status.partitions.iter().map(partition).collect::<Vec<_>>(),
        "streams": status.streams.iter().map(stream).collect::<Vec<_>>(),
        "pauses": status.pauses.iter().map(pause).collect::<Vec<_>>(),
    })
}

fn drain(state: proto::DrainState) -> Option<&'static str> {
    match state {
        proto::DrainState::Unspecified => None,
        proto::DrainState::Draining => Some("draining"),
        proto::DrainState::Drained => Some("drained"),
        proto::DrainState::DrainedUnclean => Some("drained_unclean"),
    }
}

fn partition(at: &proto::PartitionStatus) -> Value {
    json!({
        "topic": at.topic,
        "partition": at.partition,
        "assignment": at.assignment,
        "watermark": at.watermark,
        "frontier": at.frontier,
        "committed": at.committed,
        "end": at.end,
        "lag": at.lag,
        "unfinished": at.unfinished,
        "waiting": at.waiting,
        "in_flight": at.in_flight,
        "stands_for": seconds(at.stands_for.as_ref()),
        "aside": at.aside,
        "blocked": at.blocked,
    })
}

fn stream(at: &proto::StreamStatus) -> Value {
    json!({
        "stream": at.stream,
        "client": at.client,
        "open": at.open,
        "in_flight": at.in_flight,
        "in_flight_bytes": at.in_flight_bytes,
        "oldest_age": seconds(at.oldest_age.as_ref()),
    })
}

fn pause(at: &proto::PauseStatus) -> Value {
    let scope = at.scope.clone().unwrap_or_default();
    json!({
        "topic": scope.topic,
        "partition": scope.partition,
        "age": seconds(at.age.as_ref()),
        "reason": at.reason,
    })
}

pub(super) fn explanations(answer: &proto::ExplainResponse) -> Value {
    let one = |at: &proto::Explanation| {
        json!({
            "status": at.status.as_ref().map(partition),
            "stuck": at.stuck,
            "causes": at.causes.iter().map(cause).collect::<Vec<_>>(),
        })
    };
    json!({
        "process": answer.process,
        "stuck": answer.stuck,
        "explanations": answer.explanations.iter().map(one).collect::<Vec<_>>(),
    })
}

fn cause(at: &proto::Cause) -> Value {
    json!({
        "kind": at.kind,
        "text": at.text,
        "remedy": at.remedy,
        "offset": at.offset,
        "key_hash": at.key_hash,
        "failures": at.failures,
        "stream": at.stream,
        "client": at.client,
        "age": seconds(at.age.as_ref()),
        "due_in": seconds(at.due_in.as_ref()),
    })
}

pub(super) fn in_flight(answer: &proto::ListInFlightResponse) -> Value {
    let one = |at: &proto::InFlightDelivery| {
        json!({
            "topic": at.topic,
            "partition": at.partition,
            "offset": at.offset,
            "id": at.id,
            "attempt": at.attempt,
            "stream": at.stream,
            "client": at.client,
            "age": seconds(at.age.as_ref()),
        })
    };
    json!({
        "in_flight": answer.in_flight,
        "deliveries": answer.deliveries.iter().map(one).collect::<Vec<_>>(),
    })
}

pub(super) fn seconds(time: Option<&prost_types::Duration>) -> Option<f64> {
    let time = std::time::Duration::try_from(*time?).ok()?;
    Some(time.as_secs_f64())
}
