//! One connection, one request, within limits.

use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};

/// How long a client may take for its headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(3);
/// How long a connection may last, whatever happens on it.
const CONNECTION_MAX: Duration = Duration::from_secs(10);
/// Headers of one request.
const HEADERS_MAX: usize = 32;
/// Bytes of request line and headers; the least that the HTTP library takes.
const HEADER_BYTES_MAX: usize = 8 * 1024;

/// Answers one request. A connection is closed afterwards: probes and scrapes are rare, and idle
/// connections would take the places of others.
pub(crate) async fn serve_one<S>(stream: S, router: Router)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .half_close(false)
        .max_headers(HEADERS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .header_read_timeout(HEADERS_WITHIN);
    let service = TowerToHyperService::new(router);
    let connection = builder.serve_connection(TokioIo::new(stream), service);
    // However a connection ends, there is nobody left to tell.
    let _ = tokio::time::timeout(CONNECTION_MAX, connection).await;
}
