use serde_json::Value as Json;

use super::*;

#[test]
fn what_is_printed_is_a_settings_file_with_the_same_settings() {
    for setting in table::settings() {
        let mut flags = vec![(setting.key, setting.example)];
        match setting.key {
            "kafka.tls.ca_file" => flags.push(("kafka.tls.enabled", "true")),
            "kafka.tls.cert_file" | "kafka.tls.key_file" => flags.extend([
                ("kafka.tls.enabled", "true"),
                ("kafka.tls.cert_file", "/c"),
                ("kafka.tls.key_file", "/k"),
            ]),
            "kafka.sasl.mechanism" | "kafka.sasl.username_file" | "kafka.sasl.password_file" => {
                flags.extend([
                    ("kafka.sasl.mechanism", "PLAIN"),
                    ("kafka.sasl.username_file", "/u"),
                    ("kafka.sasl.password_file", "/p"),
                ])
            }
            "listen.app_tcp.address" | "listen.app_tcp.insecure" => flags.extend([
                ("listen.app_tcp.address", "127.0.0.1:7420"),
                ("listen.app_tcp.insecure", "true"),
            ]),
            key if key.starts_with("offset_store.") && !key.contains(".zookeeper.") => {
                flags.extend([
                    ("offset_store.kind", "postgres"),
                    ("offset_store.postgres.address", "db:5432"),
                    ("offset_store.postgres.username_file", "/u"),
                    ("offset_store.postgres.tls.enabled", "true"),
                ]);
            }
            key if key.starts_with("offset_store.zookeeper.") => flags.extend([
                ("offset_store.kind", "zookeeper"),
                ("offset_store.zookeeper.servers", "zk:2181"),
                ("offset_store.zookeeper.username_file", "/u"),
                ("offset_store.zookeeper.password_file", "/p"),
                ("offset_store.zookeeper.tls.enabled", "true"),
                ("offset_store.zookeeper.tls.cert_file", "/c"),
                ("offset_store.zookeeper.tls.key_file", "/k"),
            ]),
            "topics_max" | "topics_refresh" => flags.push(("topics", "^orders.*")),
            key if key.starts_with("transactions.") => flags.push(("processing", "transactional")),
            "oversize" => flags.push(("dead_letter.topic", "{topic}.dlq")),
            "listen.app_tcp.token_file" => flags.push(("listen.app_tcp.address", "127.0.0.1:7420")),
            _ => {}
        }
        let first = setting.key;
        let mut seen = Vec::new();
        flags.retain(|(key, _)| {
            !seen.contains(key) && {
                seen.push(*key);
                true
            }
        });
        let config = load(LEAST, &[], &flags).unwrap_or_else(|error| panic!("{first}: {error}"));
        let printed = print(&config);
        let again = valid(&printed);
        let values = |config: &Config| -> Vec<String> {
            table::settings()
                .map(|setting| setting.kind.shown(config))
                .collect()
        };
        // `on` with a protocol that ignores it is refused when it is written down.
        assert_eq!(values(&again), values(&config), "{first}\n{printed}");
    }
}

#[test]
fn printing_names_the_source_of_each_value() {
    let config = load(
        &format!("{LEAST}drain: {{revoke: 1s}}\n"),
        &[("ACKLINE_COMMIT_INTERVAL", "2s")],
        &[("lane_depth", "9")],
    )
    .unwrap();
    let printed = print(&config);
    let line = |start: &str| {
        let found = printed
            .lines()
            .find(|line| line.trim_start().starts_with(start));
        found
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(line("revoke:").starts_with("revoke: 1s # /") && line("revoke:").ends_with("line 5"));
    assert_eq!(
        line("interval:"),
        "interval: 2s # variable ACKLINE_COMMIT_INTERVAL"
    );
    assert_eq!(line("lane_depth:"), "lane_depth: 9 # flag --set");
    assert_eq!(line("staleness_max:"), "staleness_max: 1m # default");
}

#[test]
fn no_output_shows_a_secret() {
    let flags = [
        ("kafka.properties.sasl.kerberos.principal", "canary1"),
        ("kafka.properties.my.secret.thing", "canary2"),
        ("kafka.properties.socket.timeout.ms", "12345"),
    ];
    let config = load(LEAST, &[("ACKLINE_UNRELATED_PORT", "canary3")], &flags).unwrap();
    let outputs = [
        print(&config),
        memory_report(&config),
        format!("{config:?}"),
    ]
    .concat();
    assert!(!outputs.contains("canary"), "{outputs}");
    assert!(outputs.contains("12345"));
}

#[test]
fn the_example_file_is_valid_and_holds_every_setting() {
    let example = example_file();
    let config = valid(&example);
    assert_eq!(config.drain.shutdown.as_secs(), 25);
    for setting in table::settings() {
        let name = setting.key.rsplit('.').next().unwrap();
        assert!(example.contains(&format!("{name}: ")), "{}", setting.key);
    }
    assert!(example.lines().all(|line| line.chars().count() <= 100));
}

#[test]
fn the_schema_accepts_the_example_file_and_what_is_printed() {
    let commented_out = format!("{LEAST}drain:\n");
    for yaml in [
        example_file(),
        print(&valid(LEAST)),
        LEAST.to_owned(),
        commented_out,
    ] {
        let document: Json = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(complaints(&schema(), &document, ""), Vec::<String>::new());
    }
}

#[test]
fn the_schema_refuses_what_loading_refuses() {
    for (document, complaint) in [
        (serde_json::json!({"grup": {}}), ".grup unknown"),
        (
            serde_json::json!({"drain": {"revokes": "5s"}}),
            ".drain.revokes unknown",
        ),
        (serde_json::json!({"lane_depth": 0}), ".lane_depth below 1"),
        (
            serde_json::json!({"lane_depth": "ten"}),
            ".lane_depth not integer",
        ),
        (serde_json::json!({"order": "keys"}), ".order not in enum"),
        (serde_json::json!({"topics": []}), ".topics too short"),
        (
            serde_json::json!({"commit": {"metadata": "yes"}}),
            ".commit.metadata not boolean",
        ),
    ] {
        assert_eq!(complaints(&schema(), &document, ""), [complaint]);
    }
}

#[test]
fn every_object_of_the_schema_is_closed() {
    fn closed(schema: &Json) {
        if let Some(properties) = schema.get("properties").and_then(Json::as_object) {
            assert_eq!(schema["additionalProperties"], false);
            properties.values().for_each(closed);
        }
    }
    closed(&schema());
    assert_eq!(
        schema()["properties"]["drain"]["properties"]["revoke"]["default"],
        "5s"
    );
}

#[test]
fn the_reference_has_a_row_for_every_setting() {
    let reference = reference();
    assert_eq!(reference.lines().count(), table::settings().count() + 2);
    for setting in table::settings() {
        let row = format!("| `{}` | `{}`", setting.key, setting.variable());
        assert!(reference.contains(&row), "{row}");
    }
    assert!(
        reference.lines().all(|line| line.matches('|').count() == 6),
        "{reference}"
    );
}

#[test]
fn memory_is_the_formula_with_numbers() {
    let flags = [
        ("in_flight.bytes", "64MiB"),
        ("kafka.fetch_max_bytes", "1MiB"),
    ];
    let config = load(LEAST, &[], &flags).unwrap();
    assert_eq!(
        memory_bytes_max(&config),
        (24 + 16 * 3 / 2 + 6 + 96 + 64 * 5 / 2) << 20
    );
    let expected = "\
process           24MiB   code, threads, connections, tables, records for who looks on
fetch queue       30MiB   1.5 × 16MiB, fetched from brokers and not yet taken in, and 6MiB for 20000 records
responses         96MiB   96 × kafka.fetch_max_bytes (1MiB), of several brokers at once, unpacked
in flight        160MiB   2.5 × in_flight.bytes (64MiB), taken in, waiting or in flight, with copies and allocator
at most          310MiB   the sum

Give the container a memory limit of 310Mi or more.
";
    assert_eq!(memory_report(&config), expected);
}

/// Checks the keywords that our schema uses, patterns excepted.
fn complaints(schema: &Json, document: &Json, path: &str) -> Vec<String> {
    if let Some(any) = schema.get("anyOf").and_then(Json::as_array) {
        let fits = any
            .iter()
            .any(|one| complaints(one, document, path).is_empty());
        return if fits {
            Vec::new()
        } else {
            vec![format!("{path} fits nothing")]
        };
    }
    let kind = schema["type"]
        .as_str()
        .or(schema["type"][0].as_str())
        .unwrap_or("any");
    if document.is_null() && schema["type"][1] == "null" {
        return Vec::new();
    }
    let fits = match kind {
        "object" => document.is_object(),
        "array" => document.is_array(),
        "string" => document.is_string(),
        "boolean" => document.is_boolean(),
        "integer" => document.is_u64(),
        "number" => document.is_number(),
        _ => true,
    };
    if !fits {
        return vec![format!("{path} not {kind}")];
    }
    if schema
        .get("enum")
        .is_some_and(|names| !names.as_array().unwrap().contains(document))
    {
        return vec![format!("{path} not in enum")];
    }
    let minimum = schema.get("minimum").and_then(Json::as_f64);
    if minimum.is_some_and(|least| document.as_f64().unwrap() < least) {
        return vec![format!("{path} below {}", minimum.unwrap())];
    }
    if schema.get("minItems").and_then(Json::as_u64).unwrap_or(0)
        > document.as_array().map_or(u64::MAX, |a| a.len() as u64)
    {
        return vec![format!("{path} too short")];
    }
    let mut found = Vec::new();
    for (name, value) in document.as_object().into_iter().flatten() {
        let inside = format!("{path}.{name}");
        match schema["properties"].get(name) {
            Some(schema) => found.extend(complaints(schema, value, &inside)),
            None if schema["additionalProperties"] == false => {
                found.push(format!("{inside} unknown"))
            }
            None => {}
        }
    }
    found
}
