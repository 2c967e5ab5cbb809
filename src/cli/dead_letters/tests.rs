use std::num::NonZeroU32;

use clap::Parser as _;

use super::filter::{Filter, Since};
use super::list::{Entry, table};
use super::options::{Action, Refusal, Request};
use crate::cli::{Cli, Command};
use crate::dead_letter::{DeadLetterHeaders, parse_date};

/// What a command line asks for, or what its user reads.
fn request(words: &str) -> Result<Request, String> {
    let words = ["ackline", "dead-letters"]
        .into_iter()
        .chain(words.split(' '));
    let cli = Cli::try_parse_from(words).map_err(|error| error.to_string())?;
    let Command::DeadLetters(command) = cli.command else {
        panic!("another command");
    };
    command
        .into_request(Vec::new())
        .map_err(|refusal| match refusal {
            Refusal::Settings(problems) => problems.to_string(),
            Refusal::Usage(error) => error.to_string(),
        })
}

fn redrive(words: &str) -> super::options::Redrive {
    let words = format!("redrive orders.dlq --brokers a:1 {words}");
    match request(words.trim()).unwrap().action {
        Action::Redrive(redrive) => redrive,
        Action::List(_) | Action::Show(_) => panic!("not a redrive"),
    }
}

#[test]
fn brokers_are_enough_to_look() {
    let asked = request("list orders.dlq --brokers a:1,b:2").unwrap();
    assert_eq!(asked.config.kafka.brokers, ["a:1", "b:2"]);
    request("show orders.dlq/0/17 --brokers a:1 --payload").unwrap();
}

#[test]
fn who_names_no_brokers_is_told_how() {
    let text = request("list orders.dlq").unwrap_err();
    assert!(
        text.contains("kafka.brokers") && text.contains("--brokers"),
        "{text}"
    );
    assert!(
        text.starts_with("1 mistake"),
        "nothing else is needed: {text}"
    );
}

#[test]
fn who_names_no_place_is_told_how() {
    for place in [
        "orders.dlq",
        "orders.dlq/0",
        "orders.dlq/0/-1",
        "/0/1",
        "orders.dlq/x/1",
    ] {
        let text = request(&format!("show {place} --brokers a:1")).unwrap_err();
        assert!(text.contains("such as orders.dlq/0/17"), "{place}: {text}");
    }
}

/// A header must not decide what is written to with somebody's credentials.
#[test]
fn a_redrive_needs_to_be_told_which_topics_may_be_written_to() {
    let text = request("redrive orders.dlq --brokers a:1").unwrap_err();
    assert!(
        text.contains("--source-topic") && text.contains("--config"),
        "{text}"
    );
    assert_eq!(redrive("--source-topic orders").targets, ["orders"]);
    assert_eq!(
        redrive("--set topics=orders,mail").targets,
        ["orders", "mail"]
    );
    let text = request("redrive orders.dlq --brokers a:1 --source-topic orders.dlq").unwrap_err();
    assert!(text.contains("would go back to orders.dlq"), "{text}");
}

#[test]
fn each_choice_keeps_a_position_of_its_own() {
    let group = |words: &str| redrive(&format!("--set topics=orders {words}")).position_group;
    assert_eq!(group("--rate 5/s --limit 3"), "ackline-redrive-orders.dlq");
    let chosen = [
        group("--cause crashes"),
        group("--cause failures"),
        group("--only-group a"),
        group("--only-group b"),
        group("--since 2h"),
        group("--position-group mine"),
        group(""),
    ];
    let different: std::collections::BTreeSet<_> = chosen.iter().collect();
    assert_eq!(different.len(), chosen.len(), "{chosen:?}");
    assert_eq!(
        group("--since 2h"),
        chosen[4],
        "and the same one the next time"
    );
}

#[test]
fn rates_and_moments_are_what_people_write() {
    assert_eq!(
        redrive("--source-topic o --rate 50/s").rate,
        NonZeroU32::new(50)
    );
    assert_eq!(
        redrive("--source-topic o --rate 50").rate,
        NonZeroU32::new(50)
    );
    let since = |words: &str| {
        redrive(&format!("--source-topic o --since {words}"))
            .filter
            .since
    };
    assert_eq!(
        since("90m"),
        Some(Since::Ago(std::time::Duration::from_secs(5_400)))
    );
    assert_eq!(since("1970-01-02"), Some(Since::At(86_400_000)));
    for wrong in [
        "--rate 0/s",
        "--rate fast",
        "--since yesterday",
        "--cause bad-luck",
        "--limit 0",
    ] {
        let text = request(&format!("redrive d --brokers a:1 --source-topic o {wrong}"));
        assert!(text.is_err(), "{wrong}");
    }
}

fn headers() -> DeadLetterHeaders {
    DeadLetterHeaders {
        group: Some("g".to_owned()),
        topic: Some("orders".to_owned()),
        partition: Some(3),
        offset: Some(12),
        cause: Some("failures".to_owned()),
        reason: Some("no such customer".to_owned()),
        failures: Some(10),
        at_ms: parse_date("2026-11-28T04:05:06.789Z"),
        ..DeadLetterHeaders::default()
    }
}

#[test]
fn a_filter_takes_what_fits_all_of_it() {
    let now = headers().at_ms.unwrap() + 60_000;
    let takes = |filter: &Filter| filter.takes(&headers(), now);
    let words = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
    let open = Filter::default();
    assert!(takes(&open) && open.takes(&DeadLetterHeaders::default(), now));
    let mut filter = Filter {
        cause: words(&["crashes", "failures"]),
        source_topic: words(&["orders"]),
        group: Some("g".to_owned()),
        since: Some(Since::Ago(std::time::Duration::from_secs(61))),
    };
    assert!(takes(&filter));
    assert!(
        !filter.takes(&DeadLetterHeaders::default(), now),
        "it says nothing"
    );
    filter.since = Some(Since::Ago(std::time::Duration::from_secs(59)));
    assert!(!takes(&filter));
    filter.since = None;
    filter.group = Some("h".to_owned());
    assert!(!takes(&filter));
}

#[test]
fn the_table_has_a_line_for_each_whatever_is_written_in_it() {
    let mut hostile = headers();
    hostile.reason = Some(format!("\u{1b}[2J\r\n{}", "x".repeat(100)));
    hostile.topic = Some("evil\u{202e}".to_owned());
    let entry = |offset, headers| Entry {
        partition: 0,
        offset,
        headers,
    };
    let entries = [
        entry(1, headers()),
        entry(20, hostile),
        entry(3, DeadLetterHeaders::default()),
    ];
    let text = table(&entries);
    let expected = "\
PARTITION  OFFSET  AT                        SOURCE             CAUSE     FAILURES  REASON
0          1       2026-11-28T04:05:06.789Z  orders/3/12        failures  10        no such customer
0          20      2026-11-28T04:05:06.789Z  evil\\u{202e}/3/12  failures  10        \\u{1b}[2J\\u{d}\\u{a}XXX…
0          3       -                         -                  -         -         -
";
    let expected = expected.replace("XXX", &"x".repeat(54));
    assert_eq!(text, expected);
    assert_eq!(table(&[]), "");
}
