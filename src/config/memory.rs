//! How much memory a process with these settings takes at most.

use std::fmt::Write as _;

use super::model::Config;
use super::units::size_text;

/// Bytes of values that the Kafka client fetches ahead of what was taken in, for all partitions together. librdkafka's own
/// default is 64 MiB; this reaches 86 % of its rate with a fifth of the memory.
pub const FETCH_QUEUE_BYTES: u64 = 16 << 20;

/// Records that it fetches ahead at most, however small.
pub const FETCH_QUEUE_RECORDS: u32 = 20_000;

/// What the client takes for those records, some 300 bytes each.
const FETCH_QUEUE_RECORDS_BYTES: u64 = 6 << 20;

/// What is fetched ahead has keys and headers besides values.
const FETCH_QUEUE_FACTOR_HALVES: u64 = 3;

/// What responses take that come when the queue is all but full: one of each broker, unpacked, and each record of it with
/// what the client takes. Measured with three brokers and JSON of 180 bytes that zstd packs to a tenth: one takes some 32
/// times its size. A batch that unpacks to hundreds of times its size is not bounded by this.
const RESPONSES_FACTOR: u64 = 96;

/// Code, threads, connections and tables.
const PROCESS_BYTES: u64 = 24 << 20;

/// A payload may exist twice for a moment, and allocators do not give every page back.
const PAYLOAD_FACTOR_HALVES: u64 = 5;

/// One part of the formula.
struct Part {
    name: &'static str,
    bytes: u64,
    meaning: String,
}

/// Most resident memory of a process with these settings.
#[must_use]
pub fn memory_bytes_max(config: &Config) -> u64 {
    let parts = parts(config).into_iter();
    parts.fold(0, |sum, part| sum.saturating_add(part.bytes))
}

fn parts(config: &Config) -> Vec<Part> {
    let part = |name, bytes, meaning| Part {
        name,
        bytes,
        meaning,
    };
    let mut parts = vec![
        part(
            "process",
            PROCESS_BYTES,
            "code, threads, connections, tables, records for who looks on".to_owned(),
        ),
        part(
            "fetch queue",
            halves(FETCH_QUEUE_BYTES, FETCH_QUEUE_FACTOR_HALVES) + FETCH_QUEUE_RECORDS_BYTES,
            format!(
                "1.5 × {}, fetched from brokers and not yet taken in, and {} for {FETCH_QUEUE_RECORDS} records",
                size_text(FETCH_QUEUE_BYTES),
                size_text(FETCH_QUEUE_RECORDS_BYTES),
            ),
        ),
        part(
            "responses",
            config
                .kafka
                .fetch_max_bytes
                .saturating_mul(RESPONSES_FACTOR),
            format!(
                "{RESPONSES_FACTOR} × kafka.fetch_max_bytes ({}), of several brokers at once, unpacked",
                size_text(config.kafka.fetch_max_bytes)
            ),
        ),
        part(
            "in flight",
            halves(config.in_flight.bytes, PAYLOAD_FACTOR_HALVES),
            format!(
                "2.5 × in_flight.bytes ({}), taken in, waiting or in flight, with copies and allocator",
                size_text(config.in_flight.bytes)
            ),
        ),
    ];
    if config.is_transactional() {
        let bytes = outputs_bytes_max(config);
        parts.push(part(
            "outputs",
            halves(bytes, PAYLOAD_FACTOR_HALVES),
            format!(
                "2.5 × {}, twice transactions.max_bytes: waiting, and in the transaction that is out",
                size_text(bytes)
            ),
        ));
    }
    parts
}

fn halves(bytes: u64, factor: u64) -> u64 {
    bytes.saturating_mul(factor) / 2
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
    let mut text = String::new();
    let mut row = |name: &str, bytes: u64, meaning: &str| {
        let _ = writeln!(text, "{name:<12} {:>10}   {meaning}", size_text(bytes));
    };
    for part in parts(config) {
        row(part.name, part.bytes, &part.meaning);
    }
    row("at most", total, "the sum");
    let mebibytes = total.div_ceil(1 << 20);
    let _ = writeln!(
        text,
        "\nGive the container a memory limit of {mebibytes}Mi or more."
    );
    text
}
