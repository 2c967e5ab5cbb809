//! Probes and metrics over HTTP.
//!
//! | path | 200 when |
//! |---|---|
//! | `/startupz` | it answers: every socket of the process is bound before this one is served |
//! | `/livez` | the process does its work; another answer means that only a restart helps |
//! | `/readyz` | records can flow; the body of any other answer says why they cannot |
//! | `/metrics` | always, in the text format of OpenMetrics |
//!
//! `page` is another server, on an address of its own: the status page for people.
//!
//! Everybody who can reach the pod can reach this, so it tells nothing about records and changes
//! nothing: only GET and HEAD are answered, one request a connection, with limits on everything.
//!
//! # Deliberately absent
//!
//! State. What stands is asked of whoever implements [`Health`], and judged in `health.rs`.

mod connection;
mod health;
mod page;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::net::TcpListener;

pub(crate) use connection::serve_one;
pub use health::{liveness, readiness};
pub use page::Page;

/// Connections served at once; more wait in the queue of the socket.
const CONNECTIONS_MAX: usize = 32;

/// How long to stay away from a socket that gives no connections: descriptors may be used up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const OPEN_METRICS: HeaderValue =
    HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");

/// How the process is.
pub trait Health: Send + Sync + 'static {
    /// Whether the process does its work at all.
    ///
    /// # Errors
    ///
    /// Why only a restart helps.
    fn live(&self) -> Result<(), String>;

    /// Whether records can flow.
    ///
    /// # Errors
    ///
    /// Why they cannot.
    fn ready(&self) -> Result<(), String>;

    /// Metrics in the text format of OpenMetrics.
    fn metrics(&self) -> String;
}

/// Why the listener could not be opened.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}; choose another address with `{setting}`")]
pub struct Error {
    address: SocketAddr,
    setting: &'static str,
    #[source]
    source: io::Error,
}

/// A bound socket that nobody serves yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// Takes the address.
    ///
    /// # Errors
    ///
    /// If somebody else has it, or it is not ours.
    pub async fn bind(address: SocketAddr) -> Result<Self, Error> {
        Self::bind_for("listen.http", address).await
    }

    /// Takes the address of the status page.
    ///
    /// # Errors
    ///
    /// As [`Self::bind`].
    pub async fn bind_page(address: SocketAddr) -> Result<Self, Error> {
        Self::bind_for("listen.status_page", address).await
    }

    async fn bind_for(setting: &'static str, address: SocketAddr) -> Result<Self, Error> {
        let failed = |source| Error {
            address,
            setting,
            source,
        };
        let listener = TcpListener::bind(address).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        Ok(Self { listener, address })
    }

    /// Where it listens; with port 0 the system chose one.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` resolves. Connections live inside of this future and end with it.
    pub async fn serve(self, health: Arc<dyn Health>, stop: impl Future<Output = ()>) {
        self.serve_routes(router(health), stop).await;
    }

    /// Shows the status page until `stop` resolves.
    pub async fn serve_page(self, page: Arc<dyn Page>, stop: impl Future<Output = ()>) {
        self.serve_routes(page::router(page), stop).await;
    }

    async fn serve_routes(self, router: Router, stop: impl Future<Output = ()>) {
        let mut connections = FuturesUnordered::new();
        tokio::pin!(stop);
        loop {
            let has_room = connections.len() < CONNECTIONS_MAX;
            tokio::select! {
                () = &mut stop => return,
                stream = accept(&self.listener), if has_room => {
                    connections.push(serve_one(stream, router.clone()));
                }
                Some(()) = connections.next() => {}
            }
        }
    }
}

async fn accept(listener: &TcpListener) -> tokio::net::TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

fn router(health: Arc<dyn Health>) -> Router {
    Router::new()
        .route("/startupz", get(|| async { answer(Ok(())) }))
        .route(
            "/livez",
            get(|State(health): State<Arc<dyn Health>>| async move { answer(health.live()) }),
        )
        .route(
            "/readyz",
            get(|State(health): State<Arc<dyn Health>>| async move { answer(health.ready()) }),
        )
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn metrics(State(health): State<Arc<dyn Health>>) -> Response {
    respond(StatusCode::OK, OPEN_METRICS, health.metrics())
}

fn answer(state: Result<(), String>) -> Response {
    match state {
        Ok(()) => respond(StatusCode::OK, TEXT, "ok\n".to_owned()),
        Err(reason) => respond(StatusCode::SERVICE_UNAVAILABLE, TEXT, format!("{reason}\n")),
    }
}

fn respond(status: StatusCode, kind: HeaderValue, body: String) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        ),
    ];
    (status, headers, body).into_response()
}

#[cfg(test)]
mod tests;
