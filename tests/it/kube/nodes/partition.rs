//! A node that is cut off, and comes back.

use std::collections::BTreeSet;

use crate::harness::{figure, now_ms, until};
use crate::kube::cluster::script;

use super::{Manner, Scenario};

/// The node is connected again also when the test fails: others need it.
struct CutOff<'a>(&'a Scenario);

impl<'a> CutOff<'a> {
    fn new(scenario: &'a Scenario) -> Self {
        partition(scenario, "on");
        Self(scenario)
    }
}

impl Drop for CutOff<'_> {
    fn drop(&mut self) {
        partition(self.0, "off");
    }
}

fn partition(scenario: &Scenario, state: &str) {
    let directory = scenario.kube.directory.display().to_string();
    script("partition", &[&directory, "node-1", state], &[]);
}

#[tokio::test]
async fn a_node_that_was_cut_off_acknowledges_too_late_and_nothing_is_lost() {
    let scenario = Scenario::alone("cut-off", 4).await;
    let reports = &scenario.reports;
    scenario.topic.write_numbered(&scenario.ledger, 4000).await;
    let settings = vec![("group.session_timeout", "6s")];
    // Slow enough to have records in hand all the time.
    let cut_off = Manner {
        variables: vec![("WORK", "100"), ("STEP", "5")],
        settings: settings.clone(),
        node: Some("node-1"),
        ..Manner::default()
    };
    let near = Manner {
        variables: vec![("WORK", "20"), ("STEP", "10")],
        settings,
        node: Some("node-2"),
        ..Manner::default()
    };
    scenario.create_pod("cut-off", &cut_off).await;
    scenario.create_pod("near", &near).await;
    reports.until_accepted_by("cut-off", 50).await;
    reports.until_accepted_by("near", 50).await;
    // Until both have what they keep, partitions still move.
    let theirs = until("each has partitions of its own", async || {
        let since = now_ms() - 2_000;
        let theirs: BTreeSet<i32> = reports.partitions_of("cut-off", since, i64::MAX);
        let others = reports.partitions_of("near", since, i64::MAX);
        (theirs.len() == 2 && theirs.is_disjoint(&others)).then_some(theirs)
    })
    .await;
    let cut_ms = now_ms();
    let node = CutOff::new(&scenario);
    // Whatever was worked off before, there is something to take over.
    scenario.topic.write_numbered(&scenario.ledger, 400).await;
    let taken_over_ms = until("its partitions are taken over", async || {
        let others = reports.partitions_of("near", cut_ms, i64::MAX);
        others.is_superset(&theirs).then(now_ms)
    })
    .await;
    let lost = [
        "wait",
        "--for=condition=Ready=unknown",
        "node/node-1",
        "--timeout=60s",
    ];
    scenario.kube.kubectl(&lost).await;
    drop(node);
    let healed_ms = now_ms();
    let back = [
        "wait",
        "--for=condition=Ready",
        "node/node-1",
        "--timeout=60s",
    ];
    scenario.kube.kubectl(&back).await;
    reports.until_event("stale", "cut-off").await;
    let again_ms = reports
        .until("it has partitions again", |events| {
            let mut later = events.iter().filter(|event| event.at_ms > healed_ms);
            let found = later.find(|event| {
                event.is("partition", "cut-off") && event.body["kind"] == "KIND_ASSIGNED"
            });
            found.map(|event| event.at_ms)
        })
        .await;
    // Neither container was started again for it.
    assert_eq!(scenario.restarts_of("cut-off").await, (0, 0));
    let mut commits = scenario.finish().await;
    assert!(scenario.ledger.stale_count() > 0);
    // Later ones are those of the other member, and cover nothing that was acknowledged behind the cut.
    commits.retain(|commit| commit.at_ms <= cut_ms);
    scenario
        .ledger
        .assert_repeats_are_bounded(&commits, &[taken_over_ms], 2 * 100);
    figure(&format!(
        "node cut off (session timeout 6 s): partitions taken over after {} ms, {} late acknowledgements \
         refused, partitions again {} ms after it healed",
        taken_over_ms - cut_ms,
        scenario.ledger.stale_count(),
        again_ms - healed_ms,
    ));
}
