//! What `explain` tells people to type is what the command line takes.

use std::sync::Arc;

use clap::Parser as _;

use crate::cli::Cli;
use crate::core::{
    Assignment, Cause, DeliveryId, Explanation, Head, InFlight, Moment, Obstacle, PartitionId,
    PartitionStatus, Scope, StopReason, StreamId, TopicIndex,
};
use crate::grpc::admin::{View, explained};

const PLACE: PartitionId = PartitionId {
    topic: TopicIndex(0),
    partition: 3,
};
const HEAD: Head = Head {
    offset: 17,
    key_hash: Some(1),
    failures: 2,
};
const NOW: Moment = Moment(5_000_000_000);

/// Every reason, in each form that has words of its own.
fn every_obstacle() -> Vec<Obstacle> {
    let stopped = [
        StopReason::NoCommittedOffset,
        StopReason::OutOfRange,
        StopReason::Corrupt,
        StopReason::OffsetsWentBack,
    ];
    let scopes = [
        Scope::Everything,
        Scope::Topic(PLACE.topic),
        Scope::Partition(PLACE),
    ];
    let mut obstacles = one_of_each();
    obstacles.extend(stopped.map(Obstacle::Stopped));
    obstacles.extend(scopes.map(|scope| Obstacle::Paused {
        scope,
        since: NOW,
        reason: "deploy".to_owned(),
    }));
    obstacles.push(Obstacle::DeadLetterPending {
        head: HEAD,
        since: NOW,
        again: Some(NOW),
    });
    obstacles
}

fn one_of_each() -> Vec<Obstacle> {
    let delivery = InFlight {
        partition: PLACE,
        assignment: Assignment(1),
        offset: HEAD.offset,
        id: DeliveryId(1),
        attempt: 1,
        stream: StreamId(1),
        client: "worker".to_owned(),
        since: NOW,
    };
    let error = || "refused".to_owned();
    vec![
        Obstacle::Starting { error: None },
        Obstacle::Listing { error: None },
        Obstacle::Unauthorized,
        Obstacle::Stopped(StopReason::Corrupt),
        Obstacle::Leaving,
        Obstacle::Ending,
        Obstacle::MembershipDoubtful,
        Obstacle::Paused {
            scope: Scope::Everything,
            since: NOW,
            reason: error(),
        },
        Obstacle::CommitFailing {
            since: NOW,
            error: error(),
            stale: true,
        },
        Obstacle::FetchFailing {
            at: NOW,
            error: error(),
        },
        Obstacle::Held {
            head: HEAD,
            delivery,
        },
        Obstacle::RetryDue {
            head: HEAD,
            due: NOW,
        },
        parked(),
        Obstacle::DeadLetterPending {
            head: HEAD,
            since: NOW,
            again: None,
        },
        Obstacle::Suspected { head: HEAD },
        Obstacle::Oversize {
            head: HEAD,
            size: 9,
        },
        Obstacle::NoStream,
        Obstacle::StreamsPaused,
        Obstacle::StreamsFull,
        Obstacle::ProcessFull,
        window_full(),
        Obstacle::ShareFull { bytes: 1, max: 1 },
        Obstacle::MarksFull,
        Obstacle::NothingReadable { since: NOW },
        Obstacle::NothingArrives { since: NOW },
        Obstacle::StartUnanswered { asked: 2 },
        producer_awaited(),
        transactions_failing(),
        Obstacle::OutputsFull { bytes: 2, max: 1 },
    ]
}

fn parked() -> Obstacle {
    Obstacle::Parked {
        head: HEAD,
        cause: Cause::Failures,
        reason: Arc::from("no such account"),
        refused: Some(Arc::from("TOPIC_AUTHORIZATION_FAILED")),
        since: NOW,
    }
}

fn producer_awaited() -> Obstacle {
    Obstacle::ProducerAwaited {
        fenced: true,
        error: Some("PRODUCER_FENCED".to_owned()),
    }
}

fn transactions_failing() -> Obstacle {
    Obstacle::TransactionsFailing {
        at: NOW,
        error: "TIMED_OUT".to_owned(),
    }
}

fn window_full() -> Obstacle {
    let (unfinished, max) = (1, 1);
    Obstacle::WindowFull { unfinished, max }
}

/// Its place in [`one_of_each`]. A new obstacle does not compile before it has one.
fn index(obstacle: &Obstacle) -> usize {
    match obstacle {
        Obstacle::Starting { .. } => 0,
        Obstacle::Listing { .. } => 1,
        Obstacle::Unauthorized => 2,
        Obstacle::Stopped(_) => 3,
        Obstacle::Leaving => 4,
        Obstacle::Ending => 5,
        Obstacle::MembershipDoubtful => 6,
        Obstacle::Paused { .. } => 7,
        Obstacle::CommitFailing { .. } => 8,
        Obstacle::FetchFailing { .. } => 9,
        Obstacle::Held { .. } => 10,
        Obstacle::RetryDue { .. } => 11,
        Obstacle::Parked { .. } => 12,
        Obstacle::DeadLetterPending { .. } => 13,
        Obstacle::Suspected { .. } => 14,
        Obstacle::Oversize { .. } => 15,
        Obstacle::NoStream => 16,
        Obstacle::StreamsPaused => 17,
        Obstacle::StreamsFull => 18,
        Obstacle::ProcessFull => 19,
        Obstacle::WindowFull { .. } => 20,
        Obstacle::ShareFull { .. } => 21,
        Obstacle::MarksFull => 22,
        Obstacle::NothingReadable { .. } => 23,
        Obstacle::NothingArrives { .. } => 24,
        Obstacle::StartUnanswered { .. } => 25,
        Obstacle::ProducerAwaited { .. } => 26,
        Obstacle::TransactionsFailing { .. } => 27,
        Obstacle::OutputsFull { .. } => 28,
    }
}

fn explanation(obstacle: Obstacle) -> Explanation {
    let status = PartitionStatus {
        partition: PLACE,
        assignment: Assignment(1),
        watermark: Some(17),
        frontier: Some(20),
        committed: Some(17),
        end: Some(30),
        unfinished: 3,
        waiting: 2,
        live: 1,
        aside: 0,
        waiting_bytes: 0,
        watermark_since: Moment(0),
        blocked: None,
    };
    Explanation {
        status,
        causes: vec![obstacle],
        stuck: true,
    }
}

/// The commands in a remedy: from the program's name to what cannot belong to one.
fn commands(remedy: &str) -> Vec<String> {
    let starts = remedy.match_indices("ackline ").map(|(start, _)| start);
    let command = |start: usize| {
        let rest = &remedy[start..];
        let end = rest.find(['`', ',', ';']).unwrap_or(rest.len());
        rest[..end].replace("OFFSET", "18")
    };
    starts.map(command).collect()
}

#[test]
fn every_command_that_explain_advises_is_one() {
    let indices: Vec<usize> = one_of_each().iter().map(index).collect();
    let all: Vec<usize> = (0..indices.len()).collect();
    assert_eq!(indices, all, "one of each");
    let view = View {
        now: NOW,
        ..View::default()
    };
    let explanations: Vec<_> = every_obstacle().into_iter().map(explanation).collect();
    let answer = explained(&view, &explanations, &["orders".to_owned()]);
    let mut advised = Vec::new();
    for explanation in answer.explanations {
        advised.extend(commands(&explanation.causes[0].remedy));
    }
    // The remedy of a parked record names the other two beside the first.
    let others = ["skip", "dead-letter"]
        .map(|action| format!("ackline parked {action} orders/3/17 --reason …"));
    advised.extend(others);
    for command in &advised {
        let parsed = Cli::try_parse_from(command.split(' '));
        assert!(parsed.is_ok(), "{command}: {:?}", parsed.err());
    }
    let count = |word: &str| {
        advised
            .iter()
            .filter(|command| command.contains(word))
            .count()
    };
    let found = ["seek", "resume", "parked", "inflight"].map(count);
    assert_eq!(found, [5, 4, 4, 3], "{advised:#?}");
}

#[test]
fn a_parked_record_tells_who_gave_it_up_and_who_refused_it() {
    let view = View {
        now: NOW,
        ..View::default()
    };
    let parked = one_of_each().swap_remove(12);
    let answer = explained(&view, &[explanation(parked)], &["orders".to_owned()]);
    let text = &answer.explanations[0].causes[0].text;
    let parts = [
        "no such account",
        "its dead-letter topic cannot take it: TOPIC_AUTHORIZATION_FAILED",
    ];
    assert!(parts.iter().all(|part| text.contains(part)), "{text}");
}

#[test]
fn a_process_without_topics_says_so() {
    let mut view = View {
        now: NOW,
        ..View::default()
    };
    let told = |view: &View| explained(view, &[], &[]).process;
    assert!(told(&view).contains("opens a stream"));
    view.status.without_topics = true;
    assert!(told(&view).contains("no topic so far"));
}
