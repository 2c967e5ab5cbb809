//! A namespace, a topic and a group of one test, with pods that carry the label, and what must hold in the end.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use tokio_util::sync::CancellationToken;

use crate::harness::{Cluster, Commit, Ledger, Topic, generations_of, unique};
use crate::kube::cluster::Kube;
use crate::real::assert_worked_off;

use super::bench::{APPLICATION, Bench};
use super::reports::Reports;

/// Scenarios share the nodes, except for one that breaks them.
static NODES: RwLock<()> = RwLock::const_new(());

enum Turn {
    Shared(#[expect(dead_code, reason = "held")] RwLockReadGuard<'static, ()>),
    Alone(#[expect(dead_code, reason = "held")] RwLockWriteGuard<'static, ()>),
}

/// How an application behaves, and what it asks of its sidecar and its node.
#[derive(Clone, Debug, Default)]
pub(super) struct Manner {
    /// Variables, see `tests/kube/application/main.rs`.
    pub(super) variables: Vec<(&'static str, &'static str)>,
    /// Settings of the sidecar, by annotation.
    pub(super) settings: Vec<(&'static str, &'static str)>,
    pub(super) grace_seconds: Option<u32>,
    pub(super) node: Option<&'static str>,
}

pub(super) struct Scenario {
    pub(super) bench: Bench,
    pub(super) kube: &'static Kube,
    pub(super) kafka: &'static Cluster,
    pub(super) namespace: String,
    pub(super) group: String,
    pub(super) topic: Topic<'static>,
    /// What was written; the reports are entered at the end.
    pub(super) ledger: Ledger,
    pub(super) reports: Reports,
    _turn: Turn,
}

impl Scenario {
    /// A scenario beside which others may run.
    pub(super) async fn new(name: &str, partitions: i32) -> Self {
        Self::begin(name, partitions, Turn::Shared(NODES.read().await)).await
    }

    /// A scenario that breaks nodes.
    pub(super) async fn alone(name: &str, partitions: i32) -> Self {
        Self::begin(name, partitions, Turn::Alone(NODES.write().await)).await
    }

    async fn begin(name: &str, partitions: i32, turn: Turn) -> Self {
        let bench = Bench::shared().await;
        let Bench { kube, kafka } = bench;
        Self {
            bench,
            kube,
            kafka,
            namespace: kube.create_namespace(name, Some("restricted")).await,
            group: unique("group"),
            topic: Topic::create(kafka, partitions).await,
            ledger: Ledger::default(),
            reports: Reports::listen(kube.setting("KUBE_ADDRESS")).await,
            _turn: turn,
        }
    }

    /// Runs `kubectl` in the namespace.
    pub(super) async fn kubectl(&self, arguments: &[&str]) -> String {
        let all = [&["--namespace", &self.namespace], arguments].concat();
        self.kube.kubectl(&all).await
    }

    /// An object of the namespace, or a list of them.
    pub(super) async fn get(&self, arguments: &[&str]) -> Value {
        let all = [&["--namespace", &self.namespace], arguments].concat();
        self.kube.get(&all).await
    }

    /// Creates a pod.
    pub(super) async fn create_pod(&self, name: &str, manner: &Manner) {
        let mut pod = self.template(name, manner);
        pod["metadata"]["name"] = json!(name);
        self.create("v1", "Pod", name, pod).await;
    }

    /// Creates a Deployment.
    pub(super) async fn create_deployment(&self, name: &str, replicas: u32, manner: &Manner) {
        let spec = json!({
            "replicas": replicas,
            "selector": {"matchLabels": {"app": name}},
            "template": self.template(name, manner),
        });
        self.create("apps/v1", "Deployment", name, json!({"spec": spec}))
            .await;
    }

    /// Creates an object of the namespace.
    pub(super) async fn create(&self, version: &str, kind: &str, name: &str, mut object: Value) {
        object["apiVersion"] = json!(version);
        object["kind"] = json!(kind);
        object["metadata"]["name"] = json!(name);
        object["metadata"]["namespace"] = json!(self.namespace);
        self.kube.apply(&object).await;
    }

    /// A pod as an application team writes it.
    pub(super) fn template(&self, name: &str, manner: &Manner) -> Value {
        let mut annotations = json!({
            "ackline.dev/group": self.group,
            "ackline.dev/topics": self.topic.name,
            "ackline.dev/start": "earliest",
        });
        for (key, value) in &manner.settings {
            annotations[format!("ackline.dev/set.{key}")] = json!(value);
        }
        let pod_name = json!({"fieldRef": {"fieldPath": "metadata.name"}});
        let mut variables = vec![
            json!({"name": "POD_NAME", "valueFrom": pod_name}),
            json!({"name": "LEDGER", "value": self.reports.address()}),
        ];
        variables.extend(
            manner
                .variables
                .iter()
                .map(|(name, value)| json!({"name": name, "value": value})),
        );
        let container = json!({
            "name": "application",
            "image": APPLICATION,
            "env": variables,
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        });
        let mut spec = json!({
            "terminationGracePeriodSeconds": manner.grace_seconds.unwrap_or(30),
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": 1000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        });
        if let Some(node) = manner.node {
            spec["nodeSelector"] = json!({"kubernetes.io/hostname": node});
        }
        let labels = json!({"app": name, "ackline.dev/inject": "true"});
        json!({"metadata": {"labels": labels, "annotations": annotations}, "spec": spec})
    }

    /// How often containers of a pod were started again: the sidecar and the application.
    pub(super) async fn restarts_of(&self, pod: &str) -> (u64, u64) {
        let pod = self.get(&["pod", pod]).await;
        let count = |kind: &str| pod["status"][kind][0]["restartCount"].as_u64().unwrap();
        (count("initContainerStatuses"), count("containerStatuses"))
    }

    /// Writes about 300 records a second until told to stop.
    pub(super) async fn write_until(&self, stop: &CancellationToken) {
        while !stop.is_cancelled() {
            self.topic.write_numbered(&self.ledger, 60).await;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Rebalances of the group so far, as Kafka counts them.
    pub(super) async fn generation(&self) -> i64 {
        let generations = generations_of(self.kafka, &self.group).await;
        generations.last().copied().unwrap_or(0)
    }

    /// Waits until everything is worked off, ends all pods, and checks the books. Returns the commits of the group.
    pub(super) async fn finish(&self) -> Vec<Commit> {
        self.reports.until_all_accepted(&self.ledger).await;
        let workloads = "cronjobs,jobs,deployments,statefulsets,pods";
        self.kubectl(&["delete", workloads, "--all", "--timeout=60s"])
            .await;
        self.reports.tell(&self.ledger);
        self.reports.assert_sidecars_came_first();
        assert_worked_off(self.kafka, &self.group, &self.topic, &self.ledger).await
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        let kubectl = |arguments: &[&str]| {
            let output = std::process::Command::new(self.kube.setting("KUBE_KUBECTL"))
                .args([
                    "--kubeconfig",
                    self.kube.kubeconfig(),
                    "--namespace",
                    &self.namespace,
                ])
                .args(arguments)
                .output();
            output
                .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
                .unwrap_or_default()
        };
        if std::thread::panicking() {
            for event in self.reports.events().iter().filter(|event| {
                !["records", "acknowledging", "accepted", "committed"]
                    .contains(&event.name.as_str())
            }) {
                eprintln!(
                    "{} {}: {} {}",
                    event.at_ms, event.pod, event.name, event.body
                );
            }
            eprintln!("{}", kubectl(&["describe", "pods"]));
            let sidecars = [
                "logs",
                "--selector=ackline.dev/inject=true",
                "--container=ackline",
            ];
            eprintln!(
                "{}",
                kubectl(&[&sidecars[..], &["--prefix", "--tail=40"]].concat())
            );
        }
        let namespace = self.namespace.clone();
        kubectl(&["delete", "namespace", &namespace, "--wait=false"]);
    }
}
