//! The values as types, with the defaults of the chart's values.yaml.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Everything the platform says. One that exists has been looked at whole.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Values {
    pub(in crate::k8s) sidecar: Sidecar,
    /// Settings of every sidecar.
    pub(in crate::k8s) config: Value,
    pub(in crate::k8s) clusters: BTreeMap<String, Cluster>,
    /// Of pods that name none; empty: the only one there is.
    pub(in crate::k8s) default_cluster: String,
    pub(in crate::k8s) offset_store: OffsetStore,
    pub(in crate::k8s) allow: Allow,
}

/// The container.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct Sidecar {
    pub(in crate::k8s) image: Image,
    pub(in crate::k8s) mode: Mode,
    pub(in crate::k8s) resources: Resources,
    pub(in crate::k8s) security_context: User,
    pub(in crate::k8s) startup: Startup,
    pub(in crate::k8s) readiness: bool,
    /// More variables, as Kubernetes writes them.
    pub(in crate::k8s) env: Vec<Map<String, Value>>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct Image {
    pub(in crate::k8s) repository: String,
    /// Empty: the version of this program.
    pub(in crate::k8s) tag: String,
    /// Wins over the tag.
    pub(in crate::k8s) digest: String,
    pub(in crate::k8s) pull_policy: String,
}

/// Where the container stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(in crate::k8s) enum Mode {
    /// Among the init containers, with `restartPolicy: Always`.
    #[default]
    Native,
    /// Among the containers, for clusters before 1.29.
    Classic,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::k8s) struct Resources {
    pub(in crate::k8s) requests: Amounts,
    pub(in crate::k8s) limits: Amounts,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::k8s) struct Amounts {
    pub(in crate::k8s) cpu: Option<Value>,
    pub(in crate::k8s) memory: Option<Value>,
}

/// Who the sidecar runs as; `null` leaves it to the cluster.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct User {
    pub(in crate::k8s) run_as_user: Option<u32>,
    pub(in crate::k8s) run_as_group: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct Startup {
    pub(in crate::k8s) period_seconds: u32,
    pub(in crate::k8s) failure_threshold: u32,
}

/// A Kafka cluster, and how it is spoken to. Secrets are those of the pod's namespace.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct Cluster {
    pub(in crate::k8s) brokers: Vec<String>,
    pub(in crate::k8s) tls: Option<Tls>,
    pub(in crate::k8s) sasl: Sasl,
    /// Wins whole over the general one, if it names a Secret.
    pub(in crate::k8s) offset_store: OffsetStore,
    /// Settings of this profile; they win over the general ones.
    pub(in crate::k8s) config: Value,
}

/// Without `enabled` the Secrets are left alone, so that a profile can be switched.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in crate::k8s) struct Tls {
    pub(in crate::k8s) enabled: bool,
    #[serde(default)]
    pub(in crate::k8s) ca_secret: CaSecret,
    #[serde(default)]
    pub(in crate::k8s) client_secret: ClientSecret,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::k8s) struct CaSecret {
    /// Empty: the authorities of the image.
    pub(in crate::k8s) name: String,
    pub(in crate::k8s) key: String,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct ClientSecret {
    /// Empty: no certificate of our own.
    pub(in crate::k8s) name: String,
    pub(in crate::k8s) cert_key: String,
    pub(in crate::k8s) key_key: String,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::k8s) struct Sasl {
    /// Empty: no authentication by password.
    pub(in crate::k8s) mechanism: String,
    pub(in crate::k8s) secret: SaslSecret,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct SaslSecret {
    pub(in crate::k8s) name: String,
    pub(in crate::k8s) username_key: String,
    pub(in crate::k8s) password_key: String,
}

/// What a store of positions outside Kafka needs, beside settings.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(in crate::k8s) struct OffsetStore {
    pub(in crate::k8s) secret: OffsetStoreSecret,
}

/// A Secret in the pod's namespace, and its keys; an empty one is not in it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct OffsetStoreSecret {
    /// Empty: pods that need one name it.
    pub(in crate::k8s) name: String,
    pub(in crate::k8s) username_key: String,
    pub(in crate::k8s) password_key: String,
    pub(in crate::k8s) ca_key: String,
    pub(in crate::k8s) cert_key: String,
    pub(in crate::k8s) key_key: String,
}

/// What pods may ask for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in crate::k8s) struct Allow {
    /// A ConfigMap of settings, which may set everything.
    pub(in crate::k8s) config_map: bool,
    /// An image of the sidecar.
    pub(in crate::k8s) image: bool,
}

impl Default for Values {
    fn default() -> Self {
        Self {
            sidecar: Sidecar::default(),
            config: json!({}),
            clusters: BTreeMap::new(),
            default_cluster: String::new(),
            offset_store: OffsetStore::default(),
            allow: Allow::default(),
        }
    }
}

impl Default for Sidecar {
    fn default() -> Self {
        Self {
            image: Image::default(),
            mode: Mode::Native,
            resources: Resources::default(),
            security_context: User::default(),
            startup: Startup::default(),
            readiness: false,
            env: Vec::new(),
        }
    }
}

impl Default for Image {
    fn default() -> Self {
        Self {
            repository: "ackline".to_owned(),
            tag: String::new(),
            digest: String::new(),
            pull_policy: "IfNotPresent".to_owned(),
        }
    }
}

impl Default for Resources {
    fn default() -> Self {
        let requests = Amounts {
            cpu: Some(json!("50m")),
            memory: None,
        };
        Self {
            requests,
            limits: Amounts::default(),
        }
    }
}

impl Default for User {
    fn default() -> Self {
        Self {
            run_as_user: Some(10_001),
            run_as_group: Some(10_001),
        }
    }
}

impl Default for Startup {
    fn default() -> Self {
        Self {
            period_seconds: 1,
            failure_threshold: 60,
        }
    }
}

impl Default for CaSecret {
    fn default() -> Self {
        Self {
            name: String::new(),
            key: "ca.crt".to_owned(),
        }
    }
}

impl Default for ClientSecret {
    fn default() -> Self {
        Self {
            name: String::new(),
            cert_key: "tls.crt".to_owned(),
            key_key: "tls.key".to_owned(),
        }
    }
}

impl Default for SaslSecret {
    fn default() -> Self {
        Self {
            name: String::new(),
            username_key: "username".to_owned(),
            password_key: "password".to_owned(),
        }
    }
}

impl Default for OffsetStoreSecret {
    fn default() -> Self {
        Self {
            name: String::new(),
            username_key: "username".to_owned(),
            password_key: "password".to_owned(),
            ca_key: "ca.crt".to_owned(),
            cert_key: "tls.crt".to_owned(),
            key_key: "tls.key".to_owned(),
        }
    }
}

impl Default for Allow {
    fn default() -> Self {
        Self {
            config_map: true,
            image: false,
        }
    }
}
