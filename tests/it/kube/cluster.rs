//! Real Kubernetes clusters, by the scripts under `tests/kube`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::harness::{Environment, repository, unique};

/// The two kinds of cluster that are tested on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// API server and controllers. Pods are created and never run.
    Api,
    /// Two nodes as well.
    Nodes,
}

/// A running cluster.
pub(crate) struct Kube {
    pub(crate) directory: PathBuf,
    environment: Environment,
}

impl Kube {
    /// The cluster of that kind which all tests share: the one named by the environment, or else one that is started now
    /// and ends with the test process.
    pub(crate) fn shared(kind: Kind) -> &'static Self {
        static API: OnceLock<Kube> = OnceLock::new();
        static NODES: OnceLock<Kube> = OnceLock::new();
        let (cell, variable, name, arguments): (_, _, _, &[&str]) = match kind {
            Kind::Api => (
                &API,
                "ACKLINE_TEST_KUBE_API",
                "kube-api",
                &["--controllers"],
            ),
            Kind::Nodes => (
                &NODES,
                "ACKLINE_TEST_KUBE_NODES",
                "kube-nodes",
                &["--nodes", "2", "--policies"],
            ),
        };
        cell.get_or_init(|| match std::env::var(variable) {
            Ok(directory) => Self::running(PathBuf::from(directory)),
            Err(_) => Self::start(name, arguments),
        })
    }

    fn start(name: &str, arguments: &[&str]) -> Self {
        let process = std::process::id().to_string();
        let state = repository().join("tests/state");
        remove_leftovers(&state, name);
        let directory = state.join(format!("{name}-{process}"));
        script(
            "up",
            &[&directory.display().to_string(), "--stop-with", &process],
            arguments,
        );
        Self::running(directory)
    }

    fn running(directory: PathBuf) -> Self {
        Self {
            environment: Environment::read(&directory.join("env")),
            directory,
        }
    }

    /// A line of the cluster's `env`.
    pub(crate) fn setting(&self, name: &str) -> &str {
        self.environment.get(name)
    }

    /// File with the credentials of an administrator.
    pub(crate) fn kubeconfig(&self) -> &str {
        self.setting("KUBECONFIG")
    }

    /// Runs `kubectl`, and returns what it printed.
    pub(crate) async fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments).await;
        output.unwrap_or_else(|errors| panic!("kubectl {}: {errors}", arguments.join(" ")))
    }

    /// Runs `kubectl`; the error is what it said.
    pub(crate) async fn try_kubectl(&self, arguments: &[&str]) -> Result<String, String> {
        self.run("KUBE_KUBECTL", arguments, "").await
    }

    /// Creates an object, or a `List` of them; the error is what was said against it.
    pub(crate) async fn try_create(&self, object: &Value) -> Result<Value, String> {
        let arguments = ["create", "-o", "json", "-f", "-"];
        let created = self
            .run("KUBE_KUBECTL", &arguments, &object.to_string())
            .await?;
        Ok(serde_json::from_str(&created).unwrap_or_default())
    }

    /// Has an object created as far as the API server's last step; the error is what was said against it.
    pub(crate) async fn try_dry_run(&self, object: &Value) -> Result<Value, String> {
        let arguments = [
            "create",
            "--dry-run=server",
            "--validate=strict",
            "-o",
            "json",
            "-f",
            "-",
        ];
        let created = self
            .run("KUBE_KUBECTL", &arguments, &object.to_string())
            .await?;
        Ok(serde_json::from_str(&created).unwrap_or_default())
    }

    /// What `kubectl` warns of when it creates an object.
    pub(crate) async fn warnings_of(&self, object: &Value) -> String {
        // Told to fail at warnings, it says them where we can read.
        let arguments = [
            "create",
            "--dry-run=server",
            "--warnings-as-errors",
            "-f",
            "-",
        ];
        let object = object.to_string();
        let said = self.run("KUBE_KUBECTL", &arguments, &object).await;
        said.unwrap_err()
    }

    /// Creates an object, or changes the one that is there.
    pub(crate) async fn apply(&self, object: &Value) {
        let applied = self
            .run("KUBE_KUBECTL", &["apply", "-f", "-"], &object.to_string())
            .await;
        applied.unwrap_or_else(|errors| panic!("{errors}\nof {object:#}"));
    }

    /// An object, or a list of them.
    pub(crate) async fn get(&self, arguments: &[&str]) -> Value {
        let all: Vec<&str> = ["get", "-o", "json"]
            .iter()
            .chain(arguments)
            .copied()
            .collect();
        serde_json::from_str(&self.kubectl(&all).await).unwrap()
    }

    /// Runs Helm 4, and returns what it printed.
    pub(crate) async fn helm(&self, arguments: &[&str]) -> String {
        let output = self.run("KUBE_HELM4", arguments, "").await;
        output.unwrap_or_else(|errors| panic!("helm {}: {errors}", arguments.join(" ")))
    }

    /// A namespace of its own, in which pods can be created; with the labels of Pod Security, if a profile is named.
    pub(crate) async fn create_namespace(&self, prefix: &str, profile: Option<&str>) -> String {
        let name = unique(prefix);
        let mut labels = json!({});
        if let Some(profile) = profile {
            labels["pod-security.kubernetes.io/enforce"] = json!(profile);
        }
        let metadata = json!({"name": name, "labels": labels});
        self.apply(&json!({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}))
            .await;
        // Pods are refused before.
        let made = [
            "wait",
            "--for=create",
            "--timeout=60s",
            "serviceaccount/default",
            "-n",
            &name,
        ];
        self.kubectl(&made).await;
        name
    }

    async fn run(&self, program: &str, arguments: &[&str], input: &str) -> Result<String, String> {
        let mut command = Command::new(self.setting(program));
        // Nothing is to come from what the person who tests has set up for another cluster.
        for (variable, folder) in [
            ("HELM_CACHE_HOME", "cache"),
            ("HELM_CONFIG_HOME", "config"),
            ("HELM_DATA_HOME", "data"),
        ] {
            command.env(variable, self.directory.join("helm").join(folder));
        }
        let mut child = command
            .args(arguments)
            .env("KUBECONFIG", self.kubeconfig())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // One that reads nothing closes it early.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            Ok(printed)
        } else {
            Err(format!(
                "{printed}{}",
                String::from_utf8_lossy(&output.stderr)
            ))
        }
    }
}

/// Runs a script of `tests/kube`.
pub(crate) fn script(name: &str, arguments: &[&str], more: &[&str]) {
    let program = repository().join("tests/kube").join(name);
    run_to_end(&program, &[arguments, more].concat());
}

/// Runs a program that must succeed.
pub(crate) fn run_to_end(program: &Path, arguments: &[&str]) {
    let mut command = std::process::Command::new(program);
    let output = command
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}

/// Removes the folders of clusters that ended with test processes before this one.
fn remove_leftovers(state: &Path, name: &str) {
    let entries = std::fs::read_dir(state).into_iter().flatten().flatten();
    for folder in entries.map(|entry| entry.path()) {
        let ours = folder
            .file_name()
            .is_some_and(|file| file.to_string_lossy().starts_with(&format!("{name}-")));
        // The mark of a cluster that runs.
        if ours && !folder.join("run").exists() {
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}
