//! Brokers that stop, start, and hand the group to each other.

use crate::harness::{
    Cluster, Ledger, Manner, Settings, Sidecar, Topic, Worker, described_offsets, unique, until,
};

use super::{assert_worked_off, until_committed_to_the_end};

/// The node that coordinates the group.
async fn coordinator_of(cluster: &Cluster, group: &str) -> String {
    until("the group has a coordinator", async || {
        let text = cluster
            .tool(&["groups", "--describe", "--state", "--group", group])
            .await;
        // "GROUP  COORDINATOR (ID)  …", and below "name  127.0.0.1:9092 (1)  …"
        let line = text.lines().find(|line| line.starts_with(group))?;
        let id = line.split_once('(')?.1.split_once(')')?.0;
        Some(id.to_owned())
    })
    .await
}

// R11 B21 B25 B19
#[tokio::test]
async fn a_killed_coordinator_costs_no_rebalance_and_no_acknowledgement() {
    let cluster = Cluster::own("three-nodes", &["--nodes", "3"]);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let replicated = [("min.insync.replicas", "2")];
    let topic = Topic::create_with(&cluster, 6, 3, &replicated).await;
    let sidecar = Sidecar::start(Settings::new(cluster.brokers(), &group, &[&topic.name])).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(23));
    topic.write_numbered(&ledger, 600).await;
    ledger.until_all_accepted().await;
    let rebalances = sidecar.metric("ackline_rebalances_total", &[]).await;

    let node = coordinator_of(&cluster, &group).await;
    cluster.stop(&["--kill", &node]).await;
    // With two of three brokers everything goes on: records, acknowledgements, and in the end
    // commits at the new coordinator.
    topic.write_numbered(&ledger, 600).await;
    ledger.until_all_accepted().await;
    until_committed_to_the_end(&cluster, &group, &topic).await;
    assert_ne!(coordinator_of(&cluster, &group).await, node);
    cluster.start_again().await;
    topic.write_numbered(&ledger, 600).await;
    ledger.until_all_accepted().await;
    assert!((sidecar.metric("ackline_rebalances_total", &[]).await - rebalances).abs() < 0.5);
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    assert_worked_off(&cluster, &group, &topic, &ledger).await;
}

// R11 B21 B25
#[tokio::test]
async fn a_restart_of_the_only_broker_is_survived() {
    let cluster = Cluster::own("one-node", &[]);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(&cluster, 3).await;
    let sidecar = Sidecar::start(Settings::new(cluster.brokers(), &group, &[&topic.name])).await;
    let worker = Worker::start(sidecar.socket(), &ledger, Manner::new(24));
    topic.write_numbered(&ledger, 300).await;
    ledger.until_all_accepted().await;
    cluster.stop(&["--kill"]).await;
    cluster.start_again().await;
    topic.write_numbered(&ledger, 300).await;
    ledger.until_all_accepted().await;
    until_committed_to_the_end(&cluster, &group, &topic).await;
    worker.finish().await;
    sidecar.stop().await;
    ledger.assert_nothing_repeated();
    let commits = assert_worked_off(&cluster, &group, &topic, &ledger).await;
    assert!(commits.iter().all(|commit| commit.leader_epoch >= -1));
    assert_eq!(described_offsets(&cluster, &group).await.len(), 3);
}
