use serde_json::{Value, json};

use super::{Installed, restricted};
use crate::harness::until;

fn container<'a>(pod: &'a Value, list: &str) -> &'a Value {
    let found = pod["spec"][list].as_array().into_iter().flatten();
    let mut found = found.filter(|it| it["name"] == "ackline");
    found
        .next()
        .unwrap_or_else(|| panic!("no sidecar in {pod:#}"))
}

/// Everything that a person meets: the pod gets its sidecar, mistakes are answered, warnings are shown, and the rest of
/// the cluster does not notice.
#[tokio::test]
async fn a_pod_with_the_label_gets_its_sidecar_and_mistakes_are_answered() {
    let installed = Installed::new().await;
    let kube = installed.kube;
    let namespace = restricted(kube).await;
    let mut injector = installed.start_injector("one", true).await;
    installed.until_it_answers(&namespace).await;

    let pod = installed.pod("orders", &namespace);
    let created = kube.try_create(&pod).await.unwrap();
    let sidecar = container(&created, "initContainers");
    assert_eq!(sidecar["restartPolicy"], "Always");
    // The API server re-runs its own admission after ours: the token goes where nobody has a volume yet.
    let mounts = sidecar["volumeMounts"].as_array().unwrap();
    let tokens: Vec<&Value> = mounts
        .iter()
        .filter(|mount| mount["mountPath"] == "/var/run/secrets/kubernetes.io/serviceaccount")
        .collect();
    assert_eq!(tokens.len(), 1, "{tokens:?}");
    assert_eq!(tokens[0]["name"], "ackline-no-token");
    let settings = created["metadata"]["annotations"]["ackline.dev/settings"].as_str();
    assert!(
        settings.unwrap().contains("brokers: [kafka:9092]"),
        "{settings:?}"
    );

    // What was created once can be created again: nothing is added twice.
    let mut copy = created.clone();
    copy["metadata"] = json!({
        "name": "copy",
        "namespace": namespace,
        "labels": created["metadata"]["labels"],
        "annotations": created["metadata"]["annotations"],
    });
    let again = kube.try_create(&copy).await.unwrap();
    assert_eq!(again["spec"]["volumes"], created["spec"]["volumes"]);
    assert_eq!(
        again["spec"]["initContainers"],
        created["spec"]["initContainers"]
    );

    let mut wrong = installed.pod("wrong", &namespace);
    wrong["metadata"]["annotations"]["ackline.dev/topix"] = json!("orders");
    wrong["metadata"]["annotations"]["ackline.dev/start"] = json!("newest");
    let said = kube.try_create(&wrong).await.unwrap_err();
    assert!(
        said.contains("did you mean `ackline.dev/topics`?"),
        "{said}"
    );
    wrong["metadata"]["annotations"]
        .as_object_mut()
        .unwrap()
        .remove("ackline.dev/topix");
    let said = kube.try_create(&wrong).await.unwrap_err();
    assert!(said.contains("start = newest"), "{said}");

    let mut short = installed.pod("short", &namespace);
    short["spec"]["terminationGracePeriodSeconds"] = json!(5);
    let said = kube.warnings_of(&short).await;
    assert!(
        said.contains("Warning: ackline: terminationGracePeriodSeconds is 5"),
        "{said}"
    );

    injector.kill().await.unwrap();
    let said = kube
        .try_create(&installed.pod("late", &namespace))
        .await
        .unwrap_err();
    assert!(said.contains("inject.ackline.dev"), "{said}");
    let mut other = installed.pod("other", &namespace);
    other["metadata"]["labels"] = json!({"test": installed.namespace});
    kube.try_create(&other).await.unwrap();
}

/// A kind that does not know its pods by this name still makes them: Deployments, by their controllers.
#[tokio::test]
async fn pods_of_a_deployment_get_their_sidecars() {
    let installed = Installed::new().await;
    let kube = installed.kube;
    let namespace = restricted(kube).await;
    let _injector = installed.start_injector("one", true).await;
    installed.until_it_answers(&namespace).await;
    let pod = installed.pod("x", &namespace);
    kube.apply(&json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "orders", "namespace": namespace},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"test": installed.namespace}},
            "template": {
                "metadata": {
                    "labels": pod["metadata"]["labels"],
                    "annotations": pod["metadata"]["annotations"],
                },
                "spec": pod["spec"],
            },
        },
    }))
    .await;
    let pods = until("both pods are there", async || {
        let pods = kube.get(&["pods", "-n", &namespace]).await;
        let items = pods["items"].as_array().unwrap().clone();
        (items.len() == 2).then_some(items)
    })
    .await;
    for pod in pods {
        container(&pod, "initContainers");
    }
}
