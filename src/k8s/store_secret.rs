//! The Secret of a store of positions outside Kafka: which of its keys become files of the sidecar, and which
//! settings name these.
//!
//! | key, unless the values rename it | setting of the chosen store | asked of the Secret |
//! |---|---|---|
//! | `username`, `password` | `username_file`, `password_file` | always |
//! | `ca.crt` | `tls.ca_file` | with `tls.enabled` |
//! | `tls.crt`, `tls.key` | `tls.cert_file`, `tls.key_file` | with `tls.enabled`, for ZooKeeper |
//!
//! # Invariants
//!
//! - Nothing is asked of the Secret that the store does not use: a key that is not there keeps a pod from starting.
//! - The Secret of the values goes to where the values say the store is, encrypted as they say. A pod that says one
//!   of these names a Secret as well (K5).
//!
//! # Deliberately absent
//!
//! What is in the Secret. Nobody looks at it before the kubelet does.

use serde_json::{Map, Value, json};

use super::annotations::{Asked, STORE_SECRET, object_name};
use super::mistake::Mistake;
use super::values::{Cluster, OffsetStoreSecret, Values};
use super::volumes::STORE_DIR;
use crate::config::{Config, Layer, LayerContent, StoreKind};

/// Settings that say where a store is, and whether what is sent there can be read on the way.
const WHERE: [&str; 4] = [
    "offset_store.postgres.address",
    "offset_store.postgres.tls.enabled",
    "offset_store.zookeeper.servers",
    "offset_store.zookeeper.tls.enabled",
];

/// What a sidecar gets of a Secret; never nothing.
#[derive(Debug, PartialEq)]
pub(super) struct StoreSecret {
    pub(super) name: String,
    /// Who named it, for printed settings.
    origin: String,
    files: Vec<StoreFile>,
}

#[derive(Debug, PartialEq)]
struct StoreFile {
    /// Of the Secret.
    key: String,
    /// In the folder of the volume.
    path: &'static str,
    setting: String,
}

/// Whether a setting names a file of a store.
pub(super) fn is_file(setting: &str) -> bool {
    setting.starts_with("offset_store.") && setting.ends_with("_file")
}

/// The Secret that a pod needs for its store. `config` need not name any files yet.
///
/// # Errors
///
/// If a pod names one that would not be used, or uses that of the platform for a store of its own.
pub(super) fn find(
    values: &Values,
    cluster: Option<(&str, &Cluster)>,
    asked: &Asked,
    config: &Config,
) -> Result<Option<StoreSecret>, Mistake> {
    let own = cluster.filter(|(_, cluster)| !cluster.offset_store.secret.name.is_empty());
    let (given, place) = match own {
        Some((name, cluster)) => (
            &cluster.offset_store.secret,
            format!("clusters.{name}.offsetStore"),
        ),
        None => (&values.offset_store.secret, "offsetStore".to_owned()),
    };
    let files = files(config, given);
    let (name, origin) = match &asked.store_secret {
        Some(name) => (name.clone(), format!("annotation {STORE_SECRET}")),
        None => (given.name.clone(), format!("values, {place}")),
    };
    let without = match config.offset_store.kind {
        StoreKind::Kafka => Some("kafka"),
        StoreKind::Application => Some("application"),
        StoreKind::Postgres | StoreKind::ZooKeeper => None,
    };
    if let Some(kind) = without {
        return match asked.store_secret {
            None => Ok(None),
            Some(_) => Err(Mistake::new(
                format!("annotation {STORE_SECRET}"),
                format!(
                    "names the Secret of a store outside Kafka, but offset_store.kind is {kind}"
                ),
                "write `ackline.dev/set.offset_store.kind` too, in an annotation, also if a ConfigMap says it; or remove it",
            )),
        };
    }
    if name.is_empty() || files.is_empty() {
        return Ok(None);
    }
    if asked.store_secret.is_none() {
        own_store(asked, &place)?;
    }
    Ok(Some(StoreSecret {
        name,
        origin,
        files,
    }))
}

fn own_store(asked: &Asked, place: &str) -> Result<(), Mistake> {
    let mut settings = asked.settings.iter();
    match settings.find(|(_, key, _)| WHERE.contains(&key.as_str())) {
        None => Ok(()),
        Some((annotation, _, _)) => Err(Mistake::new(
            format!("annotation {annotation}"),
            format!(
                "is about a store of your own, but the Secret is that of `{place}` in the values of the chart"
            ),
            format!("name a Secret of your own by `{STORE_SECRET}`, or remove the annotation"),
        )),
    }
}

fn files(config: &Config, keys: &OffsetStoreSecret) -> Vec<StoreFile> {
    let store = &config.offset_store;
    let (section, encrypted, identified) = match store.kind {
        StoreKind::Kafka | StoreKind::Application => return Vec::new(),
        StoreKind::Postgres => ("postgres", store.postgres.tls, false),
        StoreKind::ZooKeeper => {
            let encrypted = store.zookeeper.tls.enabled;
            ("zookeeper", encrypted, encrypted)
        }
    };
    let all = [
        (&keys.username_key, "username", "username_file", true),
        (&keys.password_key, "password", "password_file", true),
        (&keys.ca_key, "ca.crt", "tls.ca_file", encrypted),
        (&keys.cert_key, "tls.crt", "tls.cert_file", identified),
        (&keys.key_key, "tls.key", "tls.key_file", identified),
    ];
    let used = all
        .into_iter()
        .filter(|(key, _, _, used)| *used && !key.is_empty());
    used.map(|(key, path, setting, _)| StoreFile {
        key: key.clone(),
        path,
        setting: format!("offset_store.{section}.{setting}"),
    })
    .collect()
}

impl StoreSecret {
    /// The settings that name its files.
    pub(super) fn layer(&self) -> Layer {
        let settings: Map<String, Value> = self
            .files
            .iter()
            .map(|file| {
                let path = format!("{STORE_DIR}/{}", file.path);
                (file.setting.clone(), Value::String(path))
            })
            .collect();
        Layer {
            name: self.origin.clone(),
            content: LayerContent::Tree(Value::Object(settings)),
        }
    }

    /// What a volume of it is made of.
    pub(super) fn source(&self) -> Value {
        let items: Vec<Value> = self
            .files
            .iter()
            .map(|file| json!({"key": file.key, "path": file.path}))
            .collect();
        json!({"secretName": self.name, "items": items})
    }
}

impl OffsetStoreSecret {
    /// Looks at names and keys.
    pub(super) fn check(&self, place: &str, mistakes: &mut Vec<Mistake>) {
        if !self.name.is_empty() {
            mistakes.extend(object_name(&format!("{place}.name"), &self.name).err());
        }
        if self.cert_key.is_empty() != self.key_key.is_empty() {
            mistakes.push(Mistake::new(
                place,
                "has only one of `certKey` and `keyKey`",
                "write both, or leave both empty",
            ));
        }
    }
}

#[cfg(test)]
mod tests;
