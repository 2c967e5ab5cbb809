//! Plain generated stubs of four languages, all held to the same scenarios.
//!
//! The applications lie in `tests/clients`. They have one command line and one report in common, so that everything here
//! is written once and run for each of them, over the Unix socket and over TCP with a token. All use default channel
//! options.

use serde_json::json;
use tempfile::TempDir;

use crate::harness::{
    Address, Application, Client, Ledger, Line, Member, Over, Protocol, Settings, Sidecar, Topic,
    unique,
};

use super::until_committed_to_the_end;

mod busy;
mod connections;
mod endings;
mod examples;
mod own_tests;
mod records;

/// What every scenario begins with: a topic, and how to reach a sidecar that reads it.
struct Scene {
    client: Client,
    over: Over,
    member: Member,
    ledger: Ledger,
    group: String,
    topic: Topic<'static>,
    secrets: TempDir,
}

impl Scene {
    async fn new(client: Client, over: Over, partitions: i32) -> Self {
        Self::with_topic(client, over, partitions, &[]).await
    }

    async fn with_topic(
        client: Client,
        over: Over,
        partitions: i32,
        settings: &[(&str, &str)],
    ) -> Self {
        let member = Member::new(Line::Newest, Protocol::Cooperative);
        Self {
            client,
            over,
            member,
            ledger: Ledger::default(),
            group: unique("group"),
            topic: Topic::create_with(member.cluster, partitions, 1, settings).await,
            secrets: secrets(),
        }
    }

    /// Settings of the sidecar, a static member: it comes back without waiting for its own session to end.
    fn settings(&self) -> Settings {
        let settings = self.member.settings(&self.group, &self.topic);
        listening(settings, self.over, &self.secrets, "127.0.0.1:0")
            .with(json!({"group": {"instance_id": "conformance"}}))
    }

    async fn address(&self, sidecar: &Sidecar) -> Address {
        address(sidecar, self.over).await
    }

    fn start(&self, address: &Address, arguments: &[&str]) -> Application {
        Application::start(self.client, address, arguments, &self.ledger)
    }

    /// The ways to settle that the client has.
    fn doors(&self) -> &'static [&'static str] {
        if self.client.has_consume() {
            &["stream", "consume"]
        } else {
            &["stream"]
        }
    }

    /// What must hold when everything was worked off.
    async fn assert_worked_off(&self) {
        self.ledger.assert_sound();
        until_committed_to_the_end(self.member.cluster, &self.group, &self.topic).await;
    }
}

const TOKEN: &str = "a-token-of-more-than-forty-three-characters-for-tests";

fn secrets() -> TempDir {
    let secrets = TempDir::new().unwrap();
    std::fs::write(secrets.path().join("token"), TOKEN).unwrap();
    secrets
}

/// The settings with what the transport needs; the Unix socket is always there.
fn listening(settings: Settings, over: Over, secrets: &TempDir, tcp: &str) -> Settings {
    match over {
        Over::UnixSocket => settings,
        Over::Tcp => settings.with(json!({"listen": {"app_tcp": {
            "address": tcp,
            "token_file": secrets.path().join("token"),
        }}})),
    }
}

async fn address(sidecar: &Sidecar, over: Over) -> Address {
    match over {
        Over::UnixSocket => Address {
            target: format!("unix:{}", sidecar.socket().display()),
            token: None,
        },
        Over::Tcp => Address {
            target: sidecar.address_of("applications").await,
            token: Some(TOKEN.to_owned()),
        },
    }
}

/// How many streams the client opens.
fn streams_of(client: Client) -> usize {
    match client {
        Client::PythonPrefork => 2,
        _ => 1,
    }
}
