use std::path::Path;

use super::*;

const POSTGRES: &str =
    "offset_store: {kind: postgres, postgres: {address: 'db:5432', username_file: /u}}\n";

fn with(more: &str) -> Result<Config, String> {
    load(&format!("{LEAST}{more}"), &[], &[])
}

#[test]
fn positions_are_kept_in_kafka_unless_told_otherwise() {
    assert_eq!(valid(LEAST).offset_store.kind, StoreKind::Kafka);
    let store = with(POSTGRES).unwrap().offset_store;
    assert_eq!(store.kind, StoreKind::Postgres);
    assert_eq!(store.postgres.address, "db:5432");
    assert_eq!(store.postgres.table, "ackline_offsets");
    assert_eq!(
        store.postgres.username_file.as_deref(),
        Some(Path::new("/u"))
    );
    assert!(!store.mirror_to_kafka && !store.postgres.tls);
}

#[test]
fn what_a_store_needs_is_named_all_at_once() {
    let told = with("offset_store: {kind: postgres}\n").unwrap_err();
    for key in [
        "offset_store.postgres.address",
        "offset_store.postgres.username_file",
    ] {
        assert!(told.contains(key), "{told}");
    }
}

#[test]
fn settings_of_a_store_that_is_not_used_are_mistakes() {
    for (key, value) in [
        ("offset_store.postgres.database", "shop"),
        ("offset_store.mirror_to_kafka", "true"),
    ] {
        let told = load(LEAST, &[], &[(key, value)]).unwrap_err();
        assert!(
            told.contains(key) && told.contains("has no effect"),
            "{told}"
        );
    }
}

#[test]
fn an_authority_without_encryption_is_a_mistake() {
    let ca = ("offset_store.postgres.tls.ca_file", "/ca");
    let told = load(&format!("{LEAST}{POSTGRES}"), &[], &[ca]).unwrap_err();
    assert!(told.contains("would not be encrypted"), "{told}");
    let tls = ("offset_store.postgres.tls.enabled", "true");
    assert!(load(&format!("{LEAST}{POSTGRES}"), &[], &[ca, tls]).is_ok());
}

#[test]
fn a_table_is_a_plain_name_and_a_server_has_a_port() {
    for (key, value) in [
        ("offset_store.postgres.table", "offsets; drop table users"),
        ("offset_store.postgres.table", "a.b.c"),
        ("offset_store.postgres.table", "Offsets"),
        ("offset_store.postgres.address", "db"),
        ("offset_store.postgres.address", "db:0"),
    ] {
        let told = load(&format!("{LEAST}{POSTGRES}"), &[], &[(key, value)]).unwrap_err();
        assert!(told.contains(key), "{value}: {told}");
    }
    let schema = ("offset_store.postgres.table", "ackline.offsets");
    assert!(load(&format!("{LEAST}{POSTGRES}"), &[], &[schema]).is_ok());
}

/// The page that explains all this shows settings that work.
#[test]
fn the_examples_of_the_documentation_mean_what_they_say() {
    let page = include_str!("../../../docs/offset-stores.md");
    let examples = page.split("```yaml\n").skip(1);
    let examples = examples.map(|rest| rest.split_once("```").unwrap().0);
    let [table, nodes, own] = examples.collect::<Vec<_>>()[..] else {
        panic!("three examples");
    };
    let store = valid(table).offset_store;
    assert_eq!(
        (store.kind, store.postgres.tls),
        (StoreKind::Postgres, true)
    );
    assert_eq!(store.postgres.database, "shop");
    let store = valid(nodes).offset_store;
    assert_eq!(store.kind, StoreKind::ZooKeeper);
    assert!(store.zookeeper.servers.ends_with("/kafka"));
    assert_eq!(valid(own).offset_store.kind, StoreKind::Application);
}

#[test]
fn an_application_keeps_positions_and_may_have_them_copied() {
    let config = with("offset_store: {kind: application, mirror_to_kafka: true}\n").unwrap();
    assert_eq!(config.positions(), crate::core::Positions::Application);
    assert!(config.offset_store.mirror_to_kafka);
    let (key, value) = ("offset_store.postgres.database", "shop");
    let own = format!("{LEAST}offset_store: {{kind: application}}\n");
    let told = load(&own, &[], &[(key, value)]).unwrap_err();
    assert!(told.contains("offset_store.kind is application"), "{told}");
}

#[test]
fn an_application_that_keeps_positions_must_acknowledge() {
    let text = "offset_store: {kind: application}\ncommit: {mode: on_delivery}\n";
    let told = with(text).unwrap_err();
    assert!(
        told.contains("commit.mode") && told.contains("run ahead"),
        "{told}"
    );
}
