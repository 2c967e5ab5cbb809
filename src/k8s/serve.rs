//! `ackline inject serve`: the injector as a process.
//!
//! One thread. The API server calls over HTTPS, a call a connection; beside it the certificate is looked after,
//! and probes and metrics are answered on an address of their own. It is ready when it has a certificate.
//!
//! # Invariants
//!
//! - Its values were checked whole before a socket was bound.
//! - A certificate that changes is used for the next connection; no connection is cut.
//! - One that is not whole, or not with its own key, is told and not used; the one before it stays.
//! - At its end it answers on for a while: the API server hears of an endpoint's end later than we do.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use openssl::ssl::{Ssl, SslAcceptor};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_openssl::SslStream;

use super::admission::{Reviewed, review};
use super::certificate::{Files, Identity, Keeper, Names};
use super::values::Values;
use crate::http::{self, Health, serve_one};
use crate::observe::{InjectorEvent, InjectorObserver};
use crate::shutdown::Shutdown;

/// Bytes of one call: the API server's own limit for what it stores is 1.5 MiB, and it may send an object twice.
const CALL_BYTES_MAX: usize = 4 << 20;
/// Connections at once; more wait in the queue of the socket.
const CONNECTIONS_MAX: usize = 64;
/// How long the other side may take to agree on encryption.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(5);
/// How long to stay away from a socket that gives no connections.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// How often the certificate is looked at, and how often before there is one.
const LOOK_EVERY: Duration = Duration::from_secs(10);
const LOOK_EVERY_AT_FIRST: Duration = Duration::from_secs(1);
/// How long it answers on after it was told to end.
const ANSWERS_ON: Duration = Duration::from_secs(5);

/// What the injector is given.
#[derive(Debug)]
pub struct Injector {
    /// What the platform gives to all pods.
    pub values: Values,
    /// Where the API server calls.
    pub listen: SocketAddr,
    /// Probes and metrics.
    pub http: SocketAddr,
    /// Where its certificate comes from.
    pub certificate: CertificateSource,
}

/// Where the certificate comes from.
#[derive(Debug)]
pub enum CertificateSource {
    /// Somebody else makes it.
    Files(Files),
    /// It is made here.
    Managed(Names),
}

/// Why the injector could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A socket could not be had.
    #[error("cannot listen on {address}; choose another address with `--listen`")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// The system's words.
        #[source]
        source: std::io::Error,
    },
    /// The other socket could not be had.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// How to reach the API server is not known.
    #[error(
        "cannot find the API server; run in a pod with a service account token, or set KUBECONFIG"
    )]
    Cluster(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Serves until it is told to end.
///
/// # Errors
///
/// If it could not start.
pub async fn serve(injector: Injector, shutdown: &Shutdown) -> Result<(), Error> {
    let shared = Arc::new(Shared {
        values: injector.values,
        observer: InjectorObserver::default(),
        acceptor: Mutex::new(None),
        shutdown: shutdown.clone(),
    });
    shared.report(&InjectorEvent::Starting);
    let listen = injector.listen;
    let failed = |source| Error::Listen {
        address: listen,
        source,
    };
    let listener = TcpListener::bind(listen).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    let probes = http::Server::bind(injector.http).await?;
    let source = Source::new(injector.certificate).await?;
    for (purpose, place) in [("calls", address), ("probes", probes.address())] {
        let place = place.to_string();
        shared.report(&InjectorEvent::Listening { purpose, place });
    }
    let ended = async {
        shutdown.begun().await;
        shared.report(&InjectorEvent::Draining);
        tokio::select! {
            () = tokio::time::sleep(ANSWERS_ON) => {}
            () = shutdown.hurried() => {}
        }
    };
    let health = Arc::clone(&shared);
    tokio::select! {
        () = ended => {}
        () = answer_calls(&listener, &shared) => {}
        () = look_after(source, &shared) => {}
        () = probes.serve(health, std::future::pending()) => {}
    }
    shared.report(&InjectorEvent::Ended);
    Ok(())
}

/// What all parts know.
struct Shared {
    values: Values,
    observer: InjectorObserver,
    acceptor: Mutex<Option<SslAcceptor>>,
    shutdown: Shutdown,
}

impl Shared {
    fn report(&self, event: &InjectorEvent) {
        self.observer.report(event);
    }

    fn acceptor(&self) -> Option<SslAcceptor> {
        let acceptor = self.acceptor.lock().unwrap_or_else(PoisonError::into_inner);
        acceptor.clone()
    }

    fn serve_with(&self, identity: &Identity) -> Result<(), openssl::error::ErrorStack> {
        let (acceptor, expires) = (identity.acceptor()?, identity.expires()?);
        *self.acceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(acceptor);
        self.report(&InjectorEvent::CertificateServed { expires });
        Ok(())
    }
}

impl Health for Shared {
    fn live(&self) -> Result<(), String> {
        Ok(())
    }

    fn ready(&self) -> Result<(), String> {
        if self.shutdown.is_begun() {
            return Err("the injector is ending".to_owned());
        }
        match self.acceptor() {
            Some(_) => Ok(()),
            None => Err("there is no certificate yet; the log says why".to_owned()),
        }
    }

    fn metrics(&self) -> String {
        self.observer.metrics()
    }
}

async fn answer_calls(listener: &TcpListener, shared: &Arc<Shared>) {
    let router = Router::new()
        .route("/mutate", post(mutate))
        .layer(DefaultBodyLimit::max(CALL_BYTES_MAX))
        .with_state(Arc::clone(shared));
    let mut connections = FuturesUnordered::new();
    loop {
        let has_room = connections.len() < CONNECTIONS_MAX;
        tokio::select! {
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _)) => connections.push(answer_one(stream, shared, router.clone())),
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(()) = connections.next() => {}
        }
    }
}

async fn answer_one(stream: TcpStream, shared: &Shared, router: Router) {
    let Some(acceptor) = shared.acceptor() else {
        return;
    };
    let Some(stream) = encrypted(stream, &acceptor).await else {
        return;
    };
    serve_one(stream, router).await;
}

/// Whoever does not get through the handshake is told so by its end.
async fn encrypted(stream: TcpStream, acceptor: &SslAcceptor) -> Option<SslStream<TcpStream>> {
    let ssl = Ssl::new(acceptor.context()).ok()?;
    let mut stream = SslStream::new(ssl, stream).ok()?;
    let accepted = std::pin::Pin::new(&mut stream).accept();
    let accepted = tokio::time::timeout(HANDSHAKE_WITHIN, accepted).await;
    accepted.ok()?.ok()?;
    Some(stream)
}

async fn mutate(State(shared): State<Arc<Shared>>, body: Bytes) -> Response {
    let Reviewed {
        admission,
        pod,
        said,
        answer,
    } = review(&body, &shared.values);
    shared.report(&InjectorEvent::Answered {
        admission,
        pod,
        said,
    });
    ([(CONTENT_TYPE, "application/json")], answer.to_string()).into_response()
}

/// A source that is ready to be asked.
enum Source {
    Files(Files),
    Managed(Box<Keeper>),
}

impl Source {
    async fn new(source: CertificateSource) -> Result<Self, Error> {
        Ok(match source {
            CertificateSource::Files(files) => Self::Files(files),
            CertificateSource::Managed(names) => {
                let client = kube::Client::try_default()
                    .await
                    .map_err(|error| Error::Cluster(Box::new(error)))?;
                Self::Managed(Box::new(Keeper::new(client, names)))
            }
        })
    }

    /// Where it is, as the log names it.
    fn place(&self) -> String {
        match self {
            Self::Files(Files { certificate, key }) => {
                format!("{} and {}", certificate.display(), key.display())
            }
            Self::Managed(_) => "its Secret".to_owned(),
        }
    }

    async fn look(
        &mut self,
        shared: &Shared,
        running: Duration,
    ) -> Result<Option<Identity>, String> {
        match self {
            Self::Files(files) => match files.read() {
                Ok(identity) => Ok(Some(identity)),
                Err(error) => Err(format!("cannot read {}: {error}", self.place())),
            },
            Self::Managed(keeper) => {
                let turn = keeper.turn(SystemTime::now(), running).await;
                let turn = turn.map_err(|error| chain(&error))?;
                for step in turn.done {
                    shared.report(&InjectorEvent::CertificateStep { step });
                }
                Ok(turn.identity)
            }
        }
    }
}

async fn look_after(mut source: Source, shared: &Shared) {
    let started = Instant::now();
    let mut served = None;
    loop {
        match source.look(shared, started.elapsed()).await {
            // A key that no longer fits is found here too, before a restart would find it.
            Ok(Some(identity)) if served.as_ref() != Some(&identity) => {
                match shared.serve_with(&identity) {
                    Ok(()) => served = Some(identity),
                    Err(error) => shared.report(&InjectorEvent::CertificateTrouble {
                        error: format!(
                            "{} are no certificate with its own key: {}",
                            source.place(),
                            chain(&error)
                        ),
                    }),
                }
            }
            Ok(_) => {}
            Err(error) => shared.report(&InjectorEvent::CertificateTrouble { error }),
        }
        let pause = if served.is_none() {
            LOOK_EVERY_AT_FIRST
        } else {
            LOOK_EVERY
        };
        tokio::time::sleep(pause).await;
    }
}

/// An error with its causes.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests;
