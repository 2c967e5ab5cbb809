//! What names must look like.

use super::problem::{Fault, shown};
use crate::dead_letter::PLACEHOLDER;

/// A rule about text, and the same rule as a schema pattern.
#[derive(Clone, Copy)]
pub(super) struct Rule {
    /// Says what is wrong.
    pub(super) check: fn(&str) -> Result<(), Fault>,
    /// As a regular expression of the schema, in what ECMAScript and Go (which Helm is written in) both
    /// understand: no `\u0000`, and no repetition above 1,000.
    pub(super) pattern: &'static str,
}

/// A broker: a host name or address, and a port.
pub(super) const BROKER: Rule = Rule {
    check: broker,
    pattern: "^[^\\s/,]+:[0-9]{1,5}$",
};

/// A server of another kind, or nothing.
pub(super) const SERVER: Rule = Rule {
    check: server,
    pattern: "^([^\\s/,]+:[0-9]{1,5})?$",
};

/// ZooKeeper servers with commas between them, and a node behind the last; or nothing.
pub(super) const ZOOKEEPER_SERVERS: Rule = Rule {
    check: zookeeper_servers,
    pattern: "^([^\\s/,]+:[0-9]{1,5}(,[^\\s/,]+:[0-9]{1,5}){0,31}(/[^\\s/,]+)*)?$",
};

/// A table, with its schema or without, as names that need no quotes.
pub(super) const TABLE: Rule = Rule {
    check: table,
    pattern: "^[a-z_][a-z0-9_]{0,62}(\\.[a-z_][a-z0-9_]{0,62})?$",
};

/// A name that Kafka accepts for a topic.
pub(super) const TOPIC: Rule = Rule {
    check: topic,
    pattern: "^[a-zA-Z0-9._-]{1,249}$",
};

/// A topic, or a template of one; nothing for none.
pub(super) const DEAD_LETTER_TOPIC: Rule = Rule {
    check: dead_letter_topic,
    pattern: "^([a-zA-Z0-9._-]|\\{topic\\}){0,249}$",
};

/// Printable text that may not be empty.
pub(super) const SOME_TEXT: Rule = Rule {
    check: some_text,
    pattern: "^[^\\x00-\\x1f\\x7f]{1,255}$",
};

/// Printable text or nothing.
pub(super) const ANY_TEXT: Rule = Rule {
    check: any_text,
    pattern: "^[^\\x00-\\x1f\\x7f]{0,255}$",
};

/// Most ZooKeeper servers.
const SERVERS_MAX: usize = 32;

/// Longest group id, instance id or rack.
const TEXT_CHARS_MAX: usize = 255;

fn broker(text: &str) -> Result<(), Fault> {
    let remedy = "write host:port, such as kafka:9092 or [::1]:9092";
    if text.contains("://") {
        return Err(Fault::new(
            "names a protocol",
            format!("{remedy}; `kafka.tls` and `kafka.sasl` say how to connect"),
        ));
    }
    let port = text.rsplit_once(':').filter(|(host, _)| {
        let bare_address = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
        !host.is_empty() && !bare_address && !host.contains([' ', '\t', '/', ','])
    });
    match port.map(|(_, port)| port.parse::<u16>()) {
        Some(Ok(1..)) => Ok(()),
        Some(Ok(0) | Err(_)) => Err(Fault::new("has no port from 1 to 65535", remedy)),
        None => Err(Fault::new("is not a host with a port", remedy)),
    }
}

fn topic(text: &str) -> Result<(), Fault> {
    let remedy = "write 1 to 249 letters, digits, dots, underscores and hyphens";
    let permitted = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if text.is_empty() || text.len() > 249 || !text.chars().all(permitted) {
        return Err(Fault::new(
            "is not a name that Kafka accepts for a topic",
            remedy,
        ));
    }
    if matches!(text, "." | "..") {
        return Err(Fault::new("is a name that Kafka forbids", remedy));
    }
    Ok(())
}

fn dead_letter_topic(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let constant = text.replace(PLACEHOLDER, "");
    if constant.contains(['{', '}']) {
        return Err(Fault::new(
            "contains a placeholder that does not exist",
            format!("write {PLACEHOLDER}, which stands for the topic that a record comes from"),
        ));
    }
    // Without the name in place of the placeholder it may be empty, but what is there must be legal.
    topic(&text.replace(PLACEHOLDER, "x"))
}

fn server(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let fault = || {
        Fault::new(
            "is no host with a port",
            "write host:port, such as postgres:5432 or [::1]:5432",
        )
    };
    broker(text).map_err(|_| fault())
}

/// The name of a table, if it is one that [`TABLE`] allows: for flags.
pub(crate) fn table_name(text: &str) -> Result<String, String> {
    table(text)
        .map(|()| text.to_owned())
        .map_err(|fault| format!("it {}: {}", fault.what, fault.remedy))
}

fn zookeeper_servers(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Ok(());
    }
    let remedy = "write host:port with commas between several, and a node behind the last if there is one: \
                  zk-0:2181,zk-1:2181/kafka";
    let (servers, root) = text.split_at(text.find('/').unwrap_or(text.len()));
    if root.contains(',') {
        return Err(Fault::new("has a node that is not at its end", remedy));
    }
    for server in servers.split(',') {
        if broker(server).is_err() {
            let what = format!("has `{}`, which is no host with a port", shown(server));
            return Err(Fault::new(what, remedy));
        }
    }
    if servers.split(',').count() > SERVERS_MAX {
        return Err(Fault::new(
            "names too many servers",
            format!("name at most {SERVERS_MAX}"),
        ));
    }
    if root.split('/').skip(1).any(|name| !is_node_name(name)) {
        return Err(Fault::new(
            "ends with what is no path of a node",
            "write names with a slash before each, and none behind the last: /kafka",
        ));
    }
    Ok(())
}

/// Whether ZooKeeper takes this for the name of a node.
pub(super) fn is_node_name(text: &str) -> bool {
    let permitted =
        |c: char| !c.is_control() && !matches!(c, '/' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..);
    !matches!(text, "" | "." | "..") && text.chars().all(permitted)
}

fn table(text: &str) -> Result<(), Fault> {
    let is_name = |name: &str| {
        let mut bytes = name.bytes();
        let begins = bytes
            .next()
            .is_some_and(|byte| byte == b'_' || byte.is_ascii_lowercase());
        let goes_on =
            bytes.all(|byte| byte == b'_' || byte.is_ascii_lowercase() || byte.is_ascii_digit());
        begins && goes_on && name.len() <= 63
    };
    if text.split('.').count() <= 2 && text.split('.').all(is_name) {
        return Ok(());
    }
    Err(Fault::new(
        "is no plain name of a table",
        "write small letters, digits and underscores, with the schema and a dot before it if needed: \
         ackline.offsets",
    ))
}

fn some_text(text: &str) -> Result<(), Fault> {
    if text.is_empty() {
        return Err(Fault::new("is empty", "write at least one character"));
    }
    any_text(text)
}

fn any_text(text: &str) -> Result<(), Fault> {
    if text.chars().count() > TEXT_CHARS_MAX {
        return Err(Fault::new(
            "is too long",
            format!("write at most {TEXT_CHARS_MAX} characters"),
        ));
    }
    if text.chars().any(char::is_control) {
        return Err(Fault::new(
            "contains a control character",
            "write printable characters",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_hosts_with_ports() {
        for good in [
            "kafka:9092",
            "10.0.0.1:1",
            "[::1]:9092",
            "b-1.msk.example.com:65535",
        ] {
            assert_eq!(broker(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "kafka",
            "kafka:",
            ":9092",
            "kafka:0",
            "kafka:65536",
            "::1:9092",
            "a b:1",
            "SSL://kafka:9092",
        ] {
            assert!(broker(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn zookeeper_servers_are_hosts_with_ports_and_perhaps_a_node() {
        for good in [
            "",
            "zk:2181",
            "zk-0:2181,zk-1:2181",
            "zk:2181/kafka",
            "[::1]:2181,zk:2181/kafka/blue",
        ] {
            assert_eq!(zookeeper_servers(good), Ok(()), "{good}");
        }
        for bad in [
            "zk",
            "zk:2181,",
            "zk:2181, zk:2181",
            "zk:2181/",
            "zk:2181/a//b",
            "zk:2181/a/",
            "zk:2181/..",
            "zk:2181/a,zk:2181",
            "/kafka",
            "zk:0",
            &["zk:2181"; 33].join(","),
        ] {
            assert!(zookeeper_servers(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn dead_letter_topics_are_names_with_one_known_placeholder() {
        for good in ["", "dead", "{topic}.dlq", "a.{topic}.b", "{topic}-{topic}"] {
            assert_eq!(dead_letter_topic(good), Ok(()), "{good}");
        }
        for bad in [
            "{group}.dlq",
            "{topic",
            "topic}",
            "{}",
            "dead letters",
            "..",
            "{topic}/dlq",
        ] {
            assert!(dead_letter_topic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn topics_are_what_kafka_accepts() {
        for good in ["orders", "a.b_c-D9", &"x".repeat(249)] {
            assert_eq!(topic(good), Ok(()), "{good}");
        }
        for bad in ["", ".", "..", "a b", "ä", "a/b", &"x".repeat(250)] {
            assert!(topic(bad).is_err(), "{bad}");
        }
    }
}
