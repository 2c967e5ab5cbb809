//! Where positions are kept.

use std::path::PathBuf;
use std::time::Duration;

use super::Tls;

/// What keeps positions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoreKind {
    /// The consumer group.
    #[default]
    Kafka,
    /// A table.
    Postgres,
    /// Nodes, where classic consumers had them.
    ZooKeeper,
    /// The applications, with what comes of the records.
    Application,
}

/// Where positions are kept.
#[derive(Debug, Clone, Default)]
pub struct OffsetStore {
    /// What keeps them.
    pub kind: StoreKind,
    /// Whether a store outside Kafka is copied to the group, for tools that compute lag.
    pub mirror_to_kafka: bool,
    /// How to reach PostgreSQL.
    pub postgres: PostgresServer,
    /// How to reach ZooKeeper.
    pub zookeeper: ZooKeeperServers,
}

/// How to reach PostgreSQL.
#[derive(Debug, Clone, Default)]
pub struct PostgresServer {
    /// `host:port`.
    pub address: String,
    /// The database.
    pub database: String,
    /// The table, with its schema if it has one.
    pub table: String,
    /// Holds the user name.
    pub username_file: Option<PathBuf>,
    /// Holds the password.
    pub password_file: Option<PathBuf>,
    /// Whether the connection is encrypted.
    pub tls: bool,
    /// Authorities to trust, if not those of the system.
    pub ca_file: Option<PathBuf>,
}

/// How to reach ZooKeeper.
#[derive(Debug, Clone, Default)]
pub struct ZooKeeperServers {
    /// `host:port`, with commas between several, and the node that holds all others behind the last.
    pub servers: String,
    /// How long a question may take, and how long a session is kept.
    pub session_timeout: Duration,
    /// Holds the user name.
    pub username_file: Option<PathBuf>,
    /// Holds the password.
    pub password_file: Option<PathBuf>,
    /// Encryption.
    pub tls: Tls,
}

impl ZooKeeperServers {
    /// The servers, and what is before every path.
    pub fn addresses(&self) -> (Vec<String>, &str) {
        let end = self.servers.find('/').unwrap_or(self.servers.len());
        let (servers, root) = self.servers.split_at(end);
        (servers.split(',').map(str::to_owned).collect(), root)
    }
}
