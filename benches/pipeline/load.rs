//! What is in the topics: twelve partitions, keys of eight bytes drawn like words of a language (Zipf, exponent
//! 1.1, ten thousand of them), values that do not compress to nothing.

use std::io::{BufRead, Write};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::types::RDKafkaErrorCode;

pub(crate) const PARTITIONS: i32 = 12;
const KEYS: usize = 10_000;
const ZIPF: f64 = 1.1;
const TIMEOUT: Duration = Duration::from_secs(60);

/// A kind of topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) value_bytes: usize,
    pub(crate) compression: &'static str,
    pub(crate) records: u64,
    /// Every second record has the same key.
    pub(crate) hot: bool,
}

/// Numbers without a pattern, the same ones each time.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Keys by their frequency: the first is the most frequent one.
struct Zipf(Vec<f64>);

impl Zipf {
    fn new() -> Self {
        let mut sum = 0.0;
        let mut cumulated = Vec::with_capacity(KEYS);
        for rank in 1..=KEYS {
            sum += (rank as f64).powf(-ZIPF);
            cumulated.push(sum);
        }
        Self(cumulated.into_iter().map(|value| value / sum).collect())
    }

    fn draw(&self, random: &mut Random) -> u64 {
        let fraction = (random.next() >> 11) as f64 / (1u64 << 53) as f64;
        self.0.partition_point(|below| *below < fraction) as u64
    }
}

/// Creates a topic.
pub(crate) fn create(brokers: &str, topic: &str) -> anyhow::Result<()> {
    let admin: AdminClient<DefaultClientContext> = client(brokers).create()?;
    let new = NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(TIMEOUT));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let created = runtime.block_on(admin.create_topics(&[new], &options))?;
    for result in created {
        result.map_err(|(name, code)| anyhow::anyhow!("could not create {name}: {code}"))?;
    }
    Ok(())
}

/// Fills a topic.
pub(crate) fn fill(brokers: &str, topic: &str, shape: Shape) -> anyhow::Result<()> {
    let producer: BaseProducer = client(brokers)
        .set("linger.ms", "20")
        .set("batch.size", "500000")
        .set("acks", "1")
        .set("compression.type", shape.compression)
        .set("queue.buffering.max.kbytes", "262144")
        .create()?;
    let mut random = Random(7);
    let zipf = Zipf::new();
    // Half of each value is text that repeats, the other half is noise: lz4 makes about half of it.
    let noise: Vec<u8> = (0..1 << 16)
        .map(|_| random.next().to_le_bytes()[0])
        .collect();
    let mut value = vec![b'x'; shape.value_bytes];
    for number in 0..shape.records {
        let from = usize::try_from(random.next() % 1024).unwrap_or(0);
        let half = shape.value_bytes / 2;
        value[..half].copy_from_slice(&noise[from..from + half]);
        let drawn = zipf.draw(&mut random);
        let key = if shape.hot && number % 2 == 0 {
            0
        } else {
            drawn
        };
        let partition = i32::try_from(key % PARTITIONS.unsigned_abs() as u64).unwrap_or(0);
        let partition = if number % 2 == 0 {
            partition
        } else {
            i32::try_from(number / 2 % PARTITIONS.unsigned_abs() as u64).unwrap_or(0)
        };
        let key = key.to_be_bytes();
        send(&producer, topic, partition, &key, &value)?;
    }
    producer
        .flush(TIMEOUT)
        .context("could not write everything")
}

#[derive(Debug, clap::Args)]
pub(crate) struct FillArguments {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    value_bytes: usize,
    #[arg(long)]
    records: u64,
}

/// Creates and fills a topic as the benchmark does.
pub(crate) fn fill_by_hand(arguments: &FillArguments) -> anyhow::Result<()> {
    create(&arguments.brokers, &arguments.topic)?;
    let shape = Shape {
        name: "by hand",
        value_bytes: arguments.value_bytes,
        compression: "none",
        records: arguments.records,
        hot: false,
    };
    fill(&arguments.brokers, &arguments.topic, shape)
}

fn send(
    producer: &BaseProducer,
    topic: &str,
    partition: i32,
    key: &[u8],
    value: &[u8],
) -> anyhow::Result<()> {
    let mut record = BaseRecord::to(topic)
        .partition(partition)
        .key(key)
        .payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), again)) => {
                record = again;
                producer.poll(Duration::from_millis(10));
            }
            Err((error, _)) => return Err(error.into()),
        }
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

#[derive(Debug, clap::Args)]
pub(crate) struct PaceArguments {
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    /// Records a second
    #[arg(long)]
    rate: u64,
    /// How many in all
    #[arg(long)]
    count: u64,
    /// How long records are gathered: one request each is more than broker and producer manage at high rates
    #[arg(long)]
    linger_ms: u32,
}

/// Writes at a steady pace once a line comes on standard input. Each value begins with the time in nanoseconds. At the
/// end it prints by how many milliseconds the last record was late.
pub(crate) fn pace(arguments: &PaceArguments) -> anyhow::Result<()> {
    let producer: BaseProducer = client(&arguments.brokers)
        .set("linger.ms", arguments.linger_ms.to_string())
        .set("acks", "1")
        .create()?;
    // The connection stands before the first record counts.
    producer
        .client()
        .fetch_metadata(Some(&arguments.topic), TIMEOUT)?;
    println!("ready");
    std::io::stdout().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    ensure!(!line.is_empty(), "nobody said go");
    let start = Instant::now();
    let mut value = [b'x'; 100];
    // What comes within a millisecond goes to one partition, like that of a producer without keys.
    let together = (arguments.rate / 1000).max(1);
    for number in 0..arguments.count {
        let due = start + Duration::from_nanos(number * 1_000_000_000 / arguments.rate);
        while let wait = due.saturating_duration_since(Instant::now())
            && !wait.is_zero()
        {
            producer.poll(Duration::ZERO);
            std::thread::sleep(wait);
        }
        value[..8].copy_from_slice(&now_ns().to_le_bytes());
        let partition = number / together % PARTITIONS.unsigned_abs() as u64;
        let partition = i32::try_from(partition).unwrap_or(0);
        let key = number.to_be_bytes();
        send(&producer, &arguments.topic, partition, &key, &value)?;
    }
    producer
        .flush(TIMEOUT)
        .context("could not write everything")?;
    let planned = Duration::from_nanos(arguments.count * 1_000_000_000 / arguments.rate);
    println!("{}", start.elapsed().saturating_sub(planned).as_millis());
    Ok(())
}

/// Wall-clock time, the same in all processes of the machine.
pub(crate) fn now_ns() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
}
