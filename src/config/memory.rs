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
    let payload = FETCH_QUEUE_BYTES.saturating_add(config.in_flight.bytes);
    (payload.saturating_mul(FACTOR_HALVES) / 2).saturating_add(PROCESS_BYTES)
}

/// The same, line by line.
#[must_use]
pub fn memory_report(config: &Config) -> String {
    let total = memory_bytes_max(config);
    let payload = FETCH_QUEUE_BYTES.saturating_add(config.in_flight.bytes);
    let rows = [
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
        (
            "payload × 2.5",
            size_text(payload * FACTOR_HALVES / 2),
            "fetch queue and in_flight.bytes, with copies and allocator",
        ),
        ("at most", size_text(total), "process + payload × 2.5"),
    ];
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
