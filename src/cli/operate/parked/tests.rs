use std::time::Duration;

use super::*;

fn seconds(seconds: u64) -> Option<prost_types::Duration> {
    prost_types::Duration::try_from(Duration::from_secs(seconds)).ok()
}

/// One of each kind, the last of them hostile.
fn listed() -> proto::ListParkedResponse {
    let failed = proto::ParkedRecord {
        topic: "orders".to_owned(),
        partition: 3,
        offset: 17,
        cause: "failures".to_owned(),
        reason: "no such account".to_owned(),
        failures: 10,
        age: seconds(300),
        step: proto::ParkedStep::Parked.into(),
        behind: 4,
        ..proto::ParkedRecord::default()
    };
    let refused = proto::ParkedRecord {
        offset: 18,
        error: "message too large".to_owned(),
        ..failed.clone()
    };
    let again = proto::ParkedRecord {
        offset: 19,
        step: proto::ParkedStep::SendAgain.into(),
        again_in: seconds(7),
        ..failed.clone()
    };
    let hostile = proto::ParkedRecord {
        offset: 20,
        cause: "crashes".to_owned(),
        deaths: 3,
        reason: "\u{1b}[2J\n20".to_owned(),
        step: proto::ParkedStep::Sending.into(),
        ..failed.clone()
    };
    proto::ListParkedResponse {
        records: vec![failed, refused, again, hostile],
        aside: 9,
    }
}

#[test]
fn the_list_has_a_line_for_each_with_what_was_said_and_what_the_broker_said() {
    let expected = "\
TOPIC   PARTITION  OFFSET  STATE              CAUSE     FAILURES  DEATHS  AGE    BEHIND  REASON
orders  3          17      parked             failures  10        0       5 min  4       no such account
orders  3          18      parked             failures  10        0       5 min  4       no such account; dead-letter topic: message too large
orders  3          19      sent again in 7 s  failures  10        0       5 min  4       no such account
orders  3          20      sending            crashes   10        3       5 min  4       \\u{1b}[2J\\u{a}20

4 of 9 set aside. This process only; other members of the group have partitions of their own.
";
    assert_eq!(text(&listed()), expected);
    let nothing = text(&proto::ListParkedResponse::default());
    assert!(nothing.starts_with("Nothing of it is set aside here."));
}

#[test]
fn programs_get_reason_and_error_apart() {
    let value = json(&listed());
    assert_eq!(value["aside"], 9);
    let expected = json!({
        "topic": "orders",
        "partition": 3,
        "offset": 18,
        "state": "parked",
        "cause": "failures",
        "reason": "no such account",
        "error": "message too large",
        "failures": 10,
        "deaths": 0,
        "age": 300.0,
        "again_in": null,
        "behind": 4,
    });
    assert_eq!(value["records"][1], expected);
    let states = ["parked", "parked", "send_again", "sending"];
    let records = value["records"].as_array().unwrap();
    let told: Vec<_> = records.iter().map(|at| at["state"].clone()).collect();
    assert_eq!(told, states);
    assert_eq!(value["records"][2]["again_in"], 7.0);
}

#[test]
fn what_was_done_is_said_and_so_is_nothing() {
    let answer = |records, on_their_way, without_dead_letter_topic| {
        let answer = proto::ActOnParkedResponse {
            records,
            on_their_way,
            without_dead_letter_topic,
        };
        done(proto::ParkedAction::DeadLetter, &answer)
    };
    assert!(answer(0, 0, 0).starts_with("Nothing of it is parked here"));
    assert!(answer(1, 0, 0).starts_with("1 record goes to the dead-letter topic. This"));
    let both = answer(2, 1, 3);
    assert!(both.starts_with(
        "2 records go to the dead-letter topic. Left alone: 3, since `dead_letter.topic` is not set"
    ));
    assert!(
        both.contains("Left alone: 1, since they are on their way"),
        "{both}"
    );
    let none = answer(0, 0, 3);
    assert!(none.starts_with("Left alone: 3, "), "{none}");
}
