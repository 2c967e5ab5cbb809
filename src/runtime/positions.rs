//! From the settings to what keeps positions.

use tokio_util::sync::CancellationToken;

use crate::config::{Config, StoreKind};
use crate::kafka;
use crate::store::{
    Keeper, KeeperTask, OffsetStore, Postgres, PostgresSettings, Trust, ZooKeeper,
    ZooKeeperSettings, ZooKeeperTls,
};

/// What keeps positions, with the task that asks it; `None` for Kafka. Nothing is contacted yet.
pub(super) fn keeper(
    config: &Config,
    topics: &[String],
    wake: &kafka::Wake,
) -> Option<(Keeper, KeeperTask)> {
    let store = store(config)?;
    Some(Keeper::new(store, topics, wake.clone()))
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

fn store(config: &Config) -> Option<Box<dyn OffsetStore>> {
    match config.offset_store.kind {
        StoreKind::Kafka => None,
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
