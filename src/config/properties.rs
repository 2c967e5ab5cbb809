//! librdkafka properties that nobody may set from outside.
//!
//! Settings that carry a guarantee are ours and are refused by name. A user who could set them would
//! have no guarantee and would not know. What the Kafka edge refuses is refused here as well, so that
//! a mistake is found before anything is started.

/// Why the property is refused, as the end of a sentence; `None` if it is permitted.
pub(super) fn refused_property(name: &str) -> Option<&'static str> {
    let exact = REFUSED.iter().flat_map(|(reason, names)| {
        names
            .iter()
            .filter(|refused| **refused == name)
            .map(move |_| *reason)
    });
    exact.into_iter().next().or_else(|| {
        let is_path = name.ends_with(".location") || name.ends_with(".paths");
        let is_callback = name.ends_with("_cb") || name == "opaque";
        match (is_path, is_callback) {
            (true, _) => Some("it names files to load, which only the settings of their own may"),
            (_, true) => Some("it belongs to the program, not to its settings"),
            (false, false) => crate::kafka::refused_property(name),
        }
    })
}

const REFUSED: &[(&str, &[&str])] = &[
    (
        "brokers are named in `kafka.brokers`",
        &["bootstrap.servers", "metadata.broker.list"],
    ),
    (
        "the group is set by the settings below `group`",
        &[
            "group.id",
            "group.instance.id",
            "group.protocol",
            "group.protocol.type",
            "group.remote.assignor",
            "partition.assignment.strategy",
            "session.timeout.ms",
            "heartbeat.interval.ms",
            "max.poll.interval.ms",
        ],
    ),
    ("it is set by `kafka.client_rack`", &["client.rack"]),
    (
        "it is set by `kafka.fetch_max_bytes`",
        &[
            "fetch.max.bytes",
            "fetch.message.max.bytes",
            "max.partition.fetch.bytes",
        ],
    ),
    (
        "encryption and authentication are set by `kafka.tls` and `kafka.sasl`",
        &[
            "security.protocol",
            "sasl.mechanism",
            "sasl.mechanisms",
            "sasl.username",
            "sasl.password",
            "ssl.ca.location",
            "ssl.certificate.location",
            "ssl.key.location",
        ],
    ),
    (
        "secrets are read from files and do not belong into settings",
        &[
            "ssl.ca.pem",
            "ssl.certificate.pem",
            "ssl.key.pem",
            "ssl.key.password",
            "ssl.keystore.password",
            "sasl.oauthbearer.client.secret",
            "sasl.oauthbearer.config",
        ],
    ),
    (
        "commits are made here, and only of what is finished",
        &[
            "enable.auto.commit",
            "auto.commit.enable",
            "auto.commit.interval.ms",
            "enable.auto.offset.store",
            "offset.store.method",
            "offset.store.path",
            "offset.store.sync.interval.ms",
        ],
    ),
    (
        "where reading starts is decided by `start` and `on_out_of_range`",
        &["auto.offset.reset"],
    ),
    (
        "records of aborted transactions must not be delivered",
        &["isolation.level"],
    ),
    ("damaged records must not be delivered", &["check.crcs"]),
    (
        "the end of a partition is found without it, and with it positions go wrong",
        &["enable.partition.eof"],
    ),
    (
        "it would break the bound on memory",
        &[
            "queued.min.messages",
            "queued.max.messages.kbytes",
            "consume.callback.max.messages",
            "receive.message.max.bytes",
        ],
    ),
    (
        "reading a topic must not create it",
        &["allow.auto.create.topics"],
    ),
    (
        "it runs foreign code or programs",
        &[
            "plugin.library.paths",
            "ssl.engine.location",
            "ssl.engine.id",
            "ssl.providers",
            "sasl.kerberos.kinit.cmd",
        ],
    ),
    ("it writes secrets into the log", &["debug"]),
    (
        "log output is set by the settings below `log`",
        &["log_level", "log.queue"],
    ),
    (
        "it is set by the program",
        &["client.software.name", "client.software.version"],
    ),
    (
        "it is for tests of the library only",
        &["test.mock.num.brokers", "test.mock.broker.rtt"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_property_says_why_and_harmless_ones_pass() {
        for (reason, names) in REFUSED {
            for name in *names {
                assert_eq!(refused_property(name), Some(*reason), "{name}");
            }
        }
        for denied in [
            "ssl.crl.location",
            "ssl.keystore.location",
            "rebalance_cb",
            "opaque",
        ] {
            assert!(refused_property(denied).is_some(), "{denied}");
        }
        for refused_by_the_edge in ["interceptors", "statistics.interval.ms", "ssl_ca"] {
            assert!(
                refused_property(refused_by_the_edge).is_some(),
                "{refused_by_the_edge}"
            );
        }
        for permitted in [
            "client.id",
            "socket.timeout.ms",
            "fetch.wait.max.ms",
            "reconnect.backoff.max.ms",
        ] {
            assert_eq!(refused_property(permitted), None, "{permitted}");
        }
    }
}
