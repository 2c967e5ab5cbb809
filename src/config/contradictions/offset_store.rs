//! Settings of what keeps positions.

use super::super::load::Loading;
use super::super::model::StoreKind;
use super::super::problem::Fault;
use super::super::rules;
use super::super::table;
use super::{TlsKeys, tls_files};
use crate::core::CommitMode;

/// Kinds, and the settings that are theirs.
const KINDS: [(StoreKind, &str, &str); 2] = [
    (StoreKind::Postgres, "postgres", "offset_store.postgres."),
    (StoreKind::ZooKeeper, "zookeeper", "offset_store.zookeeper."),
];

/// Reports every contradiction.
pub(super) fn check(loading: &mut Loading) {
    of_other_kinds(loading);
    mirror(loading);
    match loading.config.offset_store.kind {
        StoreKind::Kafka => {}
        StoreKind::Postgres => postgres(loading),
        StoreKind::ZooKeeper => zookeeper(loading),
        StoreKind::Application => application(loading),
    }
}

/// What is written about one that is not chosen.
fn of_other_kinds(loading: &mut Loading) {
    let chosen = loading.config.offset_store.kind;
    let name = match chosen {
        StoreKind::Kafka => "kafka",
        StoreKind::Postgres => "postgres",
        StoreKind::ZooKeeper => "zookeeper",
        StoreKind::Application => "application",
    };
    for (_, other, section) in KINDS.iter().filter(|(kind, ..)| *kind != chosen) {
        let keys = table::settings().map(|setting| setting.key);
        let given: Vec<&str> = keys
            .filter(|key| key.starts_with(section))
            .filter(|key| loading.is_changed(key))
            .collect();
        for key in given {
            let fault = Fault::new(
                format!("has no effect, because offset_store.kind is {name}"),
                format!("write `kind: {other}` below offset_store, or remove it"),
            );
            loading.report(key, &["offset_store.kind"], fault);
        }
    }
}

fn application(loading: &mut Loading) {
    if loading.config.commit.mode == CommitMode::OnDelivery {
        let fault = Fault::new(
            "goes not with offset_store.kind application: a position that is kept with what came of the records must not run ahead of them",
            "write `mode: on_ack` below commit, or choose another store",
        );
        loading.report("commit.mode", &["offset_store.kind"], fault);
    }
}

fn mirror(loading: &mut Loading) {
    let store = &loading.config.offset_store;
    if store.kind == StoreKind::Kafka && store.mirror_to_kafka {
        let fault = Fault::new(
            "has no effect, because offset_store.kind is kafka: positions are there already",
            "remove it, or choose another store",
        );
        loading.report(
            "offset_store.mirror_to_kafka",
            &["offset_store.kind"],
            fault,
        );
    }
}

fn postgres(loading: &mut Loading) {
    let server = loading.config.offset_store.postgres.clone();
    let needed = [
        ("offset_store.postgres.address", server.address.is_empty()),
        (
            "offset_store.postgres.username_file",
            server.username_file.is_none(),
        ),
    ];
    for (key, _) in needed.into_iter().filter(|(_, lacks)| *lacks) {
        lacking(loading, key, "postgres");
    }
    if server.ca_file.is_some() && !server.tls {
        let fault = Fault::new(
            "is given, but offset_store.postgres.tls.enabled is false: the connection would not be encrypted",
            "write `enabled: true` below offset_store.postgres.tls, or remove the file",
        );
        loading.report(
            "offset_store.postgres.tls.ca_file",
            &["offset_store.postgres.tls.enabled"],
            fault,
        );
    }
}

fn zookeeper(loading: &mut Loading) {
    const USER: &str = "offset_store.zookeeper.username_file";
    const PASSWORD: &str = "offset_store.zookeeper.password_file";
    let servers = loading.config.offset_store.zookeeper.clone();
    if servers.servers.is_empty() {
        lacking(loading, "offset_store.zookeeper.servers", "zookeeper");
    }
    let user = servers.username_file.is_some();
    let alone = match (user, servers.password_file.is_some()) {
        (true, false) => Some((USER, PASSWORD)),
        (false, true) => Some((PASSWORD, USER)),
        (true, true) | (false, false) => None,
    };
    if let Some((given, lacking)) = alone {
        let fault = Fault::new(
            format!("is given without {lacking}: a user is known by both"),
            format!("name both, or remove {given}"),
        );
        loading.report(given, &[lacking], fault);
    }
    let keys = TlsKeys {
        section: "offset_store.zookeeper.tls",
        enabled: "offset_store.zookeeper.tls.enabled",
        ca_file: "offset_store.zookeeper.tls.ca_file",
        cert_file: "offset_store.zookeeper.tls.cert_file",
        key_file: "offset_store.zookeeper.tls.key_file",
    };
    tls_files(loading, &servers.tls, &keys);
    if !loading.config.group.id.is_empty() && !rules::is_node_name(&loading.config.group.id) {
        let fault = Fault::new(
            "cannot be the name of a node, and offset_store.kind is zookeeper",
            "write it without slashes and unusual characters",
        );
        loading.report("group.id", &["offset_store.kind"], fault);
    }
}

fn lacking(loading: &mut Loading, key: &'static str, kind: &str) {
    let fault = Fault::new(
        format!("is not given, but offset_store.kind is {kind}"),
        "write it, or `kind: kafka`",
    );
    loading.report(key, &["offset_store.kind"], fault);
}
