//! Sidecars that are started again, alone.

use tokio_util::sync::CancellationToken;

use crate::harness::{figure, now_ms, until};

use super::bench::archive_of_sidecar;
use super::containers::{kill, sidecar_of};
use super::{Manner, Scenario};

/// Waits until the application has opened a second stream, and returns when it did.
async fn until_connected_again(scenario: &Scenario, pod: &str) -> i64 {
    scenario
        .reports
        .until("the application has another stream", |events| {
            let opened = events.iter().filter(|event| event.is("opened", pod));
            opened.map(|event| event.at_ms).nth(1)
        })
        .await
}

#[tokio::test]
async fn a_sidecar_that_is_killed_is_started_again_alone_and_nothing_is_lost() {
    let scenario = Scenario::new("killed", 4).await;
    let written = CancellationToken::new();
    let story = async {
        scenario.create_pod("pod", &Manner::default()).await;
        scenario.reports.until_accepted_by("pod", 200).await;
        let pod = scenario.get(&["pod", "pod"]).await;
        let at_ms = now_ms();
        kill(sidecar_of(&pod));
        let again_ms = until_connected_again(&scenario, "pod").await;
        figure(&format!(
            "sidecar killed: the application has a stream again after {} ms",
            again_ms - at_ms
        ));
        scenario.reports.until_accepted_more(300).await;
        assert_eq!(scenario.restarts_of("pod").await, (1, 0));
        written.cancel();
        at_ms
    };
    let ((), at_ms) = tokio::join!(scenario.write_until(&written), story);
    let commits = scenario.finish().await;
    scenario
        .ledger
        .assert_repeats_are_bounded(&commits, &[at_ms], 100);
}

#[tokio::test]
async fn a_new_image_of_the_sidecar_restarts_it_alone_and_nothing_comes_again() {
    let scenario = Scenario::new("image", 4).await;
    let next = archive_of_sidecar(
        scenario.kube,
        "next.tar",
        &["--name", "ackline:next", "--revision", "next"],
    );
    scenario.bench.load(&next);
    let written = CancellationToken::new();
    let story = async {
        scenario.create_pod("pod", &Manner::default()).await;
        scenario.reports.until_accepted_by("pod", 200).await;
        let at_ms = now_ms();
        scenario
            .kubectl(&["set", "image", "pod/pod", "ackline=ackline:next"])
            .await;
        let again_ms = until_connected_again(&scenario, "pod").await;
        figure(&format!(
            "image of the sidecar changed: the application has a stream again after {} ms",
            again_ms - at_ms
        ));
        scenario.reports.until_accepted_more(300).await;
        assert_eq!(scenario.restarts_of("pod").await, (1, 0));
        until("the new image runs", async || {
            let pod = scenario.get(&["pod", "pod"]).await;
            let image = pod["status"]["initContainerStatuses"][0]["image"]
                .as_str()?
                .to_owned();
            image.ends_with("ackline:next").then_some(())
        })
        .await;
        written.cancel();
    };
    tokio::join!(scenario.write_until(&written), story);
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
}
