//! An application that works by itself: it reads, acknowledges out of order, and connects again when its stream breaks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

use super::PATIENCE;
use super::ledger::Ledger;
use super::reader::proto::consumer_service_client::ConsumerServiceClient;
use super::reader::proto::stream_response::Response;
use super::reader::proto::{
    self, AckRequest, ConsumeRequest, Open, Outcome, Settled, consume_request,
};
use super::reader::{
    Bookkeeper, Delivered, Event, connect, first_opened, ids_in, member_of, open_stream, settlement,
};

/// Which of the two doors the application uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Door {
    /// `Stream` and `Ack`.
    Stream,
    /// `Consume`.
    Consume,
}

/// How the application works.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    pub(crate) door: Door,
    /// Decides the order of acknowledgements.
    pub(crate) seed: u64,
    /// Records held back before the next acknowledgements, so that these come out of order.
    pub(crate) hold_max: usize,
    /// Records the stream may have in flight.
    pub(crate) in_flight: u32,
    /// Of so many first deliveries, one is answered with RETRY. Zero: none.
    pub(crate) retry_one_in: u64,
}

impl Manner {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            door: Door::Stream,
            seed,
            hold_max: 50,
            in_flight: 200,
            retry_one_in: 0,
        }
    }
}

/// The running application.
pub(crate) struct Worker {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Worker {
    /// Starts working for the sidecar behind the socket.
    pub(crate) fn start(socket: PathBuf, ledger: &Ledger, manner: Manner) -> Self {
        let stop = CancellationToken::new();
        let (ledger, token) = (ledger.clone(), stop.clone());
        let task = tokio::spawn(async move {
            while !token.is_cancelled() {
                tokio::select! {
                    // A sidecar that is gone for good must not keep us from ending.
                    () = token.cancelled() => {}
                    client = connect(&socket) => {
                        let mut session = match Session::open(client, &socket, &ledger, manner).await {
                            Ok(session) => session,
                            Err(status) => { expect_reconnect(&status); continue }
                        };
                        if let Err(status) = session.work(&token).await {
                            expect_reconnect(&status);
                        }
                    }
                }
            }
        });
        Self { stop, task }
    }

    /// Settles what is in hand, closes the stream and ends.
    pub(crate) async fn finish(self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, self.task)
            .await
            .expect("the application ends")
            .unwrap();
    }
}

/// The sidecar went away, which tonic may call cancelled too; every other end is a mistake of somebody.
fn expect_reconnect(status: &Status) {
    let code = status.code();
    assert!(
        matches!(
            code,
            tonic::Code::Unavailable | tonic::Code::Unknown | tonic::Code::Cancelled
        ),
        "the stream ended: {status}"
    );
}

/// One stream.
struct Session {
    manner: Manner,
    random: Random,
    books: Bookkeeper,
    stream_id: String,
    client: ConsumerServiceClient<Channel>,
    responses: Streaming<proto::StreamResponse>,
    held: Vec<Delivered>,
    /// The request side of `Consume`; none with `Stream`.
    requests: Option<Requests>,
}

/// Settlements on their way inside of a stream.
struct Requests {
    sender: mpsc::Sender<ConsumeRequest>,
    newest: u64,
    unanswered: BTreeMap<u64, Vec<u64>>,
    refused: Vec<proto::Refusal>,
}

impl Session {
    async fn open(
        mut client: ConsumerServiceClient<Channel>,
        socket: &std::path::Path,
        ledger: &Ledger,
        manner: Manner,
    ) -> Result<Self, Status> {
        let open = Open {
            client: "worker".to_owned(),
            max_in_flight_records: Some(manner.in_flight),
            ..Open::default()
        };
        let (opened, responses, requests) = match manner.door {
            Door::Stream => {
                let (opened, responses) = open_stream(&mut client, open).await?;
                (opened, responses, None)
            }
            Door::Consume => {
                let (sender, receiver) = mpsc::channel(64);
                let request = Some(consume_request::Request::Open(open));
                sender
                    .send(ConsumeRequest {
                        request_id: 1,
                        request,
                    })
                    .await
                    .expect("the receiver lives");
                let mut responses = client
                    .consume(ReceiverStream::new(receiver))
                    .await?
                    .into_inner();
                let opened = first_opened(&mut responses).await?;
                let unanswered = BTreeMap::from([(1, Vec::new())]);
                (
                    opened,
                    responses,
                    Some(Requests {
                        sender,
                        newest: 1,
                        unanswered,
                        refused: Vec::new(),
                    }),
                )
            }
        };
        Ok(Self {
            manner,
            random: Random(manner.seed | 1),
            books: Bookkeeper::new(&member_of(socket), ledger, &opened),
            stream_id: opened.stream_id,
            client,
            responses,
            held: Vec::new(),
            requests,
        })
    }

    async fn work(&mut self, stop: &CancellationToken) -> Result<(), Status> {
        loop {
            tokio::select! {
                biased; // an application that is told to stop does so under full load
                () = stop.cancelled() => return self.close().await,
                message = self.responses.message() => match message? {
                    Some(message) => self.take(message.response),
                    None => return Ok(()),
                },
                // Nothing more arrives: what is held back may be what the sidecar waits for.
                () = tokio::time::sleep(Duration::from_millis(20)), if !self.held.is_empty() => {
                    self.settle_all_but(0).await?;
                }
            }
            if self.held.len() > self.manner.hold_max {
                self.settle_all_but(self.manner.hold_max / 2).await?;
            }
        }
    }

    fn take(&mut self, response: Option<Response>) {
        match self
            .books
            .note(response.expect("a sidecar of our version sends nothing unknown"))
        {
            Event::Records(records) => self.held.extend(records),
            Event::Withdrawn(ids) => self.held.retain(|delivered| !ids.contains(&delivered.id)),
            Event::Other(Response::Settled(settled)) => self.answered(settled),
            Event::Other(_) => {}
        }
    }

    /// Settles records in random order until only so many are held.
    async fn settle_all_but(&mut self, rest: usize) -> Result<(), Status> {
        let (mut acks, mut retries) = (Vec::new(), Vec::new());
        while self.held.len() > rest {
            let index = self.random.below(self.held.len());
            let delivered = self.held.swap_remove(index);
            let fails = delivered.attempt == 1
                && self.manner.retry_one_in > 0
                && self.random.next().is_multiple_of(self.manner.retry_one_in);
            if fails {
                retries.push(delivered.id)
            } else {
                acks.push(delivered.id)
            }
        }
        self.send(acks, Outcome::Ack).await?;
        self.send(retries, Outcome::Retry).await
    }

    async fn send(&mut self, ids: Vec<u64>, outcome: Outcome) -> Result<(), Status> {
        if ids.is_empty() {
            return Ok(());
        }
        if outcome == Outcome::Ack {
            self.books.acknowledging(&ids);
        }
        let settlement = settlement(&ids, outcome);
        if let Some(requests) = &mut self.requests {
            requests.newest += 1;
            let request_id = requests.newest;
            requests.unanswered.insert(
                request_id,
                if outcome == Outcome::Ack {
                    ids
                } else {
                    Vec::new()
                },
            );
            let request = Some(consume_request::Request::Settle(settlement));
            let sent = requests
                .sender
                .send(ConsumeRequest {
                    request_id,
                    request,
                })
                .await;
            return sent.map_err(|_| Status::unavailable("the request side is closed"));
        }
        let request = AckRequest {
            settlements: vec![settlement],
            ..AckRequest::default()
        };
        let answer = self.client.ack(request).await?.into_inner();
        if outcome == Outcome::Ack {
            self.books.answered(&ids, &answer.refused);
        }
        Ok(())
    }

    /// An answer inside of the stream. Refusals of a request come with or before the answer that covers it.
    fn answered(&mut self, settled: Settled) {
        let requests = self
            .requests
            .as_mut()
            .expect("only Consume answers inside of the stream");
        requests.refused.extend(settled.refused);
        let later = requests
            .unanswered
            .split_off(&(settled.up_to_request_id + 1));
        let ids: Vec<u64> = std::mem::replace(&mut requests.unanswered, later)
            .into_values()
            .flatten()
            .collect();
        let mine = |refusal: &proto::Refusal| {
            ids_in(refusal.deliveries.as_ref())
                .iter()
                .any(|id| ids.contains(id))
        };
        let refused: Vec<_> = requests
            .refused
            .extract_if(.., |refusal| mine(refusal))
            .collect();
        self.books.answered(&ids, &refused);
    }

    async fn close(&mut self) -> Result<(), Status> {
        self.settle_all_but(0).await?;
        match self.requests.as_mut() {
            // Dropping the last sender half-closes the stream.
            Some(requests) => requests.sender = mpsc::channel(1).0,
            None => {
                let close_stream = self.stream_id.clone();
                self.client
                    .ack(AckRequest {
                        close_stream,
                        ..AckRequest::default()
                    })
                    .await?;
            }
        }
        while let Some(message) = self.responses.message().await? {
            self.take(message.response);
        }
        Ok(())
    }
}

/// Numbers that look random and repeat with their seed (xorshift).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }
}
