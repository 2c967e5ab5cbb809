//! Positions in PostgreSQL: one row for each partition of a group.
//!
//! A claim is one statement, and so is the writing of any number of positions; each row is checked against its own fence
//! by the statement that changes it, under the row's lock. There is no transaction to leave open, and no isolation level
//! that would matter.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod};
use postgres_openssl::MakeTlsConnector;
use tokio::task::JoinSet;
use tokio_postgres::config::SslMode;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row};

use super::{Claim, OffsetStore, Place, Position, StoreError, Write};

/// The table, made when it is first needed if we may; `ackline offsets schema postgres` prints it for those who make it
/// themselves. `{table}` is its name.
pub const SCHEMA: &str = "\
CREATE TABLE IF NOT EXISTS {table} (
    consumer_group text NOT NULL,
    topic text NOT NULL,
    partition integer NOT NULL,
    -- Raised by each claim; what is written carries it.
    fence bigint NOT NULL,
    -- Lowest offset that is not finished; NULL until something was stored.
    next_offset bigint,
    leader_epoch integer,
    metadata text NOT NULL DEFAULT '',
    claimed_by text NOT NULL DEFAULT '',
    claimed_at timestamptz NOT NULL DEFAULT now(),
    written_at timestamptz,
    PRIMARY KEY (consumer_group, topic, partition)
);
";

/// How long a question may take.
const ANSWER_MAX: Duration = Duration::from_secs(10);

const CLAIM: &str = "\
INSERT INTO {table} AS stored (consumer_group, topic, partition, fence, claimed_by)
SELECT $1, place.topic, place.partition, 1, $4
FROM unnest($2::text[], $3::integer[]) AS place (topic, partition)
ORDER BY place.topic, place.partition
ON CONFLICT (consumer_group, topic, partition)
DO UPDATE SET fence = stored.fence + 1, claimed_by = $4, claimed_at = now()
RETURNING topic, partition, fence, next_offset, leader_epoch, metadata";

const METADATA: &str = "\
SELECT topic, partition, metadata FROM {table}
WHERE consumer_group = $1 AND topic = ANY ($2) AND next_offset IS NOT NULL";

const POSITIONS: &str = "\
SELECT topic, partition, fence, next_offset, leader_epoch, metadata FROM {table}
WHERE consumer_group = $1 AND next_offset IS NOT NULL
ORDER BY topic, partition";

const WRITE: &str = "\
UPDATE {table} AS stored
SET next_offset = written.next_offset, leader_epoch = written.leader_epoch, metadata = written.metadata,
    written_at = now()
FROM unnest($2::text[], $3::integer[], $4::bigint[], $5::bigint[], $6::integer[], $7::text[])
    AS written (topic, partition, fence, next_offset, leader_epoch, metadata)
WHERE stored.consumer_group = $1 AND stored.topic = written.topic AND stored.partition = written.partition
    AND stored.fence = written.fence
RETURNING stored.topic, stored.partition";

/// Where the server is, and as whom. Files are read at each connection, so that what is new in them needs no restart.
#[derive(Debug, Clone)]
pub struct PostgresSettings {
    /// `host:port`, checked by `config`.
    pub address: String,
    /// The database.
    pub database: String,
    /// Holds the user name.
    pub username_file: PathBuf,
    /// Holds the password, if one is needed.
    pub password_file: Option<PathBuf>,
    /// Encryption; `None` for none.
    pub tls: Option<Trust>,
    /// Name of the table, with its schema if it has one; checked by `config` to be plain names.
    pub table: String,
    /// The consumer group.
    pub group: String,
    /// Who claims, for people who look into the table.
    pub claimed_by: String,
}

/// Whom an encrypted connection trusts.
#[derive(Debug, Clone)]
pub enum Trust {
    /// The authorities that the system trusts.
    System,
    /// Those of a PEM file.
    File(PathBuf),
}

/// A store in PostgreSQL. Connects when it is first asked, and anew after an error.
pub struct Postgres {
    settings: PostgresSettings,
    client: Option<Client>,
    /// Moves the bytes of `client`; ended with it.
    connection: JoinSet<()>,
}

impl Postgres {
    pub fn new(settings: PostgresSettings) -> Self {
        Self {
            settings,
            client: None,
            connection: JoinSet::new(),
        }
    }

    /// A statement on our table.
    fn statement(&self, text: &str) -> String {
        text.replace("{table}", &self.settings.table)
    }

    /// Asks one statement. Any error ends the connection: what is known of it afterwards is not worth the doubt.
    async fn ask(
        &mut self,
        statement: &str,
        parameters: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>, StoreError> {
        let statement = self.statement(statement);
        let answer = tokio::time::timeout(ANSWER_MAX, async {
            let client = match self.client.take().filter(|client| !client.is_closed()) {
                Some(client) => client,
                None => self.connect().await?,
            };
            let rows = client
                .query(&statement, parameters)
                .await
                .map_err(failure)?;
            self.client = Some(client);
            Ok(rows)
        });
        answer
            .await
            .unwrap_or_else(|_| Err(StoreError::Away(format!("no answer within {ANSWER_MAX:?}"))))
    }

    async fn connect(&mut self) -> Result<Client, StoreError> {
        self.connection.abort_all();
        let server = self.settings.server()?;
        let client = match &self.settings.tls {
            Some(trust) => {
                let (client, connection) =
                    server.connect(trust.connector()?).await.map_err(failure)?;
                self.connection.spawn(connection.map(drop));
                client
            }
            None => {
                let (client, connection) = server.connect(NoTls).await.map_err(failure)?;
                self.connection.spawn(connection.map(drop));
                client
            }
        };
        self.make_table(&client).await?;
        Ok(client)
    }

    /// Makes the table if it is not there. Who may not make tables finds it made.
    async fn make_table(&self, client: &Client) -> Result<(), StoreError> {
        let found = client
            .query_one(
                "SELECT to_regclass($1) IS NOT NULL",
                &[&self.settings.table],
            )
            .await
            .map_err(failure)?;
        if found.get(0) {
            return Ok(());
        }
        let made = client.batch_execute(&self.statement(SCHEMA)).await;
        match made {
            // Two processes that make it at once may both try.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(()),
            made => made.map_err(failure),
        }
    }
}

impl PostgresSettings {
    fn server(&self) -> Result<tokio_postgres::Config, StoreError> {
        let mut server = tokio_postgres::Config::new();
        let (host, port) = self
            .address
            .rsplit_once(':')
            .unwrap_or((&self.address, "5432"));
        let port = port.parse().unwrap_or(5432);
        server
            .host(host.trim_matches(['[', ']']))
            .port(port)
            .dbname(&self.database)
            .user(secret(&self.username_file)?)
            .connect_timeout(ANSWER_MAX)
            .application_name("ackline");
        if let Some(file) = &self.password_file {
            server.password(secret(file)?);
        }
        server.ssl_mode(if self.tls.is_some() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        Ok(server)
    }
}

impl Trust {
    fn connector(&self) -> Result<MakeTlsConnector, StoreError> {
        let unusable = |file: &Path, error: &ErrorStack| {
            StoreError::Refused(format!("{}: {error}", file.display()))
        };
        let mut builder = SslConnector::builder(SslMethod::tls_client())
            .map_err(|error| StoreError::Refused(chain(&error)))?;
        // The library was built on another system than this one.
        let of_system = || openssl_probe::probe().cert_file;
        let file = match self {
            Self::System => of_system(),
            Self::File(file) => Some(file.clone()),
        };
        if let Some(file) = file {
            builder
                .set_ca_file(&file)
                .map_err(|error| unusable(&file, &error))?;
        }
        Ok(MakeTlsConnector::new(builder.build()))
    }
}

/// The text of a file, without the line end that editors and `kubectl create secret` leave behind.
pub(super) fn secret(path: &Path) -> Result<String, StoreError> {
    let text = std::fs::read_to_string(path);
    let text = text.map_err(|error| StoreError::Refused(format!("{}: {error}", path.display())))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

impl OffsetStore for Postgres {
    fn claim<'a>(
        &'a mut self,
        places: &'a [Place],
    ) -> BoxFuture<'a, Result<Vec<Claim>, StoreError>> {
        async move {
            let (topics, partitions) = columns(places.iter());
            let (group, by) = (
                self.settings.group.clone(),
                self.settings.claimed_by.clone(),
            );
            let rows = self
                .ask(CLAIM, &[&group, &topics, &partitions, &by])
                .await?;
            rows.iter().map(claim).collect()
        }
        .boxed()
    }

    fn metadata<'a>(
        &'a mut self,
        topics: &'a [String],
    ) -> BoxFuture<'a, Result<Vec<(Place, String)>, StoreError>> {
        async move {
            let group = self.settings.group.clone();
            let rows = self.ask(METADATA, &[&group, &topics]).await?;
            let stored = |row: &Row| Ok((place(row)?, row.try_get(2).map_err(failure)?));
            rows.iter().map(stored).collect()
        }
        .boxed()
    }

    fn positions<'a>(&'a mut self) -> BoxFuture<'a, Result<Vec<(Place, Position)>, StoreError>> {
        async move {
            let group = self.settings.group.clone();
            let rows = self.ask(POSITIONS, &[&group]).await?;
            let stored = |row: &Row| {
                let Claim {
                    place, position, ..
                } = claim(row)?;
                Ok(position.map(|position| (place, position)))
            };
            rows.iter()
                .filter_map(|row| stored(row).transpose())
                .collect()
        }
        .boxed()
    }

    fn write<'a>(
        &'a mut self,
        writes: &'a [Write],
    ) -> BoxFuture<'a, Result<Vec<Place>, StoreError>> {
        async move {
            let (topics, partitions) = columns(writes.iter().map(|write| &write.place));
            let fences: Vec<i64> = writes.iter().map(|write| write.fence).collect();
            let positions = || writes.iter().map(|write| &write.position);
            let offsets: Vec<i64> = positions().map(|position| position.offset).collect();
            let epochs: Vec<Option<i32>> = positions().map(|it| it.leader_epoch).collect();
            let metadata: Vec<&str> = positions().map(|it| it.metadata.as_str()).collect();
            let group = self.settings.group.clone();
            let parameters: &[&(dyn ToSql + Sync)] = &[
                &group,
                &topics,
                &partitions,
                &fences,
                &offsets,
                &epochs,
                &metadata,
            ];
            let rows = self.ask(WRITE, parameters).await?;
            rows.iter().map(place).collect()
        }
        .boxed()
    }
}

fn columns<'a>(places: impl Iterator<Item = &'a Place>) -> (Vec<&'a str>, Vec<i32>) {
    places
        .map(|place| (place.topic.as_str(), place.partition))
        .unzip()
}

fn place(row: &Row) -> Result<Place, StoreError> {
    Ok(Place {
        topic: row.try_get(0).map_err(failure)?,
        partition: row.try_get(1).map_err(failure)?,
    })
}

fn claim(row: &Row) -> Result<Claim, StoreError> {
    let offset: Option<i64> = row.try_get(3).map_err(failure)?;
    let position = match offset {
        None => None,
        Some(offset) => Some(Position {
            offset,
            leader_epoch: row.try_get(4).map_err(failure)?,
            metadata: row.try_get(5).map_err(failure)?,
        }),
    };
    Ok(Claim {
        place: place(row)?,
        fence: row.try_get(2).map_err(failure)?,
        position,
    })
}

/// What an error means: whether trying again may help without anybody doing something.
fn failure(error: tokio_postgres::Error) -> StoreError {
    let text = error
        .as_db_error()
        .map_or_else(|| chain(&error), ToString::to_string);
    let needs_a_person = |code: &SqlState| {
        let class = code.code().get(..2);
        // Authorisation, names and permissions, catalog.
        matches!(class, Some("28" | "42" | "3D" | "3F"))
    };
    if error.code().is_some_and(needs_a_person) {
        StoreError::Refused(text)
    } else {
        StoreError::Away(text)
    }
}

/// An error with its causes: the first one alone often says only that something failed.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
