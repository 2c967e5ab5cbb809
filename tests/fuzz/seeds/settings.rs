//! Settings files, and variables behind them.

use ackline::config::{Config, FlagValue, Sources, print};

use super::Seeds;

const LEAST: &str =
    "kafka: {brokers: [kafka:9092]}\ngroup: {id: orders}\ntopics: [orders]\nstart: earliest\n";

pub(super) fn seeds() -> Seeds {
    let with = |more: &str| format!("{LEAST}{more}").into_bytes();
    let bomb = "a: &a [x,x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b]\n\
                d: &d [*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d]\nf: [*e,*e,*e,*e,*e,*e]\n";
    Seeds::from([
        ("real-least", with("")),
        ("real-all", everything()),
        ("real-variables", variables()),
        ("real-instance", with("\0ACKLINE_GROUP_INSTANCE_ID=${POD_NAME}\0POD_NAME=orders-0")),
        ("real-service-links", with("\0ACKLINE_PORT_80_TCP_ADDR=10.0.0.1\0ACKLINE_SERVICE_HOST=10.0.0.1")),
        ("real-properties", with("kafka.properties: {a: b}\n\0ACKLINE_KAFKA_PROPERTIES=socket.timeout.ms=1000,ssl.key.password=x")),
        ("hostile-bomb", bomb.into()),
        ("hostile-depth", format!("topics: {}", "[".repeat(2000)).into()),
        ("hostile-merge", b"a: &a {b: 1}\nc: {<<: *a, <<: [*a, *a]}\n".into()),
        ("hostile-lines", b"\"grup\\n  forged\": \"a\\u2028\\e[2J\"\n".into()),
        ("hostile-numbers", b"lane_depth: 99999999999999999999\nin_flight: {bytes: -1, records: .inf}\ngroup: 0x1F\n".into()),
        ("hostile-times", b"drain: {revoke: 18446744073709551615h, shutdown: 5}\ncommit: {interval: ~}\n".into()),
        ("hostile-types", b"- topics\n--- !!binary aGVsbG8=\n? [a, b] : !x {}\n".into()),
        ("hostile-bytes", b"\xff\xfe\0ACKLINE_START=\xff\0\xff=\xff\0ACKLINE_\xff=1".into()),
        ("hostile-password", b"kafka: {sasl: {password: hunter2, username: {a: b}}}\n".into()),
        ("hostile-references", with("\0ACKLINE_GROUP_INSTANCE_ID=${A}${B}${\0A=${B}\0B=${A}")),
        ("hostile-addresses", b"listen: {app: 'unix:', http: '[::]:99999', app_tcp: {address: '1:1'}}\n".into()),
    ])
}

/// What a printed configuration holds, without its comments.
fn everything() -> Vec<u8> {
    let flags = [
        ("kafka.brokers", "kafka:9092"),
        ("group.id", "orders"),
        ("topics", "orders,refunds"),
        ("start", "earliest"),
    ];
    let sources = Sources {
        flags: flags
            .iter()
            .map(|(key, value)| FlagValue::set(key, value))
            .collect(),
        ..Sources::default()
    };
    let printed = print(&Config::load(&sources).unwrap());
    let lines = printed.lines().map(|line| {
        let value = line.split(" # ").next().unwrap_or_default();
        format!("{}\n", value.trim_end())
    });
    lines.collect::<String>().into_bytes()
}

/// No file, and a variable for what is required and some more.
fn variables() -> Vec<u8> {
    [
        "",
        "ACKLINE_KAFKA_BROKERS=kafka:9092,[::1]:9093",
        "ACKLINE_GROUP_ID=orders",
        "ACKLINE_TOPICS=orders",
        "ACKLINE_START=latest",
        "ACKLINE_ORDER=key",
        "ACKLINE_DRAIN_REVOKE=1s500ms",
        "ACKLINE_IN_FLIGHT_BYTES=16MiB",
        "ACKLINE_RETRY_BACKOFF_FACTOR=1.5",
        "ACKLINE_LISTEN_UIDS=0,1000",
        "ACKLINE_CONFIG=/nowhere",
    ]
    .join("\0")
    .into_bytes()
}
