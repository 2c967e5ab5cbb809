//! What is healthy, judged by what the core says of itself.

use std::time::Duration;

use crate::core::{Blocked, Moment, Status, TransactionStatus};

/// How long a part of the process may stand still.
const STILL_MAX: Duration = Duration::from_secs(30);

/// Whether the process does its work: `parts` are the things that must happen again and again, each
/// with the moment when it last did.
///
/// # Errors
///
/// Which part stands still, and for how long.
pub fn liveness(now: Moment, parts: &[(&str, Moment)]) -> Result<(), String> {
    for (part, last) in parts {
        let still = now.since(*last);
        if still > STILL_MAX {
            return Err(format!("{part} has stood still for {} s", still.as_secs()));
        }
    }
    Ok(())
}

/// Whether records can flow. Waiting for the first stream is healthy: the application may not have
/// started yet. So is a partition that stands until a person acts: taking the pod out of service
/// would not help it.
///
/// # Errors
///
/// The first reason why they cannot.
pub fn readiness(status: &Status, topics: &[String]) -> Result<(), String> {
    if status.shutting_down {
        return Err("the process is ending".to_owned());
    }
    if status.drain.is_some() {
        return Err("drained before its end; records flow again after a restart".to_owned());
    }
    let unauthorized = status
        .partitions
        .iter()
        .find(|at| at.blocked == Some(Blocked::Unauthorized));
    if let Some(at) = unauthorized {
        let topic = topics
            .get(usize::from(at.partition.topic.0))
            .map_or("?", String::as_str);
        return Err(format!(
            "not allowed to use topic {topic} with this group; give READ permission to both"
        ));
    }
    if status.stale_partitions > 0 {
        let because = status.stale_error.iter();
        let because: String = because.map(|error| format!(": {error}")).collect();
        return Err(format!(
            "no commit of {} partitions succeeded for longer than commit.staleness_max{because}",
            status.stale_partitions
        ));
    }
    if let Some((count, error)) = &status.unreadable {
        return Err(format!(
            "where to begin with {count} partitions cannot be read: {error}"
        ));
    }
    if let Some(transactions) = status.transactions.as_ref().filter(|_| status.joined) {
        transactional_readiness(transactions)?;
    }
    if status.membership_doubtful {
        return Err("the process stood still; a commit must confirm its membership".to_owned());
    }
    Ok(())
}

fn transactional_readiness(transactions: &TransactionStatus) -> Result<(), String> {
    if transactions.fenced {
        return Err(
            "another process uses our transactions.id; give each process its own".to_owned(),
        );
    }
    if let Some(error) = transactions.error.as_ref().filter(|_| !transactions.ready) {
        return Err(format!(
            "the transactional producer cannot be made: {error}"
        ));
    }
    if transactions.failing {
        let because = transactions.last_failure.iter();
        let because: String = because.map(|(_, error)| format!(": {error}")).collect();
        return Err(format!(
            "several transactions in a row had no effect, and nothing is delivered before one has{because}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{Assignment, PartitionId, PartitionStatus, StopReason, TopicIndex};

    const SECOND: u64 = 1_000_000_000;

    fn status(blocked: Option<Blocked>) -> Status {
        let partition = PartitionStatus {
            partition: PartitionId {
                topic: TopicIndex(0),
                partition: 0,
            },
            assignment: Assignment(1),
            watermark: None,
            frontier: None,
            committed: None,
            end: None,
            unfinished: 0,
            waiting: 0,
            aside: 0,
            live: 0,
            waiting_bytes: 0,
            watermark_since: Moment(0),
            blocked,
        };
        Status {
            partitions: vec![partition],
            ..Status::default()
        }
    }

    fn reason(status: &Status) -> String {
        readiness(status, &["orders".to_owned()]).unwrap_err()
    }

    #[test]
    fn a_part_may_stand_still_for_thirty_seconds() {
        let parts = [
            ("popping", Moment(5 * SECOND)),
            ("the core", Moment(9 * SECOND)),
        ];
        assert_eq!(liveness(Moment(35 * SECOND), &parts), Ok(()));
        let late = liveness(Moment(36 * SECOND), &parts);
        assert_eq!(late, Err("popping has stood still for 31 s".to_owned()));
    }

    #[test]
    fn waiting_and_stopped_partitions_are_ready() {
        for blocked in [
            None,
            Some(Blocked::NoStream),
            Some(Blocked::Starting),
            Some(Blocked::Full),
            Some(Blocked::MarksFull),
            Some(Blocked::Stopped(StopReason::OutOfRange)),
        ] {
            assert_eq!(readiness(&status(blocked), &[]), Ok(()), "{blocked:?}");
        }
        assert_eq!(readiness(&Status::default(), &[]), Ok(()), "not joined yet");
    }

    #[test]
    fn every_reason_is_named() {
        assert!(reason(&status(Some(Blocked::Unauthorized))).contains("topic orders"));
        let status = Status {
            stale_partitions: 2,
            ..Status::default()
        };
        assert!(reason(&status).contains("no commit of 2 partitions succeeded"));
        let status = Status {
            stale_error: Some("offset store: no route".to_owned()),
            ..status
        };
        assert!(reason(&status).ends_with(": offset store: no route"));
        let status = Status {
            unreadable: Some((3, "offset store: no route".to_owned())),
            ..Status::default()
        };
        assert!(reason(&status).contains("3 partitions cannot be read: offset store: no route"));
        let status = Status {
            membership_doubtful: true,
            ..Status::default()
        };
        assert!(reason(&status).contains("membership"));
        let status = Status {
            shutting_down: true,
            stale_partitions: 2,
            ..Status::default()
        };
        assert_eq!(reason(&status), "the process is ending");
        let status = Status {
            drain: Some(crate::core::DrainStatus {
                since: Moment(0),
                done: true,
                undone: crate::core::Drained::Whole,
            }),
            ..Status::default()
        };
        assert!(reason(&status).contains("drained"));
    }
}
