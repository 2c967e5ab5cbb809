//! Sample records: orders of customers.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rdkafka::error::KafkaError;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{
    BaseRecord, DeliveryResult, Producer as _, ProducerContext, ThreadedProducer,
};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka::{ClientConfig, ClientContext};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::Stage;
use super::cluster::TOPIC;
use super::ledger::Ledger;
use crate::core::random::SplitMix;

/// How often records are sent.
const TICK: Duration = Duration::from_millis(50);
/// Records per tick: 300 a second.
const RECORDS_PER_TICK: u64 = 15;
/// How many unread records may lie in the log. The embedded broker forgets the oldest of too many.
const UNREAD_MAX: u64 = 5_000;
const CUSTOMERS: u32 = 90;
const ITEMS: [&str; 8] = [
    "bread", "butter", "coffee", "honey", "milk", "oranges", "rice", "tea",
];

/// The value of a record, in JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// Number among all orders.
    pub(super) order: u64,
    /// Whose order; also the key.
    pub(super) customer: u32,
    /// Number among the customer's orders, from 0.
    pub(super) number: u64,
    item: String,
    pieces: u64,
    cents: u64,
}

/// The key of a customer's records.
fn key(customer: u32) -> String {
    format!("customer-{customer:02}")
}

/// Makes up orders, always the same ones from the same seed.
struct Orders {
    random: SplitMix,
    made: u64,
    made_per_customer: Vec<u64>,
}

impl Orders {
    fn new(seed: u64) -> Self {
        Self {
            random: SplitMix(seed),
            made: 0,
            made_per_customer: vec![0; CUSTOMERS as usize],
        }
    }

    /// The lower of two draws: some customers order much more than others.
    fn next(&mut self) -> Order {
        let draw = below(&mut self.random, CUSTOMERS).min(below(&mut self.random, CUSTOMERS));
        let number = &mut self.made_per_customer[draw as usize];
        let item = ITEMS[below(&mut self.random, 8) as usize];
        let order = Order {
            order: self.made,
            customer: draw,
            number: *number,
            item: item.to_owned(),
            pieces: 1 + u64::from(below(&mut self.random, 9)),
            cents: 50 + u64::from(below(&mut self.random, 20_000)),
        };
        *number += 1;
        self.made += 1;
        order
    }
}

/// A number below `limit`.
pub(super) fn below(random: &mut SplitMix, limit: u32) -> u32 {
    let drawn = ((random.next() >> 32) * u64::from(limit)) >> 32;
    u32::try_from(drawn).unwrap_or(0)
}

/// Notes what got into the log.
struct Reports(Arc<Ledger>);

impl ClientContext for Reports {}

impl ProducerContext for Reports {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.0.produced(result.is_ok());
    }
}

/// Sends orders for as long as the demonstration runs.
pub(super) struct Producer {
    client: ThreadedProducer<Reports>,
    orders: Orders,
    ledger: Arc<Ledger>,
}

impl Producer {
    /// One that has sent nothing.
    pub(super) fn new(brokers: &str, ledger: &Arc<Ledger>, seed: u64) -> anyhow::Result<Self> {
        let client = ClientConfig::new()
            .set("bootstrap.servers", brokers)
            .set("log_level", "0")
            .set("linger.ms", "5")
            .create_with_context(Reports(Arc::clone(ledger)))
            .context("could not make the producer")?;
        Ok(Self {
            client,
            orders: Orders::new(seed),
            ledger: Arc::clone(ledger),
        })
    }

    /// Sends until the stage says otherwise, and ends when all of it is in the log. `finished` says how
    /// many records the sidecar has done with.
    pub(super) async fn run(
        mut self,
        stage: watch::Receiver<Stage>,
        finished: impl Fn() -> u64,
    ) -> anyhow::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        loop {
            ticks.tick().await;
            if *stage.borrow() != Stage::Running {
                if self.client.in_flight_count() == 0 {
                    self.ledger.production_is_over();
                    return Ok(());
                }
                continue;
            }
            let unread = self.ledger.totals().produced.saturating_sub(finished());
            if unread < UNREAD_MAX {
                self.send_some()?;
            }
        }
    }

    fn send_some(&mut self) -> anyhow::Result<()> {
        for _ in 0..RECORDS_PER_TICK {
            let order = self.orders.next();
            let key = key(order.customer);
            let value = serde_json::to_vec(&order)?;
            let mut headers = OwnedHeaders::new().insert(Header {
                key: "content-type",
                value: Some("application/json"),
            });
            if order.pieces > 8 {
                headers = headers.insert(Header {
                    key: "express",
                    value: None::<&str>,
                });
            }
            let record = BaseRecord::to(TOPIC)
                .key(&key)
                .payload(&value)
                .headers(headers);
            match self.client.send(record) {
                Ok(()) => {}
                // The broker is slow. The order is dropped with its number, so it is made up again.
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => {
                    self.orders.take_back(&order);
                    return Ok(());
                }
                Err((error, _)) => return Err(error).context("could not produce a record"),
            }
        }
        Ok(())
    }
}

impl Orders {
    /// The newest order was not sent.
    fn take_back(&mut self, order: &Order) {
        self.made = order.order;
        self.made_per_customer[order.customer as usize] = order.number;
    }
}
