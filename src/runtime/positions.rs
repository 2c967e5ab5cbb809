//! Who keeps positions: from the settings to the store, and from the engine to whoever it is.

use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use crate::config::{Config, StoreKind};
use crate::core::{CommitEntry, Effect, Input, Positions};
use crate::kafka::{self, TransactionSettings};
use crate::observe::ProcessEvent;
use crate::store::{
    Keeper, KeeperTask, OffsetStore, Postgres, PostgresSettings, Trust, ZooKeeper,
    ZooKeeperSettings, ZooKeeperTls,
};

/// Who keeps positions.
pub(super) enum Keeping {
    /// The consumer group.
    InKafka,
    /// A store.
    InStore(Keeper),
    /// The applications. What was offered to them and is not copied yet.
    ByApplications(Vec<CommitEntry>),
}

/// Who keeps positions, with the task that asks a store, if it is one. Nothing is contacted yet.
pub(super) fn keeping(
    config: &Config,
    topics: &[String],
    wake: &kafka::Wake,
) -> (Keeping, Option<KeeperTask>) {
    if config.positions() == Positions::Application {
        return (Keeping::ByApplications(Vec::new()), None);
    }
    let Some(store) = offset_store(config) else {
        return (Keeping::InKafka, None);
    };
    let (keeper, task) = Keeper::new(store, topics, wake.clone());
    (Keeping::InStore(keeper), Some(task))
}

/// Asks the store until the end.
pub(super) async fn keep(
    keeper: Option<KeeperTask>,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    if let Some(keeper) = keeper {
        stop.run_until_cancelled(keeper.run()).await;
    } else {
        stop.cancelled().await;
    }
    Ok(())
}

/// The store that keeps positions, if one does. Nothing is contacted yet.
pub(crate) fn offset_store(config: &Config) -> Option<Box<dyn OffsetStore>> {
    match config.offset_store.kind {
        StoreKind::Kafka | StoreKind::Application => None,
        StoreKind::Postgres => Some(Box::new(Postgres::new(postgres(config)))),
        StoreKind::ZooKeeper => Some(Box::new(ZooKeeper::new(zookeeper(config)))),
    }
}

fn postgres(config: &Config) -> PostgresSettings {
    let server = config.offset_store.postgres.clone();
    PostgresSettings {
        address: server.address,
        database: server.database,
        // `config` refuses this store without the file.
        username_file: server.username_file.unwrap_or_default(),
        password_file: server.password_file,
        tls: server
            .tls
            .then(|| server.ca_file.map_or(Trust::System, Trust::File)),
        table: server.table,
        group: config.group.id.clone(),
        claimed_by: claimed_by(),
    }
}

fn zookeeper(config: &Config) -> ZooKeeperSettings {
    let servers = config.offset_store.zookeeper.clone();
    let (addresses, root) = config.offset_store.zookeeper.addresses();
    let tls = servers.tls.enabled.then(|| ZooKeeperTls {
        trust: servers.tls.ca_file.map_or(Trust::System, Trust::File),
        // `config` refuses one without the other, here and there.
        identity: servers.tls.cert_file.zip(servers.tls.key_file),
    });
    ZooKeeperSettings {
        servers: addresses,
        root: root.to_owned(),
        session_timeout: servers.session_timeout,
        credentials: servers.username_file.zip(servers.password_file),
        tls,
        group: config.group.id.clone(),
        claimed_by: claimed_by(),
    }
}

/// How transactions are made, if commits are such.
pub(super) fn transactions(config: &Config) -> Option<TransactionSettings> {
    let transactions = &config.transactions;
    config.is_transactional().then(|| TransactionSettings {
        id: match transactions.id.as_str() {
            "" => format!("{}.{}", config.group.id, claimed_by()),
            id => id.to_owned(),
        },
        timeout: transactions.timeout,
    })
}

/// The pod, or the machine.
fn claimed_by() -> String {
    let known = ["POD_NAME", "HOSTNAME"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok());
    let host = || {
        rustix::system::uname()
            .nodename()
            .to_string_lossy()
            .into_owned()
    };
    known.unwrap_or_else(host)
}

impl Engine {
    /// Passes an effect on to whoever keeps positions.
    pub(super) fn ask_for_positions(&mut self, effect: &Effect) {
        match (&mut self.positions, effect) {
            (Keeping::InStore(store), Effect::ReadCommitted(wanted)) => store.claim(wanted),
            (Keeping::InStore(store), Effect::Commit { request, entries }) => {
                store.write(*request, entries);
            }
            (Keeping::ByApplications(offered), Effect::Commit { request, entries }) => {
                if self.mirror.is_some() {
                    offered.extend_from_slice(entries);
                }
                // An offer succeeds by being made.
                let results = entries.iter().map(|entry| (entry.assignment, Ok(())));
                self.inputs.push_back(Input::CommitDone {
                    request: *request,
                    results: results.collect(),
                });
            }
            _ => self.ask_client(effect),
        }
    }

    /// Takes what the store has answered. What it has written, or was offered, is copied before anything follows from it: the next thing
    /// may be to leave the group.
    pub(super) fn poll_positions(&mut self) {
        let written = match &mut self.positions {
            Keeping::InKafka => return,
            Keeping::InStore(store) => store.take(&mut self.polled),
            Keeping::ByApplications(offered) => std::mem::take(offered),
        };
        if let Some(mirror) = &mut self.mirror {
            mirror.add(written);
            let client = self.client.as_ref();
            if let Some((request, entries)) = client.and_then(|_| mirror.next(self.last_turn)) {
                self.ask_client(&Effect::Commit { request, entries });
            }
        }
        self.inputs.extend(self.polled.drain(..));
        self.run();
    }

    /// Takes answers about copies out of what the client said.
    pub(super) fn take_mirrored(&mut self) {
        let Some(mirror) = &mut self.mirror else {
            return;
        };
        if let Some(error) = mirror.take_answers(&mut self.polled, self.last_turn) {
            self.tell_person(&ProcessEvent::MirrorFailed { error });
        }
    }
}
