//! The application ends. What was answered as accepted is committed, and does not come again.

use crate::harness::{Client, Over, Sidecar, on_every_client};

use super::{Scene, streams_of};

// R22 B39
async fn ends_without_losing_an_acknowledgement(client: Client, over: Over) {
    let scene = Scene::new(client, over, 2).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    for door in scene.doors() {
        // Its last settlement is the last thing that it does, except for a half-close with Consume.
        scene.topic.write_numbered(&scene.ledger, 100).await;
        let application = scene.start(&address, &["--door", door, "--stop-after", "20"]);
        let seen = application.finish().await;
        assert_eq!(
            seen.accepted.len(),
            20 * streams_of(client),
            "not everything was answered over {door}: {seen:?}"
        );
        // SIGTERM in the midst of work.
        scene.topic.write_numbered(&scene.ledger, 400).await;
        let mut application = scene.start(&address, &["--door", door]);
        application
            .until("it works", |seen| seen.accepted.len() > 20)
            .await;
        application.terminate().await;
    }
    let application = scene.start(&address, &[]);
    scene.ledger.until_all_accepted().await;
    application.terminate().await;
    sidecar.stop().await;
    scene.assert_worked_off().await;
    scene.ledger.assert_nothing_repeated();
}
on_every_client!(ends_without_losing_an_acknowledgement, unix_socket, tcp);
