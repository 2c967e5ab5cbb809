//! What a sidecar may and can, and how it is looked at.

use tokio::process::Command;

use super::bench::Bench;
use super::containers::{seen_by, sidecar_of};
use super::{Manner, Scenario};

const TOKEN: &str = "/var/run/secrets/kubernetes.io/serviceaccount";

// Scenarios run in namespaces that enforce Pod Security `restricted`.
#[tokio::test]
async fn a_sidecar_has_no_token_and_answers_what_its_operator_asks() {
    let scenario = Scenario::new("secured", 1).await;
    scenario.topic.write_numbered(&scenario.ledger, 10).await;
    scenario.create_pod("pod", &Manner::default()).await;
    scenario.reports.until_accepted_by("pod", 10).await;

    let pod = scenario.get(&["pod", "pod"]).await;
    let sidecar = sidecar_of(&pod);
    let seen = std::fs::read_dir(seen_by(sidecar, TOKEN)).unwrap();
    assert_eq!(
        seen.count(),
        0,
        "an empty folder stands where the token would be"
    );
    let status = std::fs::read_to_string(format!("/proc/{sidecar}/status")).unwrap();
    for expected in [
        "Uid:\t10001\t",
        "CapEff:\t0000000000000000",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
    ] {
        assert!(status.contains(expected), "{expected:?} is not in {status}");
    }

    let explained = scenario
        .kubectl(&["exec", "pod", "-c", "ackline", "--", "/ackline", "explain"])
        .await;
    assert!(explained.contains("1 of 1 partitions"), "{explained}");
    // As the documentation has it: the image's PATH leads to the program.
    let status = scenario
        .kubectl(&["exec", "pod", "-c", "ackline", "--", "ackline", "status"])
        .await;
    assert!(status.contains(&scenario.group), "{status}");
    scenario.finish().await;
}

#[tokio::test]
async fn the_plugin_of_kubectl_asks_all_pods_of_a_selector() {
    let scenario = Scenario::new("plugin", 2).await;
    scenario.topic.write_numbered(&scenario.ledger, 100).await;
    scenario
        .create_deployment("asked", 2, &Manner::default())
        .await;
    scenario.reports.until_accepted_more(100).await;
    let ask = async |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ackline"))
            .args(["kubectl", words[0], "-n", &scenario.namespace])
            .args(&words[1..])
            .env_clear()
            .env("KUBECONFIG", scenario.kube.kubeconfig())
            .env("KUBECTL", scenario.kube.setting("KUBE_KUBECTL"))
            .output()
            .await
            .unwrap();
        let printed = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), printed + &said)
    };
    let (code, explained) = ask(&["explain"]).await;
    assert_eq!(code, Some(0), "{explained}");
    assert!(
        explained.contains("2 of 2 pods: all answered"),
        "{explained}"
    );
    let (code, paused) = ask(&["pause", "-l", "app=asked", "--reason", "test"]).await;
    assert_eq!(code, Some(0), "{paused}");
    let (code, status) = ask(&["status", "-o", "json"]).await;
    assert_eq!(code, Some(0), "{status}");
    let status: serde_json::Value = serde_json::from_str(&status).unwrap();
    let pods = status["pods"].as_array().unwrap();
    assert_eq!(pods.len(), 2);
    let pauses = |pod: &serde_json::Value| pod["answer"]["pauses"].as_array().map(Vec::len);
    assert!(pods.iter().all(|pod| pauses(pod) == Some(1)), "{status:#}");
    let (code, refused) = ask(&["drain", "--pod", "nobody", "--reason", "test"]).await;
    assert_eq!(code, Some(1));
    assert!(refused.contains("there is no pod nobody"), "{refused}");
    let (code, resumed) = ask(&["resume", "-l", "app=asked", "--reason", "test"]).await;
    assert_eq!(code, Some(0), "{resumed}");
    scenario.finish().await;
}

#[tokio::test]
async fn the_test_of_the_chart_passes() {
    let bench = Bench::shared().await;
    bench.documented("helm test ackline ", &[]).await;
}
