//! What a sidecar may and can, and how it is looked at.

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
async fn the_test_of_the_chart_passes() {
    let bench = Bench::shared().await;
    bench.documented("helm test ackline ", &[]).await;
}
