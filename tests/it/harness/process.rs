//! Applications that may fail, be slow and die: work that is done here, or by a process of its own, which is this test
//! binary started again.

use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use futures_util::stream::{FuturesUnordered, StreamExt};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::PATIENCE;
use super::reader::proto::stream_response::Response;
use super::reader::proto::{AckRequest, Open, Outcome, Records};
use super::reader::{connect, open_stream, settlement};

/// What the process that is started is to do, as JSON.
const JOB: &str = "ACKLINE_TEST_JOB";

/// What an application does.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Job {
    pub(crate) socket: PathBuf,
    pub(crate) streams: usize,
    /// Records that each stream has in hand at once.
    pub(crate) in_flight: u32,
    /// How long each of them takes.
    pub(crate) work: Duration,
    /// Partition and offset of the record of which it dies when its work is done.
    pub(crate) dies_of: Option<(i32, i64)>,
}

impl Job {
    /// Works until told to stop; then finishes what is in hand, and closes its streams. While `fails` is set, everything
    /// is answered with RETRY.
    pub(crate) async fn work(
        &self,
        stop: &CancellationToken,
        fails: &AtomicBool,
    ) -> Result<(), Status> {
        let streams = (0..self.streams).map(|_| self.work_on_one_stream(stop, fails));
        try_join_all(streams).await.map(|_| ())
    }

    async fn work_on_one_stream(
        &self,
        stop: &CancellationToken,
        fails: &AtomicBool,
    ) -> Result<(), Status> {
        let mut client = connect(&self.socket).await;
        let open = Open {
            client: "process".to_owned(),
            max_in_flight_records: Some(self.in_flight),
            ..Open::default()
        };
        let (opened, mut responses) = open_stream(&mut client, open).await?;
        let mut in_hand = FuturesUnordered::new();
        while !(stop.is_cancelled() && in_hand.is_empty()) {
            tokio::select! {
                () = stop.cancelled(), if !stop.is_cancelled() => {}
                message = responses.message(), if !stop.is_cancelled() => {
                    let message = message?.ok_or_else(|| Status::unavailable("the stream ended"))?;
                    if let Some(Response::Records(records)) = message.response {
                        in_hand.extend(self.take(records));
                    }
                }
                Some(first) = in_hand.next() => {
                    let mut done = vec![first];
                    while let Some(Some(next)) = futures_util::FutureExt::now_or_never(in_hand.next()) {
                        done.push(next);
                    }
                    let outcome = if fails.load(Ordering::Relaxed) { Outcome::Retry } else { Outcome::Ack };
                    let settlements = vec![settlement(&done, outcome)];
                    client.ack(AckRequest { settlements, ..AckRequest::default() }).await?;
                }
            }
        }
        let close_stream = opened.stream_id;
        client
            .ack(AckRequest {
                close_stream,
                ..AckRequest::default()
            })
            .await?;
        while responses.message().await?.is_some() {}
        Ok(())
    }

    /// Work on each of these records; each yields the id of its delivery.
    fn take(&self, records: Records) -> impl Iterator<Item = impl Future<Output = u64> + use<>> {
        let Self { work, dies_of, .. } = self.clone();
        records.records.into_iter().map(move |record| {
            let place = (records.partition, record.offset);
            async move {
                tokio::time::sleep(work).await;
                if dies_of == Some(place) {
                    std::process::abort();
                }
                record.id
            }
        })
    }
}

/// The running process.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(job: &Job) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "harness::process::application"])
            .env(JOB, serde_json::to_string(job).unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        Self(command.spawn().unwrap())
    }

    /// Waits until it dies by itself.
    pub(crate) async fn died(&mut self) -> ExitStatus {
        self.0.wait().await.unwrap()
    }

    /// Tells it to finish what is in hand, and waits for its end.
    pub(crate) async fn finish(mut self) {
        let id = self.0.id().expect("it runs");
        let kill = Command::new("kill").arg(id.to_string()).status().await;
        assert!(kill.unwrap().success());
        let ended = tokio::time::timeout(PATIENCE, self.0.wait()).await;
        let status = ended.expect("the application ends").unwrap();
        assert!(status.success(), "the application ended with {status}");
    }

    /// Ends it as the kernel does when memory runs out.
    pub(crate) async fn kill(mut self) {
        self.0.kill().await.unwrap();
    }
}

/// Not a test of its own: the other side of [`Process::start`].
#[tokio::test]
#[ignore = "an application that other tests start as a process"]
async fn application() {
    let Ok(job) = std::env::var(JOB) else {
        return;
    };
    let job: Job = serde_json::from_str(&job).unwrap();
    // It is meant to die, and nobody wants to read its memory.
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).unwrap();
    let stop = CancellationToken::new();
    let mut term = signal(SignalKind::terminate()).unwrap();
    let token = stop.clone();
    tokio::spawn(async move {
        term.recv().await;
        token.cancel();
    });
    job.work(&stop, &AtomicBool::new(false)).await.unwrap();
}
