//! Rolling updates under load.

use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::harness::{figure, now_ms, until};

use super::{Manner, Scenario};

/// Updates a workload of three pods, and tells what it cost. Returns the number of rebalances.
async fn roll(scenario: &Scenario, workload: &str, what: &str) -> i64 {
    let reports = &scenario.reports;
    until("three pods work", async || {
        (reports.pods_with_records(0).len() == 3).then_some(())
    })
    .await;
    reports.until_accepted_more(300).await;
    let (generation, redelivered) = (scenario.generation().await, reports.redelivered());
    let begin = now_ms();
    scenario.kubectl(&["rollout", "restart", workload]).await;
    scenario
        .kubectl(&["rollout", "status", workload, "--timeout=120s"])
        .await;
    let took = now_ms() - begin;
    // Those that are replaced are not counted by the status, and end meanwhile.
    until(
        "the old pods have ended, and three new ones work",
        async || {
            let events = reports.events();
            let ended = events
                .iter()
                .filter(|event| event.name == "exiting")
                .count();
            let last = events.iter().rfind(|event| event.name == "exiting")?.at_ms;
            (ended == 3 && reports.pods_with_records(last).len() == 3).then_some(())
        },
    )
    .await;
    let rebalances = scenario.generation().await - generation;
    figure(&format!(
        "rolling update of {what}, three pods, 300 records a second: {took} ms, {rebalances} rebalances, \
         {} records delivered again",
        reports.redelivered() - redelivered,
    ));
    rebalances
}

#[tokio::test]
async fn a_rolling_update_of_a_deployment_repeats_nothing_that_was_accepted() {
    let scenario = Scenario::new("deployment", 6).await;
    let written = CancellationToken::new();
    let story = async {
        scenario
            .create_deployment("rolled", 3, &Manner::default())
            .await;
        roll(&scenario, "deployment/rolled", "a Deployment").await;
        written.cancel();
    };
    tokio::join!(scenario.write_until(&written), story);
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}

#[tokio::test]
async fn a_rolling_update_of_static_members_moves_no_partition() {
    let scenario = Scenario::new("static", 6).await;
    let written = CancellationToken::new();
    let manner = Manner {
        settings: vec![("group.instance_id", "${POD_NAME}")],
        ..Manner::default()
    };
    let story = async {
        let spec = json!({
            "serviceName": "rolled",
            "replicas": 3,
            "podManagementPolicy": "Parallel",
            "selector": {"matchLabels": {"app": "rolled"}},
            "template": scenario.template("rolled", &manner),
        });
        scenario
            .create("apps/v1", "StatefulSet", "rolled", json!({"spec": spec}))
            .await;
        let what = "a StatefulSet with static membership";
        let rebalances = roll(&scenario, "statefulset/rolled", what).await;
        assert_eq!(rebalances, 0);
        written.cancel();
    };
    tokio::join!(scenario.write_until(&written), story);
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}
