//! Settings that do not fit each other, with the message that a person reads.

use super::mistakes::flag_mistakes;
use super::*;

#[test]
fn contradictory_times_say_why() {
    let expected = "\
  group.session_timeout = 3m  (ackline.yaml, line 4)
    is longer than group.max_poll_interval (1m), which Kafka clients refuse
    -> lower it, or raise group.max_poll_interval

  retry.backoff.initial = 2m  (ackline.yaml, line 6)
    is longer than retry.backoff.max (1m): the first delay would be cut at once
    -> lower it, or raise retry.backoff.max

  commit.staleness_max = 1s  (ackline.yaml, line 7)
    is not longer than commit.interval (1s): deliveries would stop between two commits
    -> raise it, best to ten times commit.interval, or lower commit.interval

  drain.revoke = 20s  (ackline.yaml, line 5)
    is longer than a quarter of group.max_poll_interval (1m): the wait, the last commit and the answer must fit well into it, or the group throws the member out and nothing is committed
    -> write at most 15s, or raise group.max_poll_interval";
    let yaml = "\
kafka: {brokers: [kafka:9092]}
topics: [orders]
start: earliest
group: {id: orders, session_timeout: 3m, max_poll_interval: 1m}
drain: {revoke: 20s}
retry: {backoff: {initial: 2m}}
commit: {staleness_max: 1s}
";
    let text = load(yaml, &[], &[]).unwrap_err();
    assert_eq!(text.split_once("\n\n  ").unwrap().1, expected);
}

#[test]
fn what_a_stream_has_by_default_fits_into_what_the_process_has() {
    let expected = "\
in_flight.per_stream_records = 501  (flag --set)
    is above in_flight.records (500): the limit of the process holds for all streams together, and no stream could have as much
    -> write at most 500, or raise in_flight.records

  in_flight.per_stream_bytes = 17MiB  (flag --set)
    is above in_flight.bytes (16MiB): the limit of the process holds for all streams together, and no stream could have as much
    -> write at most 16MiB, or raise in_flight.bytes";
    let text = flag_mistakes(&[
        ("in_flight.records", "500"),
        ("in_flight.per_stream_records", "501"),
        ("in_flight.per_stream_bytes", "17MiB"),
    ]);
    assert_eq!(text, expected);
    // All of it for one stream is no mistake, and a default is lowered without a word.
    let one = [
        ("in_flight.per_stream_records", "1000"),
        ("in_flight.per_stream_bytes", "16MiB"),
    ];
    assert!(load(LEAST, &[], &one).is_ok());
    let few = [("in_flight.records", "1"), ("in_flight.bytes", "1MiB")];
    assert!(load(LEAST, &[], &few).is_ok());
}

#[test]
fn settings_without_effect_are_refused() {
    let text = flag_mistakes(&[
        ("group.protocol", "consumer"),
        ("group.session_timeout", "30s"),
        ("group.assignor", "eager"),
        ("order", "none"),
        ("lane_depth", "5"),
        ("listen.app_tcp.insecure", "true"),
    ]);
    let keys: Vec<&str> = text.lines().filter(|line| line.contains("(flag")).collect();
    assert_eq!(
        keys,
        [
            "group.assignor = eager  (flag --set)",
            "  group.session_timeout = 30s  (flag --set)",
            "  lane_depth = 5  (flag --set)",
            "  listen.app_tcp.insecure = true  (flag --set)",
        ]
    );
}
