//! Scaling under load.

use tokio_util::sync::CancellationToken;

use crate::harness::{figure, now_ms, until};

use super::{Manner, Scenario};

#[tokio::test]
async fn scaling_from_1_to_6_to_2_pods_under_load_loses_nothing() {
    let scenario = Scenario::new("scale", 12).await;
    let reports = &scenario.reports;
    let written = CancellationToken::new();
    let story = async {
        scenario
            .create_deployment("scaled", 1, &Manner::default())
            .await;
        reports.until_accepted_more(200).await;
        let begin = now_ms();
        scenario
            .kubectl(&["scale", "deployment/scaled", "--replicas=6"])
            .await;
        until("six pods work", async || {
            (reports.pods_with_records(begin).len() == 6).then_some(())
        })
        .await;
        let up = now_ms();
        reports.until_accepted_more(500).await;
        scenario
            .kubectl(&["scale", "deployment/scaled", "--replicas=2"])
            .await;
        let down = reports
            .until("four pods have ended", |events| {
                let ended: Vec<_> = events
                    .iter()
                    .filter(|event| event.name == "exiting")
                    .collect();
                (ended.len() == 4).then(|| {
                    assert!(
                        ended.iter().all(|event| event.body["status"] == 0),
                        "{ended:?}"
                    );
                    now_ms()
                })
            })
            .await;
        reports.until_accepted_more(500).await;
        written.cancel();
        (up - begin, down - up)
    };
    let ((), (up, down)) = tokio::join!(scenario.write_until(&written), story);
    let redelivered = reports.redelivered();
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
    figure(&format!(
        "scaled 1 to 6 to 2 pods, 12 partitions, 300 records a second: up in {up} ms, down in {down} ms, {} rebalances, \
         {redelivered} records delivered again",
        scenario.generation().await,
    ));
}
