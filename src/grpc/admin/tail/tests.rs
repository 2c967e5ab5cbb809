use super::*;
use crate::core::TopicIndex;
use crate::grpc::wire::{Frame, Head, Slot, body_len, encode_body};
use crate::record::{Header, Record, TimestampKind};

/// A record with a key and a value of so many bytes.
struct Plain(i64, Option<&'static [u8]>, Vec<u8>);

impl Record for Plain {
    fn offset(&self) -> i64 {
        self.0
    }

    fn timestamp(&self) -> (i64, TimestampKind) {
        (1_700_000_000_000, TimestampKind::CreateTime)
    }

    fn key(&self) -> Option<&[u8]> {
        self.1
    }

    fn value(&self) -> Option<&[u8]> {
        Some(&self.2)
    }

    fn header(&self, index: usize) -> Option<Header<'_>> {
        let header = Header {
            name: b"trace",
            value: None,
        };
        (index < 2).then_some(header)
    }

    fn leader_epoch(&self) -> Option<i32> {
        Some(4)
    }
}

fn everything() -> Wanted {
    Wanted {
        scope: Scope::Everything,
        key: None,
        payload: false,
    }
}

fn partition(partition: i32) -> PartitionId {
    PartitionId {
        topic: TopicIndex(0),
        partition,
    }
}

/// Hands out a frame of these records, the first of them for the third time.
fn pass(taps: &mut Taps, to: i32, records: &[Plain]) {
    let slot = |(index, record): (usize, &Plain)| Slot {
        id: 100 + index as u64,
        attempt: if index == 0 { 3 } else { 1 },
        body_len: body_len(record),
    };
    let slots: Vec<Slot> = records.iter().enumerate().map(slot).collect();
    let head = Head {
        topic: "orders",
        partition: to,
        assignment: 1,
    };
    let mut frame = Frame::new(&head, slots.iter().copied(), Vec::with_capacity);
    for (slot, record) in slots.iter().zip(records) {
        frame.record(slot, record);
    }
    let passing = Passing {
        topic: "orders",
        partition: partition(to),
        stream: StreamId(7),
        frame: &frame.finish(),
    };
    taps.show(&passing, slots.iter().map(|slot| slot.attempt));
}

fn plain(offset: i64, key: &'static [u8]) -> Plain {
    Plain(offset, Some(key), vec![b'v'; 10])
}

async fn offsets(tail: &Tail) -> Vec<i64> {
    let told = tail.next().await;
    told.records.iter().map(|record| record.offset).collect()
}

/// T3.
#[tokio::test]
async fn a_record_is_told_without_its_value_unless_that_was_asked_for() {
    let mut taps = Taps::default();
    let tail = taps.open(everything()).unwrap();
    let payload = Wanted {
        payload: true,
        ..everything()
    };
    let whole = taps.open(payload).unwrap();
    pass(&mut taps, 3, &[plain(17, b"a")]);
    let expected = proto::TailedRecord {
        topic: "orders".to_owned(),
        partition: 3,
        offset: 17,
        id: 100,
        attempt: 3,
        stream: 7,
        key: Some(Bytes::from_static(b"a")),
        key_bytes: 1,
        value_bytes: Some(10),
        value: None,
        headers: 2,
        timestamp_ms: Some(1_700_000_000_000),
    };
    assert_eq!(tail.next().await.records, [expected]);
    let told = whole.next().await.records.remove(0);
    assert_eq!(told.value.as_deref(), Some(&[b'v'; 10][..]));
}

#[tokio::test]
async fn only_what_was_asked_for_is_told() {
    let mut taps = Taps::default();
    let all = taps.open(everything()).unwrap();
    let of_3 = Wanted {
        scope: Scope::Partition(partition(3)),
        ..everything()
    };
    let of_3 = taps.open(of_3).unwrap();
    let of_b = Wanted {
        key: Some(Bytes::from_static(b"b")),
        ..everything()
    };
    let of_b = taps.open(of_b).unwrap();
    pass(
        &mut taps,
        2,
        &[plain(1, b"a"), plain(2, b"b"), plain(3, b"bb")],
    );
    pass(&mut taps, 3, &[plain(4, b"a"), Plain(5, None, Vec::new())]);
    assert_eq!(offsets(&all).await, [1, 2, 3, 4, 5]);
    assert_eq!(offsets(&of_3).await, [4, 5]);
    assert_eq!(offsets(&of_b).await, [2]);
}

/// T1, T2.
#[tokio::test]
async fn what_is_not_read_in_time_is_counted_and_left_out() {
    let mut taps = Taps::default();
    let tail = taps.open(everything()).unwrap();
    let of_b = Wanted {
        key: Some(Bytes::from_static(b"b")),
        ..everything()
    };
    let of_b = taps.open(of_b).unwrap();
    let many = i64::try_from(RECORDS_MAX).unwrap() + 5;
    for offset in 0..many {
        pass(&mut taps, 0, &[plain(offset, b"a"), plain(offset, b"b")]);
    }
    let told = tail.next().await;
    assert_eq!(told.records.len(), RECORDS_MAX);
    assert_eq!(told.left_out, 2 * many.unsigned_abs() - RECORDS_MAX as u64);
    let told = of_b.next().await;
    assert_eq!((told.records.len(), told.left_out), (RECORDS_MAX, 5));
    pass(&mut taps, 0, &[plain(9, b"a")]);
    let told = tail.next().await;
    assert_eq!(
        (told.records.len(), told.left_out),
        (1, 0),
        "there is room again"
    );
}

/// T2.
#[tokio::test]
async fn large_keys_and_values_are_cut_and_fill_the_buffer_early() {
    let mut taps = Taps::default();
    let payload = Wanted {
        payload: true,
        ..everything()
    };
    let tail = taps.open(payload).unwrap();
    for offset in 0..100 {
        let large = Plain(offset, Some(&[b'k'; 1000]), vec![0; 100_000]);
        pass(&mut taps, 0, &[large]);
    }
    let told = tail.next().await;
    let bytes: usize = told.records.iter().map(size).sum();
    let one = KEY_BYTES_MAX + VALUE_BYTES_MAX;
    assert!((BYTES_MAX..BYTES_MAX + one).contains(&bytes), "{bytes}");
    assert_eq!(told.records.len() as u64 + told.left_out, 100);
    let first = &told.records[0];
    assert_eq!(first.key.as_ref().unwrap().len(), KEY_BYTES_MAX);
    assert_eq!((first.key_bytes, first.value_bytes), (1000, Some(100_000)));
    assert_eq!(first.value.as_ref().unwrap().len(), VALUE_BYTES_MAX);
}

/// T4.
#[tokio::test]
async fn a_few_may_look_on_and_who_goes_away_makes_room() {
    let mut taps = Taps::default();
    assert!(taps.is_empty());
    let mut tails: Vec<_> = (0..TAILS_MAX)
        .map(|_| taps.open(everything()).unwrap())
        .collect();
    assert_eq!(taps.open(everything()).unwrap_err(), TooManyTails);
    tails.pop();
    tails.push(taps.open(everything()).unwrap());
    tails.clear();
    pass(&mut taps, 0, &[plain(1, b"a")]);
    assert!(taps.is_empty());
}

#[test]
fn a_glance_sees_what_the_record_says() {
    let record = Plain(-5, Some(b""), vec![1; 300]);
    let mut body = Vec::new();
    encode_body(&record, &mut body);
    let seen = Glance::read(&body).unwrap();
    assert_eq!((seen.offset, seen.headers), (-5, 2));
    assert_eq!((seen.key, seen.value), (Some(&[][..]), record.value()));
    assert_eq!(seen.timestamp_ms, Some(1_700_000_000_000));
    for end in 1..body.len() {
        let _cut_short = Glance::read(&body[..end]);
    }
    assert_eq!(Glance::read(&[0x7f, 1]), None);
}
