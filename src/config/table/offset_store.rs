//! Settings about where positions are kept.

use std::time::Duration;

use super::Preset::Fixed;
use super::{Section, Setting, choice};
use crate::config::kind::Kind;
use crate::config::model::StoreKind;
use crate::config::rules;
use crate::config::secret::FileUse;

pub(super) static SECTIONS: &[Section] = &[
    Section {
        key: "offset_store",
        doc: "Where positions are kept.",
    },
    Section {
        key: "offset_store.postgres",
        doc: "PostgreSQL as offset store. Needs SELECT, INSERT and UPDATE on its table, and CREATE in its schema if that is \
              not there yet.",
    },
    Section {
        key: "offset_store.postgres.tls",
        doc: "Encryption of the connection to PostgreSQL.",
    },
    Section {
        key: "offset_store.zookeeper",
        doc: "ZooKeeper as offset store: offsets where consumers before Kafka 0.9 kept them, and what else is needed beside \
              them. Nodes of a group must not be removed while it has members.",
    },
    Section {
        key: "offset_store.zookeeper.tls",
        doc: "Encryption of the connection to ZooKeeper.",
    },
];

pub(super) static SETTINGS: &[Setting] = &[
    Setting::new(
        "offset_store.kind",
        Kind::Choice(&[
            choice!("kafka", offset_store.kind, StoreKind::Kafka),
            choice!("postgres", offset_store.kind, StoreKind::Postgres),
            choice!("zookeeper", offset_store.kind, StoreKind::ZooKeeper),
            choice!("application", offset_store.kind, StoreKind::Application),
        ]),
        Fixed("kafka"),
        "What keeps the position of each partition, and what is finished above it: the consumer group, a \
         table in PostgreSQL, nodes in ZooKeeper, or the application, which is asked where each partition starts. \
         All members of a group must say the same.",
    )
    .example("postgres"),
    Setting::new(
        "offset_store.mirror_to_kafka",
        Kind::Switch(|c| &mut c.offset_store.mirror_to_kafka),
        Fixed("false"),
        "Commit to the consumer group, too, what was written to a store outside Kafka, or offered to the application: \
         for tools that compute lag. It is never read back.",
    )
    .example("true"),
    Setting::new(
        "offset_store.postgres.address",
        Kind::Text(rules::SERVER, |c| &mut c.offset_store.postgres.address),
        Fixed(""),
        "The server, as `host:port`.",
    )
    .example("postgres:5432"),
    Setting::new(
        "offset_store.postgres.database",
        Kind::Text(rules::SOME_TEXT, |c| &mut c.offset_store.postgres.database),
        Fixed("postgres"),
        "The database.",
    )
    .example("orders"),
    Setting::new(
        "offset_store.postgres.table",
        Kind::Text(rules::TABLE, |c| &mut c.offset_store.postgres.table),
        Fixed("ackline_offsets"),
        "The table, with its schema if that is not in the search path. Made when it is not there, if that is \
         allowed.",
    )
    .example("ackline.offsets"),
    Setting::new(
        "offset_store.postgres.username_file",
        Kind::File(FileUse::Word, |c| {
            &mut c.offset_store.postgres.username_file
        }),
        Fixed(""),
        "File that holds the user name. A line break at its end does not count. Read at each connection.",
    )
    .example("/etc/ackline/postgres/username"),
    Setting::new(
        "offset_store.postgres.password_file",
        Kind::File(FileUse::Word, |c| {
            &mut c.offset_store.postgres.password_file
        }),
        Fixed(""),
        "File that holds the password. A line break at its end does not count. Read at each connection.",
    )
    .example("/etc/ackline/postgres/password"),
    Setting::new(
        "offset_store.postgres.tls.enabled",
        Kind::Switch(|c| &mut c.offset_store.postgres.tls),
        Fixed("false"),
        "Encrypt the connection, and check the server's certificate and name.",
    )
    .example("true"),
    Setting::new(
        "offset_store.postgres.tls.ca_file",
        Kind::File(FileUse::Pem, |c| &mut c.offset_store.postgres.ca_file),
        Fixed(""),
        "PEM file of the certificate authorities to trust; without it, those of the system. Read at each \
         connection.",
    )
    .example("/etc/ackline/postgres/ca.crt"),
    Setting::new(
        "offset_store.zookeeper.servers",
        Kind::Text(rules::ZOOKEEPER_SERVERS, |c| {
            &mut c.offset_store.zookeeper.servers
        }),
        Fixed(""),
        "The servers, as `host:port` with commas between several; behind the last the path of the node that holds all \
         others, if that is not the root. That node must be there.",
    )
    .example("zk-0:2181,zk-1:2181/kafka"),
    Setting::new(
        "offset_store.zookeeper.session_timeout",
        Kind::Time(Duration::from_secs(1), Duration::from_secs(60), |c| {
            &mut c.offset_store.zookeeper.session_timeout
        }),
        Fixed("10s"),
        "How long a question may take, and to find a server; how long a server keeps a session in which nothing is asked.",
    )
    .example("6s"),
    Setting::new(
        "offset_store.zookeeper.username_file",
        Kind::File(FileUse::Word, |c| {
            &mut c.offset_store.zookeeper.username_file
        }),
        Fixed(""),
        "File that holds the user name for digest authentication. Nodes that are made are then for this user only; \
         without it, for everybody. A line break at its end does not count. Read at each connection.",
    )
    .example("/etc/ackline/zookeeper/username"),
    Setting::new(
        "offset_store.zookeeper.password_file",
        Kind::File(FileUse::Word, |c| {
            &mut c.offset_store.zookeeper.password_file
        }),
        Fixed(""),
        "File that holds the password. A line break at its end does not count. Read at each connection.",
    )
    .example("/etc/ackline/zookeeper/password"),
    Setting::new(
        "offset_store.zookeeper.tls.enabled",
        Kind::Switch(|c| &mut c.offset_store.zookeeper.tls.enabled),
        Fixed("false"),
        "Encrypt the connection, and check the server's certificate and name.",
    )
    .example("true"),
    Setting::new(
        "offset_store.zookeeper.tls.ca_file",
        Kind::File(FileUse::Pem, |c| &mut c.offset_store.zookeeper.tls.ca_file),
        Fixed(""),
        "PEM file of the certificate authorities to trust; without it, those of the system. Read at each \
         connection.",
    )
    .example("/etc/ackline/zookeeper/ca.crt"),
    Setting::new(
        "offset_store.zookeeper.tls.cert_file",
        Kind::File(FileUse::Pem, |c| {
            &mut c.offset_store.zookeeper.tls.cert_file
        }),
        Fixed(""),
        "PEM file of the certificate that identifies us, which ZooKeeper demands unless told otherwise. Read at each \
         connection.",
    )
    .example("/etc/ackline/zookeeper/tls.crt"),
    Setting::new(
        "offset_store.zookeeper.tls.key_file",
        Kind::File(FileUse::Pem, |c| &mut c.offset_store.zookeeper.tls.key_file),
        Fixed(""),
        "PEM file of the private key of `offset_store.zookeeper.tls.cert_file`. Read at each connection.",
    )
    .example("/etc/ackline/zookeeper/tls.key"),
];
