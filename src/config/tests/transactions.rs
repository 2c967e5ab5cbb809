use std::time::Duration;

use super::*;

const TRANSACTIONAL: (&str, &str) = ("processing", "transactional");

#[test]
fn commits_are_no_transactions_unless_told_so() {
    assert_eq!(valid(LEAST).processing, Processing::AtLeastOnce);
    assert!(valid(LEAST).core_settings(1).transactions.is_none());
    let config = load(LEAST, &[], &[TRANSACTIONAL]).unwrap();
    let core = config.core_settings(1);
    let limits = core.transactions.unwrap();
    assert_eq!((limits.records_max, limits.bytes_max), (10_000, 16 << 20));
    assert_eq!(core.commit_interval, Duration::from_millis(100));
}

#[test]
fn what_transactions_cannot_go_with_is_named_all_at_once() {
    let told = load(
        LEAST,
        &[],
        &[
            TRANSACTIONAL,
            ("commit.mode", "on_delivery"),
            ("commit.metadata", "false"),
            ("commit.interval", "2s"),
            ("offset_store.kind", "application"),
        ],
    )
    .unwrap_err();
    for words in [
        "before there could be outputs",
        "would be written again",
        "write transactions.interval in its place",
        "where no transaction of Kafka reaches them",
    ] {
        assert!(told.contains(words), "{words}: {told}");
    }
}

#[test]
fn settings_of_transactions_that_are_not_made_are_mistakes() {
    for (key, value) in [
        ("transactions.id", "orders.1"),
        ("transactions.interval", "1s"),
        ("transactions.max_records", "7"),
        ("transactions.max_bytes", "1MiB"),
        ("transactions.timeout", "5s"),
    ] {
        let told = load(LEAST, &[], &[(key, value)]).unwrap_err();
        assert!(
            told.contains(key) && told.contains("has no effect"),
            "{told}"
        );
        assert!(load(LEAST, &[], &[TRANSACTIONAL, (key, value)]).is_ok());
    }
}

#[test]
fn outputs_count_as_memory() {
    let bytes = |flags: &[(&str, &str)]| memory_bytes_max(&load(LEAST, &[], flags).unwrap());
    let more = bytes(&[TRANSACTIONAL, ("transactions.max_bytes", "4MiB")]) - bytes(&[]);
    assert_eq!(more, (2 * 4 * 5 / 2) << 20);
    let report = memory_report(&load(LEAST, &[], &[TRANSACTIONAL]).unwrap());
    assert!(report.contains("twice transactions.max_bytes"), "{report}");
}
