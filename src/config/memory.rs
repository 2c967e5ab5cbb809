//! How much memory a process with these settings takes at most.

use std::fmt::Write as _;

use super::model::Config;
use super::units::size_text;

/// Bytes that the Kafka client fetches ahead of what was taken in, for all partitions together.
pub const FETCH_QUEUE_BYTES: u64 = 16 << 20;

/// Code, threads, connections and tables.
const PROCESS_BYTES: u64 = 24 << 20;

/// A payload may exist twice for a moment, and allocators do not give every page back.
const FACTOR_HALVES: u64 = 5;

/// Most resident memory of a process with these settings.
#[must_use]
pub fn memory_bytes_max(config: &Config) -> u64 {
    (payload_bytes_max(config).saturating_mul(FACTOR_HALVES) / 2).saturating_add(PROCESS_BYTES)
}

fn payload_bytes_max(config: &Config) -> u64 {
    FETCH_QUEUE_BYTES
        .saturating_add(config.in_flight.bytes)
        .saturating_add(outputs_bytes_max(config))
}

/// Outputs that wait for a transaction, and those in the one that is out.
fn outputs_bytes_max(config: &Config) -> u64 {
    let limits = config.transaction_limits();
    limits.map_or(0, |limits| limits.held_bytes_max())
}

/// The same, line by line.
#[must_use]
pub fn memory_report(config: &Config) -> String {
    let total = memory_bytes_max(config);
    let mut rows = vec![
        (
            "process",
            size_text(PROCESS_BYTES),
            "code, threads, connections, tables, records for who looks on",
        ),
        (
            "fetch queue",
            size_text(FETCH_QUEUE_BYTES),
            "fetched from brokers, not yet taken in",
        ),
        (
            "in_flight.bytes",
            size_text(config.in_flight.bytes),
            "taken in, waiting or in flight",
        ),
    ];
    if config.is_transactional() {
        rows.push((
            "outputs",
            size_text(outputs_bytes_max(config)),
            "twice transactions.max_bytes: waiting, and in the transaction that is out",
        ));
    }
    rows.push((
        "payload × 2.5",
        size_text(payload_bytes_max(config).saturating_mul(FACTOR_HALVES) / 2),
        "what is above without the process, with copies and allocator",
    ));
    rows.push(("at most", size_text(total), "process + payload × 2.5"));
    let mut text = String::new();
    for (name, size, meaning) in rows {
        let _ = writeln!(text, "{name:<16} {size:>10}   {meaning}");
    }
    let mebibytes = total.div_ceil(1 << 20);
    let _ = writeln!(
        text,
        "\nGive the container a memory limit of {mebibytes}Mi or more."
    );
    text
}
