//! Bytes stay bytes.

use crate::harness::{
    Ledger, Line, Logged, Member, Protocol, Reader, Sidecar, Topic, now_ms, unique,
};

// R15 B31
#[tokio::test]
async fn keys_values_and_headers_arrive_byte_for_byte() {
    let member = Member::new(Line::Newest, Protocol::Cooperative);
    let (ledger, group) = (Ledger::default(), unique("group"));
    let topic = Topic::create(member.cluster, 1).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let records = [
        Logged {
            key: None,
            value: Some(b"no key".to_vec()),
            ..Logged::default()
        },
        Logged {
            key: Some(b"tombstone".to_vec()),
            value: None,
            ..Logged::default()
        },
        Logged {
            key: Some(Vec::new()),
            value: Some(Vec::new()),
            ..Logged::default()
        },
        Logged {
            key: None,
            value: None,
            ..Logged::default()
        },
        Logged {
            key: Some(every_byte.clone()),
            value: Some(every_byte.repeat(600)),
            ..Logged::default()
        },
        Logged {
            key: Some(vec![0xff, 0xfe, 0x00]),
            headers: vec![
                header("twice", Some(b"first")),
                header("other", Some(&every_byte)),
                header("twice", Some(b"second")),
                header("null", None),
                header("empty", Some(b"")),
                header("", Some(b"name is empty")),
                header("größe", Some(b"name is not ASCII")),
            ],
            ..Logged::default()
        },
    ];
    let count = records.len();
    let dated = records.into_iter().map(|record| {
        (
            0,
            Logged {
                timestamp_ms: now_ms(),
                ..record
            },
        )
    });
    topic.write(&ledger, dated).await;
    let sidecar = Sidecar::start(member.settings(&group, &topic)).await;
    let mut reader = Reader::open(&sidecar.socket(), &ledger).await;
    let taken = reader.take(count).await;
    assert!(
        reader
            .ack(&taken.iter().map(|record| record.id).collect::<Vec<_>>())
            .await
            .is_empty()
    );
    reader.close().await;
    sidecar.stop().await;
    // The ledger compares each delivery with what was written.
    ledger.assert_sound();
    assert_eq!(
        taken
            .iter()
            .map(|record| record.place.offset)
            .collect::<Vec<_>>(),
        [0, 1, 2, 3, 4, 5]
    );
}
