//! NetworkPolicies of the chart, where they are enforced: what is needed gets through, and nothing else does.
//!
//! Whatever is refused here was reached before, from the same place or at the same address, so that it is the policy that
//! refuses.

use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::harness::until;
use crate::kube::cluster::Kube;

use super::bench::{Bench, SCRAPES};
use super::containers::{any_process_of, in_network_of};
use super::{Manner, Scenario};

/// A port on which the application of the test listens, and which no policy opens.
const OWN_PORT: u16 = 8080;

/// Whether a connection from that pod is answered.
async fn reaches(pod: &Value, address: &str) -> bool {
    let (host, port) = address.rsplit_once(':').unwrap();
    let connect = format!("exec 3<>/dev/tcp/{host}/{port}");
    in_network_of(
        any_process_of(pod),
        &["timeout", "2", "bash", "-c", &connect],
    )
    .await
}

/// Has a policy made in the namespace of the scenario.
async fn create_policy(scenario: &Scenario, name: &str, spec: Value) {
    let policy = json!({"spec": spec});
    scenario
        .create("networking.k8s.io/v1", "NetworkPolicy", name, policy)
        .await;
}

/// What the chart makes for a namespace that denies traffic by default.
async fn apply_policy_for_sidecars(scenario: &Scenario) {
    let folder = &scenario.kube.directory;
    let (values, made) = (folder.join("ackline.yaml"), folder.join("policy.yaml"));
    let namespaces = format!(
        "networkPolicy.applications.namespaces={{{}}}",
        scenario.namespace
    );
    let rendered = scenario
        .kube
        .helm(&[
            "template",
            "ackline",
            "deploy/charts/ackline",
            "--namespace=ackline",
            "--show-only=templates/networkpolicy-applications.yaml",
            &format!("--values={}", values.display()),
            &format!("--set={namespaces}"),
        ])
        .await;
    std::fs::write(&made, rendered).unwrap();
    let made = made.display().to_string();
    scenario.kube.kubectl(&["apply", "-f", &made]).await;
}

/// A pod that does nothing, in a namespace of its own.
async fn bystander(kube: &Kube, scrapes: bool) -> Value {
    let namespace = kube.create_namespace("bystander", None).await;
    if scrapes {
        let (key, value) = SCRAPES;
        let label = format!("{key}={value}");
        kube.kubectl(&["label", "namespace", &namespace, &label])
            .await;
    }
    let container = json!({
        "name": "idle",
        "image": "ackline-test/tools:1",
        "command": ["/bin/sleep", "infinity"],
    });
    kube.apply(&json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "idle", "namespace": namespace},
        "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
    }))
    .await;
    ready(kube, &namespace, "idle").await
}

/// A pod, as soon as it is ready: its probes get through.
async fn ready(kube: &Kube, namespace: &str, pod: &str) -> Value {
    let name = format!("pod/{pod}");
    kube.kubectl(&[
        "wait",
        "--for=condition=Ready",
        &name,
        "-n",
        namespace,
        "--timeout=60s",
    ])
    .await;
    kube.get(&[&name, "-n", namespace]).await
}

async fn create_application(scenario: &Scenario) -> Value {
    let mut pod = scenario.template("pod", &Manner::default());
    let listens = json!({
        "name": "listens",
        "image": "ackline-test/tools:1",
        "command": ["/bin/httpd", "-f", "-p", OWN_PORT.to_string(), "-h", "/tmp"],
        "securityContext": pod["spec"]["containers"][0]["securityContext"],
    });
    pod["spec"]["containers"]
        .as_array_mut()
        .unwrap()
        .push(listens);
    pod["metadata"]["annotations"]["ackline.dev/containers"] = json!("application");
    pod["metadata"]["name"] = json!("pod");
    scenario.create("v1", "Pod", "pod", pod).await;
    ready(scenario.kube, &scenario.namespace, "pod").await
}

/// Address of a port of a pod.
fn at(pod: &Value, port: u16) -> String {
    format!("{}:{port}", pod["status"]["podIP"].as_str().unwrap())
}

#[tokio::test]
async fn a_sidecar_works_in_a_namespace_that_denies_everything_else() {
    let scenario = Scenario::new("denied", 2).await;
    let kube = scenario.kube;
    let address = kube.setting("KUBE_ADDRESS");
    let elsewhere = TcpListener::bind((address, 0)).await.unwrap();
    let elsewhere = elsewhere.local_addr().unwrap().to_string();
    let broker = scenario.kafka.brokers().split(',').next().unwrap();
    let other = bystander(kube, false).await;
    let pod = create_application(&scenario).await;
    for port in [7421, OWN_PORT] {
        assert!(
            reaches(&other, &at(&pod, port)).await,
            "{port}, without a policy"
        );
    }
    let api_server = format!("{address}:6443");
    for place in [&elsewhere, &api_server] {
        assert!(reaches(&pod, place).await, "{place}, without a policy");
    }
    scenario.kubectl(&["delete", "pod", "pod"]).await;

    let everything = json!({"podSelector": {}, "policyTypes": ["Ingress", "Egress"]});
    create_policy(&scenario, "default-deny", everything).await;
    apply_policy_for_sidecars(&scenario).await;
    // What the application needs is its owner's to open: here, the way to those that it reports to.
    let (_, reports) = scenario.reports.address().rsplit_once(':').unwrap();
    let reports: u16 = reports.parse().unwrap();
    let own = json!({
        "podSelector": {"matchLabels": {"app": "pod"}},
        "policyTypes": ["Egress"],
        "egress": [{"ports": [{"port": reports, "protocol": "TCP"}]}],
    });
    create_policy(&scenario, "own", own).await;

    // From its start on: the webhook was called, the probes pass, the group is joined, records flow and are committed.
    let pod = create_application(&scenario).await;
    scenario.topic.write_numbered(&scenario.ledger, 100).await;
    scenario.reports.until_accepted_by("pod", 100).await;
    until("the policy is in force", async || {
        let refused = !reaches(&other, &at(&pod, OWN_PORT)).await;
        refused.then_some(())
    })
    .await;
    assert!(reaches(&other, &at(&pod, 7421)).await, "metrics");
    assert!(reaches(&pod, broker).await, "Kafka");
    assert!(reaches(&pod, &format!("{address}:53")).await, "DNS");
    assert!(!reaches(&pod, &elsewhere).await, "nothing opens it");
    assert!(
        !reaches(&pod, &api_server).await,
        "a sidecar does not need it"
    );
    scenario.topic.write_numbered(&scenario.ledger, 100).await;
    scenario.reports.until_accepted_by("pod", 200).await;
    let restarts = scenario.restarts_of("pod").await;
    assert_eq!(restarts, (0, 0), "probes pass");
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}

// That the API server reaches the webhook, and the injector the API server for its certificate, each test of this folder
// shows: they all run with this policy.
#[tokio::test]
async fn an_injector_is_reached_by_the_api_server_and_those_who_may_read_its_metrics() {
    let Bench { kube, kafka } = Bench::shared().await;
    let pods = kube
        .get(&[
            "pods",
            "-n",
            "ackline",
            "-l",
            "app.kubernetes.io/name=ackline",
        ])
        .await;
    let injector = &pods["items"][0];
    let ports = injector["spec"]["containers"][0]["ports"]
        .as_array()
        .unwrap();
    let port = |name: &str| {
        let port = ports.iter().find(|port| port["name"] == name).unwrap();
        u16::try_from(port["containerPort"].as_u64().unwrap()).unwrap()
    };
    let (scraper, other) = (bystander(kube, true).await, bystander(kube, false).await);
    let address = kube.setting("KUBE_ADDRESS");
    let broker = kafka.brokers().split(',').next().unwrap();

    until("metrics are read", async || {
        reaches(&scraper, &at(injector, port("http")))
            .await
            .then_some(())
    })
    .await;
    assert!(!reaches(&other, &at(injector, port("http"))).await);
    // API servers are no pods, so the port of the webhook is open for everybody.
    assert!(reaches(&other, &at(injector, port("webhook"))).await);
    assert!(reaches(injector, &format!("{address}:6443")).await);
    assert!(reaches(&other, broker).await);
    assert!(
        !reaches(injector, broker).await,
        "an injector needs no Kafka"
    );
    for pod in [scraper, other] {
        let namespace = pod["metadata"]["namespace"].as_str().unwrap();
        kube.kubectl(&["delete", "namespace", namespace, "--wait=false"])
            .await;
    }
}
