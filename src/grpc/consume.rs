//! The request side of `Consume`.
//!
//! HTTP/2 asks the response body for a frame only while the client's window has room, or nearly so.
//! If requests were read by the body alone, a client that works on what it has and reads nothing
//! new could acknowledge all it liked: nothing would be applied until it reads again, a rebalance
//! would wait for deliveries that were settled long ago, and a client that writes before it reads
//! would wait for ever. So requests are read on their own, by one future that drives the request
//! sides of all calls ([`drive`]) and runs beside the listeners.

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;

use super::body::{Opened, Requests};
use super::call_error::CallError;
use super::connection::{Connection, Unopened};
use super::proto::{ConsumeRequest, StartAt, consume_request};
use super::request::Reader;
use super::said::Said;
use super::{Answer, Refused, RefusedStart, Sidecar, service, validate};
use crate::core::{Assignment, Positions, SettleRequest, StartAnswer, StreamId};

/// What was refused of one request.
type Refusals = (Vec<Refused>, Vec<RefusedStart>);

/// Requests of one stream that are applied before others get their turn.
const TURN: u32 = 16;

/// The request side of one call, to be driven.
pub(super) struct RequestSide<S: Sidecar> {
    sidecar: Arc<S>,
    connection: Arc<Connection>,
    reader: Reader,
    opened: oneshot::Sender<Result<Opened<S>, CallError>>,
    failed: oneshot::Sender<CallError>,
    gone: CancellationToken,
    unopened: Unopened,
}

/// Splits a call into the side to be driven and what its response body needs of it.
pub(super) fn split<S: Sidecar>(
    sidecar: &Arc<S>,
    connection: Arc<Connection>,
    body: Body,
) -> Result<(RequestSide<S>, Requests<S>), CallError> {
    let unopened = connection.unopened()?;
    let (opened, hears_opened) = oneshot::channel();
    let (failed, hears_failed) = oneshot::channel();
    let gone = CancellationToken::new();
    let requests = Requests {
        opened: hears_opened,
        failed: hears_failed,
        gone: gone.clone().drop_guard(),
    };
    let side = RequestSide {
        sidecar: Arc::clone(sidecar),
        reader: Reader::new(body, Arc::clone(&connection)),
        connection,
        opened,
        failed,
        gone,
        unopened,
    };
    Ok((side, requests))
}

/// Drives request sides until no more can come and the last one ended.
pub(super) async fn drive<S: Sidecar>(mut calls: mpsc::Receiver<RequestSide<S>>) {
    let mut sides = FuturesUnordered::new();
    loop {
        tokio::select! {
            call = calls.recv() => match call {
                Some(side) => sides.push(side.run()),
                None => break,
            },
            Some(()) = sides.next() => {}
        }
    }
    while sides.next().await.is_some() {}
}

impl<S: Sidecar> RequestSide<S> {
    async fn run(self) {
        let Self {
            sidecar,
            connection,
            mut reader,
            opened,
            failed,
            gone,
            unopened,
        } = self;
        let settling = async {
            let (stream, request_id) = match open(&sidecar, &connection, &mut reader).await {
                Ok((stream, request_id)) => {
                    drop(unopened);
                    let id = stream.lease.id();
                    // If the response is gone already, the lease comes back and is dropped.
                    let _gone = opened.send(Ok(stream));
                    (id, request_id)
                }
                Err(error) => {
                    let _gone = opened.send(Err(error));
                    return;
                }
            };
            let requests = Settling {
                sidecar: sidecar.as_ref(),
                connection: &connection,
                stream,
            };
            if let Err(error) = requests.apply(&mut reader, request_id).await {
                let _gone = failed.send(error);
            }
        };
        tokio::select! {
            biased; // a stream whose response is gone takes no more settlements
            () = gone.cancelled() => {}
            () = settling => {}
        }
    }
}

async fn open<S: Sidecar>(
    sidecar: &Arc<S>,
    connection: &Connection,
    reader: &mut Reader,
) -> Result<(Opened<S>, u64), CallError> {
    let Some(ConsumeRequest {
        request_id,
        request,
    }) = reader.next().await?
    else {
        return Err(CallError::NotOpened);
    };
    let open = match request {
        Some(consume_request::Request::Open(open)) => open,
        Some(
            consume_request::Request::Settle(_)
            | consume_request::Request::Extend(_)
            | consume_request::Request::Flow(_)
            | consume_request::Request::StartAt(_),
        ) => {
            return Err(CallError::NotOpened);
        }
        None => return Err(CallError::UnknownRequest),
    };
    let opened = service::open(sidecar, connection, &open)?;
    Ok((opened, request_id))
}

/// The requests of an open stream.
struct Settling<'a, S: Sidecar> {
    sidecar: &'a S,
    connection: &'a Connection,
    stream: StreamId,
}

impl<S: Sidecar> Settling<'_, S> {
    /// Applies requests until the client half-closes. `highest` is the number of its `open`.
    async fn apply(&self, reader: &mut Reader, mut highest: u64) -> Result<(), CallError> {
        self.answer(highest, Refusals::default());
        reader.applied();
        for turn in 1_u32.. {
            if turn % TURN == 0 {
                tokio::task::yield_now().await;
            }
            std::future::poll_fn(|cx| self.sidecar.poll_room(self.stream, cx)).await;
            let Some(ConsumeRequest {
                request_id,
                request,
            }) = reader.next().await?
            else {
                self.sidecar.closing(self.stream);
                break;
            };
            if request_id != 0 && request_id <= highest {
                return Err(CallError::RequestIdNotRising {
                    before: highest,
                    now: request_id,
                });
            }
            highest = highest.max(request_id);
            let outputs = matches!(&request, Some(consume_request::Request::Settle(it)) if !it.outputs.is_empty());
            std::future::poll_fn(|cx| self.sidecar.poll_confirms(outputs, cx)).await;
            let refused = self.request(request)?;
            self.answer(request_id, refused);
            reader.applied();
        }
        Ok(())
    }

    fn request(&self, request: Option<consume_request::Request>) -> Result<Refusals, CallError> {
        match request {
            Some(consume_request::Request::Settle(settlement)) => self.settle(|| {
                let settlement = std::slice::from_ref(&settlement);
                Ok(Said::read(settlement, &[], self.sidecar.terms())?.kept(self.sidecar))
            }),
            Some(consume_request::Request::Extend(extend)) => self.settle(|| {
                Ok(SettleRequest {
                    extends: vec![validate::extend(&extend)?],
                    ..SettleRequest::default()
                })
            }),
            Some(consume_request::Request::Flow(flow)) => {
                let flow = validate::flow(&flow, self.sidecar.terms())?;
                self.sidecar.flow(self.stream, flow);
                Ok(Refusals::default())
            }
            Some(consume_request::Request::StartAt(start)) => self.start_at(&start),
            Some(consume_request::Request::Open(_)) => Err(CallError::OpenedTwice),
            None => Err(CallError::UnknownRequest),
        }
    }

    fn settle(
        &self,
        request: impl FnOnce() -> Result<SettleRequest, CallError>,
    ) -> Result<Refusals, CallError> {
        self.connection.check_unknown(self.sidecar.now())?;
        let refused = self.sidecar.settle(Some(self.stream), request()?);
        self.connection.count_unknown(&refused, self.sidecar);
        Ok((refused, Vec::new()))
    }

    fn start_at(&self, start: &StartAt) -> Result<Refusals, CallError> {
        if self.sidecar.terms().positions != Positions::Application {
            return Err(CallError::PositionsElsewhere);
        }
        if !start.stream_id.is_empty() {
            let problem = "is for Ack; leave it out, the stream answers for itself";
            return Err(validate::Invalid::new("stream_id", problem).into());
        }
        let assignment = Assignment(start.assignment);
        let answer = StartAnswer {
            stream: self.stream,
            assignment,
            position: validate::position(start)?,
        };
        let refused = self.sidecar.start_at(answer).err();
        let refused = refused.map(|reason| (assignment, reason));
        Ok((Vec::new(), refused.into_iter().collect()))
    }

    /// A request without a number is answered only if something in it was refused.
    fn answer(&self, request_id: u64, (refused, refused_starts): Refusals) {
        if request_id != 0 || !refused.is_empty() || !refused_starts.is_empty() {
            self.sidecar.answer(
                self.stream,
                Answer {
                    request_id,
                    refused,
                    refused_starts,
                },
            );
        }
    }
}
