//! Positions in ZooKeeper, where the consumers before Kafka 0.9 kept them, and readable by their tools.
//!
//! | file | question |
//! |---|---|
//! | `layout` | where is what kept, and how is it written? |
//! | `questions` | how are partitions claimed, read and written, so that claims hold? |
//! | `connection` | a session with one server |
//! | `wire` | requests and answers as bytes |
//!
//! The protocol is small where nothing watches and nothing is ephemeral, and asked here in our own runtime: the client
//! libraries bring a runtime with threads of its own, and a second TLS library.
//!
//! The fence of a partition is the version of its claim's node, which counts the changes of that node. It begins anew when
//! somebody removes the nodes of a group: that must not be done while the group has members.

mod connection;
mod layout;
mod questions;
mod wire;

use std::path::PathBuf;
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

pub use connection::ZooKeeperTls;

use super::postgres::secret;
use super::{Claim, OffsetStore, Place, Position, StoreError, Write};
use connection::{Connection, Credentials, Terms};
use layout::Layout;
use questions::{KnownOf, Questions};
use wire::Access;

/// Where the servers are, and as whom. Files are read at each connection, so that what is new in them needs no restart.
#[derive(Debug, Clone)]
pub struct ZooKeeperSettings {
    /// Each `host:port`; checked by `config`.
    pub servers: Vec<String>,
    /// What is before every path; empty, or it begins with a slash.
    pub root: String,
    /// How long a question may take, and how long servers keep a session in which nothing is asked.
    pub session_timeout: Duration,
    /// Files that hold user name and password. Without them, nodes that are made are everybody's.
    pub credentials: Option<(PathBuf, PathBuf)>,
    /// Encryption; `None` for none.
    pub tls: Option<ZooKeeperTls>,
    /// The consumer group.
    pub group: String,
    /// Who claims, for people who look into the nodes.
    pub claimed_by: String,
}

/// A store in ZooKeeper. Connects when it is first asked, and anew after an error.
pub struct ZooKeeper {
    settings: ZooKeeperSettings,
    layout: Layout,
    connection: Option<Connection>,
    /// Which server is next; they are tried in turn.
    next: usize,
    known: KnownOf,
}

impl ZooKeeper {
    pub fn new(settings: ZooKeeperSettings) -> Self {
        // Sidecars with the same settings do not all begin with the same server.
        let first = getrandom::u32().unwrap_or_default();
        Self {
            layout: Layout::new(&settings.group),
            settings,
            connection: None,
            next: usize::try_from(first).unwrap_or_default(),
            known: KnownOf::new(),
        }
    }

    /// The connection that is there, or a new one, and how long a question may take.
    async fn connected(&mut self) -> Result<(Connection, Duration), StoreError> {
        let limit = self.settings.session_timeout;
        if let Some(mut connection) = self.connection.take()
            && connection.is_open().await
        {
            return Ok((connection, limit));
        }
        Ok((self.connect().await?, limit))
    }

    async fn connect(&mut self) -> Result<Connection, StoreError> {
        let settings = &self.settings;
        let credentials = match &settings.credentials {
            None => None,
            Some((user, password)) => Some(Credentials {
                user: secret(user)?,
                password: secret(password)?,
            }),
        };
        let count = settings.servers.len();
        // One that does not answer leaves time for the others.
        let share = settings.session_timeout / u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let mut why = StoreError::Away("there is no server".to_owned());
        for _ in 0..count {
            let server = &settings.servers[self.next % count];
            self.next = self.next.wrapping_add(1);
            let terms = Terms {
                server,
                root: &settings.root,
                session_timeout: settings.session_timeout,
                credentials: credentials.as_ref(),
                tls: settings.tls.as_ref(),
            };
            let opened = timeout(share, Connection::open(&terms)).await;
            why = match opened.unwrap_or_else(|_| Err(late(server, share))) {
                Ok(connection) => return Ok(connection),
                Err(refused @ StoreError::Refused(_)) => return Err(refused),
                Err(away @ StoreError::Away(_)) => away,
            };
        }
        Err(why)
    }

    fn questions<'a>(&'a mut self, connection: &'a mut Connection) -> Questions<'a> {
        let settings = &self.settings;
        Questions {
            connection,
            layout: &self.layout,
            known: &mut self.known,
            access: match settings.credentials {
                Some(_) => Access::Creator,
                None => Access::Anyone,
            },
            root: &settings.root,
            claimed_by: &settings.claimed_by,
        }
    }

    /// A connection is used again after a good answer: what is known of it after an error is not worth the doubt.
    fn keep<T>(
        &mut self,
        connection: Connection,
        answer: Result<Result<T, StoreError>, Elapsed>,
    ) -> Result<T, StoreError> {
        let limit = self.settings.session_timeout;
        let answer = answer.unwrap_or_else(|_| Err(late("ZooKeeper", limit)))?;
        self.connection = Some(connection);
        Ok(answer)
    }
}

impl OffsetStore for ZooKeeper {
    fn claim<'a>(
        &'a mut self,
        places: &'a [Place],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        async move {
            let (mut connection, limit) = self.connected().await?;
            let answer = timeout(limit, self.questions(&mut connection).claim(places)).await;
            self.keep(connection, answer)
        }
        .boxed()
    }

    fn metadata<'a>(
        &'a mut self,
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<(Place, String)>, StoreError>> {
        async move {
            let (mut connection, limit) = self.connected().await?;
            let answer = timeout(limit, self.questions(&mut connection).metadata(topics)).await;
            self.keep(connection, answer)
        }
        .boxed()
    }

    fn positions<'a>(&'a mut self) -> BoxFuture<'a, Result<Vec<(Place, Position)>, StoreError>> {
        async move {
            let (mut connection, limit) = self.connected().await?;
            let answer = timeout(limit, self.questions(&mut connection).positions()).await;
            self.keep(connection, answer)
        }
        .boxed()
    }

    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Vec<Place>, StoreError>> {
        async move {
            let (mut connection, limit) = self.connected().await?;
            let answer = timeout(limit, self.questions(&mut connection).write(writes)).await;
            self.keep(connection, answer)
        }
        .boxed()
    }
}

fn late(who: &str, limit: Duration) -> StoreError {
    StoreError::Away(format!("no answer of {who} within {limit:?}"))
}
