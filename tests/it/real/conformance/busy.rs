//! A handler that computes for long keeps the thread or event loop that owns the stream from answering anything.

use futures_util::future::join_all;

use crate::harness::{Client, Over, Sidecar};

use super::{Scene, streams_of};

#[tokio::test]
async fn a_handler_that_computes_for_20_s_keeps_its_stream() {
    all_compute_for_20_s(Over::UnixSocket).await;
}

#[tokio::test]
async fn a_handler_that_computes_for_20_s_keeps_its_stream_over_tcp() {
    all_compute_for_20_s(Over::Tcp).await;
}

/// All clients at once, because each takes 20 s.
async fn all_compute_for_20_s(over: Over) {
    let clients = Client::ALL.into_iter().filter(|client| client.is_tested());
    join_all(clients.map(|client| computes_for_20_s(client, over))).await;
}

async fn computes_for_20_s(client: Client, over: Over) {
    let scene = Scene::new(client, over, 1).await;
    scene.topic.write_numbered(&scene.ledger, 10).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    let application = scene.start(&address, &["--busy-ms", "20000"]);
    scene.ledger.until_all_accepted().await;
    let seen = application.terminate().await;
    sidecar.stop().await;
    let what = format!("{client:?}: {seen:?}");
    assert_eq!(seen.opened, streams_of(client), "{what}");
    assert!(
        seen.reconnects.is_empty() && seen.stale.is_empty(),
        "{what}"
    );
    scene.assert_worked_off().await;
    scene.ledger.assert_nothing_repeated();
}
