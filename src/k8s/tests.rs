//! Injection, from values and a pod to the pod that results.

mod golden;
mod manifests;
mod pods;
mod random;
mod refusals;
pub(super) mod reviews;
mod values;

use serde_json::{Value, json};

use super::admission::patch;
use super::{Injection, Values, inject};

/// Two clusters, one of them with all kinds of Secrets.
const VALUES: &str = r"
sidecar:
  image: {repository: registry.example.com/ackline, tag: 1.2.3}
config:
  commit: {interval: 2s}
clusters:
  main:
    brokers: [kafka-0:9093, kafka-1:9093]
    tls:
      enabled: true
      caSecret: {name: kafka-ca}
      clientSecret: {name: kafka-client}
    sasl:
      mechanism: SCRAM-SHA-512
      secret: {name: kafka-login, usernameKey: user}
    config: {drain: {revoke: 4s}}
  other:
    brokers: [other:9092]
defaultCluster: main
";

pub(super) fn values() -> Values {
    Values::parse(VALUES).unwrap()
}

/// A pod that asks for a sidecar, as a ReplicaSet makes it.
pub(super) fn pod() -> Value {
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "generateName": "orders-",
            "labels": {"app": "orders", "ackline.dev/inject": "true"},
            "annotations": {
                "ackline.dev/group": "orders-service",
                "ackline.dev/topics": "orders, payments",
                "ackline.dev/start": "earliest",
            },
        },
        "spec": {
            "containers": [{"name": "app", "image": "orders:1"}],
        },
    })
}

pub(super) fn with_annotations(annotations: &[(&str, &str)]) -> Value {
    let mut pod = pod();
    for (name, value) in annotations {
        let name = format!("ackline.dev/{name}");
        pod["metadata"]["annotations"][name] = json!(value);
    }
    pod
}

/// The pod that results.
pub(super) fn injected(pod: &Value, values: &Values) -> Value {
    applied(pod, inject(pod, values).unwrap())
}

fn applied(pod: &Value, injection: Injection) -> Value {
    let mut pod = pod.clone();
    json_patch::patch(&mut pod, &patch(injection.additions).unwrap()).unwrap();
    pod
}

/// The container, volume or variable of a name.
pub(super) fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let list = list.as_array().unwrap();
    let found = list.iter().find(|it| it["name"] == name);
    found.unwrap_or_else(|| panic!("{name} among {list:?}"))
}

pub(super) fn sidecar(pod: &Value) -> &Value {
    named(&pod["spec"]["initContainers"], "ackline")
}

pub(super) fn refusal(pod: &Value, values: &Values) -> String {
    inject(pod, values).unwrap_err().to_string()
}
