//! What reads the bytes of a client, without a socket: for programs that try hostile bytes by the million.
//!
//! A call goes the way of all calls behind HTTP/2, with its limits and counts; nothing is done in its stead here.
//!
//! # Deliberately absent
//!
//! HTTP/2 itself, which is other people's code, and whether a caller is admitted, which is decided before its bytes
//! are read. A runtime: nothing behind HTTP/2 waits for anything but the sidecar and the request.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use bytes::{Buf, Bytes};
use futures_util::future::join;
use http::{HeaderValue, Method, Request, header};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::mpsc;
use tonic::Status;
use tonic::body::Body;
use tower::Service;

use super::authority::Mended;
use super::connection::{Connection, Door};
use super::service::ConsumerServer;
use super::{Origin, Peer, Sidecar, consume};

/// How a call went.
#[derive(Debug)]
pub struct Answered {
    /// What the client is told at the end; OK also if it is told nothing.
    pub status: Status,
    /// The messages before that, with their prefixes.
    pub messages: Bytes,
    /// Bytes of requests that still count against the connection: none, now that the call is over.
    pub held_bytes: usize,
}

/// Serves one call to `path`, whose request comes in these pieces and ends by a half-close or a reset. `None` if the call
/// waits for something that never happens.
pub fn call<S: Sidecar>(
    sidecar: Arc<S>,
    path: &'static str,
    pieces: Vec<Bytes>,
    half_close: bool,
) -> Option<Answered> {
    let peer = Peer {
        connection: 1,
        origin: Origin::Unix { uid: 0, pid: 0 },
    };
    let connection = Arc::new(Connection::new(peer, Door::Open));
    let pieces = pieces.into();
    let mut request = Request::new(Body::new(RequestBody { pieces, half_close }));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static(path);
    let grpc = HeaderValue::from_static("application/grpc");
    request.headers_mut().insert(header::CONTENT_TYPE, grpc);
    request.extensions_mut().insert(Arc::clone(&connection));

    let (request_sides, calls) = mpsc::channel(1);
    let mut server = ConsumerServer::new(sidecar, request_sides);
    let answered = async move {
        let Ok(response) = server.call(request).await;
        drop(server);
        let (head, body) = response.into_parts();
        let body = body.collect().await;
        (head.headers, body)
    };
    let ((headers, body), ()) = to_the_end(join(answered, consume::drive(calls)))?;
    let (status, messages) = match body {
        Ok(body) => {
            let trailers = body.trailers().and_then(Status::from_header_map);
            let status = trailers.or_else(|| Status::from_header_map(&headers));
            (status, body.to_bytes())
        }
        Err(status) => (Some(status), Bytes::new()),
    };
    Some(Answered {
        status: status.unwrap_or_else(|| Status::ok("")),
        messages,
        held_bytes: connection.held(),
    })
}

/// What HTTP/2 is given of a connection on which a client sends these pieces.
#[must_use]
pub fn mended(pieces: Vec<Bytes>) -> Vec<u8> {
    let mut connection = Mended::new(Pieces(pieces.into()));
    let mut cx = Context::from_waker(Waker::noop());
    let mut received = Vec::new();
    let mut room = [0; READ];
    loop {
        let mut buffer = ReadBuf::new(&mut room);
        let read = Pin::new(&mut connection).poll_read(&mut cx, &mut buffer);
        if !matches!(read, Poll::Ready(Ok(()))) || buffer.filled().is_empty() {
            return received;
        }
        received.extend_from_slice(buffer.filled());
    }
}

/// What is read at once, at most.
const READ: usize = 4096;

/// Drives a future as long as something wakes it.
fn to_the_end<F: Future>(future: F) -> Option<F::Output> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::Relaxed) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Some(output);
        }
    }
    None
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A request that has come wholly.
struct RequestBody {
    pieces: VecDeque<Bytes>,
    half_close: bool,
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.pieces.pop_front().map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.half_close && self.pieces.is_empty()
    }
}

/// A connection on which everything has come.
struct Pieces(VecDeque<Bytes>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Nothing read means the end, so an empty piece is none.
        while self.0.front().is_some_and(Bytes::is_empty) {
            self.0.pop_front();
        }
        if let Some(piece) = self.0.front_mut() {
            let count = piece.len().min(buffer.remaining());
            buffer.put_slice(piece.get(..count).unwrap_or_default());
            piece.advance(count);
        }
        Poll::Ready(Ok(()))
    }
}
