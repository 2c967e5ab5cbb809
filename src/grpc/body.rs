//! The response side of a record stream.
//!
//! HTTP/2 asks this body for the next frame, the body asks the sidecar, and what the sidecar has
//! goes out as it is: no channel, no copy, no task in between. When nothing is ready the sidecar
//! keeps the task's waker.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use http_body::Frame;
use tokio::sync::oneshot;
use tokio_util::sync::DropGuard;
use tonic::Status;

use super::call_error::CallError;
use super::proto::StreamResponse;
use super::{End, OpenRefused, Outgoing, Sidecar, wire};
use crate::core::{StreamEnd, StreamId};

/// An open stream; it is closed when this is dropped, wherever that happens (E2).
pub(super) struct Lease<S: Sidecar> {
    sidecar: Arc<S>,
    id: StreamId,
}

impl<S: Sidecar> Lease<S> {
    pub(super) fn new(sidecar: Arc<S>, id: StreamId) -> Self {
        Self { sidecar, id }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }
}

impl<S: Sidecar> Drop for Lease<S> {
    fn drop(&mut self) {
        self.sidecar.closed(self.id);
    }
}

/// A stream with the message that tells its client so.
pub(super) struct Opened<S: Sidecar> {
    pub(super) lease: Lease<S>,
    pub(super) message: Bytes,
}

/// What the response side hears of the request side of a `Consume` call.
pub(super) struct Requests<S: Sidecar> {
    /// How the opening went.
    pub(super) opened: oneshot::Receiver<Result<Opened<S>, CallError>>,
    /// A mistake of the client that ends the stream.
    pub(super) failed: oneshot::Receiver<CallError>,
    /// Tells the request side that the response body is gone.
    pub(super) gone: DropGuard,
}

/// Body of the response to `Stream` or `Consume`.
pub(super) struct RecordBody<S: Sidecar> {
    state: State<S>,
}

enum State<S: Sidecar> {
    /// Waiting for the request side to open the stream.
    Opening(Requests<S>),
    /// About to say so.
    Greeting {
        opened: Opened<S>,
        requests: Option<Client>,
    },
    Open {
        lease: Lease<S>,
        requests: Option<Client>,
    },
    Ended,
}

/// What is left of [`Requests`] once the stream is open.
struct Client {
    failed: oneshot::Receiver<CallError>,
    _gone: DropGuard,
}

impl<S: Sidecar> RecordBody<S> {
    /// Of a `Stream` call, which was opened already.
    pub(super) fn open(opened: Opened<S>) -> Self {
        Self {
            state: State::Greeting {
                opened,
                requests: None,
            },
        }
    }

    /// Of a `Consume` call.
    pub(super) fn opening(requests: Requests<S>) -> Self {
        Self {
            state: State::Opening(requests),
        }
    }

    fn end(&mut self, error: &CallError) -> Frame<Bytes> {
        self.state = State::Ended;
        Frame::trailers(trailers(&error.status()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Frame<Bytes>>> {
        loop {
            match std::mem::replace(&mut self.state, State::Ended) {
                State::Opening(mut requests) => match Pin::new(&mut requests.opened).poll(cx) {
                    Poll::Ready(Ok(Ok(opened))) => {
                        let client = Client {
                            failed: requests.failed,
                            _gone: requests.gone,
                        };
                        self.state = State::Greeting {
                            opened,
                            requests: Some(client),
                        };
                    }
                    Poll::Ready(Ok(Err(error))) => return Poll::Ready(Some(self.end(&error))),
                    // Whoever drives request sides is gone: the process ends.
                    Poll::Ready(Err(_)) => {
                        let error = CallError::OpenRefused(OpenRefused::ShuttingDown);
                        return Poll::Ready(Some(self.end(&error)));
                    }
                    Poll::Pending => {
                        self.state = State::Opening(requests);
                        return Poll::Pending;
                    }
                },
                State::Greeting {
                    opened: Opened { lease, message },
                    requests,
                } => {
                    self.state = State::Open { lease, requests };
                    return Poll::Ready(Some(Frame::data(message)));
                }
                State::Open { lease, requests } => return self.poll_open(lease, requests, cx),
                State::Ended => return Poll::Ready(None),
            }
        }
    }

    fn poll_open(
        &mut self,
        lease: Lease<S>,
        mut requests: Option<Client>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Frame<Bytes>>> {
        if let Some(client) = &mut requests
            && let Poll::Ready(failed) = Pin::new(&mut client.failed).poll(cx)
        {
            match failed {
                Ok(error) => return Poll::Ready(Some(self.end(&error))),
                // The client half-closed. The guard has nobody left to tell.
                Err(_) => requests = None,
            }
        }
        let outgoing = match lease.sidecar.poll(lease.id, cx) {
            Poll::Ready(outgoing) => outgoing,
            Poll::Pending => {
                self.state = State::Open { lease, requests };
                return Poll::Pending;
            }
        };
        let bytes = match outgoing {
            Outgoing::Frame(frame) => frame,
            Outgoing::Message(response) => wire::message(&StreamResponse {
                response: Some(response),
            }),
            Outgoing::End(End::Decided(StreamEnd::Closed)) => {
                return Poll::Ready(Some(Frame::trailers(trailers(&Status::ok("")))));
            }
            Outgoing::End(end) => return Poll::Ready(Some(self.end(&CallError::Ended(end)))),
        };
        self.state = State::Open { lease, requests };
        Poll::Ready(Some(Frame::data(bytes)))
    }
}

impl<S: Sidecar> http_body::Body for RecordBody<S> {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(ready!(self.poll_next(cx)).map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended)
    }
}

/// The trailers that carry a status.
pub(super) fn trailers(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    if let Err(unfit) = status.add_header(&mut trailers) {
        // Details that are no header value are left out; the code always is one.
        trailers.clear();
        let _same = Status::new(unfit.code(), "").add_header(&mut trailers);
    }
    trailers
}
