//! A session with one server: one question after the other, on one connection.
//!
//! Nothing is bound to a session, so it is kept alive by nobody: a server that hears nothing for long ends it, which is seen
//! before the next question, and costs one more greeting.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use futures_util::FutureExt as _;
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslFiletype, SslMethod};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader,
};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

use super::super::StoreError;
use super::super::postgres::{Trust, chain};
use super::wire::{self, Answer, FRAME_BYTES_MAX, Malformed, Request};

/// Questions that are out at once on a connection.
const OUT_MAX: usize = 64;

/// Encryption of connections.
#[derive(Debug, Clone)]
pub struct ZooKeeperTls {
    /// Whom to trust.
    pub trust: Trust,
    /// PEM files of the certificate that identifies us, and its private key.
    pub identity: Option<(PathBuf, PathBuf)>,
}

/// User name and password.
pub(super) struct Credentials {
    pub(super) user: String,
    pub(super) password: String,
}

/// How a connection is made.
pub(super) struct Terms<'a> {
    /// `host:port`.
    pub(super) server: &'a str,
    /// What is before every path.
    pub(super) root: &'a str,
    /// How long the server keeps the session after our last word.
    pub(super) session_timeout: Duration,
    pub(super) credentials: Option<&'a Credentials>,
    pub(super) tls: Option<&'a ZooKeeperTls>,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// See the module.
pub(super) struct Connection {
    stream: BufReader<Box<dyn Stream>>,
    server: String,
    root: String,
    last_id: i32,
}

impl Connection {
    /// Connects, opens a session, and says who we are.
    pub(super) async fn open(terms: &Terms<'_>) -> Result<Self, StoreError> {
        let mut connection = Self {
            stream: BufReader::new(connect(terms).await?),
            server: terms.server.to_owned(),
            root: terms.root.to_owned(),
            last_id: 0,
        };
        let timeout = i32::try_from(terms.session_timeout.as_millis()).unwrap_or(i32::MAX);
        connection.send(&wire::open_session(timeout)).await?;
        let greeting = connection.receive().await?;
        let opened = wire::session_opened(&greeting).map_err(|_| connection.nonsense())?;
        if !opened {
            return Err(connection.away("opens no session"));
        }
        if let Some(Credentials { user, password }) = terms.credentials {
            let words = wire::authenticate(user, password);
            connection.send(&words).await?;
            let answer = connection.answer().await?;
            if answer.error().is_some() || !answer.is_to_authentication() {
                let text = format!("{}: user name or password is refused", terms.server);
                return Err(StoreError::Refused(text));
            }
        }
        Ok(connection)
    }

    /// Whether the server has said nothing since its last answer: what it says unasked is the end of the session.
    pub(super) async fn is_open(&mut self) -> bool {
        // What came meanwhile is known to the runtime by then.
        tokio::task::yield_now().await;
        self.stream.fill_buf().now_or_never().is_none()
    }

    /// Asks all of these in their order; the answers have the same order.
    pub(super) async fn ask(&mut self, requests: &[Request]) -> Result<Vec<Answer>, StoreError> {
        let mut answers = Vec::new();
        for requests in requests.chunks(OUT_MAX) {
            let first = self.last_id;
            let mut bytes = Vec::new();
            for request in requests {
                // Numbers below zero mean something else.
                self.last_id = self.last_id.checked_add(1).unwrap_or(1);
                bytes.extend(request.frame(self.last_id, &self.root));
            }
            self.send(&bytes).await?;
            let mut id = first;
            for _ in requests {
                id = id.checked_add(1).unwrap_or(1);
                let answer = self.answer().await?;
                if !answer.is_to(id) {
                    return Err(self.nonsense());
                }
                answers.push(answer);
            }
        }
        Ok(answers)
    }

    /// What is said of an answer that cannot be read.
    pub(super) fn nonsense(&self) -> StoreError {
        self.away("does not answer as ZooKeeper does")
    }

    fn away(&self, what: &str) -> StoreError {
        StoreError::Away(format!("{} {what}", self.server))
    }

    async fn answer(&mut self) -> Result<Answer, StoreError> {
        let frame = self.receive().await?;
        Answer::read(&frame).map_err(|_: Malformed| self.nonsense())
    }

    async fn send(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let sent = match self.stream.write_all(bytes).await {
            Ok(()) => self.stream.flush().await,
            Err(error) => Err(error),
        };
        sent.map_err(|error| away(&self.server, &error))
    }

    async fn receive(&mut self) -> Result<Vec<u8>, StoreError> {
        let length = self.stream.read_i32().await;
        let length = length.map_err(|error| away(&self.server, &error))?;
        let length = usize::try_from(length).map_err(|_| self.nonsense())?;
        if length > FRAME_BYTES_MAX {
            return Err(self.nonsense());
        }
        let mut frame = Vec::new();
        let most = u64::try_from(length).unwrap_or(u64::MAX);
        let read = (&mut self.stream).take(most).read_to_end(&mut frame).await;
        read.map_err(|error| away(&self.server, &error))?;
        if frame.len() < length {
            return Err(self.away("ended the connection"));
        }
        Ok(frame)
    }
}

fn away(server: &str, error: &dyn std::error::Error) -> StoreError {
    StoreError::Away(format!("{server}: {}", chain(error)))
}

async fn connect(terms: &Terms<'_>) -> Result<Box<dyn Stream>, StoreError> {
    let server = terms.server;
    let stream = TcpStream::connect(server).await;
    let stream = stream.map_err(|error| away(server, &error))?;
    // Each question waits for its answer.
    let nodelay = stream.set_nodelay(true);
    nodelay.map_err(|error| away(server, &error))?;
    let Some(tls) = terms.tls else {
        return Ok(Box::new(stream));
    };
    let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
    let refused = |error: ErrorStack| StoreError::Refused(chain(&error));
    let ssl = tls.connector()?.configure().map_err(refused)?;
    let ssl = ssl.into_ssl(host.trim_matches(['[', ']']));
    let mut stream = SslStream::new(ssl.map_err(refused)?, stream).map_err(refused)?;
    let shaken = Pin::new(&mut stream).connect().await;
    shaken.map_err(|error| away(server, &error))?;
    Ok(Box::new(stream))
}

impl ZooKeeperTls {
    fn connector(&self) -> Result<SslConnector, StoreError> {
        let refused = |error: ErrorStack| StoreError::Refused(chain(&error));
        let mut builder = SslConnector::builder(SslMethod::tls_client()).map_err(refused)?;
        let of_file = |file: &PathBuf, error: ErrorStack| {
            StoreError::Refused(format!("{}: {}", file.display(), chain(&error)))
        };
        if let Trust::File(file) = &self.trust {
            let read = builder.set_ca_file(file);
            read.map_err(|error| of_file(file, error))?;
        }
        if let Some((certificate, key)) = &self.identity {
            let read = builder.set_certificate_chain_file(certificate);
            read.map_err(|error| of_file(certificate, error))?;
            let read = builder.set_private_key_file(key, SslFiletype::PEM);
            read.map_err(|error| of_file(key, error))?;
        }
        Ok(builder.build())
    }
}
