//! Accepts connections, says who they are, and keeps their number down.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use futures_util::stream::unfold;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Sleep;
use tonic::transport::server::Connected;

use super::authority::Mended;
use super::connection::{Connection, Door};
use super::server::Error;
use super::token::Token;
use super::{Event, Origin, Peer};

/// Connections at one time on each listener, so that TCP cannot take the places of the socket.
pub(super) const CONNECTIONS_MAX: usize = 32;

/// Connections of users who are not allowed: enough to be told so, and never in the way of others.
const STRANGERS_MAX: usize = 4;

/// How long a TCP connection may hold its place before one of its calls was taken. On the Unix
/// socket the mount has decided already who is there, and idle clients are nobody's business.
const UNPROVEN_MAX: Duration = Duration::from_secs(30);

/// Pause after a failed accept, which usually means that file descriptors ran out.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What accepts.
pub(super) trait Listener: Send + Sync + 'static {
    /// An accepted connection.
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// The next connection, where it comes from and what decides about its calls.
    fn accept(&self) -> impl Future<Output = io::Result<(Self::Io, Origin, Door)>> + Send;
}

/// The Unix socket; its file goes when this is dropped.
#[derive(Debug)]
pub(super) struct UnixDoor {
    listener: UnixListener,
    path: PathBuf,
    inode: Option<u64>,
    /// Users who may connect; empty for all.
    uids: Vec<u32>,
}

impl UnixDoor {
    /// Binds the socket, open to every user: where it is mounted decides who can reach it. A
    /// socket left behind by a process that is gone is replaced.
    pub(super) fn bind(path: &Path, uids: Vec<u32>) -> Result<Self, Error> {
        Self::bind_with(path, uids, 0o666, "listen.app")
    }

    /// Binds the socket for its owner, and for root, alone. Who connects before the file has its mode is known by its
    /// user.
    pub(super) fn bind_private(path: &Path) -> Result<Self, Error> {
        let mut door = Self::bind_with(path, vec![0], 0o600, "listen.admin")?;
        let owner = std::fs::symlink_metadata(path).map(|file| file.uid());
        door.uids.extend(owner.ok());
        Ok(door)
    }

    fn bind_with(
        path: &Path,
        uids: Vec<u32>,
        mode: u32,
        setting: &'static str,
    ) -> Result<Self, Error> {
        remove_stale(path, setting)?;
        let failed = |source| Error::Bind {
            address: path.display().to_string(),
            setting,
            source,
        };
        let listener = UnixListener::bind(path).map_err(failed)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).map_err(failed)?;
        let inode = std::fs::symlink_metadata(path).map(|file| file.ino()).ok();
        Ok(Self {
            listener,
            path: path.to_owned(),
            inode,
            uids,
        })
    }
}

impl Drop for UnixDoor {
    fn drop(&mut self) {
        // A successor may have bound the path anew.
        let ours = std::fs::symlink_metadata(&self.path)
            .map(|file| file.ino())
            .ok();
        if ours.is_some() && ours == self.inode {
            let _left_behind = std::fs::remove_file(&self.path);
        }
    }
}

impl Listener for UnixDoor {
    /// Clients name the path of the socket as their host.
    type Io = Mended<UnixStream>;

    async fn accept(&self) -> io::Result<(Self::Io, Origin, Door)> {
        let (io, _) = self.listener.accept().await?;
        let credentials = io.peer_cred()?;
        let uid = credentials.uid();
        let door = if self.uids.is_empty() || self.uids.contains(&uid) {
            Door::Open
        } else {
            Door::WrongUser { uid }
        };
        Ok((
            Mended::new(io),
            Origin::Unix {
                uid,
                pid: credentials.pid().unwrap_or(0),
            },
            door,
        ))
    }
}

fn remove_stale(path: &Path, setting: &'static str) -> Result<(), Error> {
    let Ok(file) = std::fs::symlink_metadata(path) else {
        return Ok(());
    };
    if !file.file_type().is_socket() {
        return Err(Error::NotASocket {
            path: path.to_owned(),
        });
    }
    // Connecting to a local socket does not wait: somebody listens, or nobody does.
    match std::os::unix::net::UnixStream::connect(path) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|source| Error::Bind {
                address: path.display().to_string(),
                setting,
                source,
            })
        }
        Ok(_) | Err(_) => Err(Error::SocketInUse {
            path: path.to_owned(),
        }),
    }
}

/// The TCP listener.
#[derive(Debug)]
pub(super) struct TcpDoor {
    pub(super) listener: TcpListener,
    /// The token that calls must carry; `None` if the user said `insecure`.
    pub(super) token: Option<Arc<Token>>,
}

impl Listener for TcpDoor {
    type Io = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, Origin, Door)> {
        let (io, address) = self.listener.accept().await?;
        io.set_nodelay(true)?;
        let door = match &self.token {
            Some(token) => Door::Token(Arc::clone(token)),
            None => Door::Open,
        };
        Ok((io, Origin::Tcp(address), door))
    }
}

/// The places for connections of one listener.
#[derive(Debug)]
pub(super) struct Places {
    known: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
    next: Arc<AtomicU64>,
}

impl Places {
    /// `next` numbers the connections of all listeners.
    pub(super) fn new(next: Arc<AtomicU64>) -> Self {
        Self {
            known: Arc::new(Semaphore::new(CONNECTIONS_MAX)),
            strangers: Arc::new(Semaphore::new(STRANGERS_MAX)),
            next,
        }
    }

    fn take(&self, door: &Door) -> Option<OwnedSemaphorePermit> {
        let places = match door {
            Door::Open | Door::Token(_) => &self.known,
            Door::WrongUser { .. } => &self.strangers,
        };
        Arc::clone(places).try_acquire_owned().ok()
    }
}

/// Connections as they come; `gone` is told the number of each that is no more. One for which there is no place is closed at once.
pub(super) fn connections<L: Listener, G: Fn(u64) + Clone + Send>(
    listener: L,
    places: Places,
    report: impl Fn(Event) + Send,
    gone: G,
) -> impl Stream<Item = io::Result<Accepted<L::Io, G>>> {
    unfold(
        (listener, places, report, gone),
        |(listener, places, report, gone)| async move {
            let accepted = loop {
                let (io, origin, door) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        report(Event::AcceptFailed(error.to_string()));
                        tokio::time::sleep(ACCEPT_RETRY).await;
                        continue;
                    }
                };
                if let Some(place) = places.take(&door) {
                    let connection = places.next.fetch_add(1, Ordering::Relaxed);
                    let peer = Peer { connection, origin };
                    break Accepted::new(io, peer, door, place, gone.clone());
                }
                report(Event::TooManyConnections(origin));
            };
            Some((Ok(accepted), (listener, places, report, gone)))
        },
    )
}

/// An accepted connection.
pub(super) struct Accepted<Io, G: Fn(u64)> {
    io: Io,
    connection: Arc<Connection>,
    /// Is told the number of the connection when that is gone.
    gone: G,
    /// Runs until a call was taken.
    unproven: Option<Pin<Box<Sleep>>>,
    _place: OwnedSemaphorePermit,
}

impl<Io, G: Fn(u64)> Accepted<Io, G> {
    fn new(io: Io, peer: Peer, door: Door, place: OwnedSemaphorePermit, gone: G) -> Self {
        let unproven = match peer.origin {
            Origin::Unix { .. } => None,
            Origin::Tcp(_) => Some(Box::pin(tokio::time::sleep(UNPROVEN_MAX))),
        };
        let connection = Arc::new(Connection::new(peer, door));
        Self {
            io,
            connection,
            gone,
            unproven,
            _place: place,
        }
    }

    /// Fails once the connection has been idle, or refused, for too long.
    fn check_proven(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        let Some(sleep) = &mut self.unproven else {
            return Ok(());
        };
        if self.connection.is_admitted() {
            self.unproven = None;
        } else if sleep.as_mut().poll(cx).is_ready() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(())
    }
}

impl<Io, G: Fn(u64)> Drop for Accepted<Io, G> {
    fn drop(&mut self) {
        (self.gone)(self.connection.peer().connection);
    }
}

impl<Io, G: Fn(u64)> Connected for Accepted<Io, G> {
    type ConnectInfo = Arc<Connection>;

    fn connect_info(&self) -> Arc<Connection> {
        Arc::clone(&self.connection)
    }
}

impl<Io: AsyncRead + Unpin, G: Fn(u64) + Unpin> AsyncRead for Accepted<Io, G> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check_proven(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl<Io: AsyncWrite + Unpin, G: Fn(u64) + Unpin> AsyncWrite for Accepted<Io, G> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, buffer)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, buffers)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}
