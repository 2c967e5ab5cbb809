//! Every kind of mistake, with the message that a person reads.

use super::*;

/// The mistakes of the least settings and `more`, without the line that counts them.
#[track_caller]
fn mistakes(more: &str) -> String {
    let text = load(&format!("{LEAST}{more}"), &[], &[]).unwrap_err();
    let (_, problems) = text.split_once("\n\n").unwrap();
    problems.trim_start().to_owned()
}

/// The mistakes of complete settings given as flags above the least.
#[track_caller]
pub(super) fn flag_mistakes(flags: &[(&str, &str)]) -> String {
    let text = load(LEAST, &[], flags).unwrap_err();
    text.split_once("\n\n").unwrap().1.trim_start().to_owned()
}

#[test]
fn nothing_given_names_everything_that_is_required() {
    let text = load("", &[], &[]).unwrap_err();
    let expected = "\
4 mistakes in the settings

  kafka.brokers
    is required and has no default
    -> write `kafka.brokers` into the file, or set ACKLINE_KAFKA_BROKERS or --brokers, for example to kafka-0:9092,kafka-1:9092

  group.id
    is required and has no default
    -> write `group.id` into the file, or set ACKLINE_GROUP_ID or --group, for example to orders-service

  topics
    is required and has no default
    -> write `topics` into the file, or set ACKLINE_TOPICS or --topic, for example to orders,payments

  start
    is required and has no default
    -> write `start` into the file, or set ACKLINE_START or --start, for example to earliest";
    assert_eq!(text, expected);
}

#[test]
fn unknown_keys_name_what_was_probably_meant() {
    let expected = "\
  grup  (ackline.yaml, line 6)
    there is no such setting
    -> did you mean `group`?

  drain.revokes  (ackline.yaml, line 7)
    there is no such setting
    -> did you mean `drain.revoke`?

  max_poll_interval  (ackline.yaml, line 8)
    there is no such setting
    -> did you mean `group.max_poll_interval`?

  warehouse  (ackline.yaml, line 9)
    there is no such setting
    -> remove it; `ackline config reference` lists all settings";
    let yaml =
        "grup:\n  id: x\ndrain: {revokes: 5s}\nmax_poll_interval: 5m\nwarehouse: {kind: kafka}\n";
    assert_eq!(mistakes(yaml), expected);
}

#[test]
fn a_password_in_the_file_is_refused_and_not_shown() {
    let text = mistakes("sasl: {password: canary}\nkafka.sasl.password: canary\n");
    assert!(!text.contains("canary"), "{text}");
    let flags = flag_mistakes(&[("kafka.sasl.password", "canary")]);
    let expected = "\
  kafka.sasl.password  (flag --set)
    passwords are read from files only
    -> write it into a file and name the file in `kafka.sasl.password_file`";
    assert_eq!(flags, expected);
}

#[test]
fn wrong_types_say_what_is_there_and_what_must_be() {
    let yaml = "\
lane_depth: ten
order: [key]
commit: {metadata: \"true\", interval: 5}
in_flight: {bytes: [1], records: 1.5}
delivery: {warn_unsettled_after: off}
retry: {backoff: {jitter: some, initial: }}
group: 7
log: {level: off}
";
    let yaml = LEAST.replace("group: {id: orders}\n", "") + yaml;
    let text = load(&yaml, &[("ACKLINE_GROUP_ID", "orders")], &[]).unwrap_err();
    let expected = "\
11 mistakes in the settings

  group = 7  (ackline.yaml, line 10)
    is a number, but is a section of settings
    -> write below it: group.id, group.protocol, group.assignor, group.instance_id, group.session_timeout, group.max_poll_interval, group.join, group.leave_after

  order = [key]  (ackline.yaml, line 5)
    is a list, but must be one of some words
    -> write one of: partition, key, none

  lane_depth = ten  (ackline.yaml, line 4)
    is text, but must be a whole number
    -> write a whole number from 1 to 10000000

  in_flight.records = 1.5  (ackline.yaml, line 7)
    must be a whole number
    -> write a whole number from 1 to 10000000

  in_flight.bytes = [1]  (ackline.yaml, line 7)
    is a list, but must be a size
    -> write a size from 1KiB to 64GiB, such as 16MiB

  delivery.warn_unsettled_after = false  (ackline.yaml, line 8)
    is `off` or `false`, which is not a time
    -> write 0s to turn it off

  retry.backoff.initial  (ackline.yaml, line 9)
    has no value
    -> write one, or remove the line (default: 500ms)

  retry.backoff.jitter = some  (ackline.yaml, line 9)
    is text, but must be a number
    -> write a number from 0 to 1

  commit.interval = 5  (ackline.yaml, line 6)
    has no unit
    -> write a time from 10ms to 1h, such as 500ms, 5s or 2m; for seconds write 5s

  commit.metadata = true  (ackline.yaml, line 6)
    is text, but must be true or false
    -> write true or false, without quotes

  log.level = false  (ackline.yaml, line 11)
    is true or false, but must be one of some words
    -> write one of: error, warn, info, debug, trace";
    assert_eq!(text, expected);
}

#[test]
fn zero_limits_and_values_out_of_range_are_refused() {
    let text = flag_mistakes(&[
        ("lane_depth", "0"),
        ("in_flight.records", "0"),
        ("in_flight.bytes", "0"),
        ("window.records", "99999999999999"),
        ("retry.backoff.multiplier", "0.5"),
        ("commit.interval", "1ms"),
        ("drain.shutdown", "0s"),
        ("listen.streams_max", "-1"),
    ]);
    let whats: Vec<&str> = text
        .lines()
        .filter(|line| line.starts_with("    ") && !line.contains("->"))
        .collect();
    assert_eq!(
        whats,
        [
            "    must not be zero, at least 1",
            "    must not be zero, at least 1",
            "    must not be zero, at least 1KiB",
            "    must be at most 10000000",
            "    must lie between 1 and 100",
            "    must be at least 10ms",
            "    must not be zero, at least 1s",
            "    must be a whole number",
        ]
    );
}

#[test]
fn names_are_checked_one_by_one() {
    let text = flag_mistakes(&[
        ("kafka.brokers", "kafka,kafka:9092,SSL://kafka:1"),
        ("topics", "orders,orders,a b"),
        ("listen.uids", "1000,root"),
    ]);
    let expected = "\
  kafka.brokers = kafka,kafka:9092,SSL://kafka:1  (flag --set)
    `kafka` is not a host with a port
    -> write host:port, such as kafka:9092 or [::1]:9092

  kafka.brokers = kafka,kafka:9092,SSL://kafka:1  (flag --set)
    `SSL://kafka:1` names a protocol
    -> write host:port, such as kafka:9092 or [::1]:9092; `kafka.tls` and `kafka.sasl` say how to connect

  topics = orders,orders,a b  (flag --set)
    names `orders` twice
    -> remove one of them

  topics = orders,orders,a b  (flag --set)
    `a b` is not a name that Kafka accepts for a topic
    -> write 1 to 249 letters, digits, dots, underscores and hyphens

  listen.uids = 1000,root  (flag --set)
    must be a whole number
    -> write a whole number from 0 to 4294967295";
    assert_eq!(text, expected);
}

#[test]
fn half_of_a_pair_is_refused() {
    for (flags, what) in [
        (
            &[("kafka.tls.enabled", "true"), ("kafka.tls.cert_file", "/c")][..],
            "is given without kafka.tls.key_file",
        ),
        (
            &[("kafka.tls.enabled", "true"), ("kafka.tls.key_file", "/k")][..],
            "is given without kafka.tls.cert_file",
        ),
        (
            &[("kafka.tls.ca_file", "/ca")][..],
            "the connection would not be encrypted",
        ),
        (
            &[
                ("kafka.sasl.mechanism", "PLAIN"),
                ("kafka.sasl.username_file", "/u"),
            ][..],
            "PLAIN needs kafka.sasl.password_file",
        ),
        (
            &[("kafka.sasl.password_file", "/p")][..],
            "nobody would be authenticated",
        ),
        (
            &[("listen.app_tcp.address", "127.0.0.1:1")][..],
            "has no token",
        ),
        (
            &[("listen.app_tcp.token_file", "/t")][..],
            "has no effect without listen.app_tcp.address",
        ),
        (
            &[
                ("listen.app_tcp.address", "127.0.0.1:1"),
                ("listen.app_tcp.token_file", "/t"),
                ("listen.app_tcp.insecure", "true"),
            ][..],
            "contradicts listen.app_tcp.token_file",
        ),
        (
            &[
                ("listen.app_tcp.address", "0.0.0.0:7421"),
                ("listen.app_tcp.insecure", "true"),
            ][..],
            "only one of them could listen",
        ),
        (&[("listen.app", "")][..], "no application could connect"),
    ] {
        let text = flag_mistakes(flags);
        assert!(text.contains(what), "{what}:\n{text}");
        assert_eq!(
            text.matches("->").count(),
            1,
            "one mistake, one message:\n{text}"
        );
    }
}

#[test]
fn sockets_and_addresses_are_checked() {
    for (key, value, what) in [
        (
            "listen.app",
            "/run/ackline.sock",
            "does not begin with `unix:`",
        ),
        (
            "listen.app",
            "unix:relative.sock",
            "is not the absolute path of a socket",
        ),
        (
            "listen.app",
            &format!("unix:/{}", "x".repeat(107)),
            "is longer than the 107 bytes",
        ),
        (
            "listen.http",
            "localhost:80",
            "is not an IP address with a port",
        ),
        ("listen.http", "0.0.0.0", "is not an IP address with a port"),
    ] {
        assert!(
            flag_mistakes(&[(key, value)]).contains(what),
            "{key} {value}"
        );
    }
}

#[test]
fn properties_that_carry_a_guarantee_are_refused_by_name() {
    let yaml = "\
kafka:
  brokers: [kafka:9092]
  properties:
    enable.auto.commit: true
    plugin.library.paths: /canary.so
    socket.timeout.ms: [1]
";
    let yaml = LEAST.replace("kafka: {brokers: [kafka:9092]}\n", yaml);
    let text = load(&yaml, &[], &[]).unwrap_err();
    let expected = "\
3 mistakes in the settings

  kafka.properties  (ackline.yaml, line 4)
    `enable.auto.commit` is refused: commits are made here, and only of what is finished
    -> remove it

  kafka.properties  (ackline.yaml, line 4)
    `plugin.library.paths` is refused: it runs foreign code or programs
    -> remove it

  kafka.properties  (ackline.yaml, line 4)
    `socket.timeout.ms` is a list
    -> give it a text, a number, true or false";
    assert_eq!(text, expected);
}

#[test]
fn files_that_settings_name_must_be_of_use() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    std::fs::write(path("empty"), "\n").unwrap();
    std::fs::write(path("short"), "0123456789\n").unwrap();
    std::fs::write(path("word"), "word\n").unwrap();
    let (empty, short, word, none) = (path("empty"), path("short"), path("word"), path("none"));
    let text = load_with(
        LEAST,
        &[],
        &[
            ("kafka.tls.enabled", "true"),
            ("kafka.tls.ca_file", &word),
            ("kafka.sasl.mechanism", "PLAIN"),
            ("kafka.sasl.username_file", &none),
            ("kafka.sasl.password_file", &empty),
            ("listen.app_tcp.address", "127.0.0.1:7420"),
            ("listen.app_tcp.token_file", &short),
        ],
        false,
    )
    .unwrap_err()
    .replace(&format!("{}/", directory.path().display()), "");
    let expected = "\
4 mistakes in the settings

  kafka.tls.ca_file = /word  (flag --set)
    the file holds no PEM block
    -> convert it with `openssl` to PEM

  kafka.sasl.username_file = /none  (flag --set)
    the file cannot be read: No such file or directory (os error 2)
    -> make it readable for the user that runs ackline, or correct the path

  kafka.sasl.password_file = /empty  (flag --set)
    the file is empty
    -> make it readable for the user that runs ackline, or correct the path

  listen.app_tcp.token_file = /short  (flag --set)
    the token has fewer than 43 characters
    -> make one with `openssl rand -hex 32`";
    let shorter = ["word", "none", "empty", "short"]
        .iter()
        .fold(text, |text, name| {
            text.replace(&format!("= {name}"), &format!("= /{name}"))
        });
    assert_eq!(shorter, expected);
}

#[test]
fn a_file_that_is_no_settings_file_says_where() {
    let text = load("kafka: {brokers: [a:1]\n", &[], &[]).unwrap_err();
    assert!(
        text.contains("settings file  (ackline.yaml, line "),
        "{text}"
    );
    assert!(text.contains("is not valid YAML"), "{text}");
    let text = load("- a\n", &[], &[]).unwrap_err();
    assert!(text.contains("is not a mapping of settings"), "{text}");
    let text = load(&format!("{LEAST}start: latest\n"), &[], &[]).unwrap_err();
    assert!(
        text.contains("duplicate") && text.contains("line 5"),
        "{text}"
    );
    let sources = Sources {
        files: vec!["/nowhere/ackline.yaml".into()],
        ..Sources::default()
    };
    let text = Config::load(&sources).unwrap_err().to_string();
    assert!(
        text.contains("settings file  (/nowhere/ackline.yaml)\n    cannot be read"),
        "{text}"
    );
}

#[test]
fn a_syntax_error_does_not_repeat_what_the_file_holds() {
    for yaml in [
        "kafka: {password: canary\n",
        "a: \"canary\nb: c",
        "canary: !!int canary",
        "a: *canary",
    ] {
        let text = load(yaml, &[], &[]).unwrap_err();
        assert!(!text.contains("password"), "{text}");
    }
}

#[test]
fn unknown_variables_are_named_but_service_links_are_not() {
    let variables = [
        ("ACKLINE_GROUP_IDD", "canary"),
        ("ACKLINE_SERVICE_HOST", "10.0.0.1"),
        ("ACKLINE_SERVICE_PORT_HTTP", "7421"),
        ("ACKLINE_PORT", "tcp://10.0.0.1:7421"),
        ("ACKLINE_METRICS_PORT_7421_TCP_ADDR", "10.0.0.1"),
        ("ACKLINE_TARGET", "unix:/run/ackline/ackline.sock"),
        ("ACKLINE_CONFIG", "/etc/ackline.yaml"),
    ];
    let text = load(LEAST, &variables, &[]).unwrap_err();
    let expected = "\
1 mistake in the settings

  ACKLINE_GROUP_IDD  (environment)
    this variable belongs to no setting
    -> did you mean `ACKLINE_GROUP_ID`?";
    assert_eq!(text, expected);
}

#[test]
fn a_setting_given_by_two_flags_is_refused() {
    let text = flag_mistakes(&[("start", "latest"), ("start", "stop")]);
    assert!(
        text.contains("is given twice on the command line"),
        "{text}"
    );
}
