//! The end of a pod.

use tokio_util::sync::CancellationToken;

use crate::harness::{figure, now_ms, until};

use super::{Manner, Scenario};

#[tokio::test]
async fn a_pod_that_is_deleted_hands_over_at_once_and_nothing_accepted_comes_again() {
    let scenario = Scenario::new("deleted", 4).await;
    let reports = &scenario.reports;
    let written = CancellationToken::new();
    let story = async {
        for pod in ["goes", "stays"] {
            scenario.create_pod(pod, &Manner::default()).await;
        }
        reports.until_accepted_by("goes", 100).await;
        reports.until_accepted_by("stays", 100).await;
        scenario
            .kubectl(&["delete", "pod", "goes", "--wait=false"])
            .await;
        let told = reports.until_event("sigterm", "goes").await.at_ms;
        let ended = reports.until_event("exiting", "goes").await;
        assert_eq!(ended.body["status"], 0, "it ends by itself: {ended:?}");
        let theirs = reports.partitions_of("goes", 0, told);
        // What the other one had before is not what was handed over.
        let taken_over = until("the other pod has all partitions", async || {
            let after = reports.partitions_of("stays", told, i64::MAX);
            after.is_superset(&theirs).then(now_ms)
        })
        .await;
        figure(&format!(
            "pod deleted: application ended after {} ms, all its partitions delivered elsewhere after {} ms",
            ended.at_ms - told,
            taken_over - told,
        ));
        assert!(
            taken_over - told < 15_000,
            "far sooner than the session would have timed out"
        );
        written.cancel();
    };
    tokio::join!(scenario.write_until(&written), story);
    scenario
        .kubectl(&["wait", "--for=delete", "pod/goes", "--timeout=30s"])
        .await;
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}

#[tokio::test]
async fn an_application_that_eats_its_whole_grace_period_loses_no_acknowledgement() {
    let scenario = Scenario::new("greedy", 2).await;
    let reports = &scenario.reports;
    scenario.topic.write_numbered(&scenario.ledger, 600).await;
    let greedy = Manner {
        variables: vec![("AT_SIGTERM", "ignore"), ("WORK", "100"), ("STEP", "1")],
        grace_seconds: Some(6),
        ..Manner::default()
    };
    scenario.create_pod("greedy", &greedy).await;
    reports.until_accepted_by("greedy", 20).await;
    scenario
        .kubectl(&["delete", "pod", "greedy", "--timeout=60s"])
        .await;
    reports.note_killed("greedy");
    let told = reports.until_event("sigterm", "greedy").await.at_ms;
    let events = reports.events();
    let last = events
        .iter()
        .rfind(|event| event.is("accepted", "greedy"))
        .unwrap()
        .at_ms;
    assert!(
        last - told > 4_500,
        "it goes on until it is killed: {} ms",
        last - told
    );
    assert!(events.iter().all(|event| !event.is("exiting", "greedy")));

    scenario.create_pod("next", &Manner::default()).await;
    let commits = scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
    let next = reports.until_event("started", "next").await.at_ms;
    let theirs = commits.iter().rfind(|commit| commit.at_ms < next).unwrap();
    figure(&format!(
        "grace period used up: last commit {} ms after the last acknowledgement",
        theirs.at_ms - last
    ));
}
