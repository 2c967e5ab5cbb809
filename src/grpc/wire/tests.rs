//! F1 to F3 for any record, against the decoder of the generated types.

use bytes::Bytes;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::dead_letter::{Cause, Facts, Letter};
use crate::grpc::proto;

#[derive(Clone, Debug)]
struct Sample {
    offset: i64,
    timestamp: (i64, TimestampKind),
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    leader_epoch: Option<i32>,
}

impl Record for Sample {
    fn offset(&self) -> i64 {
        self.offset
    }
    fn timestamp(&self) -> (i64, TimestampKind) {
        self.timestamp
    }
    fn key(&self) -> Option<&[u8]> {
        self.key.as_deref()
    }
    fn value(&self) -> Option<&[u8]> {
        self.value.as_deref()
    }
    fn header(&self, index: usize) -> Option<Header<'_>> {
        let (name, value) = self.headers.get(index)?;
        Some(Header {
            name,
            value: value.as_deref(),
        })
    }
    fn leader_epoch(&self) -> Option<i32> {
        self.leader_epoch
    }
}

impl Sample {
    /// What the application must see.
    fn expected(&self, id: u64, attempt: u32) -> proto::Record {
        let bytes = |bytes: &Option<Vec<u8>>| bytes.clone().map(Bytes::from);
        proto::Record {
            id,
            offset: self.offset,
            timestamp_ms: self.timestamp.0,
            timestamp_type: match self.timestamp.1 {
                TimestampKind::Unknown => 0,
                TimestampKind::CreateTime => 1,
                TimestampKind::LogAppendTime => 2,
            },
            key: bytes(&self.key),
            value: bytes(&self.value),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| match String::from_utf8(name.clone()) {
                    Ok(name) => proto::Header {
                        name,
                        value: bytes(value),
                        raw_name: Bytes::new(),
                    },
                    Err(_) => proto::Header {
                        name: String::new(),
                        value: bytes(value),
                        raw_name: Bytes::from(name.clone()),
                    },
                })
                .collect(),
            attempt,
            leader_epoch: self.leader_epoch,
        }
    }
}

fn some_bytes() -> impl Strategy<Value = Option<Vec<u8>>> {
    proptest::option::of(proptest::collection::vec(any::<u8>(), 0..300))
}

prop_compose! {
    fn sample()(
        offset in prop_oneof![0..1000_i64, any::<i64>()],
        ms in prop_oneof![Just(-1), any::<i64>()],
        kind in prop_oneof![
            Just(TimestampKind::Unknown),
            Just(TimestampKind::CreateTime),
            Just(TimestampKind::LogAppendTime),
        ],
        key in some_bytes(),
        value in some_bytes(),
        headers in proptest::collection::vec(
            (
                // Few names, so that duplicates happen; one empty, two that are not UTF-8.
                prop_oneof![
                    Just(b"trace".to_vec()),
                    Just("größe".as_bytes().to_vec()),
                    Just(Vec::new()),
                    Just(vec![0xff]),
                    proptest::collection::vec(any::<u8>(), 0..200),
                ],
                some_bytes(),
            ),
            0..5,
        ),
        leader_epoch in proptest::option::of(any::<i32>()),
    ) -> Sample {
        Sample { offset, timestamp: (ms, kind), key, value, headers, leader_epoch }
    }
}

fn decode(frame: &[u8]) -> proto::Records {
    assert_eq!(frame[0], 0, "not compressed");
    let len = u32::from_be_bytes(frame[1..PREFIX].try_into().unwrap());
    assert_eq!(len as usize, frame.len() - PREFIX);
    match proto::StreamResponse::decode(&frame[PREFIX..])
        .unwrap()
        .response
    {
        Some(proto::stream_response::Response::Records(records)) => records,
        other => panic!("not records: {other:?}"),
    }
}

proptest! {
    #[test]
    fn frame_decodes_to_exactly_what_went_in(
        samples in proptest::collection::vec(
            (sample(), prop_oneof![1..3_u32, any::<u32>()], any::<bool>()), 0..20),
        topic in "[a-z.]{1,249}",
        partition in prop_oneof![0..300_i32, Just(i32::MAX)],
        assignment in any::<u64>(),
        first in 0..(1_u64 << 53),
    ) {
        let head = Head { topic: &topic, partition, assignment };
        let slots: Vec<Slot> = (first..)
            .zip(&samples)
            .map(|(id, (sample, attempt, _))| {
                Slot { id, attempt: *attempt, body_len: body_len(sample) }
            })
            .collect();
        let mut frame = Frame::new(&head, slots.iter().copied(), Vec::with_capacity);
        let reserved = frame.bytes.capacity();
        let head_len = frame.bytes.len() - PREFIX;
        prop_assert!(head_len <= HEAD_MAX as usize, "F3");
        for (slot, (sample, _, stored)) in slots.iter().zip(&samples) {
            let before = frame.bytes.len();
            if *stored {
                let mut body = Vec::new();
                encode_body(sample, &mut body);
                frame.stored(slot, &body);
            } else {
                frame.record(slot, sample);
            }
            let took = frame.bytes.len() - before;
            prop_assert!(took <= record_size(slot.body_len) as usize, "F3");
        }
        prop_assert_eq!(frame.bytes.capacity(), reserved, "F1");
        let frame = frame.finish();
        prop_assert_eq!(frame.len(), reserved, "F1");

        let records = decode(&frame);
        let expected: Vec<_> = slots
            .iter()
            .zip(&samples)
            .map(|(slot, (sample, ..))| sample.expected(slot.id, slot.attempt))
            .collect();
        prop_assert_eq!(records.topic, topic);
        prop_assert_eq!(records.partition, partition);
        prop_assert_eq!(records.assignment, assignment);
        prop_assert_eq!(records.records, expected, "F2");

        let found: Vec<_> = bodies(&frame).collect();
        prop_assert_eq!(found.len(), samples.len());
        for ((id, body), (slot, (sample, ..))) in found.iter().zip(slots.iter().zip(&samples)) {
            let mut expected = Vec::new();
            encode_body(sample, &mut expected);
            prop_assert_eq!(*id, slot.id);
            prop_assert_eq!(*body, expected.as_slice());
        }
    }

    #[test]
    fn damaged_frame_never_panics(
        sample in sample(),
        cut in any::<proptest::sample::Index>(),
        flip in any::<proptest::sample::Index>(),
        to in any::<u8>(),
    ) {
        let slot = Slot { id: 1, attempt: 1, body_len: body_len(&sample) };
        let head = Head { topic: "orders", partition: 0, assignment: 1 };
        let mut frame = Frame::new(&head, std::iter::once(slot), Vec::with_capacity);
        frame.record(&slot, &sample);
        let mut damaged = frame.finish().to_vec();
        let at = flip.index(damaged.len());
        damaged[at] = to;
        damaged.truncate(cut.index(damaged.len() + 1));
        prop_assert!(bodies(&damaged).count() <= damaged.len());
    }
}

#[test]
fn null_differs_from_empty() {
    let null = Sample {
        offset: 0,
        timestamp: (0, TimestampKind::CreateTime),
        key: None,
        value: None,
        headers: Vec::new(),
        leader_epoch: None,
    };
    let empty = Sample {
        key: Some(Vec::new()),
        value: Some(Vec::new()),
        ..null.clone()
    };
    assert_eq!(body_len(&empty), body_len(&null) + 4);
    assert_ne!(null.expected(1, 1), empty.expected(1, 1));
}

#[test]
fn other_messages_are_framed_alike() {
    let settled = proto::StreamResponse {
        response: Some(proto::stream_response::Response::Settled(proto::Settled {
            up_to_request_id: 7,
            refused: Vec::new(),
            refused_starts: Vec::new(),
        })),
    };
    let framed = message(&settled);
    assert_eq!(framed[0], 0);
    assert_eq!(
        u32::from_be_bytes(framed[1..5].try_into().unwrap()) as usize,
        framed.len() - 5
    );
    assert_eq!(
        proto::StreamResponse::decode(&framed[PREFIX..]).unwrap(),
        settled
    );
}

proptest! {
    /// B31, DL1: what is stored is what goes to a dead-letter topic.
    #[test]
    fn a_stored_record_becomes_a_dead_letter_without_loss(sample in sample()) {
        let mut body = Vec::new();
        encode_body(&sample, &mut body);
        let stored = StoredRecord::read(&body).unwrap();
        prop_assert_eq!(stored.offset(), sample.offset);
        prop_assert_eq!(stored.timestamp(), sample.timestamp);
        prop_assert_eq!(stored.leader_epoch(), sample.leader_epoch);

        let facts = Facts {
            cluster: None,
            group: "g",
            topic: "t",
            partition: 0,
            cause: Cause::Application,
            reason: "",
            failures: 0,
            at_ms: 0,
        };
        let letter = Letter::new(stored, &facts);
        let outgoing = letter.outgoing();
        prop_assert_eq!(outgoing.key, sample.key.as_deref());
        prop_assert_eq!(outgoing.value, sample.value.as_deref());
        let kept: Vec<_> = outgoing.headers.iter().take(sample.headers.len()).collect();
        prop_assert_eq!(kept.len(), sample.headers.len());
        for (kept, (name, value)) in kept.into_iter().zip(&sample.headers) {
            prop_assert_eq!((kept.name, kept.value), (&name[..], value.as_deref()));
        }
    }

    #[test]
    fn no_bytes_make_the_reader_of_bodies_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Some(record) = StoredRecord::read(&bytes) {
            prop_assert!((0..).map_while(|index| record.header(index)).count() <= bytes.len());
        }
    }
}
