//! Records of every shape, settlements in any order, failures, and large records.

use serde_json::json;

use crate::harness::{
    Client, Logged, Over, Sidecar, digest_with_raw_name, now_ms, on_every_client,
    produce_with_raw_name,
};

use super::{Scene, until_committed_to_the_end};

const MIB: usize = 1 << 20;

fn shapes() -> Vec<Logged> {
    let every_byte: Vec<u8> = (0..=255).collect();
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let record = |key: Option<&[u8]>, value: Option<&[u8]>| Logged {
        key: key.map(<[u8]>::to_vec),
        value: value.map(<[u8]>::to_vec),
        timestamp_ms: now_ms(),
        ..Logged::default()
    };
    let headers = vec![
        header("twice", Some(b"first")),
        header("other", Some(&every_byte)),
        header("twice", Some(b"second")),
        header("null", None),
        header("empty", Some(b"")),
        header("", Some(b"name is empty")),
        header("größe", Some(b"name is not ASCII")),
    ];
    vec![
        record(None, Some(b"no key")),
        record(Some(b"tombstone"), None),
        record(Some(b""), Some(b"")),
        record(None, None),
        record(Some(&every_byte), Some(&every_byte.repeat(600))),
        Logged {
            headers,
            ..record(Some(&[0xff, 0xfe, 0]), Some("größe".as_bytes()))
        },
    ]
}

// R15 B31
async fn reads_every_shape_and_settles_in_any_order(client: Client, over: Over) {
    let scene = Scene::new(client, over, 1).await;
    let (name, value, header): (&[u8], &[u8], &[u8]) =
        (&[b'n', 0xff, 0xfe], b"raw", &[0, 0xff, b'v']);
    let cluster = scene.member.cluster;
    let raw = produce_with_raw_name(cluster, &scene.topic.name, value, name, header).await;
    let shapes = shapes().into_iter().map(|record| (0, record));
    scene.topic.write(&scene.ledger, shapes).await;
    scene.topic.write_numbered(&scene.ledger, 60).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    let application = scene.start(&address, &["--order", "reversed"]);
    scene.ledger.until_all_accepted().await;
    // Told by Kafka's own tool. The record that the ledger does not know is the first one, and covered by this as well.
    until_committed_to_the_end(cluster, &scene.group, &scene.topic).await;
    let seen = application.terminate().await;
    sidecar.stop().await;
    scene.assert_worked_off().await;
    let raw = seen
        .sightings
        .iter()
        .find(|sighting| sighting.place.offset == raw)
        .unwrap();
    assert_eq!(raw.digest, digest_with_raw_name(value, name, header));
    // The digests say so already; this names what is wrong.
    for sizes in [
        (None, Some(6)),
        (Some(9), None),
        (Some(0), Some(0)),
        (None, None),
    ] {
        let mut sightings = seen.sightings.iter();
        let found = sightings.any(|sighting| (sighting.key_size, sighting.value_size) == sizes);
        assert!(found, "no record has a key and a value of {sizes:?}");
    }
    let offsets = seen.accepted.iter().map(|place| place.offset);
    assert!(!offsets.is_sorted(), "settled as they came: {seen:?}");
}
on_every_client!(reads_every_shape_and_settles_in_any_order, unix_socket, tcp);

// B30
async fn a_record_that_failed_comes_again_before_later_ones(client: Client, over: Over) {
    let scene = Scene::new(client, over, 1).await;
    let settings = scene.settings().with(json!({"lane_depth": 5}));
    let sidecar = Sidecar::start(settings).await;
    let address = scene.address(&sidecar).await;
    for (door, first) in scene.doors().iter().zip([0, 30]) {
        scene.topic.write_numbered(&scene.ledger, 30).await;
        let arguments = [
            "--door",
            door,
            "--retry-every",
            "10",
            "--retry-delay-ms",
            "200",
        ];
        let application = scene.start(&address, &arguments);
        scene.ledger.until_all_accepted().await;
        let seen = application.terminate().await;
        let offsets = |places: &[_]| -> Vec<i64> {
            places
                .iter()
                .map(|place: &crate::harness::Place| place.offset)
                .collect()
        };
        assert_eq!(offsets(&seen.retried), [first, first + 10, first + 20]);
        for retried in &seen.retried {
            let attempts: Vec<u32> = seen
                .sightings
                .iter()
                .filter(|sighting| sighting.place == *retried)
                .map(|sighting| sighting.attempt)
                .collect();
            assert_eq!(attempts, [1, 2], "{retried:?}");
        }
        // This one does not wait for the answer to RETRY before it acknowledges the next record, and unary calls may
        // overtake each other.
        let ordered = client != Client::JavaAsync || *door == "consume";
        if ordered {
            let expected: Vec<i64> = (first..first + 30).collect();
            assert_eq!(offsets(&seen.accepted), expected, "over {door}");
        }
    }
    sidecar.stop().await;
    scene.assert_worked_off().await;
    scene.ledger.assert_nothing_repeated();
}
on_every_client!(
    a_record_that_failed_comes_again_before_later_ones,
    unix_socket,
    tcp
);

async fn takes_records_of_3_mib(client: Client, over: Over) {
    let settings = [("max.message.bytes", "4000000")];
    let scene = Scene::with_topic(client, over, 1, &settings).await;
    let large = (0..4_u8).map(|number| {
        let value = (0..3 * MIB).map(|at| at.to_le_bytes()[1] ^ at.to_le_bytes()[0] ^ number);
        let record = Logged {
            value: Some(value.collect()),
            timestamp_ms: now_ms(),
            ..Logged::default()
        };
        (0, record)
    });
    scene.topic.write(&scene.ledger, large).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    let application = scene.start(&address, &[]);
    scene.ledger.until_all_accepted().await;
    let seen = application.terminate().await;
    sidecar.stop().await;
    assert_eq!(seen.reconnects, []);
    scene.assert_worked_off().await;
}
on_every_client!(takes_records_of_3_mib, unix_socket, tcp);
