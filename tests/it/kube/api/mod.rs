//! The injector and the charts on a real API server: pods are created, and never run.

mod certificate;
mod library;
mod monitoring;
mod webhook;

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::process::{Child, Command};

use super::cluster::{Kind, Kube};
use crate::harness::{repository, until};

/// A chart that is installed in a namespace of its own. Its webhook is asked about pods with a label of its own, so
/// that tests do not meet.
pub(super) struct Installed {
    pub(super) kube: &'static Kube,
    pub(super) namespace: String,
    pub(super) name: String,
    port: u16,
    folder: tempfile::TempDir,
}

/// Values of the platform in these tests.
const VALUES: &str = r#"
sidecar: {image: {repository: registry.example.com/ackline}}
clusters:
  main:
    brokers: ["kafka:9092"]
    sasl: {mechanism: PLAIN, secret: {name: kafka-login}}
"#;

impl Installed {
    /// Installs it. No pod of it runs here, so the test runs injectors, with the rights that the chart gives them, and
    /// makes them the endpoints of the chart's Service.
    pub(super) async fn new() -> Self {
        let prepared = Self::prepared().await;
        prepared.install(&[]).await;
        prepared
    }

    /// A namespace, in which nothing is installed yet.
    pub(super) async fn prepared() -> Self {
        let kube = Kube::shared(Kind::Api);
        let namespace = kube.create_namespace("injector", None).await;
        let installed = Self {
            kube,
            name: format!("{namespace}-injector"),
            port: free_port(),
            folder: tempfile::tempdir().unwrap(),
            namespace,
        };
        std::fs::write(installed.values(), VALUES).unwrap();
        installed.point_service_at_us().await;
        installed
    }

    /// Installs the chart, or changes it; `more` are flags of Helm.
    pub(super) async fn install(&self, more: &[&str]) {
        let label = format!("webhook.objectSelector.matchLabels.test={}", self.namespace);
        let full_name = format!("fullnameOverride={}", self.namespace);
        let values = self.values().display().to_string();
        let chart = repository()
            .join("deploy/charts/ackline")
            .display()
            .to_string();
        let arguments = [
            "upgrade",
            "--install",
            &self.namespace,
            &chart,
            "--namespace",
            &self.namespace,
            "--values",
            &values,
            "--set",
            &label,
            "--set",
            &full_name,
        ];
        self.kube.helm(&[&arguments, more].concat()).await;
    }

    fn values(&self) -> PathBuf {
        self.folder.path().join("injector.yaml")
    }

    /// The Service has no pods. An address of this machine takes their place; loopback may not.
    async fn point_service_at_us(&self) {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        // Nothing is sent: this only asks which address would be used.
        socket.connect("198.51.100.1:9").unwrap();
        let address = socket.local_addr().unwrap().ip().to_string();
        self.kube
            .apply(&json!({
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {
                    "name": format!("{}-by-hand", self.name),
                    "namespace": self.namespace,
                    "labels": {"kubernetes.io/service-name": self.name},
                },
                "addressType": "IPv4",
                "endpoints": [{"addresses": [address], "conditions": {"ready": true}}],
                "ports": [{"name": "webhook", "port": self.port, "protocol": "TCP"}],
            }))
            .await;
    }

    /// Runs an injector as the chart's service account. Its log goes to the test's output.
    pub(super) async fn start_injector(&self, identity: &str, serves: bool) -> Child {
        let names = [
            ("--service", self.name.clone()),
            ("--secret", format!("{}-certificate", self.name)),
            ("--lease", self.name.clone()),
            ("--webhook", self.name.clone()),
            ("--namespace", self.namespace.clone()),
            ("--identity", identity.to_owned()),
        ];
        let port = if serves { self.port } else { free_port() };
        let mut command = self.injector(port);
        command.arg("--manage-certificate");
        for (flag, value) in names {
            command.args([flag, &value]);
        }
        command.env("KUBECONFIG", self.kubeconfig_of_injector().await);
        command.spawn().unwrap()
    }

    /// Runs an injector with the certificate of a folder. It has no rights at the API server, and does not know where
    /// that is.
    pub(super) fn start_injector_with(&self, folder: &Path) -> Child {
        let mut command = self.injector(self.port);
        command.arg("--certificate").arg(folder.join("tls.crt"));
        command.arg("--key").arg(folder.join("tls.key"));
        command.spawn().unwrap()
    }

    fn injector(&self, port: u16) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ackline"));
        command
            .args(["inject", "serve", "--log-level", "warn"])
            .args(["--listen", &format!("0.0.0.0:{port}")])
            .args(["--http", "127.0.0.1:0"])
            .arg("--values")
            .arg(self.values())
            .env_clear()
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    async fn kubeconfig_of_injector(&self) -> PathBuf {
        let path = self.folder.path().join("kubeconfig");
        let token = ["create", "token", &self.name, "-n", &self.namespace];
        let token = self.kube.kubectl(&token).await;
        let raw = ["config", "view", "--raw", "-o", "json"];
        let config: Value = serde_json::from_str(&self.kube.kubectl(&raw).await).unwrap();
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": config["clusters"][0]["cluster"]}],
            "users": [{"name": "test", "user": {"token": token.trim()}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        std::fs::write(&path, config.to_string()).unwrap();
        path
    }

    /// A pod that asks this installation for a sidecar.
    pub(super) fn pod(&self, name: &str, namespace: &str) -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"ackline.dev/inject": "true", "test": self.namespace},
                "annotations": {
                    "ackline.dev/group": "orders-service",
                    "ackline.dev/topics": "orders",
                    "ackline.dev/start": "earliest",
                },
            },
            "spec": {"containers": [{
                "name": "app",
                "image": "orders:1",
                "securityContext": {
                    "runAsNonRoot": true,
                    "runAsUser": 1000,
                    "allowPrivilegeEscalation": false,
                    "capabilities": {"drop": ["ALL"]},
                    "seccompProfile": {"type": "RuntimeDefault"},
                },
            }]},
        })
    }

    /// Waits until the webhook answers: until the API server trusts it.
    pub(super) async fn until_it_answers(&self, namespace: &str) {
        let pod = self.pod("probe", namespace);
        until("the webhook answers", async || {
            self.would_create(&pod).await.ok()
        })
        .await;
    }

    /// Creates a pod as far as the API server's last step; the error is what was said against it.
    pub(super) async fn would_create(&self, pod: &Value) -> Result<Value, String> {
        self.kube.try_dry_run(pod).await
    }

    pub(super) async fn object(&self, kind: &str, name: &str) -> Value {
        self.kube.get(&[kind, name, "-n", &self.namespace]).await
    }

    /// The holder of the Lease.
    pub(super) async fn holder(&self) -> String {
        let lease = self.object("lease", &self.name).await;
        let holder = lease["spec"]["holderIdentity"].as_str();
        holder.unwrap_or_default().to_owned()
    }
}

/// A namespace for pods that enforces Pod Security `restricted`.
async fn restricted(kube: &Kube) -> String {
    kube.create_namespace("shop", Some("restricted")).await
}

/// A port that nobody has now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    listener.local_addr().unwrap().port()
}
