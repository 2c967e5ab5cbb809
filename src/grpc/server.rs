//! Binds the listeners and serves them.
//!
//! Binding and serving are apart, so that a process can bind everything before it starts anything.
//! Every limit of HTTP/2 is set here: tonic's defaults leave some of them open.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic::transport::server::Router;
use tonic_health::ServingStatus;

use super::Sidecar;
use super::connection::UNOPENED_MAX;
use super::consume;
use super::listener::{CONNECTIONS_MAX, Listener, Places, TcpDoor, UnixDoor, connections};
use super::service::ConsumerServer;
use super::token::{Token, TokenError};

/// Calls at one time on one connection. Record streams are limited by the sidecar, far below; if
/// HTTP/2 limited them, an `Ack` could find no place behind them.
const CONCURRENT_STREAMS_MAX: u32 = 1024;

/// Calls that the client reset before they were looked at; more end the connection.
const PENDING_ACCEPT_RESET_MAX: usize = 20;

/// Calls reset because of the client's mistakes; more end the connection.
const LOCAL_ERROR_RESET_MAX: usize = 256;

/// Headers of one call.
const HEADER_LIST_MAX: u32 = 16 << 10;

/// Largest HTTP/2 frame taken.
const FRAME_MAX: u32 = 64 << 10;

/// What a client may send ahead on one call, and on all calls of a connection. Requests that wait
/// because a client reads no answers must leave room for the calls beside them.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 2 << 20;

/// Pings on TCP, where a peer can vanish. A Unix socket is closed by the kernel when its process
/// dies, and a busy event loop that answers no ping must not lose its stream: over TCP it may be busy for a minute.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(60);

/// After this, a TCP connection takes no new calls; its open streams stay.
const TCP_CONNECTION_AGE: Duration = Duration::from_secs(3600);

/// Where to listen.
#[derive(Clone, Debug, Default)]
pub struct Listen {
    /// A Unix socket.
    pub unix: Option<ListenUnix>,
    /// TCP.
    pub tcp: Option<ListenTcp>,
}

/// Listening on a Unix socket.
#[derive(Clone, Debug)]
pub struct ListenUnix {
    /// Its path.
    pub path: PathBuf,
    /// Users who may call; empty for every user.
    pub uids: Vec<u32>,
}

/// Listening on TCP.
#[derive(Clone, Debug)]
pub struct ListenTcp {
    /// Address and port.
    pub address: SocketAddr,
    /// File with the token that calls must carry; `None` only if the user said `insecure`.
    pub token_file: Option<PathBuf>,
}

/// What keeps the edge from listening or serving.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be bound.
    #[error("could not listen on {address}; {}", remedy(source, setting))]
    Bind {
        /// The address or path.
        address: String,
        /// The setting that names it.
        setting: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Another process listens on the path.
    #[error("another process listens on `{}`; give each sidecar a socket of its own", path.display())]
    SocketInUse {
        /// The path.
        path: PathBuf,
    },
    /// The path is something else.
    #[error("`{}` exists and is not a socket; remove it or choose another path", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The token file cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The server failed.
    #[error("the gRPC server failed")]
    Serve(#[source] tonic::transport::Error),
}

/// What to do about a socket that cannot be bound.
fn remedy(error: &std::io::Error, setting: &str) -> String {
    let kind = error.kind();
    if kind == std::io::ErrorKind::NotFound {
        format!("create its directory, or choose another place with `{setting}`")
    } else if kind == std::io::ErrorKind::PermissionDenied {
        format!("let this user write into its directory, or choose another place with `{setting}`")
    } else if kind == std::io::ErrorKind::AddrInUse {
        "another process has it; choose another address".to_owned()
    } else {
        "choose another address".to_owned()
    }
}

/// Bound listeners, not yet served.
#[derive(Debug)]
pub struct Server {
    unix: Option<UnixDoor>,
    tcp: Option<TcpDoor>,
}

impl Server {
    /// Binds everything, or nothing.
    pub async fn bind(listen: Listen) -> Result<Self, Error> {
        let tcp = match listen.tcp {
            Some(tcp) => Some(bind_tcp(tcp).await?),
            None => None,
        };
        let unix = match listen.unix {
            Some(unix) => Some(UnixDoor::bind(&unix.path, unix.uids)?),
            None => None,
        };
        Ok(Self { unix, tcp })
    }

    /// Address of the TCP listener, with the port that the system chose if it was 0.
    #[must_use]
    pub fn tcp_address(&self) -> Option<SocketAddr> {
        self.tcp.as_ref()?.listener.local_addr().ok()
    }

    /// Serves until `shutdown`, then takes no new connections and waits for those that are open,
    /// whose streams the sidecar must end. Whoever cannot wait drops the future.
    pub async fn serve<S: Sidecar>(
        self,
        sidecar: Arc<S>,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let (request_sides, to_drive) = mpsc::channel(CONNECTIONS_MAX * UNOPENED_MAX);
        let consumer = ConsumerServer::new(Arc::clone(&sidecar), request_sides);
        let (mut health, health_server) = tonic_health::server::health_reporter();
        health.set_serving::<ConsumerServer<S>>().await;
        let numbers = Arc::new(AtomicU64::new(0));
        let unix = self.unix.map(|door| {
            let router = limited()
                .add_service(consumer.clone())
                .add_service(health_server.clone());
            listen(
                router,
                door,
                Places::new(Arc::clone(&numbers)),
                Arc::clone(&sidecar),
                shutdown.clone(),
            )
        });
        let tcp = self.tcp.map(|door| {
            let router = limited()
                .http2_keepalive_interval(Some(TCP_KEEPALIVE))
                .http2_keepalive_timeout(Some(TCP_KEEPALIVE_TIMEOUT))
                .max_connection_age(TCP_CONNECTION_AGE)
                .add_service(consumer.clone())
                .add_service(health_server);
            listen(
                router,
                door,
                Places::new(numbers),
                sidecar,
                shutdown.clone(),
            )
        });
        // The last sender must go with the last connection, or the driver would never end.
        drop(consumer);
        let driving = async {
            consume::drive(to_drive).await;
            Ok(())
        };
        let unhealthy = async {
            shutdown.cancelled().await;
            // Whoever watches is told, and the watch ends: it would keep its connection open.
            for service in ["", ConsumerServer::<S>::NAME] {
                health
                    .set_service_status(service, ServingStatus::NotServing)
                    .await;
                health.clear_service_status(service).await;
            }
            Ok(())
        };
        tokio::try_join!(maybe(unix), maybe(tcp), driving, unhealthy)?;
        Ok(())
    }
}

async fn bind_tcp(listen: ListenTcp) -> Result<TcpDoor, Error> {
    let token = match listen.token_file {
        Some(path) => Some(Arc::new(Token::read(&path)?)),
        None => None,
    };
    let listener = TcpListener::bind(listen.address)
        .await
        .map_err(|source| Error::Bind {
            address: listen.address.to_string(),
            setting: "listen.app_tcp.address",
            source,
        })?;
    Ok(TcpDoor { listener, token })
}

pub(super) fn limited() -> tonic::transport::Server {
    tonic::transport::Server::builder()
        .max_concurrent_streams(CONCURRENT_STREAMS_MAX)
        .http2_max_pending_accept_reset_streams(Some(PENDING_ACCEPT_RESET_MAX))
        .http2_max_local_error_reset_streams(Some(LOCAL_ERROR_RESET_MAX))
        .http2_max_header_list_size(HEADER_LIST_MAX)
        .max_frame_size(FRAME_MAX)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
}

async fn listen<L: Listener, S: Sidecar>(
    router: Router,
    listener: L,
    places: Places,
    sidecar: Arc<S>,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let told = Arc::clone(&sidecar);
    let gone = move |connection| told.disconnected(connection);
    let incoming = connections(listener, places, move |event| sidecar.report(event), gone);
    router
        .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
        .await
        .map_err(Error::Serve)
}

async fn maybe(server: Option<impl Future<Output = Result<(), Error>>>) -> Result<(), Error> {
    match server {
        Some(server) => server.await,
        None => Ok(()),
    }
}
