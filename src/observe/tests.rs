use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, UNIX_EPOCH};

use tracing::Level;

use super::*;
use crate::core::status::Counters;
use crate::core::{
    Assignment, Blocked, CommitError, PartitionId, PartitionStatus, Status, StopReason,
    StreamStatus, TopicIndex, TransactionStatus,
};

const PARTITION: PartitionId = PartitionId {
    topic: TopicIndex(1),
    partition: 7,
};
const SECOND: u64 = 1_000_000_000;

fn observer() -> Observer {
    Observer::new(["orders".to_owned(), "payments".to_owned()].into())
}

#[allow(clippy::too_many_lines)] // a table with one row for each event
fn every_event() -> Vec<Event> {
    let (partition, offset) = (PARTITION, 40);
    let error = || "broker's words".to_owned();
    let mut events = vec![
        Event::Assigned { partitions: 2 },
        Event::Revoking { partitions: 2 },
        Event::Lost { partitions: 2 },
        Event::Started {
            partition,
            assignment: Assignment(1),
            offset,
            restored: 3,
        },
        Event::StartedByPolicy {
            partition,
            offset,
            new_partition: true,
        },
        Event::StartedByPolicy {
            partition,
            offset,
            new_partition: false,
        },
        Event::MetadataIgnored {
            partition,
            reason: "checksum",
        },
        Event::UnreadAssigned { partitions: 2 },
        Event::Unowned { partitions: 2 },
        Event::ClaimOvertaken { partition },
        Event::TopicsFound { topics: 2 },
        Event::TopicsGone { topics: 1 },
        Event::TopicsLeftOut { topics: 3 },
        Event::TopicsLeftOut { topics: 0 },
        Event::TopicMadeAgain { partition },
        Event::Truncated {
            partition,
            from: 40,
            to: 30,
        },
        Event::Skipped {
            partition,
            from: 40,
            to: 50,
        },
        Event::FetchRestarted {
            partition,
            offset,
            error: error(),
        },
        Event::ReadRetried {
            what: "committed offsets",
            error: error(),
        },
        Event::CommitRecovered,
        Event::MarksDropped { partition },
        Event::TransactionAborted {
            partitions: 2,
            reason: error(),
        },
        Event::TransactionUnknown {
            partitions: 2,
            reason: error(),
        },
        Event::OutputRefused {
            partition,
            offset,
            reason: error().into(),
        },
        Event::ProducerFailed {
            fenced: true,
            error: error(),
        },
        Event::ProducerFailed {
            fenced: false,
            error: error(),
        },
        Event::ProducerRecovered,
        Event::MarksTooLarge { partition },
        Event::MetadataLimited { characters: 900 },
        Event::OutputsLost {
            partition,
            records: 3,
        },
        Event::CommitsStale {
            partitions: vec![partition],
        },
        Event::CommitsFresh {
            partitions: vec![partition],
        },
        Event::MembershipDoubtful,
        Event::MembershipConfirmed,
        Event::UnsettledForLong {
            partition,
            offset,
            stream: StreamId(5),
        },
        Event::Oversize {
            partition,
            offset,
            size: 9_000_000,
        },
        Event::Paused { partition },
        Event::Resumed { partition },
        Event::Fenced,
    ];
    for reason in [
        StopReason::NoCommittedOffset,
        StopReason::OutOfRange,
        StopReason::Corrupt,
        StopReason::OffsetsWentBack,
    ] {
        events.push(Event::Stopped {
            partition,
            offset,
            reason,
        });
    }
    for failure in [
        CommitError::NotMember(error()),
        CommitError::Transient(error()),
        CommitError::MetadataTooLarge,
        CommitError::Unauthorized(error()),
        CommitError::Claimed(error()),
    ] {
        events.push(Event::CommitFailed {
            partition,
            offset,
            error: failure,
        });
    }
    events
}

fn status() -> Status {
    Status {
        partitions: vec![PartitionStatus {
            partition: PARTITION,
            assignment: Assignment(3),
            watermark: Some(100),
            frontier: Some(120),
            committed: Some(90),
            end: Some(1_100),
            unfinished: 20,
            waiting: 5,
            aside: 0,
            live: 15,
            waiting_bytes: 5_000,
            watermark_since: Moment(10 * SECOND),
            blocked: Some(Blocked::Full),
        }],
        streams: vec![StreamStatus {
            stream: StreamId(5),
            client: "canary client".to_owned(),
            open: true,
            live: 15,
            live_bytes: 15_000,
            oldest_id: Some(1),
            oldest_for: Some(Duration::from_secs(4)),
        }],
        live: 15,
        held_bytes: 20_000,
        budget_bytes: 1 << 20,
        joined: true,
        last_commit: Some(Moment(12 * SECOND)),
        counters: Counters {
            taken_in: 200,
            retried: 3,
            rebalances_lost: 1,
            ..Counters::default()
        },
        ..Status::default()
    }
}

fn metrics(observer: &Observer, status: &Status) -> String {
    observer.metrics(&Snapshot {
        status,
        now: Moment(20 * SECOND),
        wall: UNIX_EPOCH + Duration::from_secs(1_000_020),
    })
}

#[test]
fn messages_follow_the_form_and_errors_say_what_to_do() {
    for event in every_event() {
        let line = core_events::line(&event);
        let first = line.message.chars().next().unwrap();
        assert!(
            first.is_lowercase() && !line.message.ends_with('.'),
            "{line:?}"
        );
        assert!(
            line.event
                .chars()
                .all(|c| c.is_ascii_lowercase() || c == '_'),
            "{line:?}"
        );
        if line.level == Level::ERROR {
            assert!(line.message.contains(';'), "no remedy: {line:?}");
        }
    }
}

#[test]
fn levels_say_who_must_act() {
    let level = |event: Event| core_events::line(&event).level;
    let (partition, offset) = (PARTITION, 1);
    assert_eq!(level(Event::Assigned { partitions: 1 }), Level::INFO);
    assert_eq!(level(Event::Lost { partitions: 1 }), Level::WARN);
    assert_eq!(
        level(Event::Stopped {
            partition,
            offset,
            reason: StopReason::OutOfRange
        }),
        Level::ERROR
    );
    let failed = |error| Event::CommitFailed {
        partition,
        offset,
        error,
    };
    assert_eq!(
        level(failed(CommitError::Transient(String::new()))),
        Level::WARN
    );
    assert_eq!(
        level(failed(CommitError::Unauthorized(String::new()))),
        Level::ERROR
    );
    assert_eq!(level(Event::Paused { partition }), Level::DEBUG);
}

#[test]
fn lines_carry_their_place_and_the_words_of_others_cut() {
    let line = core_events::line(&Event::Skipped {
        partition: PARTITION,
        from: 40,
        to: 50,
    });
    let fields = &line.fields;
    assert_eq!(
        (
            fields.partition,
            fields.offset,
            fields.to_offset,
            fields.count
        ),
        (Some(PARTITION), Some(40), Some(50), Some(10))
    );
    let error = "x".repeat(10_000);
    let line = core_events::line(&Event::ReadRetried {
        what: "topics",
        error,
    });
    assert!(line.fields.error.unwrap().chars().count() <= 301);
}

#[test]
fn every_event_is_counted_under_the_name_of_its_line() {
    let observer = observer();
    let mut expected: BTreeMap<&str, u64> = BTreeMap::new();
    for event in every_event() {
        *expected.entry(core_events::line(&event).event).or_default() += 1;
        observer.report(Moment(0), &event);
    }
    let text = metrics(&observer, &status());
    for (name, count) in expected {
        let sample = format!("ackline_events_total{{event=\"{name}\"}} {count}\n");
        assert!(text.contains(&sample), "{sample}\n{text}");
    }
    assert!(text.contains(
        "ackline_offsets_skipped_total{topic=\"payments\",reason=\"out_of_range\"} 10\n"
    ));
    assert!(text.contains("ackline_commit_failures_total{class=\"metadata_too_large\"} 1\n"));
}

#[test]
fn metrics_show_the_status_with_points_in_time() {
    let text = metrics(&observer(), &status());
    for sample in [
        "ackline_backlog_records{topic=\"payments\",partition=\"7\"} 1000.0\n",
        "ackline_watermark_held_since_timestamp_seconds{topic=\"payments\",partition=\"7\"} 1000010.0\n",
        "ackline_blocked{topic=\"payments\",partition=\"7\",reason=\"full\"} 1.0\n",
        "ackline_last_commit_timestamp_seconds 1000012.0\n",
        "ackline_oldest_delivery_timestamp_seconds 1000016.0\n",
        "ackline_start_timestamp_seconds 1000000.0\n",
        "ackline_streams 1.0\n",
        "ackline_held_bytes 20000.0\n",
        "ackline_records_taken_in_total 200\n",
        "ackline_redeliveries_total{reason=\"retry\"} 3\n",
        "ackline_rebalances_total{kind=\"lost\"} 1\n",
    ] {
        assert!(text.contains(sample), "{sample}\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
    assert!(!text.contains("canary"), "clients are no labels");
}

#[test]
fn a_partition_that_left_leaves_no_sample_behind() {
    let observer = observer();
    assert!(metrics(&observer, &status()).contains("partition=\"7\""));
    let alone = Status {
        partitions: Vec::new(),
        ..status()
    };
    assert!(!metrics(&observer, &alone).contains("partition=\"7\""));
}

#[test]
fn what_is_not_known_has_no_sample() {
    let mut unknown = status();
    unknown.last_commit = None;
    unknown.streams.clear();
    let partition = &mut unknown.partitions[0];
    (partition.watermark, partition.end, partition.unfinished) = (None, None, 0);
    let text = metrics(&observer(), &unknown);
    for name in [
        "last_commit",
        "oldest_delivery",
        "backlog",
        "watermark_offset",
        "watermark_held",
    ] {
        assert!(!text.contains(&format!("ackline_{name}")), "{name}\n{text}");
    }
}

#[test]
fn the_reference_lists_exactly_what_is_served() {
    let observer = observer();
    every_event()
        .iter()
        .for_each(|event| observer.report(Moment(0), event));
    let refused = ProcessEvent::Refused {
        reason: "uid",
        uid: Some(7),
    };
    observer.report_process(Moment(0), &refused);
    let transactional = Status {
        transactions: Some(TransactionStatus {
            ready: true,
            error: None,
            fenced: false,
            failing: false,
            waiting_records: 1,
            waiting_bytes: 9,
            last_failure: None,
        }),
        ..status()
    };
    let text = metrics(&observer, &transactional);
    let served: BTreeSet<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split(['{', ' ']).next())
        .collect();
    let reference = metrics_reference();
    let listed: BTreeSet<&str> = reference
        .lines()
        .skip(2)
        .filter_map(|line| line.split('`').nth(1))
        .collect();
    assert_eq!(served, listed);
    for sample in text.lines().filter(|line| line.contains('{')) {
        let (name, labels) = sample.split_once('{').unwrap();
        let row = reference
            .lines()
            .find(|row| row.contains(&format!("`{name}`")))
            .unwrap();
        for label in labels
            .split("\",")
            .filter_map(|label| label.split('=').next())
        {
            assert!(row.contains(&format!("`{label}`")), "{label} in {row}");
        }
    }
}

#[test]
fn lines_about_a_stream_name_its_client_until_it_ends() {
    let observer = observer();
    let stream = StreamId(5);
    let opened = ProcessEvent::StreamOpened {
        stream,
        client: "worker".to_owned(),
        uid: Some(1000),
    };
    observer.report_process(Moment(0), &opened);
    assert_eq!(observer.state().clients[&stream], "worker");
    let ended = ProcessEvent::StreamEnded {
        stream,
        reason: "closed",
    };
    observer.report_process(Moment(0), &ended);
    assert!(observer.state().clients.is_empty());
}
