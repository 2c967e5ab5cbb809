//! What the containers find on their file systems, and where.

use serde_json::{Value, json};

use super::annotations::SETTINGS;
use super::store_secret::StoreSecret;
use super::values::Cluster;

/// The socket for the application.
pub(super) const SOCKET: &str = "ackline-socket";
pub(super) const SOCKET_DIR: &str = "/run/ackline";
/// Where the application connects to, as gRPC writes it.
pub(super) const TARGET: &str = "unix:/run/ackline/ackline.sock";
/// The settings file, and one that wins over it.
pub(super) const SETTINGS_FILE: &str = "/etc/ackline/settings/ackline.yaml";
pub(super) const CONFIG_MAP_FILE: &str = "/etc/ackline/config-map/ackline.yaml";
pub(super) const CA_FILE: &str = "/etc/ackline/tls-ca/ca.crt";
pub(super) const CLIENT_CERT_FILE: &str = "/etc/ackline/tls-client/tls.crt";
pub(super) const CLIENT_KEY_FILE: &str = "/etc/ackline/tls-client/tls.key";
pub(super) const USERNAME_FILE: &str = "/etc/ackline/sasl/username";
pub(super) const PASSWORD_FILE: &str = "/etc/ackline/sasl/password";
/// Files of a store of positions outside Kafka.
pub(super) const STORE_DIR: &str = "/etc/ackline/offset-store";
/// Where a token of the API server would be.
const TOKEN_DIR: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

/// A volume, and where the sidecar has it.
pub(super) struct Mounted {
    pub(super) volume: Value,
    pub(super) mount: Value,
}

/// All volumes of a sidecar. Nobody else has them, but for the first.
pub(super) fn volumes(
    cluster: Option<&Cluster>,
    store: Option<&StoreSecret>,
    config_map: Option<&str>,
) -> Vec<Mounted> {
    let settings = json!({"items": [{
        "path": "ackline.yaml",
        "fieldRef": {"fieldPath": format!("metadata.annotations['{SETTINGS}']")},
    }]});
    let mut volumes = vec![
        written(SOCKET, SOCKET_DIR),
        written("ackline-admin", "/run/ackline-admin"),
        read(
            "ackline-settings",
            "downwardAPI",
            settings,
            "/etc/ackline/settings",
        ),
        // The sidecar asks the API server for nothing, so it is not given the pod's token: an empty volume is
        // in its place, which the API server takes for one.
        read(
            "ackline-no-token",
            "emptyDir",
            json!({"sizeLimit": "1Mi"}),
            TOKEN_DIR,
        ),
    ];
    if let Some(name) = config_map {
        let source = json!({
            "name": name,
            "items": [{"key": "ackline.yaml", "path": "ackline.yaml"}],
        });
        let dir = "/etc/ackline/config-map";
        volumes.push(read("ackline-config-map", "configMap", source, dir));
    }
    volumes.extend(cluster.into_iter().flat_map(secrets));
    volumes.extend(store.map(|store| {
        let source = store.source();
        read("ackline-offset-store", "secret", source, STORE_DIR)
    }));
    volumes
}

fn secrets(cluster: &Cluster) -> Vec<Mounted> {
    let mut volumes = Vec::new();
    let tls = cluster.tls.as_ref().filter(|tls| tls.enabled);
    let used = |name: &str| !name.is_empty();
    if let Some(ca) = tls.map(|it| &it.ca_secret).filter(|it| used(&it.name)) {
        let source = secret(&ca.name, &[(&ca.key, "ca.crt")]);
        volumes.push(read(
            "ackline-tls-ca",
            "secret",
            source,
            "/etc/ackline/tls-ca",
        ));
    }
    if let Some(client) = tls.map(|it| &it.client_secret).filter(|it| used(&it.name)) {
        let files = [(&client.cert_key, "tls.crt"), (&client.key_key, "tls.key")];
        let source = secret(&client.name, &files);
        let dir = "/etc/ackline/tls-client";
        volumes.push(read("ackline-tls-client", "secret", source, dir));
    }
    let sasl = &cluster.sasl.secret;
    if used(&sasl.name) {
        let files = [
            (&sasl.username_key, "username"),
            (&sasl.password_key, "password"),
        ];
        let source = secret(&sasl.name, &files);
        volumes.push(read("ackline-sasl", "secret", source, "/etc/ackline/sasl"));
    }
    volumes
}

/// Readable for all users, since a mode for one would need an `fsGroup`, which re-owns every volume of the pod.
fn secret(name: &str, files: &[(&String, &str)]) -> Value {
    let items: Vec<Value> = files
        .iter()
        .map(|(key, path)| json!({"key": key, "path": path}))
        .collect();
    json!({"secretName": name, "items": items})
}

/// A place for a socket. In memory, so that nothing of it is left on the node.
fn written(name: &str, dir: &str) -> Mounted {
    Mounted {
        volume: json!({"name": name, "emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}}),
        mount: json!({"name": name, "mountPath": dir}),
    }
}

fn read(name: &str, kind: &str, source: Value, dir: &str) -> Mounted {
    Mounted {
        volume: json!({"name": name, kind: source}),
        mount: json!({"name": name, "mountPath": dir, "readOnly": true}),
    }
}
