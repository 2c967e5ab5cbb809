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

#[test]
fn an_offset_store_in_zookeeper_needs_servers_and_a_group_that_can_be_a_node() {
    let expected = "\
group.id = a/b  (flag --set)
    cannot be the name of a node, and offset_store.kind is zookeeper
    -> write it without slashes and unusual characters

  offset_store.zookeeper.servers = \"\"  (default)
    is not given, but offset_store.kind is zookeeper
    -> write it, or `kind: kafka`

  offset_store.zookeeper.username_file = /run/user  (flag --set)
    is given without offset_store.zookeeper.password_file: a user is known by both
    -> name both, or remove offset_store.zookeeper.username_file

  offset_store.zookeeper.tls.cert_file = /run/tls.crt  (flag --set)
    is given, but offset_store.zookeeper.tls.enabled is false: the connection would not be encrypted
    -> write `enabled: true` below offset_store.zookeeper.tls, or remove the file

  offset_store.zookeeper.tls.cert_file = /run/tls.crt  (flag --set)
    is given without offset_store.zookeeper.tls.key_file: one is of no use without the other
    -> name both, or remove offset_store.zookeeper.tls.cert_file";
    let text = flag_mistakes(&[
        ("offset_store.kind", "zookeeper"),
        ("offset_store.zookeeper.username_file", "/run/user"),
        ("offset_store.zookeeper.tls.cert_file", "/run/tls.crt"),
        ("group.id", "a/b"),
    ]);
    assert_eq!(text, expected);
}

#[test]
fn settings_of_a_store_that_is_not_chosen_are_mistakes() {
    let expected = "\
offset_store.zookeeper.servers = zk:2181  (flag --set)
    has no effect, because offset_store.kind is postgres
    -> write `kind: zookeeper` below offset_store, or remove it";
    let postgres = [
        ("offset_store.kind", "postgres"),
        ("offset_store.postgres.address", "db:5432"),
        ("offset_store.postgres.username_file", "/run/user"),
    ];
    let mut flags = postgres.to_vec();
    flags.push(("offset_store.zookeeper.servers", "zk:2181"));
    assert_eq!(flag_mistakes(&flags), expected);
    assert!(load(LEAST, &[], &postgres).is_ok());

    let servers = "zk-0:2181,zk-1:2181/kafka/blue";
    let zookeeper = [
        ("offset_store.kind", "zookeeper"),
        ("offset_store.zookeeper.servers", servers),
    ];
    let config = load(LEAST, &[], &zookeeper).unwrap();
    let (addresses, root) = config.offset_store.zookeeper.addresses();
    assert_eq!(
        (addresses, root),
        (
            vec!["zk-0:2181".to_owned(), "zk-1:2181".to_owned()],
            "/kafka/blue"
        )
    );
    let text = flag_mistakes(&[
        ("offset_store.kind", "kafka"),
        ("offset_store.postgres.address", "db:5432"),
    ]);
    assert!(
        text.contains("write `kind: postgres` below offset_store"),
        "{text}"
    );
}
