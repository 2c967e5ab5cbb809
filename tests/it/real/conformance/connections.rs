//! Connecting, being turned away, and connecting again.

use crate::harness::{
    Address, Application, Client, Ledger, Over, Settings, Sidecar, on_every_client,
};

use super::{Scene, address, listening, secrets, streams_of, until_committed_to_the_end};

/// Status of gRPC, the same number in every language.
const UNAUTHENTICATED: i64 = 16;

async fn connects_and_ends_when_told_though_nothing_comes(client: Client, over: Over) {
    let secrets = secrets();
    // No broker is needed to open a stream.
    let settings = Settings::new("127.0.0.1:1", "group", &["topic"]);
    let sidecar = Sidecar::start(listening(settings, over, &secrets, "127.0.0.1:0")).await;
    let address = address(&sidecar, over).await;
    for door in if client.has_consume() {
        &["stream", "consume"][..]
    } else {
        &["stream"]
    } {
        let ledger = Ledger::default();
        let mut application = Application::start(client, &address, &["--door", door], &ledger);
        application
            .until("its streams are open", |seen| {
                seen.opened == streams_of(client)
            })
            .await;
        let seen = application.terminate().await;
        assert_eq!(seen.reconnects, []);
    }
    if over == Over::Tcp {
        let wrong = Address {
            token: Some("another-token-of-more-than-forty-three-characters".to_owned()),
            ..address
        };
        let application = Application::start(client, &wrong, &[], &Ledger::default());
        let (code, message) = application.fail().await;
        assert_eq!(code, UNAUTHENTICATED, "{message}");
        assert!(message.contains("listen.app_tcp.token_file"), "{message}");
    }
    sidecar.stop().await;
}
on_every_client!(
    connects_and_ends_when_told_though_nothing_comes,
    unix_socket,
    tcp
);

// R23 B41
async fn connects_again_to_a_sidecar_that_was_killed(client: Client, over: Over) {
    let scene = Scene::new(client, over, 2).await;
    let (ledger, topic) = (&scene.ledger, &scene.topic);
    topic.write_numbered(ledger, 40).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    let mut application = scene.start(&address, &[]);
    let streams = streams_of(client);
    application
        .until("its streams are open", |seen| seen.opened == streams)
        .await;
    ledger.until_all_accepted().await;
    until_committed_to_the_end(scene.member.cluster, &scene.group, topic).await;

    topic.write_numbered(ledger, 400).await;
    ledger.until_accepted(100).await;
    let directory = sidecar.kill().await;
    application
        .until("it notices", |seen| seen.reconnects.len() >= streams)
        .await;
    let settings = listening(scene.settings(), over, &scene.secrets, &address.target);
    let sidecar = Sidecar::start_in(directory, settings).await;
    application
        .until("its streams are open again", |seen| {
            seen.opened == 2 * streams
        })
        .await;
    // What the first one had accepted and not committed comes again, and so is worked off twice.
    until_committed_to_the_end(scene.member.cluster, &scene.group, topic).await;
    let seen = application.terminate().await;
    sidecar.stop().await;
    scene.assert_worked_off().await;
    // The first 20 offsets of each partition were committed before the crash.
    let mut committed: Vec<_> = seen
        .sightings
        .iter()
        .map(|sighting| &sighting.place)
        .filter(|place| place.offset < 20)
        .collect();
    committed.sort();
    let again = committed.windows(2).find(|pair| pair[0] == pair[1]);
    assert!(
        again.is_none(),
        "committed, and yet delivered again: {again:?}"
    );
}
on_every_client!(
    connects_again_to_a_sidecar_that_was_killed,
    unix_socket,
    tcp
);
