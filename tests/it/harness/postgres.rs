//! A real PostgreSQL server, started by `tests/postgres/up`, with a database for each test.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tokio_postgres::{Client, NoTls};

use super::environment::Environment;
use super::{Store, Stored, Topic, unique};

/// Name of the variable that names the folder of the server.
const FOLDER: &str = "ACKLINE_TEST_POSTGRES";

/// A database of one's own.
pub(crate) struct Database {
    environment: Environment,
    name: String,
    user_file: tempfile::TempDir,
}

/// How a database is reached, and as whom.
pub(crate) struct Server<'a> {
    pub(crate) address: &'a str,
    pub(crate) database: &'a str,
    pub(crate) user: &'a str,
}

impl Database {
    pub(crate) async fn create() -> Self {
        let folder = std::env::var(FOLDER).unwrap_or_else(|_| {
            panic!("{FOLDER} is not set: run tests/run --only kafka, or --only nodes")
        });
        let environment = Environment::read(&Path::new(&folder).join("env"));
        let database = Self {
            environment,
            name: unique("db").replace('-', "_"),
            user_file: tempfile::tempdir().unwrap(),
        };
        let user = database.environment.get("USER_NAME");
        std::fs::write(database.user_file.path().join("username"), user).unwrap();
        let server = database.connect(database.environment.get("DATABASE")).await;
        let create = format!("CREATE DATABASE {}", database.name);
        server.batch_execute(&create).await.unwrap();
        database
    }

    /// How it is reached, and as whom.
    pub(crate) fn server(&self) -> Server<'_> {
        Server {
            address: self.environment.get("ADDRESS"),
            database: &self.name,
            user: self.environment.get("USER_NAME"),
        }
    }

    /// The password of its user.
    pub(crate) fn password(&self) -> String {
        std::fs::read_to_string(self.environment.get("PASSWORD_FILE")).unwrap()
    }

    /// Forgets what is stored of a topic.
    pub(crate) async fn forget(&self, topic: &str) {
        let client = self.connect(&self.name).await;
        client
            .execute("DELETE FROM ackline_offsets WHERE topic = $1", &[&topic])
            .await
            .unwrap();
    }

    /// Where applications reach it.
    pub(crate) fn url(&self) -> String {
        let user = self.environment.get("USER_NAME");
        let address = self.environment.get("ADDRESS");
        format!(
            "postgresql://{user}:{}@{address}/{}",
            self.password(),
            self.name
        )
    }

    /// What a query says.
    pub(crate) async fn query(&self, text: &str) -> Vec<tokio_postgres::Row> {
        let client = self.connect(&self.name).await;
        client.query(text, &[]).await.unwrap()
    }

    async fn connect(&self, database: &str) -> Client {
        let (host, port) = self.environment.get("ADDRESS").split_once(':').unwrap();
        let password = PathBuf::from(self.environment.get("PASSWORD_FILE"));
        let mut server = tokio_postgres::Config::new();
        server
            .host(host)
            .port(port.parse().unwrap())
            .user(self.environment.get("USER_NAME"))
            .password(std::fs::read_to_string(password).unwrap())
            .dbname(database);
        let (client, connection) = server.connect(NoTls).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        client
    }
}

impl Store for Database {
    fn settings(&self) -> Value {
        json!({"offset_store": {"kind": "postgres", "postgres": {
            "address": self.environment.get("ADDRESS"),
            "database": self.name,
            "username_file": self.user_file.path().join("username"),
            "password_file": self.environment.get("PASSWORD_FILE"),
            "tls": {"enabled": true, "ca_file": self.environment.get("CA_FILE")},
        }}})
    }

    async fn stored(&self, topic: &Topic<'_>) -> Vec<Stored> {
        let client = self.connect(&self.name).await;
        let made = client
            .query_one("SELECT to_regclass('ackline_offsets') IS NOT NULL", &[])
            .await;
        if !made.unwrap().get::<_, bool>(0) {
            return Vec::new();
        }
        let rows = client
            .query(
                "SELECT partition, fence, next_offset FROM ackline_offsets WHERE topic = $1 ORDER BY partition",
                &[&topic.name],
            )
            .await
            .unwrap();
        let stored = rows.iter().map(|row| Stored {
            partition: row.get(0),
            fence: row.get(1),
            next: row.get(2),
        });
        stored.collect()
    }

    async fn allow_connections(&self, allow: bool) {
        let server = self.connect(self.environment.get("DATABASE")).await;
        let limit = if allow { -1 } else { 0 };
        // The limit does not hold for superusers, so that the whole database is closed instead.
        let text = format!(
            "UPDATE pg_database SET datallowconn = {allow}, datconnlimit = {limit} WHERE datname = '{}'",
            self.name
        );
        server.batch_execute(&text).await.unwrap();
        if !allow {
            server
                .query(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    &[&self.name],
                )
                .await
                .unwrap();
        }
    }
}
