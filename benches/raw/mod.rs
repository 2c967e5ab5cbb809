//! The Kafka client without a sidecar, as fast as it goes: what ackline is compared with.
//!
//! Two ways to read: `BaseConsumer::poll`, as most programs in Rust do, and the client's batch queue, which
//! is the ceiling. The program is built twice, with the allocator of glibc and with mimalloc.

use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Message};
use serde_json::json;

/// From an assignment to the position at the end of each log.
const POSITIONED_WITHIN: Duration = Duration::from_secs(2);

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One message at a time.
    Poll,
    /// Batches from a queue of its own.
    Batch,
    /// One at a time, noting how old each is.
    Latency,
}

/// Reads a topic and prints what it cost, as JSON.
#[derive(Debug, Parser)]
struct Arguments {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    group: String,
    /// Records to read.
    #[arg(long)]
    count: u64,
    #[arg(long, value_enum)]
    mode: Mode,
    /// Where to start; `latest` says on standard output when it is there.
    #[arg(long, default_value = "earliest")]
    start: String,
}

pub(crate) fn main() {
    let arguments = Arguments::parse();
    let consumer: BaseConsumer = config(&arguments).create().expect("a consumer");
    consumer.subscribe(&[&arguments.topic]).expect("subscribed");
    let read = match arguments.mode {
        Mode::Poll => poll(&consumer, arguments.count),
        Mode::Batch => batch(&consumer, &arguments),
        Mode::Latency => latency(&consumer, arguments.count),
    };
    let (cpu, resident) = usage();
    println!(
        "{}",
        json!({
            "records": read.records,
            "bytes": read.bytes,
            "seconds": read.last.duration_since(read.first).as_secs_f64(),
            "cpu_seconds": cpu,
            "resident_bytes": resident,
            "latencies_us": read.latencies_us,
        })
    );
}

/// The properties that ackline sets, too, where they matter for speed.
fn config(arguments: &Arguments) -> ClientConfig {
    let mut config = ClientConfig::new();
    for (key, value) in [
        ("bootstrap.servers", arguments.brokers.as_str()),
        ("group.id", &arguments.group),
        ("auto.offset.reset", &arguments.start),
        ("enable.auto.commit", "false"),
        ("check.crcs", "true"),
        ("fetch.queue.backoff.ms", "10"),
        ("queued.max.messages.kbytes", "16384"),
    ] {
        config.set(key, value);
    }
    config
}

struct Read {
    records: u64,
    bytes: u64,
    first: Instant,
    last: Instant,
    latencies_us: Vec<u64>,
}

impl Read {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            records: 0,
            bytes: 0,
            first: now,
            last: now,
            latencies_us: Vec::new(),
        }
    }

    fn take(&mut self, bytes: usize) {
        if self.records == 0 {
            self.first = Instant::now();
        }
        self.records += 1;
        self.bytes += bytes as u64;
    }
}

fn poll(consumer: &BaseConsumer, count: u64) -> Read {
    let mut read = Read::new();
    while read.records < count {
        let Some(message) = consumer.poll(Duration::from_millis(100)) else {
            continue;
        };
        let message = message.expect("a message");
        read.take(message.payload_len() + message.key_len());
    }
    read.last = Instant::now();
    read
}

fn latency(consumer: &BaseConsumer, count: u64) -> Read {
    let mut read = Read::new();
    let mut assigned: Option<Instant> = None;
    let mut told = false;
    while read.records < count {
        let message = consumer.poll(Duration::from_millis(10));
        if !told && consumer.assignment().is_ok_and(|list| list.count() > 0) {
            // Positions at the end are found within this; the producer waits for the line.
            told = assigned.get_or_insert_with(Instant::now).elapsed() > POSITIONED_WITHIN;
            if told {
                println!("ready");
            }
        }
        let Some(message) = message else { continue };
        let message = message.expect("a message");
        let sent = message.payload().and_then(|value| value.first_chunk::<8>());
        if let Some(sent) = sent {
            let age = now_ns().saturating_sub(u64::from_le_bytes(*sent));
            read.latencies_us.push(age / 1000);
        }
        read.take(message.payload_len() + message.key_len());
    }
    read.last = Instant::now();
    read
}

fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}

/// The batch queue of the client, by its C interface: the crate has no safe one.
#[allow(
    unsafe_code,
    reason = "calls of librdkafka that the crate does not wrap"
)]
fn batch(consumer: &BaseConsumer, arguments: &Arguments) -> Read {
    use rdkafka::bindings as sys;
    const BATCH: usize = 2048;
    let mut read = Read::new();
    // Until partitions are assigned, rebalance events need the consumer's own queue.
    let deadline = Instant::now() + Duration::from_secs(60);
    while consumer.assignment().is_ok_and(|list| list.count() == 0) {
        assert!(Instant::now() < deadline, "nothing is assigned");
        if let Some(message) = consumer.poll(Duration::from_millis(10)) {
            let message = message.expect("a message");
            read.take(message.payload_len() + message.key_len());
        }
    }
    let mut messages = vec![std::ptr::null_mut(); BATCH];
    // SAFETY: the client outlives the queue, which is destroyed below.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    while read.records < arguments.count {
        // SAFETY: the array has room for BATCH pointers.
        let taken =
            unsafe { sys::rd_kafka_consume_batch_queue(queue, 0, messages.as_mut_ptr(), BATCH) };
        let taken = usize::try_from(taken).unwrap_or(0);
        if taken == 0 {
            std::thread::sleep(Duration::from_micros(100));
            continue;
        }
        for message in &messages[..taken] {
            // SAFETY: librdkafka filled the first `taken` places with messages of ours, each destroyed once.
            let bytes = unsafe {
                let bytes = (**message).len + (**message).key_len;
                sys::rd_kafka_message_destroy(*message);
                bytes
            };
            read.take(bytes);
        }
    }
    read.last = Instant::now();
    // SAFETY: obtained above, and not used any more.
    unsafe { sys::rd_kafka_queue_destroy(queue) };
    read
}

/// CPU seconds and resident bytes of this process.
fn usage() -> (f64, u64) {
    let stat = std::fs::read_to_string("/proc/self/stat").expect("stat");
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or("")
        .split_whitespace()
        .collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap_or(0.0);
    let status = std::fs::read_to_string("/proc/self/status").expect("status");
    let resident = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"))
        .and_then(|number| number.parse::<u64>().ok())
        .unwrap_or(0);
    // Linux counts in hundredths of a second for programs.
    ((ticks(11) + ticks(12)) / 100.0, resident << 10)
}
