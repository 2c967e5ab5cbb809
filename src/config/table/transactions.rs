//! Settings of exactly once.

use std::time::Duration;

use super::super::kind::{Choice, Kind};
use super::super::model::Processing;
use super::super::rules;
use super::Preset::Fixed;
use super::{Section, Setting};

const HOUR: Duration = Duration::from_secs(3600);

pub(super) const SECTIONS: &[Section] = &[Section {
    key: "transactions",
    doc: "Outputs and positions in one transaction, with `processing: transactional`.",
}];

pub(super) const SETTINGS: &[Setting] = &[
    Setting::new(
        "processing",
        Kind::Choice(&[
            Choice {
                name: "at_least_once",
                set: |c| c.processing = Processing::AtLeastOnce,
                holds: |c| c.processing == Processing::AtLeastOnce,
            },
            Choice {
                name: "transactional",
                set: |c| c.processing = Processing::Transactional,
                holds: |c| c.processing == Processing::Transactional,
            },
        ]),
        Fixed("at_least_once"),
        "With `transactional`, applications return records with their acknowledgements, and those are written to Kafka in \
         the transaction that commits what was acknowledged: exactly once, from Kafka to Kafka.",
    )
    .example("transactional"),
    Setting::new(
        "transactions.id",
        Kind::Text(rules::ANY_TEXT, |c| &mut c.transactions.id),
        Fixed(""),
        "Transactional id; without it, the group and the name of the pod or machine with a dot between them. Two processes \
         with the same id take it from each other, and neither gets on. WRITE and DESCRIBE on it must be given.",
    )
    .example("orders-service.pod-1"),
    Setting::new(
        "transactions.interval",
        Kind::Time(Duration::from_millis(10), HOUR, |c| {
            &mut c.transactions.interval
        }),
        Fixed("100ms"),
        "Shortest time between two transactions that nothing hurries, in place of `commit.interval`. Readers of outputs see \
         them so much later.",
    )
    .example("500ms"),
    Setting::new(
        "transactions.max_records",
        Kind::Count(1, 1_000_000, |c| &mut c.transactions.records_max),
        Fixed("10000"),
        "As many outputs end the wait for `transactions.interval`.",
    )
    .example("500"),
    Setting::new(
        "transactions.max_bytes",
        Kind::Size(1 << 10, 1 << 30, |c| &mut c.transactions.bytes_max),
        Fixed("16MiB"),
        "As many bytes of outputs end the wait for `transactions.interval`. While twice as many are held, nothing new is \
         delivered.",
    )
    .example("4MiB"),
    Setting::new(
        "transactions.timeout",
        Kind::Time(Duration::from_secs(1), Duration::from_secs(900), |c| {
            &mut c.transactions.timeout
        }),
        Fixed("10s"),
        "How long a transaction may be open before brokers abort it (`transaction.timeout.ms`). A process that dies holds up \
         readers of its outputs, and whoever takes its partitions over, for that long at most.",
    )
    .example("30s"),
];
