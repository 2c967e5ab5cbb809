//! Jobs, which complete when they have caught up.

use serde_json::{Value, json};

use super::{Manner, Scenario};

/// A Job that ends when everything that is there is worked off.
fn job(scenario: &Scenario) -> Value {
    let manner = Manner {
        variables: vec![("UNTIL", "caught_up")],
        ..Manner::default()
    };
    let mut template = scenario.template("job", &manner);
    template["spec"]["restartPolicy"] = json!("Never");
    json!({"backoffLimit": 0, "template": template})
}

async fn until_complete(scenario: &Scenario, name: &str) {
    let job = format!("job/{name}");
    scenario
        .kubectl(&["wait", "--for=condition=complete", &job, "--timeout=90s"])
        .await;
}

#[tokio::test]
async fn a_job_completes_when_it_has_caught_up() {
    let scenario = Scenario::new("job", 3).await;
    scenario.topic.write_numbered(&scenario.ledger, 600).await;
    scenario
        .create("batch/v1", "Job", "once", json!({"spec": job(&scenario)}))
        .await;
    until_complete(&scenario, "once").await;
    // All of it, not only what came first.
    assert_eq!(scenario.reports.accepted_count(), 600);
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
    assert_eq!(scenario.reports.redelivered(), 0);
}

#[tokio::test]
async fn a_cron_job_works_off_what_came_since_its_last_run() {
    let scenario = Scenario::new("cron", 3).await;
    let spec = json!({"schedule": "0 3 * * *", "jobTemplate": {"spec": job(&scenario)}});
    scenario
        .create("batch/v1", "CronJob", "nightly", json!({"spec": spec}))
        .await;
    for night in 1..=2 {
        scenario.topic.write_numbered(&scenario.ledger, 300).await;
        let name = format!("night-{night}");
        scenario
            .kubectl(&["create", "job", "--from=cronjob/nightly", &name])
            .await;
        until_complete(&scenario, &name).await;
        assert_eq!(scenario.reports.accepted_count(), night * 300);
    }
    scenario.finish().await;
    scenario.ledger.assert_nothing_repeated();
    assert_eq!(scenario.reports.redelivered(), 0);
}
