//! The sample application: a plain gRPC client that works on records side by side, so that they finish out of
//! order, and that fails on purpose.
//!
//! It reads a `Stream` and settles with `Ack`, one call after the other: when it crashes, no answer is
//! outstanding, and the ledger knows for sure what was accepted.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Streaming;
use tonic::transport::{Channel, Endpoint};

use super::Stage;
use super::faults::Faults;
use super::ledger::{Ledger, Place};
use super::news::{Kind, News};
use super::producer::{Order, below};
use crate::core::random::SplitMix;
use crate::grpc::proto::consumer_service_client::ConsumerServiceClient;
use crate::grpc::proto::stream_response::Response;
use crate::grpc::proto::{
    AckRequest, IdRange, Ids, Open, Outcome, Records, Refusal, Settlement, StreamRequest,
    StreamResponse, WaitFor,
};

/// Records the application works on at once.
const IN_FLIGHT: u32 = 64;
/// Records in one message, so that some are still on the way when others are done.
const BATCH: u32 = 16;
/// How long a crashed application takes to start.
const START_TAKES: Duration = Duration::from_millis(700);
/// How long a call may take.
const CALL_WITHIN: Duration = Duration::from_secs(10);

/// The application, over all its crashes.
pub(super) struct Application {
    name: char,
    socket: PathBuf,
    ledger: Arc<Ledger>,
    news: News,
    random: SplitMix,
    faults: Option<Faults>,
}

/// A record being worked on.
pub(super) struct Job {
    id: u64,
    pub(super) place: Place,
    pub(super) order: Order,
    pub(super) attempt: u32,
}

/// A connection with an open stream.
struct Connection {
    client: ConsumerServiceClient<Channel>,
    stream: Streaming<StreamResponse>,
    stream_id: String,
    /// By when it is done, and by id.
    work: BTreeMap<(Instant, u64), Job>,
}

/// Why a connection is over.
enum Over {
    Closing,
    Crash,
}

impl Application {
    /// One that connects to `socket`.
    pub(super) fn new(
        name: char,
        socket: &Path,
        ledger: &Arc<Ledger>,
        news: &News,
        seed: u64,
    ) -> Self {
        Self {
            name,
            socket: socket.to_owned(),
            ledger: Arc::clone(ledger),
            news: news.clone(),
            random: SplitMix(seed),
            faults: None,
        }
    }

    /// The same, but it fails every now and then.
    pub(super) fn that_fails(self) -> Self {
        let faults = Some(Faults::new(&self.news));
        Self { faults, ..self }
    }

    /// Works until the stage is [`Stage::Closing`].
    pub(super) async fn run(mut self, mut stage: watch::Receiver<Stage>) -> anyhow::Result<()> {
        loop {
            let mut connection = self.connect().await?;
            match self.work(&mut connection, &mut stage).await? {
                Over::Closing => return connection.close().await,
                Over::Crash => drop(connection),
            }
            sleep(START_TAKES).await;
            self.news
                .tell(Kind::Good, "the application is back and opens a new stream");
        }
    }

    async fn connect(&self) -> anyhow::Result<Connection> {
        let mut client = ConsumerServiceClient::new(channel(&self.socket).await?);
        let request = StreamRequest {
            open: Some(Open {
                client: format!("sample application {}", self.name),
                max_in_flight_records: Some(IN_FLIGHT),
                max_batch_records: Some(BATCH),
                ..Open::default()
            }),
        };
        let stream = timeout(CALL_WITHIN, client.stream(request))
            .await
            .context("the sidecar opened no stream in time")??;
        Ok(Connection {
            client,
            stream: stream.into_inner(),
            stream_id: String::new(),
            work: BTreeMap::new(),
        })
    }

    async fn work(
        &mut self,
        connection: &mut Connection,
        stage: &mut watch::Receiver<Stage>,
    ) -> anyhow::Result<Over> {
        loop {
            let now_at = *stage.borrow_and_update();
            if now_at == Stage::Closing {
                return Ok(Over::Closing);
            }
            let may_fail = now_at == Stage::Running;
            let done_at = connection.work.keys().next().map(|(at, _)| *at);
            let crash_at = self.faults.as_ref().and_then(Faults::crash_at);
            tokio::select! {
                message = connection.stream.message() => {
                    let message = message?.context("the sidecar ended the stream")?;
                    self.take(connection, message)?;
                }
                () = at(done_at) => self.settle(connection, may_fail).await?,
                () = at(crash_at), if may_fail => {
                    self.crash(connection);
                    return Ok(Over::Crash);
                }
                changed = stage.changed() => changed?,
            }
        }
    }

    fn crash(&mut self, connection: &Connection) {
        let unfinished: BTreeSet<Place> = connection.work.values().map(|job| job.place).collect();
        if let Some(faults) = &mut self.faults {
            faults.crash(Instant::now(), unfinished);
        }
    }

    fn take(&mut self, connection: &mut Connection, message: StreamResponse) -> anyhow::Result<()> {
        match message.response {
            Some(Response::Opened(opened)) => connection.stream_id = opened.stream_id,
            Some(Response::Records(records)) => self.begin(connection, records)?,
            Some(Response::Withdrawn(withdrawn)) => {
                let ids = withdrawn.deliveries.unwrap_or_default();
                connection.work.retain(|_, job| !contains(&ids, job.id));
            }
            // Not asked for, or of no use here.
            Some(
                Response::Settled(_)
                | Response::Partition(_)
                | Response::Committed(_)
                | Response::Draining(_)
                | Response::CaughtUp(_),
            )
            | None => {}
        }
        Ok(())
    }

    fn begin(&mut self, connection: &mut Connection, records: Records) -> anyhow::Result<()> {
        let now = Instant::now();
        for record in records.records {
            let place = (records.partition, record.offset);
            self.ledger.delivered(place);
            if let Some(faults) = &mut self.faults {
                faults.arrived(now, place);
            }
            let value = record.value.unwrap_or_default();
            let job = Job {
                id: record.id,
                place,
                order: serde_json::from_slice(&value).context("a record is not an order")?,
                attempt: record.attempt,
            };
            connection
                .work
                .insert((now + self.work_takes(), job.id), job);
        }
        Ok(())
    }

    /// Most records are quick, some take ten times as long.
    fn work_takes(&mut self) -> Duration {
        let slow = below(&mut self.random, 25) == 0;
        let quick = 15 + below(&mut self.random, 50);
        Duration::from_millis(u64::from(if slow { 10 * quick } else { quick }))
    }

    /// Settles what is done.
    async fn settle(&mut self, connection: &mut Connection, may_fail: bool) -> anyhow::Result<()> {
        let now = Instant::now();
        let rest = connection.work.split_off(&(now, u64::MAX));
        let done: Vec<Job> = std::mem::replace(&mut connection.work, rest)
            .into_values()
            .collect();
        let fails = |job: &Job| match &mut self.faults {
            Some(faults) => faults.fails(now, job, may_fail),
            None => false,
        };
        let (failed, finished): (Vec<Job>, Vec<Job>) = done.into_iter().partition(fails);
        let settlements = vec![
            settlement(&finished, Outcome::Ack),
            settlement(&failed, Outcome::Retry),
        ];
        let refused = connection.ack(settlements, String::new()).await?;
        for job in finished {
            let is_refused = |refusal: &Refusal| {
                let ids = refusal.deliveries.as_ref();
                ids.is_some_and(|ids| contains(ids, job.id))
            };
            if refused.iter().any(is_refused) {
                self.ledger.refused();
            } else {
                let order = &job.order;
                self.ledger
                    .acknowledged(job.place, order.customer, order.number);
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Settles, waits until that is accepted, and answers what was refused.
    async fn ack(
        &mut self,
        settlements: Vec<Settlement>,
        close_stream: String,
    ) -> anyhow::Result<Vec<Refusal>> {
        let request = AckRequest {
            settlements,
            wait_for: WaitFor::Accepted.into(),
            close_stream,
            ..AckRequest::default()
        };
        let answer = timeout(CALL_WITHIN, self.client.ack(request))
            .await
            .context("the sidecar did not answer in time")??;
        Ok(answer.into_inner().refused)
    }

    /// Says that the application is done, and reads until the sidecar has closed the stream.
    async fn close(mut self) -> anyhow::Result<()> {
        let stream_id = std::mem::take(&mut self.stream_id);
        self.ack(Vec::new(), stream_id).await?;
        let closed = async {
            while self.stream.message().await?.is_some() {}
            Ok(())
        };
        timeout(CALL_WITHIN, closed)
            .await
            .context("the sidecar did not close the stream in time")?
    }
}

fn settlement(jobs: &[Job], outcome: Outcome) -> Settlement {
    Settlement {
        deliveries: Some(Ids {
            ids: jobs.iter().map(|job| job.id).collect(),
            ranges: Vec::new(),
        }),
        outcome: outcome.into(),
        ..Settlement::default()
    }
}

fn contains(ids: &Ids, id: u64) -> bool {
    let inside = |range: &IdRange| (range.first..=range.last).contains(&id);
    ids.ids.contains(&id) || ids.ranges.iter().any(inside)
}

/// Waits until then; for ever if there is no such moment.
async fn at(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}

async fn channel(socket: &Path) -> anyhow::Result<Channel> {
    let socket = socket.to_owned();
    let connect = tower::service_fn(move |_| {
        let socket = socket.clone();
        async move { io::Result::Ok(TokioIo::new(UnixStream::connect(socket).await?)) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connect)
        .await
        .context("could not connect to the sidecar")
}
