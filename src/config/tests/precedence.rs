use std::time::Duration;

use super::*;
use crate::core::{AssignMode, CommitMode, Order, StartPolicy};

#[test]
fn flags_win_over_variables_over_the_file_over_defaults() {
    let yaml = format!("{LEAST}drain: {{revoke: 1s}}\n");
    let variable = [("ACKLINE_DRAIN_REVOKE", "2s")];
    let flag = [("drain.revoke", "3s")];
    let revoke = |yaml: &str, variables: &[_], flags: &[_]| {
        load(yaml, variables, flags).unwrap().drain.revoke.as_secs()
    };
    assert_eq!(revoke(LEAST, &[], &[]), 5);
    assert_eq!(revoke(&yaml, &[], &[]), 1);
    assert_eq!(revoke(&yaml, &variable, &[]), 2);
    assert_eq!(revoke(&yaml, &variable, &flag), 3);
    assert_eq!(revoke(LEAST, &[], &flag), 3);
}

#[test]
fn a_value_that_loses_may_be_wrong() {
    let yaml = format!("{LEAST}lane_depth: many\n");
    assert_eq!(
        load(&yaml, &[("ACKLINE_LANE_DEPTH", "7")], &[])
            .unwrap()
            .lane_depth,
        7
    );
}

#[test]
fn an_empty_variable_is_not_set() {
    let config = load(LEAST, &[("ACKLINE_DRAIN_REVOKE", "")], &[]).unwrap();
    assert_eq!(config.drain.revoke, Duration::from_secs(5));
}

#[test]
fn lists_are_replaced_and_properties_come_together() {
    let yaml = "\
kafka:
  brokers: [a:1, b:2]
  properties: {socket.timeout.ms: 1000, socket.nagle.disable: true, reconnect.backoff.ms: 5}
group: {id: orders}
topics: [orders]
start: latest
";
    let variables = [
        ("ACKLINE_KAFKA_BROKERS", "c:3, d:4"),
        (
            "ACKLINE_KAFKA_PROPERTIES",
            "socket.timeout.ms=2000,reconnect.backoff.ms=6",
        ),
    ];
    let flags = [("kafka.properties.reconnect.backoff.ms", "7")];
    let config = load(yaml, &variables, &flags).unwrap();
    assert_eq!(config.kafka.brokers, ["c:3", "d:4"]);
    let properties: Vec<String> = config
        .kafka
        .properties
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(
        properties,
        [
            "reconnect.backoff.ms=7",
            "socket.nagle.disable=true",
            "socket.timeout.ms=2000"
        ]
    );
}

#[test]
fn everything_can_come_from_variables() {
    let config = load(
        "",
        &[
            ("ACKLINE_KAFKA_BROKERS", "kafka:9092"),
            ("ACKLINE_GROUP_ID", "orders"),
            ("ACKLINE_TOPICS", "orders,payments"),
            ("ACKLINE_START", "stop"),
            ("ACKLINE_COMMIT_METADATA", "false"),
            ("ACKLINE_LISTEN_UIDS", "0,1000"),
            ("HOME", "/root"),
        ],
        &[],
    )
    .unwrap();
    assert_eq!(config.topics, ["orders", "payments"]);
    assert_eq!(config.start, StartPolicy::Stop);
    assert_eq!(config.listen.uids, [0, 1000]);
    assert!(!config.commit.metadata);
}

#[test]
fn the_depth_of_lanes_follows_from_the_order() {
    for (order, depth) in [("partition", 100), ("key", 1), ("none", 1)] {
        assert_eq!(
            load(LEAST, &[], &[("order", order)]).unwrap().lane_depth,
            depth,
            "{order}"
        );
    }
    let config = load(LEAST, &[], &[("order", "key"), ("lane_depth", "3")]).unwrap();
    assert_eq!((config.order, config.lane_depth), (Order::Key, 3));
}

#[test]
fn an_empty_section_is_a_section_without_settings() {
    assert_eq!(
        valid(&format!("{LEAST}drain:\nlog: {{}}\n"))
            .drain
            .shutdown
            .as_secs(),
        25
    );
}

#[test]
fn variables_in_the_instance_id_are_replaced() {
    let id = |written: &str, variables: &[_]| {
        load(LEAST, variables, &[("group.instance_id", written)])
            .map(|config| config.group.instance_id)
    };
    let pod = [("POD_NAME", "orders-0"), ("NODE", "n1")];
    assert_eq!(id("${POD_NAME}", &pod).as_deref(), Ok("orders-0"));
    assert_eq!(
        id("x-${POD_NAME}-${NODE}-$y", &pod).as_deref(),
        Ok("x-orders-0-n1-$y")
    );
    let refused = id("${POD_NAME}", &[]).unwrap_err();
    assert!(
        refused.contains("the variable POD_NAME is not set"),
        "{refused}"
    );
}

#[test]
fn what_a_variable_puts_into_the_instance_id_is_checked_like_any_text() {
    let long = "x".repeat(256);
    for (name, what) in [
        ("orders\n0", "contains a control character"),
        (long.as_str(), "is too long"),
    ] {
        let flags = [("group.instance_id", "${POD_NAME}")];
        let refused = load(LEAST, &[("POD_NAME", name)], &flags).unwrap_err();
        let expected = format!("\n    {what}, once its variables are filled in\n    -> ");
        assert!(refused.contains(&expected), "{refused}");
    }
}

#[test]
fn the_core_gets_what_was_set() {
    let core = valid(LEAST).core_settings(7);
    assert_eq!(
        (core.group.as_str(), core.topics.as_slice()),
        ("orders", &["orders".to_owned()][..])
    );
    assert_eq!(
        (core.commit_mode, core.commit_interval),
        (CommitMode::OnAck, Duration::from_secs(1))
    );
    assert_eq!(
        (core.in_flight_records_max, core.in_flight_bytes_max),
        (1000, 16 << 20)
    );
    assert_eq!((core.commit_metadata_max, core.seed), (4096, 7));
    assert_eq!(core.assign_mode, AssignMode::Incremental);
    let flags = [("group.assignor", "eager"), ("commit.mode", "on_delivery")];
    let core = load(LEAST, &[], &flags).unwrap().core_settings(0);
    assert_eq!(core.assign_mode, AssignMode::Whole);
    assert_eq!(core.commit_interval, Duration::from_secs(5));
}

// B15
#[test]
fn membership_is_doubted_sooner_where_the_broker_does_not_tell_its_timeout() {
    let doubt_after = |flags: &[(&str, &str)]| {
        let config = load(LEAST, &[], flags).unwrap();
        config.core_settings(0).doubt_after
    };
    assert_eq!(doubt_after(&[]), Duration::from_millis(22_500), "half");
    let short = [("group.session_timeout", "6s")];
    assert_eq!(doubt_after(&short), Duration::from_secs(3));
    let untold = [("group.protocol", "consumer")];
    assert_eq!(doubt_after(&untold), Duration::from_secs(1));
}

#[test]
fn password_is_in_clear_only_with_plain_and_without_tls() {
    let in_clear = |mechanism: &str, tls: &str| {
        let flags = [
            ("kafka.sasl.mechanism", mechanism),
            ("kafka.sasl.username_file", "/user"),
            ("kafka.sasl.password_file", "/password"),
            ("kafka.tls.enabled", tls),
        ];
        let config = load(LEAST, &[], &flags).unwrap();
        config.kafka.sends_password_in_clear()
    };
    assert!(in_clear("PLAIN", "false"));
    assert!(!in_clear("PLAIN", "true"));
    assert!(!in_clear("SCRAM-SHA-256", "false"));
}
