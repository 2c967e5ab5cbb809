//! An application that crashes again and again.

use tokio_util::sync::CancellationToken;

use crate::harness::now_ms;

use super::{Manner, Scenario};

#[tokio::test]
async fn an_application_that_crashes_again_and_again_keeps_its_partitions() {
    let scenario = Scenario::new("crashes", 4).await;
    let reports = &scenario.reports;
    let written = CancellationToken::new();
    let story = async {
        let crashing = Manner {
            variables: vec![("CRASH_AFTER", "200")],
            ..Manner::default()
        };
        scenario.create_pod("stable", &Manner::default()).await;
        // The other one to join is that which crashes: what it works off is then of partitions that it keeps.
        reports.until_accepted_by("stable", 20).await;
        scenario.create_pod("crashing", &crashing).await;
        reports.until_event("exiting", "crashing").await;
        let since = now_ms();
        let before = scenario.generation().await;
        // The kubelet waits longer before each start.
        reports
            .until("it has crashed three times", |events| {
                let crashes = events
                    .iter()
                    .filter(|event| event.is("exiting", "crashing"));
                (crashes.count() == 3).then_some(())
            })
            .await;
        assert_eq!(scenario.generation().await, before, "a rebalance");
        let theirs = reports.partitions_of("crashing", since, i64::MAX);
        let others = reports.partitions_of("stable", since, i64::MAX);
        assert!(theirs.is_disjoint(&others), "{theirs:?} and {others:?}");
        assert_eq!(theirs.len(), 2);
        written.cancel();
    };
    tokio::join!(scenario.write_until(&written), story);
    // Its partitions move now, and what it left is worked off.
    scenario.kubectl(&["delete", "pod", "crashing"]).await;
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}
