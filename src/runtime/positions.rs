//! From the settings to what keeps positions.

use crate::config::{Config, StoreKind};
use crate::store::{OffsetStore, Postgres, PostgresSettings, Trust};

/// What keeps positions; `None` for Kafka. Nothing is contacted yet.
pub(super) fn store(config: &Config) -> Option<Box<dyn OffsetStore>> {
    match config.offset_store.kind {
        StoreKind::Kafka => None,
        StoreKind::Postgres => Some(Box::new(Postgres::new(postgres(config)))),
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
