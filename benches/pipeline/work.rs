//! An application that takes its time: so long for each record, on so many records at once.
//!
//! It acknowledges each record when its time is over, those together that end together. A record that is stuck is never
//! acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ackline::grpc::proto::consume_request::Request;
use ackline::grpc::proto::consumer_service_client::ConsumerServiceClient;
use ackline::grpc::proto::stream_response::Response;
use ackline::grpc::proto::{ConsumeRequest, Ids, Open, Outcome, Records, Settlement};
use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[arg(long)]
    socket: PathBuf,
    /// Work on one record, in milliseconds
    #[arg(long)]
    work_ms: u64,
    /// Records worked on at once
    #[arg(long, default_value_t = 100)]
    at_once: u32,
    /// How long to go on after the first record
    #[arg(long)]
    seconds: u64,
    /// Never acknowledge the first record
    #[arg(long)]
    stuck: bool,
}

/// Says `ready` once the stream is open, and at the end prints what was done, as JSON.
pub(crate) fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(work(arguments))
}

async fn work(arguments: &Arguments) -> anyhow::Result<()> {
    let mut client = ConsumerServiceClient::new(connect(&arguments.socket).await?);
    let (requests, receiver) = mpsc::channel(64);
    let open = Open {
        client: "bench".to_owned(),
        max_in_flight_records: Some(arguments.at_once),
        ..Open::default()
    };
    let send = |id: u64, request| {
        let request = ConsumeRequest {
            request_id: id,
            request: Some(request),
        };
        requests.send(request)
    };
    send(1, Request::Open(open)).await?;
    let mut responses = client
        .consume(ReceiverStream::new(receiver))
        .await?
        .into_inner();
    println!("ready");
    std::io::stdout().flush()?;

    let mut desk = Desk::new(arguments);
    let mut request_id = 1;
    let mut end = None;
    while end.is_none_or(|end| Instant::now() < end) {
        let next = desk.due.front().map_or_else(Instant::now, |(due, _)| *due);
        tokio::select! {
            response = responses.message() => {
                let response = response?.context("the stream ended")?;
                if let Some(Response::Records(records)) = response.response {
                    end.get_or_insert_with(|| Instant::now() + Duration::from_secs(arguments.seconds));
                    desk.take(&records);
                }
            }
            () = sleep_until(next), if !desk.due.is_empty() => {}
        }
        let ids = desk.done();
        if !ids.is_empty() {
            request_id += 1;
            let settlement = Settlement {
                deliveries: Some(Ids {
                    ids,
                    ranges: Vec::new(),
                }),
                outcome: Outcome::Ack.into(),
                ..Settlement::default()
            };
            send(request_id, Request::Settle(settlement)).await?;
        }
    }
    println!("{}", desk.summary(arguments.seconds));
    Ok(())
}

/// The records that are worked on.
struct Desk {
    work: Duration,
    stuck: bool,
    due: VecDeque<(Instant, u64)>,
    done: u64,
    redelivered: u64,
    /// The assignment of each partition, and how often one changed.
    assignments: BTreeMap<i32, u64>,
    moves: u64,
}

impl Desk {
    fn new(arguments: &Arguments) -> Self {
        Self {
            work: Duration::from_millis(arguments.work_ms),
            stuck: arguments.stuck,
            due: VecDeque::new(),
            done: 0,
            redelivered: 0,
            assignments: BTreeMap::new(),
            moves: 0,
        }
    }

    fn take(&mut self, records: &Records) {
        let before = self
            .assignments
            .insert(records.partition, records.assignment);
        self.moves += u64::from(before.is_some_and(|before| before != records.assignment));
        let due = Instant::now() + self.work;
        for record in &records.records {
            self.redelivered += u64::from(record.attempt > 1);
            if !std::mem::take(&mut self.stuck) {
                self.due.push_back((due, record.id));
            }
        }
    }

    /// What is done by now.
    fn done(&mut self) -> Vec<u64> {
        let now = Instant::now();
        let count = self.due.partition_point(|(due, _)| *due <= now);
        self.done += count as u64;
        self.due.drain(..count).map(|(_, id)| id).collect()
    }

    fn summary(&self, seconds: u64) -> serde_json::Value {
        json!({
            "records": self.done,
            "seconds": seconds,
            "redelivered": self.redelivered,
            "moves": self.moves,
        })
    }
}

async fn connect(socket: &Path) -> anyhow::Result<Channel> {
    let socket = socket.to_owned();
    let connector = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    Ok(endpoint.connect_with_connector(connector).await?)
}
