//! The start of a pod.

use std::collections::BTreeSet;

use super::{Manner, Scenario};

#[tokio::test]
async fn no_application_ever_finds_its_sidecar_missing() {
    let scenario = Scenario::new("start", 4).await;
    scenario.topic.write_numbered(&scenario.ledger, 100).await;
    scenario
        .create_deployment("first", 4, &Manner::default())
        .await;
    scenario
        .reports
        .until("four pods have opened a stream", |events| {
            let opened = events.iter().filter(|event| event.name == "opened");
            let pods: BTreeSet<&String> = opened.map(|event| &event.pod).collect();
            (pods.len() == 4).then_some(())
        })
        .await;
    // Not even once, and nobody was started twice for it.
    let events = scenario.reports.events();
    assert!(events.iter().all(|event| event.name != "missing"));
    assert_eq!(
        events
            .iter()
            .filter(|event| event.name == "started")
            .count(),
        4
    );
    scenario.finish().await;
}
