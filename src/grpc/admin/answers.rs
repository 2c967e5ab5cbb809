//! How things stand, as messages.

use std::time::Duration;

use super::{View, words};
use crate::core::{
    AsideStep, DrainStatus, Drained, Explanation, Head, InFlight, Moment, Obstacle, ParkedStatus,
    PartitionStatus, Pause, Scope, StreamStatus, TopicIndex,
};
use crate::grpc::admin_proto as proto;

/// How one process stands.
#[must_use]
pub fn process_status(view: &View, topics: &[String]) -> proto::ProcessStatus {
    let status = &view.status;
    proto::ProcessStatus {
        host: view.host.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        group: view.group.clone(),
        uptime: duration(view.now.since(Moment::default())),
        joined: status.joined,
        rebalancing: status.rebalancing,
        ending: status.shutting_down,
        drain: drain_state(status.drain).into(),
        not_ready: view.not_ready.clone().unwrap_or_default(),
        in_flight: status.live,
        held_bytes: status.held_bytes,
        budget_bytes: status.budget_bytes,
        last_commit_age: status
            .last_commit
            .and_then(|at| duration(view.now.since(at))),
        partitions: status
            .partitions
            .iter()
            .map(|partition| partition_status(partition, view.now, topics))
            .collect(),
        streams: status.streams.iter().map(stream_status).collect(),
        pauses: pauses(&view.pauses, view.now, topics),
    }
}

pub(super) fn drain_state(drain: Option<DrainStatus>) -> proto::DrainState {
    match drain {
        None => proto::DrainState::Unspecified,
        Some(DrainStatus { done: false, .. }) => proto::DrainState::Draining,
        Some(DrainStatus {
            undone: Drained::Whole,
            ..
        }) => proto::DrainState::Drained,
        Some(_) => proto::DrainState::DrainedUnclean,
    }
}

fn partition_status(
    status: &PartitionStatus,
    now: Moment,
    topics: &[String],
) -> proto::PartitionStatus {
    let lag = match (status.watermark, status.end) {
        (Some(watermark), Some(end)) => Some(u64::try_from(end - watermark).unwrap_or(0)),
        (Some(_) | None, _) => None,
    };
    proto::PartitionStatus {
        topic: topic(status.partition.topic, topics),
        partition: status.partition.partition,
        assignment: status.assignment.0,
        watermark: status.watermark,
        frontier: status.frontier,
        committed: status.committed,
        end: status.end,
        lag,
        unfinished: status.unfinished,
        waiting: status.waiting,
        in_flight: status.live,
        stands_for: duration(now.since(status.watermark_since)),
        blocked: status
            .blocked
            .map(|blocked| blocked.label().to_owned())
            .unwrap_or_default(),
        aside: status.aside,
    }
}

fn stream_status(status: &StreamStatus) -> proto::StreamStatus {
    proto::StreamStatus {
        stream: status.stream.0,
        client: status.client.clone(),
        open: status.open,
        in_flight: status.live,
        in_flight_bytes: status.live_bytes,
        oldest_age: status.oldest_for.and_then(duration),
    }
}

pub(super) fn pauses(
    pauses: &[(Scope, Pause)],
    now: Moment,
    topics: &[String],
) -> Vec<proto::PauseStatus> {
    let status = |(scope, pause): &(Scope, Pause)| proto::PauseStatus {
        scope: Some(self::scope(*scope, topics)),
        age: duration(now.since(pause.since)),
        reason: pause.reason.clone(),
    };
    pauses.iter().map(status).collect()
}

fn scope(scope: Scope, topics: &[String]) -> proto::Scope {
    match scope {
        Scope::Everything => proto::Scope::default(),
        Scope::Topic(index) => proto::Scope {
            topic: topic(index, topics),
            partition: None,
        },
        Scope::Partition(id) => proto::Scope {
            topic: topic(id.topic, topics),
            partition: Some(id.partition),
        },
    }
}

/// Explanations of partitions, with what holds up the whole process.
#[must_use]
pub fn explained(
    view: &View,
    explanations: &[Explanation],
    topics: &[String],
) -> proto::ExplainResponse {
    let one = |explanation: &Explanation| {
        let status = partition_status(&explanation.status, view.now, topics);
        let place = format!("{}/{}", status.topic, status.partition);
        let causes = explanation.causes.iter();
        proto::Explanation {
            causes: causes
                .map(|found| cause(found, &place, view.now, topics))
                .collect(),
            status: Some(status),
            stuck: explanation.stuck,
        }
    };
    proto::ExplainResponse {
        explanations: explanations.iter().map(one).collect(),
        stuck: explanations.iter().any(|explanation| explanation.stuck),
        process: words::process(&view.status, view.not_ready.as_deref()),
    }
}

fn cause(cause: &Obstacle, place: &str, now: Moment, topics: &[String]) -> proto::Cause {
    let words = words::cause(cause, place, now, topics);
    let message = proto::Cause {
        kind: words.kind.to_owned(),
        text: words.text,
        remedy: words.remedy,
        age: words.since.and_then(|since| duration(now.since(since))),
        ..proto::Cause::default()
    };
    match cause {
        Obstacle::Held { head, delivery } => proto::Cause {
            stream: Some(delivery.stream.0),
            client: delivery.client.clone(),
            ..with_head(message, head)
        },
        Obstacle::RetryDue { head, due } => proto::Cause {
            due_in: duration(due.since(now)),
            ..with_head(message, head)
        },
        Obstacle::DeadLetterPending { head, again, .. } => proto::Cause {
            due_in: again.and_then(|at| duration(at.since(now))),
            ..with_head(message, head)
        },
        Obstacle::Parked { head, .. }
        | Obstacle::Suspected { head }
        | Obstacle::Oversize { head, .. } => with_head(message, head),
        Obstacle::Starting { .. }
        | Obstacle::StartUnanswered { .. }
        | Obstacle::Listing { .. }
        | Obstacle::Unauthorized
        | Obstacle::Stopped(_)
        | Obstacle::Leaving
        | Obstacle::Ending
        | Obstacle::MembershipDoubtful
        | Obstacle::ProducerAwaited { .. }
        | Obstacle::TransactionsFailing { .. }
        | Obstacle::OutputsFull { .. }
        | Obstacle::Paused { .. }
        | Obstacle::CommitFailing { .. }
        | Obstacle::FetchFailing { .. }
        | Obstacle::NoStream
        | Obstacle::StreamsPaused
        | Obstacle::StreamsFull
        | Obstacle::ProcessFull
        | Obstacle::WindowFull { .. }
        | Obstacle::ShareFull { .. }
        | Obstacle::MarksFull
        | Obstacle::NothingReadable { .. }
        | Obstacle::NothingArrives { .. } => message,
    }
}

fn with_head(message: proto::Cause, head: &Head) -> proto::Cause {
    proto::Cause {
        offset: Some(head.offset),
        key_hash: head
            .key_hash
            .map(|hash| format!("{hash:016x}"))
            .unwrap_or_default(),
        failures: head.failures,
        ..message
    }
}

pub(super) fn in_flight(
    delivery: &InFlight,
    now: Moment,
    topics: &[String],
) -> proto::InFlightDelivery {
    proto::InFlightDelivery {
        topic: topic(delivery.partition.topic, topics),
        partition: delivery.partition.partition,
        offset: delivery.offset,
        id: delivery.id.0,
        attempt: delivery.attempt,
        stream: delivery.stream.0,
        client: delivery.client.clone(),
        age: duration(now.since(delivery.since)),
    }
}

pub(super) fn parked(record: &ParkedStatus, now: Moment, topics: &[String]) -> proto::ParkedRecord {
    let (step, error, again) = match &record.step {
        AsideStep::Parked(error) => (proto::ParkedStep::Parked, error.clone(), None),
        AsideStep::Sending => (proto::ParkedStep::Sending, None, None),
        AsideStep::SendAgain(at) => (proto::ParkedStep::SendAgain, None, Some(at.since(now))),
    };
    proto::ParkedRecord {
        topic: topic(record.partition.topic, topics),
        partition: record.partition.partition,
        offset: record.offset,
        cause: record.cause.label().to_owned(),
        reason: record.reason.to_string(),
        failures: record.failures,
        deaths: record.deaths,
        age: duration(now.since(record.since)),
        step: step.into(),
        error: error.unwrap_or_default(),
        again_in: again.and_then(duration),
        behind: record.behind,
    }
}

pub(super) fn topic(index: TopicIndex, topics: &[String]) -> String {
    topics
        .get(usize::from(index.0))
        .cloned()
        .unwrap_or_default()
}

pub(super) fn duration(time: Duration) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(time).ok()
}
