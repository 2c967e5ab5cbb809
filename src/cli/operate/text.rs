//! Answers for people.

use std::fmt::Write as _;
use std::time::Duration;

use crate::cli::terminal::{safe, table};
use crate::grpc::admin::age;
use crate::grpc::admin_proto as proto;

/// Said wherever somebody might take one pod for the group.
pub(super) const THIS_ONLY: &str =
    "This process only; other members of the group have partitions of their own.";

pub(super) fn status(status: &proto::ProcessStatus) -> String {
    let mut text = String::new();
    let membership = match (status.joined, status.rebalancing, status.ending) {
        (_, _, true) => "ending",
        (true, true, false) => "rebalancing",
        (true, false, false) => "in the group",
        (false, _, false) => "not in the group",
    };
    let _ = writeln!(
        text,
        "{} · group {} · ackline {} · up {} · {membership}{}",
        safe(&status.host),
        safe(&status.group),
        status.version,
        time(status.uptime.as_ref()),
        drained(status.drain()),
    );
    let committed = match &status.last_commit_age {
        Some(age) => format!("last commit {} ago", time(Some(age))),
        None => "nothing committed yet".to_owned(),
    };
    let aside: u64 = status.partitions.iter().map(|at| at.aside).sum();
    let _ = writeln!(
        text,
        "{} in flight · {aside} set aside · {} of {} held · {committed}",
        status.in_flight,
        bytes(status.held_bytes),
        bytes(status.budget_bytes),
    );
    if !status.not_ready.is_empty() {
        let _ = writeln!(text, "NOT READY: {}", safe(&status.not_ready));
    }
    let _ = writeln!(text, "{THIS_ONLY}\n");
    text.push_str(&partitions(&status.partitions));
    text.push('\n');
    text.push_str(&streams(&status.streams));
    if !status.pauses.is_empty() {
        text.push('\n');
        text.push_str(&pauses(&status.pauses));
    }
    text
}

fn drained(state: proto::DrainState) -> &'static str {
    match state {
        proto::DrainState::Unspecified => "",
        proto::DrainState::Draining => " · draining",
        proto::DrainState::Drained => " · drained",
        proto::DrainState::DrainedUnclean => " · drained, not everything is committed",
    }
}

fn partitions(partitions: &[proto::PartitionStatus]) -> String {
    if partitions.is_empty() {
        return "No partition is assigned to this process.\n".to_owned();
    }
    let header = [
        "TOPIC",
        "PARTITION",
        "COMMITTED",
        "WATERMARK",
        "END",
        "LAG",
        "UNFINISHED",
        "IN FLIGHT",
        "ASIDE",
        "STANDS",
        "STATE",
    ];
    let number = |number: Option<i64>| number.map_or("-".to_owned(), |number| number.to_string());
    let row = |at: &proto::PartitionStatus| {
        vec![
            safe(&at.topic),
            at.partition.to_string(),
            number(at.committed),
            number(at.watermark),
            number(at.end),
            at.lag.map_or("-".to_owned(), |lag| lag.to_string()),
            at.unfinished.to_string(),
            at.in_flight.to_string(),
            at.aside.to_string(),
            time(at.stands_for.as_ref()),
            state(at),
        ]
    };
    table(&header, &partitions.iter().map(row).collect::<Vec<_>>())
}

fn state(at: &proto::PartitionStatus) -> String {
    if !at.blocked.is_empty() {
        at.blocked.clone()
    } else if at.lag == Some(0) {
        "caught up".to_owned()
    } else {
        "flowing".to_owned()
    }
}

fn streams(streams: &[proto::StreamStatus]) -> String {
    if streams.is_empty() {
        return "No application has a stream open.\n".to_owned();
    }
    let header = ["STREAM", "CLIENT", "IN FLIGHT", "BYTES", "OLDEST", ""];
    let row = |at: &proto::StreamStatus| {
        let oldest = at.oldest_age.as_ref();
        vec![
            at.stream.to_string(),
            safe(&at.client),
            at.in_flight.to_string(),
            bytes(at.in_flight_bytes),
            oldest.map_or("-".to_owned(), |age| time(Some(age))),
            if at.open { "" } else { "disconnected" }.to_owned(),
        ]
    };
    table(&header, &streams.iter().map(row).collect::<Vec<_>>())
}

pub(super) fn pauses(pauses: &[proto::PauseStatus]) -> String {
    if pauses.is_empty() {
        return "Nothing is paused in this process.\n".to_owned();
    }
    let mut text = String::from("Paused in this process:\n");
    for pause in pauses {
        let scope = pause.scope.clone().unwrap_or_default();
        let what = match (scope.topic.as_str(), scope.partition) {
            ("", _) => "everything".to_owned(),
            (topic, None) => format!("topic {}", safe(topic)),
            (topic, Some(partition)) => format!("{}/{partition}", safe(topic)),
        };
        let age = time(pause.age.as_ref());
        let _ = writeln!(text, "  {what}, for {age}: {}", safe(&pause.reason));
    }
    text
}

/// Unless it was asked for by name, a partition that stands for a moment only is one that advances.
pub(super) fn explanations(answer: &proto::ExplainResponse, by_name: bool) -> String {
    let mut text = String::new();
    if !answer.process.is_empty() {
        let _ = writeln!(text, "this process: {}", safe(&answer.process));
    }
    if answer.explanations.is_empty() {
        text.push_str(if by_name {
            "This process has no such partition; ask the pod that has it.\n"
        } else {
            "This process has no partitions; `ackline status` says whether it is in the group.\n"
        });
        return text;
    }
    let mut advancing = 0;
    for explanation in &answer.explanations {
        let status = explanation.status.clone().unwrap_or_default();
        let place = format!("{}/{}", safe(&status.topic), status.partition);
        let stands_for = status.stands_for.as_ref().map_or(0, |time| time.seconds);
        let moving = !by_name && !explanation.stuck && stands_for < 1;
        if explanation.causes.is_empty() || moving {
            advancing += 1;
            continue;
        }
        let verdict = if explanation.stuck {
            "is STUCK"
        } else {
            "waits"
        };
        let at = status
            .watermark
            .map(|offset| format!(" at offset {offset}"))
            .unwrap_or_default();
        let stands = time(status.stands_for.as_ref());
        let _ = writeln!(text, "{place} {verdict}{at}, for {stands}:");
        for cause in &explanation.causes {
            let _ = writeln!(text, "  {}", safe(&cause.text));
            if !cause.remedy.is_empty() {
                let _ = writeln!(text, "    → {}", safe(&cause.remedy));
            }
        }
    }
    let _ = writeln!(
        text,
        "{advancing} of {} partitions advance or have nothing to do. {THIS_ONLY}",
        answer.explanations.len()
    );
    text
}

pub(super) fn in_flight(answer: &proto::ListInFlightResponse) -> String {
    if answer.deliveries.is_empty() {
        return format!("Nothing of it is in flight here. {THIS_ONLY}\n");
    }
    let header = [
        "TOPIC",
        "PARTITION",
        "OFFSET",
        "ATTEMPT",
        "STREAM",
        "CLIENT",
        "AGE",
        "ID",
    ];
    let row = |at: &proto::InFlightDelivery| {
        vec![
            safe(&at.topic),
            at.partition.to_string(),
            at.offset.to_string(),
            at.attempt.to_string(),
            at.stream.to_string(),
            safe(&at.client),
            time(at.age.as_ref()),
            at.id.to_string(),
        ]
    };
    let mut text = table(
        &header,
        &answer.deliveries.iter().map(row).collect::<Vec<_>>(),
    );
    let shown = answer.deliveries.len();
    let _ = writeln!(
        text,
        "\n{shown} of {} in flight. {THIS_ONLY}",
        answer.in_flight
    );
    text
}

pub(super) fn sought(place: &str, answer: &proto::SeekResponse) -> String {
    let from = answer
        .from
        .map_or("no position".to_owned(), |from| format!("offset {from}"));
    let clamped = if answer.clamped {
        format!(
            " (its log holds {} to {}, so the nearer end was taken)",
            answer.earliest, answer.latest
        )
    } else {
        String::new()
    };
    format!(
        "{} moved from {from} to offset {}{clamped}.\n",
        safe(place),
        answer.to
    )
}

pub(super) fn drain(answer: &proto::DrainResponse) -> String {
    match answer.state() {
        proto::DrainState::Drained => {
            "Drained: the group was left, and everything accepted is committed. The sidecar consumes nothing until it is restarted.\n".to_owned()
        }
        proto::DrainState::DrainedUnclean => {
            "Drained: the group was left, but something accepted or in flight may come again.\n".to_owned()
        }
        proto::DrainState::Draining => format!(
            "Draining: nothing new is delivered; {} in flight. The group is left when they are settled.\n",
            answer.in_flight
        ),
        proto::DrainState::Unspecified => "The process ends already.\n".to_owned(),
    }
}

pub(super) fn time(time: Option<&prost_types::Duration>) -> String {
    let time = time.and_then(|time| Duration::try_from(*time).ok());
    time.map_or("-".to_owned(), age)
}

fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} B"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partition() -> proto::PartitionStatus {
        proto::PartitionStatus {
            topic: "orders".to_owned(),
            partition: 3,
            watermark: Some(120),
            committed: Some(120),
            end: Some(500),
            lag: Some(380),
            aside: 2,
            stands_for: prost_types::Duration::try_from(Duration::from_secs(300)).ok(),
            ..proto::PartitionStatus::default()
        }
    }

    #[test]
    fn a_status_is_a_table_and_says_that_it_is_of_one_process() {
        let text = status(&proto::ProcessStatus {
            host: "pod-1".to_owned(),
            group: "orders-svc".to_owned(),
            partitions: vec![partition()],
            streams: vec![proto::StreamStatus {
                client: "evil\u{1b}[2J".to_owned(),
                ..proto::StreamStatus::default()
            }],
            ..proto::ProcessStatus::default()
        });
        assert!(text.contains(THIS_ONLY), "{text}");
        assert!(text.contains("orders  3          120"), "{text}");
        assert!(text.contains("flowing"), "{text}");
        assert!(text.contains("0 in flight · 2 set aside · "), "{text}");
        let row = "0           0          2      5 min   flowing\n";
        assert!(text.contains(row), "{text}");
        assert!(!text.contains('\u{1b}'), "nothing for the terminal: {text}");
    }

    #[test]
    fn a_process_without_partitions_says_what_is_wrong_with_it() {
        let answer = proto::ExplainResponse {
            process: "unknown_topic: ordrs".to_owned(),
            ..proto::ExplainResponse::default()
        };
        let text = explanations(&answer, false);
        assert!(
            text.starts_with("this process: unknown_topic: ordrs\n"),
            "{text}"
        );
        assert!(text.contains("has no partitions"), "{text}");
        let by_name = explanations(&answer, true);
        assert!(by_name.contains("ask the pod that has it"), "{by_name}");
    }

    #[test]
    fn an_explanation_names_the_reason_and_the_command() {
        let stuck = proto::Explanation {
            status: Some(partition()),
            causes: vec![proto::Cause {
                text: "an operator paused everything: deploy".to_owned(),
                remedy: "ackline resume --reason …".to_owned(),
                ..proto::Cause::default()
            }],
            stuck: true,
        };
        let fine = proto::Explanation {
            status: Some(partition()),
            ..proto::Explanation::default()
        };
        let mut busy = stuck.clone();
        busy.stuck = false;
        if let Some(status) = &mut busy.status {
            status.stands_for = None;
        }
        let answer = proto::ExplainResponse {
            explanations: vec![stuck, fine, busy],
            stuck: true,
            process: String::new(),
        };
        let text = explanations(&answer, false);
        let expected = "\
orders/3 is STUCK at offset 120, for 5 min:
  an operator paused everything: deploy
    → ackline resume --reason …
2 of 3 partitions advance or have nothing to do. ";
        assert!(text.starts_with(expected), "{text}");
        let by_name = explanations(&answer, true);
        assert!(
            by_name.contains("orders/3 waits at offset 120"),
            "{by_name}"
        );
    }

    #[test]
    fn a_clamped_seek_says_what_the_log_holds() {
        let text = sought(
            "orders/3",
            &proto::SeekResponse {
                from: None,
                to: 10,
                clamped: true,
                earliest: 10,
                latest: 50,
            },
        );
        assert_eq!(
            text,
            "orders/3 moved from no position to offset 10 (its log holds 10 to 50, so the nearer end was taken).\n"
        );
    }
}
