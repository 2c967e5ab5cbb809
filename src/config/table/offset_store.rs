//! Settings about where positions are kept.

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
];

pub(super) static SETTINGS: &[Setting] = &[
    Setting::new(
        "offset_store.kind",
        Kind::Choice(&[
            choice!("kafka", offset_store.kind, StoreKind::Kafka),
            choice!("postgres", offset_store.kind, StoreKind::Postgres),
        ]),
        Fixed("kafka"),
        "What keeps the position of each partition, and what is finished above it: the consumer group, or a \
         table in PostgreSQL. All members of a group must say the same.",
    )
    .example("postgres"),
    Setting::new(
        "offset_store.mirror_to_kafka",
        Kind::Switch(|c| &mut c.offset_store.mirror_to_kafka),
        Fixed("false"),
        "Commit to the consumer group, too, what was written to a store outside Kafka: for tools that compute lag. \
         It is never read back.",
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
];
