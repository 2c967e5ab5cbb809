//! An application for pods of tests. It works off what its sidecar delivers, and reports everything it sees and does to
//! whoever listens at `LEDGER`; see [`report`].
//!
//! | variable | |
//! |---|---|
//! | `ACKLINE_TARGET` | where the sidecar is; the injector sets it |
//! | `LEDGER` | address of the listener |
//! | `POD_NAME` | who reports |
//! | `WORK` | milliseconds for a step of work (default 20) |
//! | `STEP` | how many records are acknowledged after each step (default 20) |
//! | `AT_SIGTERM` | `drain` (default): works off what it holds, closes its stream and ends. `ignore`: goes on until it is killed |
//! | `CRASH_AFTER` | exits with 3 when so many acknowledgements were accepted, whatever it holds then |
//! | `UNTIL` | `caught_up`: ends when everything that was there is worked off |
//!
//! As the examples of `docs/clients.md`, it pays no attention to deliveries that are taken back.
#![allow(
    clippy::unwrap_used,
    clippy::exit,
    reason = "an application of tests: what it does not expect ends it, and the test sees that"
)]

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use ackline::grpc::proto::consumer_service_client::ConsumerServiceClient;
use ackline::grpc::proto::partition_event::Kind;
use ackline::grpc::proto::stream_response::Response;
use ackline::grpc::proto::{
    AckRequest, Ids, Notice, Open, Outcome, Record, Records, Refusal, RefusalReason, Settlement,
    StreamRequest, StreamResponse,
};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

mod report;

use report::Reporter;

/// What is asked of it.
struct Manner {
    work: Duration,
    step: usize,
    drains: bool,
    crash_after: Option<usize>,
    until_caught_up: bool,
}

impl Manner {
    fn read() -> Self {
        let variable = |name: &str| std::env::var(name).ok();
        let number = |name: &str| variable(name).map(|text| text.parse::<usize>().unwrap());
        Self {
            work: Duration::from_millis(u64::try_from(number("WORK").unwrap_or(20)).unwrap()),
            step: number("STEP").unwrap_or(20),
            drains: variable("AT_SIGTERM").is_none_or(|manner| manner == "drain"),
            crash_after: number("CRASH_AFTER"),
            until_caught_up: variable("UNTIL").is_some_and(|end| end == "caught_up"),
        }
    }
}

/// Why a stream is over.
enum End {
    /// The sidecar or the connection ended it.
    Broken,
    /// The application is done.
    Done,
}

struct Application {
    manner: Manner,
    reporter: Reporter,
    sigterm: Signal,
    told_to_end: bool,
    accepted: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let reporter = Reporter::new(
        std::env::var("LEDGER").unwrap(),
        &std::env::var("POD_NAME").unwrap(),
    );
    let reporting = reporter.clone();
    let application = Application {
        manner: Manner::read(),
        reporter,
        sigterm: signal(SignalKind::terminate()).unwrap(),
        told_to_end: false,
        accepted: 0,
    };
    let status = tokio::select! {
        status = application.run() => status,
        () = reporting.deliver() => 1,
    };
    std::process::exit(status);
}

impl Application {
    async fn run(mut self) -> i32 {
        self.reporter.report("started", json!({}));
        let status = loop {
            let client = self.connect().await;
            match self.work(client).await {
                Ok(End::Done) => break 0,
                Ok(End::Broken) => self.reporter.report("ended", json!({"code": 0})),
                Err(status) => {
                    let (code, message) = (i32::from(status.code()), status.message());
                    self.reporter
                        .report("ended", json!({"code": code, "message": message}));
                    // Everything else is a mistake of somebody, and trying again would hide it. Cancelled is what tonic
                    // says of a call that was on its way when the connection broke.
                    if !matches!(
                        status.code(),
                        Code::Unavailable | Code::Unknown | Code::Cancelled
                    ) {
                        break 1;
                    }
                }
            }
            if self.told_to_end && self.manner.drains {
                break 0;
            }
        };
        self.exit(status).await
    }

    async fn exit(&self, status: i32) -> i32 {
        self.reporter.report("exiting", json!({"status": status}));
        self.reporter.flush().await;
        status
    }

    async fn connect(&self) -> ConsumerServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(std::env::var("ACKLINE_TARGET").unwrap()).unwrap();
        loop {
            match endpoint.connect().await {
                Ok(channel) => {
                    self.reporter.report("connected", json!({}));
                    return ConsumerServiceClient::new(channel);
                }
                Err(error) => {
                    let error = format!("{error:?}");
                    self.reporter.report("missing", json!({"error": error}));
                }
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn work(&mut self, mut client: ConsumerServiceClient<Channel>) -> Result<End, Status> {
        let open = Open {
            client: "application".to_owned(),
            notices: [Notice::Partitions, Notice::Committed, Notice::CaughtUp]
                .map(i32::from)
                .to_vec(),
            ..Open::default()
        };
        let request = StreamRequest { open: Some(open) };
        let responses = client.stream(request).await?.into_inner();
        let mut stream = Stream {
            client,
            responses,
            name: String::new(),
            held: VecDeque::new(),
            partitions: BTreeSet::new(),
            behind: BTreeSet::new(),
        };
        loop {
            tokio::select! {
                biased; // what ends it must not wait for work, and work must not wait for more work to come
                _ = self.sigterm.recv() => {
                    self.told_to_end = true;
                    self.reporter.report("sigterm", json!({}));
                }
                () = tokio::time::sleep(self.manner.work), if !stream.held.is_empty() => {
                    self.settle(&mut stream).await?;
                }
                message = stream.responses.message() => match message? {
                    Some(message) => self.take(&mut stream, message),
                    None => return Ok(End::Broken),
                },
            }
            let caught_up = self.manner.until_caught_up
                && !stream.partitions.is_empty()
                && stream.behind.is_empty();
            if stream.held.is_empty() && (caught_up || self.told_to_end && self.manner.drains) {
                return self.close(stream).await;
            }
        }
    }

    fn take(&self, stream: &mut Stream, message: StreamResponse) {
        match message.response.unwrap() {
            Response::Opened(opened) => {
                self.reporter
                    .report("opened", json!({"stream": opened.stream_id}));
                stream.name = opened.stream_id;
            }
            Response::Records(records) => self.take_records(stream, records),
            Response::Partition(event) => {
                let partition = (event.topic.clone(), event.partition);
                match event.kind() {
                    Kind::Assigned => {
                        stream.behind.insert(partition.clone());
                        stream.partitions.insert(partition);
                    }
                    Kind::Revoked => {
                        stream.behind.remove(&partition);
                        stream.partitions.remove(&partition);
                    }
                    Kind::Revoking | Kind::Unspecified => {}
                }
                let kind = event.kind().as_str_name();
                let told =
                    json!({"kind": kind, "topic": event.topic, "partition": event.partition});
                self.reporter.report("partition", told);
            }
            Response::Committed(committed) => {
                let (topic, partition) = (committed.topic, committed.partition);
                let told =
                    json!({"topic": topic, "partition": partition, "offset": committed.offset});
                self.reporter.report("committed", told);
            }
            Response::CaughtUp(caught_up) => {
                let (topic, partition) = (caught_up.topic, caught_up.partition);
                self.reporter
                    .report("caught_up", json!({"topic": topic, "partition": partition}));
                stream.behind.remove(&(topic, partition));
            }
            Response::Draining(draining) => {
                self.reporter
                    .report("draining", json!({"reason": draining.reason}));
            }
            Response::Withdrawn(withdrawn) => {
                let reason = withdrawn.reason().as_str_name();
                self.reporter.report("withdrawn", json!({"reason": reason}));
            }
            Response::Settled(_) => unreachable!("only Consume answers inside of the stream"),
        }
    }

    fn take_records(&self, stream: &mut Stream, records: Records) {
        let place = json!({
            "topic": records.topic,
            "partition": records.partition,
            "assignment": records.assignment,
            "stream": stream.name,
        });
        let told: Vec<_> = records.records.iter().map(telling).collect();
        self.reporter
            .report("records", json!({"of": place, "records": told}));
        stream.held.extend(records.records);
    }

    /// A step of work is done.
    async fn settle(&mut self, stream: &mut Stream) -> Result<(), Status> {
        let count = self.manner.step.min(stream.held.len());
        let ids: Vec<u64> = stream.held.drain(..count).map(|record| record.id).collect();
        self.reporter.report("acknowledging", json!({"ids": ids}));
        let request = AckRequest {
            settlements: vec![Settlement {
                deliveries: Some(Ids {
                    ids: ids.clone(),
                    ranges: Vec::new(),
                }),
                outcome: Outcome::Ack.into(),
                ..Settlement::default()
            }],
            ..AckRequest::default()
        };
        let answer = stream.client.ack(request).await?.into_inner();
        let refused = |reason: RefusalReason| -> BTreeSet<u64> {
            let those = answer
                .refused
                .iter()
                .filter(|refusal| refusal.reason() == reason);
            those.flat_map(ids_of).collect()
        };
        let stale = refused(RefusalReason::Stale);
        // Sent before it was noticed that the stream broke, and answered by the sidecar that came after.
        let unknown = refused(RefusalReason::Unknown);
        let taken: Vec<u64> = ids
            .into_iter()
            .filter(|id| !stale.contains(id) && !unknown.contains(id))
            .collect();
        self.accepted += taken.len();
        for (what, ids) in [("stale", &stale), ("unknown", &unknown)] {
            if !ids.is_empty() {
                self.reporter.report(what, json!({"ids": ids}));
            }
        }
        self.reporter.report("accepted", json!({"ids": taken}));
        if self
            .manner
            .crash_after
            .is_some_and(|count| self.accepted >= count)
        {
            std::process::exit(self.exit(3).await);
        }
        Ok(())
    }

    /// Says goodbye, and waits until that is heard.
    async fn close(&self, mut stream: Stream) -> Result<End, Status> {
        let request = AckRequest {
            close_stream: stream.name.clone(),
            ..AckRequest::default()
        };
        stream.client.ack(request).await?;
        while let Some(message) = stream.responses.message().await? {
            self.take(&mut stream, message);
        }
        Ok(End::Done)
    }
}

/// An open stream, and what came by it.
struct Stream {
    client: ConsumerServiceClient<Channel>,
    responses: Streaming<StreamResponse>,
    name: String,
    held: VecDeque<Record>,
    partitions: BTreeSet<(String, i32)>,
    /// Those of them that are not yet worked off.
    behind: BTreeSet<(String, i32)>,
}

fn telling(record: &Record) -> serde_json::Value {
    let headers: Vec<_> = record
        .headers
        .iter()
        .map(|header| json!([header.name, header.value.as_deref()]))
        .collect();
    json!({
        "id": record.id,
        "offset": record.offset,
        "attempt": record.attempt,
        "timestamp_ms": record.timestamp_ms,
        "key": record.key.as_deref().map(String::from_utf8_lossy),
        "value": record.value.as_deref().map(String::from_utf8_lossy),
        "headers": headers,
    })
}

fn ids_of(refusal: &Refusal) -> Vec<u64> {
    let ids = refusal.deliveries.clone().unwrap_or_default();
    let ranges = ids.ranges.iter().flat_map(|range| range.first..=range.last);
    ids.ids.iter().copied().chain(ranges).collect()
}
