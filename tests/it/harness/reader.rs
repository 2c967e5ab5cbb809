//! A client made from the `.proto`, driven step by step. Everything it sees and does goes into the ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

pub(crate) use ackline::grpc::proto;
use proto::consumer_service_client::ConsumerServiceClient;
use proto::stream_response::Response;
use proto::{
    AckRequest, Ids, Open, Opened, Outcome, Record, Refusal, RefusalReason, Settlement,
    StreamRequest,
};

use super::PATIENCE;
use super::ledger::{Ledger, Logged, Place, Sight};

/// A client of the socket.
pub(crate) async fn connect(socket: &Path) -> ConsumerServiceClient<Channel> {
    let address = format!("unix://{}", socket.display());
    let endpoint = Endpoint::from_shared(address).unwrap();
    let deadline = Instant::now() + PATIENCE;
    loop {
        match endpoint.connect().await {
            Ok(channel) => {
                return ConsumerServiceClient::new(channel).max_decoding_message_size(64 << 20);
            }
            Err(error) => assert!(Instant::now() < deadline, "nobody listens: {error:?}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A record in the application's hands.
#[derive(Clone, Debug)]
pub(crate) struct Delivered {
    pub(crate) id: u64,
    pub(crate) place: Place,
    pub(crate) attempt: u32,
    pub(crate) record: Logged,
}

/// What a response meant, after the ledger took note of it.
#[derive(Debug)]
pub(crate) enum Event {
    /// Records to work on.
    Records(Vec<Delivered>),
    /// Ids that are dead now.
    Withdrawn(Vec<u64>),
    /// Anything else, as it came.
    Other(Response),
}

/// Turns responses into events and keeps the books for one stream.
pub(crate) struct Bookkeeper {
    pub(crate) member: String,
    pub(crate) ledger: Ledger,
    stream_id: String,
    places: BTreeMap<u64, Place>,
}

impl Bookkeeper {
    pub(crate) fn new(member: &str, ledger: &Ledger, opened: &Opened) -> Self {
        Self {
            member: member.to_owned(),
            ledger: ledger.clone(),
            // Ids of streams may be the same in two processes.
            stream_id: format!("{member}/{}", opened.stream_id),
            places: BTreeMap::new(),
        }
    }

    pub(crate) fn note(&mut self, response: Response) -> Event {
        match response {
            Response::Records(records) => {
                let (topic, partition) = (records.topic, records.partition);
                let assignment = records.assignment;
                let records = records.records.into_iter().map(|record| {
                    let place = Place {
                        topic: topic.clone(),
                        partition,
                        offset: record.offset,
                    };
                    self.note_record(assignment, place, record)
                });
                Event::Records(records.collect())
            }
            Response::Withdrawn(withdrawn) => {
                Event::Withdrawn(ids_in(withdrawn.deliveries.as_ref()))
            }
            other => Event::Other(other),
        }
    }

    fn note_record(&mut self, assignment: u64, place: Place, record: Record) -> Delivered {
        let (id, attempt) = (record.id, record.attempt);
        let logged = logged(record);
        self.places.insert(id, place.clone());
        let sight = Sight {
            member: &self.member,
            stream: &self.stream_id,
            assignment,
            attempt,
        };
        self.ledger.delivered(&sight, &place, logged.clone());
        Delivered {
            id,
            place,
            attempt,
            record: logged,
        }
    }

    /// To be called before acknowledgements leave.
    pub(crate) fn acknowledging(&self, ids: &[u64]) {
        self.ledger.acknowledging(&self.places_of(ids));
    }

    /// To be called with the answer to acknowledgements.
    pub(crate) fn answered(&self, ids: &[u64], refused: &[Refusal]) {
        let dead: Vec<u64> = refused
            .iter()
            .flat_map(|refusal| ids_in(refusal.deliveries.as_ref()))
            .collect();
        for refusal in refused {
            assert_eq!(
                refusal.reason(),
                RefusalReason::Stale,
                "an honest client is refused: {refusal:?}"
            );
        }
        self.ledger.stale(dead.len());
        let taken: Vec<u64> = ids
            .iter()
            .copied()
            .filter(|id| !dead.contains(id))
            .collect();
        self.ledger.accepted(&self.places_of(&taken));
    }

    fn places_of(&self, ids: &[u64]) -> Vec<Place> {
        ids.iter().map(|id| self.places[id].clone()).collect()
    }
}

/// An application that reads through `Stream` and settles through `Ack`, one call of the test at a time.
pub(crate) struct Reader {
    pub(crate) opened: Opened,
    pub(crate) books: Bookkeeper,
    client: ConsumerServiceClient<Channel>,
    responses: Streaming<proto::StreamResponse>,
    /// Events that arrived while something else was waited for.
    pub(crate) others: Vec<Response>,
    pub(crate) withdrawn: Vec<u64>,
    records: Vec<Delivered>,
}

impl Reader {
    /// Opens a stream with default limits.
    pub(crate) async fn open(socket: &Path, ledger: &Ledger) -> Self {
        Self::open_with(
            socket,
            ledger,
            Open {
                client: "reader".to_owned(),
                ..Open::default()
            },
        )
        .await
    }

    /// Opens a stream.
    pub(crate) async fn open_with(socket: &Path, ledger: &Ledger, open: Open) -> Self {
        let mut client = connect(socket).await;
        let (opened, responses) = open_stream(&mut client, open).await.unwrap();
        let books = Bookkeeper::new(&member_of(socket), ledger, &opened);
        Self {
            opened,
            books,
            client,
            responses,
            others: Vec::new(),
            withdrawn: Vec::new(),
            records: Vec::new(),
        }
    }

    /// Reads until `count` records are there and returns them, in the order in which they came.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Delivered> {
        while self.records.len() < count {
            self.step(&format!(
                "waiting for {count} records, {} are there",
                self.records.len()
            ))
            .await;
        }
        self.records.drain(..count).collect()
    }

    /// Reads until something is there and returns all of it.
    pub(crate) async fn take_some(&mut self) -> Vec<Delivered> {
        while self.records.is_empty() {
            self.step("waiting for records").await;
        }
        std::mem::take(&mut self.records)
    }

    /// Reads until one of the other responses is what is looked for.
    pub(crate) async fn until_told<T>(
        &mut self,
        what: &str,
        find: impl Fn(&Response) -> Option<T>,
    ) -> T {
        loop {
            if let Some(found) = self.others.iter().find_map(&find) {
                return found;
            }
            self.step(what).await;
        }
    }

    /// Reads until that id was withdrawn.
    pub(crate) async fn until_withdrawn(&mut self, id: u64) {
        while !self.withdrawn.contains(&id) {
            self.step(&format!("waiting until {id} is withdrawn")).await;
        }
    }

    async fn step(&mut self, what: &str) {
        let message = timeout(PATIENCE, self.responses.message()).await;
        let message = message.unwrap_or_else(|_| panic!("{what}: nothing arrives"));
        let message = message.unwrap_or_else(|status| panic!("{what}: {status}"));
        let response = message
            .unwrap_or_else(|| panic!("{what}: the stream ended"))
            .response;
        self.keep(response.expect("a sidecar of our version sends nothing unknown"));
    }

    fn keep(&mut self, response: Response) {
        match self.books.note(response) {
            Event::Records(records) => self.records.extend(records),
            Event::Withdrawn(ids) => self.withdrawn.extend(ids),
            Event::Other(response) => self.others.push(response),
        }
    }

    /// Acknowledges and returns what was refused.
    pub(crate) async fn ack(&mut self, ids: &[u64]) -> Vec<Refusal> {
        self.books.acknowledging(ids);
        let request = AckRequest {
            settlements: vec![settlement(ids, Outcome::Ack)],
            ..AckRequest::default()
        };
        let answer = self.client.ack(request).await.unwrap().into_inner();
        self.books.answered(ids, &answer.refused);
        answer.refused
    }

    /// Acknowledges and waits for the commit; true if everything is covered by it.
    pub(crate) async fn ack_committed(&mut self, ids: &[u64]) -> bool {
        self.books.acknowledging(ids);
        let request = AckRequest {
            settlements: vec![settlement(ids, Outcome::Ack)],
            wait_for: proto::WaitFor::Committed.into(),
            ..AckRequest::default()
        };
        let answer = self.client.ack(request).await.unwrap().into_inner();
        self.books.answered(ids, &answer.refused);
        answer.committed
    }

    /// Settles with another outcome and returns what was refused.
    pub(crate) async fn settle(&mut self, ids: &[u64], outcome: Outcome) -> Vec<Refusal> {
        self.settle_because(ids, outcome, "").await
    }

    /// The same, with a reason.
    pub(crate) async fn settle_because(
        &mut self,
        ids: &[u64],
        outcome: Outcome,
        reason: &str,
    ) -> Vec<Refusal> {
        let settlement = Settlement {
            reason: reason.to_owned(),
            ..settlement(ids, outcome)
        };
        let request = AckRequest {
            settlements: vec![settlement],
            ..AckRequest::default()
        };
        self.client.ack(request).await.unwrap().into_inner().refused
    }

    /// Says goodbye and reads until the stream ends with OK.
    pub(crate) async fn close(mut self) {
        let close_stream = self.opened.stream_id.clone();
        let request = AckRequest {
            close_stream,
            ..AckRequest::default()
        };
        self.client.ack(request).await.unwrap();
        while let Some(message) = timeout(PATIENCE, self.responses.message())
            .await
            .unwrap()
            .unwrap()
        {
            self.keep(message.response.unwrap());
        }
    }

    /// Reads until the stream ends by itself, and returns its status.
    pub(crate) async fn until_ended(&mut self) -> Result<(), Status> {
        loop {
            match timeout(PATIENCE, self.responses.message()).await.unwrap()? {
                Some(message) => self.keep(message.response.unwrap()),
                None => return Ok(()),
            }
        }
    }
}

/// Opens a stream and takes its first message.
pub(crate) async fn open_stream(
    client: &mut ConsumerServiceClient<Channel>,
    open: Open,
) -> Result<(Opened, Streaming<proto::StreamResponse>), Status> {
    let mut responses = client
        .stream(StreamRequest { open: Some(open) })
        .await?
        .into_inner();
    Ok((first_opened(&mut responses).await?, responses))
}

/// The first message of a stream says what is in force.
pub(crate) async fn first_opened(
    responses: &mut Streaming<proto::StreamResponse>,
) -> Result<Opened, Status> {
    match timeout(PATIENCE, responses.message())
        .await
        .unwrap()?
        .and_then(|first| first.response)
    {
        Some(Response::Opened(opened)) => Ok(opened),
        first => panic!("the first message is {first:?}"),
    }
}

/// A settlement of single ids.
pub(crate) fn settlement(ids: &[u64], outcome: Outcome) -> Settlement {
    Settlement {
        deliveries: Some(Ids {
            ids: ids.to_vec(),
            ranges: Vec::new(),
        }),
        outcome: outcome.into(),
        ..Settlement::default()
    }
}

/// Every id of a set, one by one.
pub(crate) fn ids_in(ids: Option<&Ids>) -> Vec<u64> {
    let ids = ids.expect("a set of ids is never absent");
    let ranges = ids.ranges.iter().flat_map(|range| range.first..=range.last);
    ids.ids.iter().copied().chain(ranges).collect()
}

/// Sidecars are told apart by where they live.
pub(crate) fn member_of(socket: &Path) -> String {
    PathBuf::from(socket.parent().unwrap())
        .display()
        .to_string()
}

fn logged(record: Record) -> Logged {
    let headers = record.headers.into_iter().map(|header| {
        assert!(
            header.raw_name.is_empty(),
            "the tests write no names that are not UTF-8"
        );
        (header.name, header.value.map(Into::into))
    });
    Logged {
        headers: headers.collect(),
        key: record.key.map(Into::into),
        value: record.value.map(Into::into),
        timestamp_ms: record.timestamp_ms,
    }
}
