use serde_json::Value;

use super::super::inject_manifests;
use super::{injected, values};

const DEPLOYMENT: &str = r#"
apiVersion: v1
kind: ConfigMap
metadata: {name: other}
data: {mode: "0644"}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: orders}
spec:
  replicas: 2
  template:
    metadata:
      labels: {app: orders, ackline.dev/inject: "true"}
      annotations:
        ackline.dev/group: orders-service
        ackline.dev/topics: orders
        ackline.dev/start: earliest
    spec:
      containers:
      - name: app
        image: orders:1
        volumeMounts: [{name: scripts, mountPath: /scripts}]
      volumes:
      - name: scripts
        configMap: {name: scripts, defaultMode: 0755}
"#;

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

#[test]
fn workloads_get_what_their_pods_would_get() {
    let result = inject_manifests(DEPLOYMENT, &values()).unwrap();
    assert_eq!(result.count, 1);
    assert_eq!(result.warnings, Vec::<String>::new());
    let documents = documents(&result.text);
    assert_eq!(documents.len(), 2);
    assert_eq!(documents[0]["data"]["mode"], "0644", "text stays text");
    let template = &documents[1]["spec"]["template"];
    // K4.
    let mut before: Vec<Value> = super::manifests::documents(DEPLOYMENT);
    let before = before.remove(1)["spec"]["template"].take();
    let mut by_webhook = injected(&before, &values());
    by_webhook["spec"]["volumes"][0]["configMap"]["defaultMode"] = serde_json::json!(0o755);
    assert_eq!(*template, by_webhook);
    assert_eq!(documents[1]["spec"]["replicas"], 2);
}

#[test]
fn the_output_injected_again_is_the_same() {
    let once = inject_manifests(DEPLOYMENT, &values()).unwrap();
    let twice = inject_manifests(&once.text, &values()).unwrap();
    assert_eq!(twice.count, 0);
    assert_eq!(twice.text, once.text);
}

#[test]
fn every_kind_that_makes_pods_is_known() {
    for (kind, path) in [
        ("StatefulSet", "/spec/template"),
        ("DaemonSet", "/spec/template"),
        ("ReplicaSet", "/spec/template"),
        ("Job", "/spec/template"),
        ("CronJob", "/spec/jobTemplate/spec/template"),
        ("Pod", ""),
    ] {
        let mut whole = serde_json::json!({"kind": kind, "metadata": {"name": "x"}});
        if path.is_empty() {
            whole = super::pod();
        } else {
            let mut at = &mut whole;
            for part in path.trim_start_matches('/').split('/') {
                at = &mut at[part];
            }
            *at = super::pod();
        }
        let list = serde_json::json!({"kind": "List", "items": [whole]}).to_string();
        let result = inject_manifests(&list, &values()).unwrap();
        assert_eq!(result.count, 1, "{kind}");
    }
}

#[test]
fn mistakes_name_the_workload_and_nothing_is_printed() {
    let wrong = DEPLOYMENT.replace("ackline.dev/start: earliest", "ackline.dev/start: first");
    let mistakes = inject_manifests(&wrong, &values()).unwrap_err().to_string();
    assert!(
        mistakes.contains("Deployment orders, annotation ackline.dev/start"),
        "{mistakes}"
    );
    let broken = inject_manifests("a: [", &values()).unwrap_err().to_string();
    assert!(broken.contains("not valid YAML"), "{broken}");
}

#[test]
fn annotations_without_the_label_are_warned_of() {
    let forgotten = DEPLOYMENT.replace(", ackline.dev/inject: \"true\"", "");
    let result = inject_manifests(&forgotten, &values()).unwrap();
    assert_eq!(result.count, 0);
    assert!(
        result.warnings[0].contains("Deployment orders"),
        "{:?}",
        result.warnings
    );
}
