//! What others are to read is accepted by the definitions of those others.

use serde_json::Value;

use super::super::cluster::{Kind, Kube};
use crate::harness::{repository, unique};

async fn define(kube: &Kube, what: &str) {
    let folder = format!("{}/{what}", kube.setting("KUBE_CRDS"));
    kube.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", &folder])
        .await;
    kube.kubectl(&[
        "wait",
        "--for=condition=Established",
        "crd",
        "--all",
        "--timeout=60s",
    ])
    .await;
}

#[tokio::test]
async fn examples_for_keda_are_accepted_and_a_misspelt_one_is_not() {
    let kube = Kube::shared(Kind::Api);
    define(kube, "keda").await;
    let namespace = kube.create_namespace("keda", None).await;
    for file in ["scaledobject.yaml", "scaledobject-to-zero.yaml"] {
        let path = repository().join("deploy/examples/keda").join(file);
        let text = std::fs::read_to_string(path).unwrap();
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).unwrap();
        for mut document in documents {
            document["metadata"]["namespace"] = Value::from(namespace.as_str());
            document["metadata"]["name"] = Value::from(unique("scaled"));
            kube.try_dry_run(&document).await.unwrap();
            if document["kind"] == "ScaledObject" {
                document["spec"]["minReplicaCuont"] = Value::from(1);
                let said = kube.try_dry_run(&document).await.unwrap_err();
                assert!(said.contains("minReplicaCuont"), "{said}");
            }
        }
    }
}
