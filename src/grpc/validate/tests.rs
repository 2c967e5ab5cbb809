use super::*;
use crate::core::{CommitMode, Order, Positions};

fn terms() -> Terms {
    Terms {
        in_flight_records: 100,
        in_flight_records_max: 1000,
        in_flight_bytes: 8 << 20,
        in_flight_bytes_max: 16 << 20,
        batch_records: 64,
        batch_bytes: 256 << 10,
        batch_linger: Duration::from_millis(5),
        order: Order::Partition,
        lane_depth: 100,
        commit_mode: CommitMode::OnAck,
        positions: Positions::Store,
        deadline: Duration::ZERO,
        dead_letters: true,
        transactional: false,
    }
}

fn topics() -> Vec<String> {
    vec!["orders".to_owned(), "refunds".to_owned()]
}

fn try_open(asked: proto::Open) -> Result<StreamOpen, Invalid> {
    open(&asked, &topics(), &terms())
}

fn refused_field(asked: proto::Open) -> &'static str {
    try_open(asked).unwrap_err().field
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

#[test]
fn absent_means_default() {
    let open = try_open(proto::Open::default()).unwrap();
    assert_eq!(open.topics, None);
    assert_eq!(open.in_flight_records_max, 100);
    assert_eq!(open.in_flight_bytes_max, 8 << 20);
    assert_eq!(
        open.message_bytes_max,
        u64::from(MESSAGE_BYTES_DEFAULT - wire::HEAD_MAX)
    );
    assert_eq!(open.batch_records_max, 64);
    assert_eq!(open.batch_bytes_max, 256 << 10);
    assert_eq!(open.batch_linger, Duration::from_millis(5));
    assert_eq!(open.keep_after_close, Duration::ZERO);
    assert!(!open.notice_partitions && !open.notice_committed && !open.notice_caught_up);
}

#[test]
fn zero_limit_is_refused_by_name() {
    let fields = [
        (
            "max_in_flight_records",
            proto::Open {
                max_in_flight_records: Some(0),
                ..Default::default()
            },
        ),
        (
            "max_in_flight_bytes",
            proto::Open {
                max_in_flight_bytes: Some(0),
                ..Default::default()
            },
        ),
        (
            "max_message_bytes",
            proto::Open {
                max_message_bytes: Some(0),
                ..Default::default()
            },
        ),
        (
            "max_batch_records",
            proto::Open {
                max_batch_records: Some(0),
                ..Default::default()
            },
        ),
        (
            "max_batch_bytes",
            proto::Open {
                max_batch_bytes: Some(0),
                ..Default::default()
            },
        ),
    ];
    for (field, asked) in fields {
        let error = try_open(asked).unwrap_err();
        assert_eq!(error.field, field);
        assert!(error.problem.contains("leave it out"), "{error}");
    }
}

#[test]
fn limits_are_lowered_to_those_of_the_process() {
    let open = try_open(proto::Open {
        max_in_flight_records: Some(u32::MAX),
        max_in_flight_bytes: Some(u64::MAX),
        max_message_bytes: Some(u32::MAX),
        ..Default::default()
    })
    .unwrap();
    assert_eq!(open.in_flight_records_max, 1000);
    assert_eq!(open.in_flight_bytes_max, 16 << 20);
    assert_eq!(open.message_bytes_max, u64::from(u32::MAX - wire::HEAD_MAX));
}

#[test]
fn message_limit_has_a_floor() {
    let small = |max| proto::Open {
        max_message_bytes: Some(max),
        ..Default::default()
    };
    assert_eq!(
        refused_field(small(MESSAGE_BYTES_MIN - 1)),
        "max_message_bytes"
    );
    assert!(try_open(small(MESSAGE_BYTES_MIN)).is_ok());
}

#[test]
fn unknown_topic_is_refused_and_named_without_its_control_characters() {
    let error = try_open(proto::Open {
        topics: vec!["orders".to_owned(), "x\r\n\u{1b}[2J\u{2028}".to_owned()],
        ..Default::default()
    })
    .unwrap_err();
    assert_eq!(error.field, "topics");
    assert!(
        error.problem.contains(r"`x\r\n\u{1b}[2J\u{2028}`"),
        "{error}"
    );
    assert!(error.problem.contains("`orders`, `refunds`"), "{error}");
}

#[test]
fn topics_may_repeat() {
    let open = try_open(proto::Open {
        topics: vec!["refunds".to_owned(), "refunds".to_owned()],
        ..Default::default()
    })
    .unwrap();
    assert_eq!(open.topics, Some(BTreeSet::from([TopicIndex(1)])));
}

#[test]
fn topics_have_a_limit() {
    let topics = vec!["orders".to_owned(); TOPICS_MAX + 1];
    let asked = proto::Open {
        topics: topics.clone(),
        ..Default::default()
    };
    assert_eq!(refused_field(asked), "topics");
    let asked = proto::Open {
        topics: topics[1..].to_vec(),
        ..Default::default()
    };
    assert!(try_open(asked).is_ok());
}

#[test]
fn notices_are_wanted_one_by_one() {
    let open = try_open(proto::Open {
        notices: vec![proto::Notice::Committed.into()],
        ..Default::default()
    })
    .unwrap();
    assert!(!open.notice_partitions && open.notice_committed && !open.notice_caught_up);
    for number in [0, 4, -1] {
        let asked = proto::Open {
            notices: vec![number],
            ..Default::default()
        };
        assert_eq!(refused_field(asked), "notices");
    }
}

#[test]
fn durations_outside_their_range_are_refused() {
    let linger = |batch_linger| proto::Open {
        batch_linger,
        ..Default::default()
    };
    let keep = |keep_after_close| proto::Open {
        keep_after_close,
        ..Default::default()
    };
    assert!(try_open(linger(seconds(10))).is_ok());
    assert_eq!(refused_field(linger(seconds(11))), "batch_linger");
    assert_eq!(refused_field(linger(seconds(-1))), "batch_linger");
    assert!(try_open(keep(seconds(600))).is_ok());
    assert_eq!(refused_field(keep(seconds(601))), "keep_after_close");
    assert_eq!(refused_field(keep(seconds(i64::MIN))), "keep_after_close");
    let nanos = |nanos| linger(Some(prost_types::Duration { seconds: 0, nanos }));
    assert_eq!(refused_field(nanos(-1)), "batch_linger");
    assert_eq!(refused_field(nanos(1_000_000_000)), "batch_linger");
    assert_eq!(
        try_open(linger(seconds(0))).unwrap().batch_linger,
        Duration::ZERO
    );
}

#[test]
fn client_name_is_cut_and_made_printable() {
    let name = |client: &str| {
        try_open(proto::Open {
            client: client.to_owned(),
            ..Default::default()
        })
        .unwrap()
        .client
    };
    assert_eq!(name("billing-7"), "billing-7");
    assert_eq!(name("größe 'x'"), "größe 'x'");
    assert_eq!(name("a\nb"), r"a\nb");
    assert_eq!(name(&"x".repeat(1000)).len(), CLIENT_BYTES_MAX);
    assert_eq!(
        name(&format!("{}ß", "x".repeat(127))).len(),
        127,
        "no half character"
    );
}

#[test]
fn flow_changes_only_what_it_names() {
    let change = flow(&proto::SetFlow::default(), &terms()).unwrap();
    assert_eq!(
        (
            change.paused,
            change.in_flight_records_max,
            change.in_flight_bytes_max
        ),
        (None, None, None)
    );
    let asked = proto::SetFlow {
        paused: Some(true),
        max_in_flight_records: Some(u32::MAX),
        max_in_flight_bytes: Some(1),
    };
    let change = flow(&asked, &terms()).unwrap();
    assert_eq!(
        (
            change.paused,
            change.in_flight_records_max,
            change.in_flight_bytes_max
        ),
        (Some(true), Some(1000), Some(1))
    );
    let zero = proto::SetFlow {
        max_in_flight_records: Some(0),
        ..Default::default()
    };
    assert_eq!(
        flow(&zero, &terms()).unwrap_err().field,
        "max_in_flight_records"
    );
}

fn settle(outcome: proto::Outcome, ids: Vec<u64>, ranges: &[(u64, u64)]) -> proto::Settlement {
    proto::Settlement {
        deliveries: Some(proto::Ids {
            ids,
            ranges: ranges
                .iter()
                .map(|&(first, last)| proto::IdRange { first, last })
                .collect(),
        }),
        outcome: outcome.into(),
        ..Default::default()
    }
}

#[test]
fn neighbouring_ids_become_one_range() {
    let asked = settle(
        proto::Outcome::Ack,
        vec![7, 8, 9, 11, u64::MAX, 0],
        &[(3, 3)],
    );
    let settlement = settlement(&asked, &terms()).unwrap();
    let ranges: Vec<_> = settlement
        .ids
        .iter()
        .map(|ids| (ids.first, ids.last))
        .collect();
    assert_eq!(
        ranges,
        [(7, 9), (11, 11), (u64::MAX, u64::MAX), (0, 0), (3, 3)]
    );
}

#[test]
fn outcome_that_is_unset_or_unknown_is_refused() {
    for outcome in [0, 6, 99, -1] {
        let asked = proto::Settlement {
            outcome,
            ..Default::default()
        };
        assert_eq!(
            settlement(&asked, &terms()).unwrap_err().field,
            "outcome",
            "{outcome}"
        );
    }
}

#[test]
fn retry_delay_goes_with_retry_only() {
    let mut asked = settle(proto::Outcome::Retry, vec![1], &[]);
    assert_eq!(
        settlement(&asked, &terms()).unwrap().outcome,
        Outcome::Retry { delay: None }
    );
    asked.retry_delay = seconds(3);
    assert_eq!(
        settlement(&asked, &terms()).unwrap().outcome,
        Outcome::Retry {
            delay: Some(Duration::from_secs(3))
        }
    );
    asked.set_outcome(proto::Outcome::Release);
    assert_eq!(
        settlement(&asked, &terms()).unwrap_err().field,
        "retry_delay"
    );
    asked.set_outcome(proto::Outcome::Retry);
    asked.retry_delay = seconds(24 * 3600 + 1);
    assert_eq!(
        settlement(&asked, &terms()).unwrap_err().field,
        "retry_delay"
    );
}

#[test]
fn dead_letters_need_a_topic() {
    let asked = settle(proto::Outcome::DeadLetter, vec![1], &[]);
    assert_eq!(
        settlement(&asked, &terms()).unwrap().outcome,
        Outcome::DeadLetter
    );
    let without = Terms {
        dead_letters: false,
        ..terms()
    };
    let refused = settlement(&asked, &without).unwrap_err();
    assert!(refused.problem.contains("dead_letter.topic"), "{refused}");
}

#[test]
fn extension_says_for_how_long() {
    let deliveries = Some(proto::Ids {
        ids: vec![3, 4],
        ranges: Vec::new(),
    });
    let by = |by| proto::Extend {
        deliveries: deliveries.clone(),
        by,
    };
    let asked = extend(&by(seconds(30))).unwrap();
    assert_eq!((asked.ids.len(), asked.by), (1, Duration::from_secs(30)));
    for wrong in [None, seconds(0), seconds(-1), seconds(24 * 3600 + 1)] {
        assert_eq!(extend(&by(wrong)).unwrap_err().field, "by");
    }
}

#[test]
fn range_that_runs_backwards_is_refused() {
    let asked = settle(proto::Outcome::Ack, Vec::new(), &[(1, 5), (9, 8)]);
    assert_eq!(settlement(&asked, &terms()).unwrap_err().field, "ranges");
}

#[test]
fn reason_is_cut() {
    let mut asked = settle(proto::Outcome::Retry, vec![1], &[]);
    asked.reason = "ü".repeat(600);
    assert_eq!(
        settlement(&asked, &terms()).unwrap().reason.len(),
        REASON_BYTES_MAX
    );
}

#[test]
fn settlement_without_ids_is_nothing() {
    let asked = proto::Settlement {
        outcome: proto::Outcome::Ack.into(),
        ..Default::default()
    };
    assert_eq!(settlement(&asked, &terms()).unwrap().ids, []);
}

#[test]
fn caller_waits_for_the_commit_only_if_it_says_so() {
    assert_eq!(waits_for_commit(0), Ok(false));
    assert_eq!(waits_for_commit(1), Ok(false));
    assert_eq!(waits_for_commit(2), Ok(true));
    assert_eq!(waits_for_commit(3).unwrap_err().field, "wait_for");
}
