//! Scenarios on real Apache Kafka: the sidecar's binary between a broker and an application.
//!
//! Each test cites the rows of `docs/failures.md` that it covers. What was committed is always
//! told by Kafka's own tools, never by the sidecar.

use crate::harness::{Cluster, Commit, Ledger, Topic, commits_of, described_offsets, until};

mod bombs;
mod brokers;
mod browser;
mod bytes;
mod claims;
mod conformance;
mod crash;
mod dead_letters;
mod finished;
mod floods;
mod gaps;
mod given_up;
mod kept_by_application;
mod made_again;
mod members;
mod on_delivery;
mod operator;
mod patterns;
mod poison;
mod refused;
mod secure;
mod slow;
mod start;
mod static_member;
pub(crate) mod stores;
mod throttled;
mod transactions;
mod zombie;
mod zookeeper;

/// Waits until the group's committed offset stands at the end of every partition that has records.
pub(crate) async fn until_committed_to_the_end(cluster: &Cluster, group: &str, topic: &Topic<'_>) {
    until("everything is committed", async || {
        let offsets = described_offsets(cluster, group).await;
        for partition in 0..topic.partitions {
            let (start, end) = topic.bounds(partition).await;
            let offsets = offsets.get(&(topic.name.clone(), partition));
            let committed = offsets.map(|&(committed, _)| committed);
            if start < end && committed != Some(end) {
                return None;
            }
        }
        Some(())
    })
    .await;
}

/// What must hold at the end of every scenario in which everything was worked off. Returns the
/// group's commits for further questions.
pub(crate) async fn assert_worked_off(
    cluster: &Cluster,
    group: &str,
    topic: &Topic<'_>,
    ledger: &Ledger,
) -> Vec<Commit> {
    ledger.assert_sound();
    until_committed_to_the_end(cluster, group, topic).await;
    let commits = commits_of(cluster, group).await;
    ledger.assert_commits_are_earned(&commits);
    commits
}
