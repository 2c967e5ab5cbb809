//! Positions outside Kafka, with the Secret that a pod names.

use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Database;
use crate::real::stores::until_stored;

use super::containers::{seen_by, sidecar_of};
use super::{Manner, Scenario};

/// The server listens on the machine's own loopback, where no pod is. Returns the address for pods.
async fn opened_for_pods(address: &str, server: &str) -> String {
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let opened = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    tokio::spawn(async move {
        while let Ok((mut pod, _)) = listener.accept().await {
            let server = server.clone();
            tokio::spawn(async move {
                let mut connection = TcpStream::connect(server).await.unwrap();
                drop(copy_bidirectional(&mut pod, &mut connection).await);
            });
        }
    });
    opened
}

/// Creates a pod that keeps its positions there.
async fn create_pod(scenario: &Scenario, name: &str, address: &str, database: &str) {
    let mut pod = scenario.template(name, &Manner::default());
    let annotations = &mut pod["metadata"]["annotations"];
    annotations["ackline.dev/set.offset_store.kind"] = json!("postgres");
    annotations["ackline.dev/set.offset_store.postgres.address"] = json!(address);
    annotations["ackline.dev/set.offset_store.postgres.database"] = json!(database);
    annotations["ackline.dev/offset-store-secret"] = json!("store");
    scenario.create("v1", "Pod", name, pod).await;
}

#[tokio::test]
async fn a_pod_keeps_its_positions_in_a_table_by_the_secret_that_it_names() {
    let (scenario, database) = (Scenario::new("stored", 2).await, Database::create().await);
    let server = database.server();
    let address = opened_for_pods(scenario.kube.setting("KUBE_ADDRESS"), server.address).await;
    let data = json!({"username": server.user, "password": database.password()});
    let secret = json!({"stringData": data});
    scenario.create("v1", "Secret", "store", secret).await;
    scenario.topic.write_numbered(&scenario.ledger, 100).await;
    create_pod(&scenario, "first", &address, server.database).await;
    scenario.reports.until_accepted_by("first", 100).await;
    until_stored(&database, &scenario.topic).await;

    let pod = scenario.get(&["pod", "first"]).await;
    let files = seen_by(sidecar_of(&pod), "/etc/ackline/offset-store/password");
    assert_eq!(std::fs::read_to_string(files).unwrap(), database.password());
    let application = pod["spec"]["containers"][0].to_string();
    assert!(!application.contains("offset-store"), "{application}");

    // The next one goes on from the table: the group has no position.
    scenario.kubectl(&["delete", "pod", "first"]).await;
    scenario.topic.write_numbered(&scenario.ledger, 50).await;
    create_pod(&scenario, "second", &address, server.database).await;
    scenario.reports.until_all_accepted(&scenario.ledger).await;
    until_stored(&database, &scenario.topic).await;
    scenario.kubectl(&["delete", "pod", "second"]).await;
    scenario.reports.tell(&scenario.ledger);
    scenario.ledger.assert_sound();
    scenario.ledger.assert_nothing_repeated();
}
