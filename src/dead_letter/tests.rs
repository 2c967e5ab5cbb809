use proptest::prelude::*;

use super::headers::name;
use super::*;
use crate::record::{Header, OutgoingRecord, Record, TimestampKind};

/// A record with parts of its own.
#[derive(Clone, Debug)]
struct Own {
    timestamp: (i64, TimestampKind),
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    leader_epoch: Option<i32>,
}

impl Record for Own {
    fn offset(&self) -> i64 {
        41
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

fn own(headers: &[(&[u8], Option<&[u8]>)]) -> Own {
    let header =
        |(name, value): &(&[u8], Option<&[u8]>)| (name.to_vec(), value.map(<[u8]>::to_vec));
    Own {
        timestamp: (1_700_000_000_123, TimestampKind::CreateTime),
        key: Some(b"key".to_vec()),
        value: None,
        headers: headers.iter().map(header).collect(),
        leader_epoch: Some(3),
    }
}

/// What was written, as a record that is read.
fn read_back(outgoing: &OutgoingRecord<'_>) -> Own {
    let header = |header: &Header<'_>| (header.name.to_vec(), header.value.map(<[u8]>::to_vec));
    Own {
        timestamp: (
            outgoing.timestamp_ms.unwrap_or(-1),
            TimestampKind::CreateTime,
        ),
        key: outgoing.key.map(<[u8]>::to_vec),
        value: outgoing.value.map(<[u8]>::to_vec),
        headers: outgoing.headers.iter().map(header).collect(),
        leader_epoch: None,
    }
}

const FACTS: Facts<'static> = Facts {
    cluster: Some("cluster-1"),
    group: "orders-service",
    topic: "orders",
    partition: 7,
    cause: Cause::Failures,
    reason: "no such customer",
    failures: 10,
    at_ms: 1_764_302_706_789,
};

#[test]
fn what_is_written_is_text_that_any_tool_can_read() {
    let letter = Letter::new(own(&[]), &FACTS);
    let outgoing = letter.outgoing();
    let shown: Vec<(String, String)> = outgoing
        .headers
        .iter()
        .map(|header| {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            (text(header.name), text(header.value.unwrap()))
        })
        .collect();
    let expected = [
        ("ackline.cluster", "cluster-1"),
        ("ackline.group", "orders-service"),
        ("ackline.topic", "orders"),
        ("ackline.partition", "7"),
        ("ackline.offset", "41"),
        ("ackline.leader-epoch", "3"),
        ("ackline.timestamp", "1700000000123"),
        ("ackline.timestamp-type", "create_time"),
        ("ackline.cause", "failures"),
        ("ackline.reason", "no such customer"),
        ("ackline.failures", "10"),
        ("ackline.at", "2025-11-28T04:05:06.789Z"),
    ];
    let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
    assert_eq!(shown, expected);
    assert_eq!(outgoing.timestamp_ms, Some(1_700_000_000_123));
    assert_eq!((outgoing.key, outgoing.value), (Some(&b"key"[..]), None));
}

#[test]
fn everything_written_is_read_back() {
    let letter = Letter::new(own(&[]), &FACTS);
    let expected = DeadLetterHeaders {
        cluster: Some("cluster-1".to_owned()),
        group: Some("orders-service".to_owned()),
        topic: Some("orders".to_owned()),
        partition: Some(7),
        offset: Some(41),
        leader_epoch: Some(3),
        timestamp_ms: Some(1_700_000_000_123),
        timestamp_kind: Some(TimestampKind::CreateTime),
        cause: Some("failures".to_owned()),
        reason: Some("no such customer".to_owned()),
        failures: Some(10),
        at_ms: Some(FACTS.at_ms),
    };
    assert_eq!(
        DeadLetterHeaders::read(&read_back(&letter.outgoing())),
        expected
    );
}

#[test]
fn what_nobody_knows_is_left_out() {
    let mut record = own(&[]);
    record.leader_epoch = None;
    record.timestamp = (-1, TimestampKind::Unknown);
    let facts = Facts {
        cluster: None,
        ..FACTS
    };
    let letter = Letter::new(record, &facts);
    let outgoing = letter.outgoing();
    assert_eq!(outgoing.timestamp_ms, None, "the time of writing");
    let read = DeadLetterHeaders::read(&read_back(&outgoing));
    assert_eq!((read.cluster, read.leader_epoch), (None, None));
    assert_eq!(read.timestamp_ms, Some(-1));
    assert_eq!(read.timestamp_kind, Some(TimestampKind::Unknown));
}

#[test]
fn headers_of_an_earlier_dead_letter_are_replaced_and_all_others_kept() {
    let record = own(&[
        (b"a", Some(b"1")),
        (b"ackline.cluster", Some(b"forged")),
        (b"a", None),
        (b"ackline.at", None),
        (b"", Some(b"")),
        (b"\xff\x00name", Some(b"2")),
        (b"ackline.cluster", Some(b"twice")),
        (b"ackline.redriven-from", Some(b"orders.dlq/0/1")),
        (b"ackline.other", Some(b"not ours")),
        (b"a", Some(b"1")),
    ]);
    let letter = Letter::new(record, &FACTS);
    let outgoing = letter.outgoing();
    let kept: Vec<(&[u8], Option<&[u8]>)> = outgoing
        .headers
        .iter()
        .map(|header| (header.name, header.value))
        .take(7)
        .collect();
    let expected: [(&[u8], Option<&[u8]>); 7] = [
        (b"a", Some(b"1")),
        (b"a", None),
        (b"", Some(b"")),
        (b"\xff\x00name", Some(b"2")),
        (b"ackline.redriven-from", Some(b"orders.dlq/0/1")),
        (b"ackline.other", Some(b"not ours")),
        (b"a", Some(b"1")),
    ];
    assert_eq!(kept, expected);
    for ours in name::ALL {
        let count = outgoing
            .headers
            .iter()
            .filter(|header| header.name == ours.as_bytes())
            .count();
        assert_eq!(count, 1, "{ours}");
    }
}

#[test]
fn a_long_reason_is_cut_between_characters() {
    let long = "ä".repeat(600);
    let facts = Facts {
        reason: &format!("x{long}"),
        ..FACTS
    };
    let letter = Letter::new(own(&[]), &facts);
    let read = DeadLetterHeaders::read(&read_back(&letter.outgoing()));
    assert_eq!(read.reason.map(|reason| reason.len()), Some(1_023));
}

#[test]
fn hostile_headers_are_read_as_far_as_they_make_sense() {
    let endless = vec![b'9'; 100_000];
    let record = own(&[
        (b"ackline.partition", Some(b"99999999999999999999")),
        (b"ackline.offset", Some(b"+5")),
        (b"ackline.failures", Some(b"-1")),
        (b"ackline.leader-epoch", Some(b"")),
        (b"ackline.timestamp", Some(b"0x10")),
        (b"ackline.timestamp-type", Some(b"CREATE_TIME")),
        (b"ackline.at", Some(b"yesterday")),
        (b"ackline.topic", None),
        (b"ackline.group", Some(b"g\xff\x1b[31m")),
        (b"ackline.reason", Some(&endless)),
    ]);
    let read = DeadLetterHeaders::read(&record);
    let expected = DeadLetterHeaders {
        group: Some("g\u{fffd}\u{1b}[31m".to_owned()),
        reason: Some("9".repeat(REASON_BYTES_MAX)),
        ..DeadLetterHeaders::default()
    };
    assert_eq!(read, expected);
    assert!(DeadLetterHeaders::read(&own(&[(b"a", None)])).is_empty());
}

#[test]
fn the_way_back_takes_off_what_the_way_there_put_on() {
    let before: [(&[u8], Option<&[u8]>); 3] = [(b"a", Some(b"")), (b"a", None), (b"\xff", None)];
    let letter = Letter::new(own(&before), &FACTS);
    let mut dead = read_back(&letter.outgoing());
    dead.timestamp = (5, TimestampKind::LogAppendTime);
    let back = Redrive::new(dead, "orders.dlq", 2, None);
    let outgoing = back.outgoing(Some(7));
    let place: (&[u8], Option<&[u8]>) = (b"ackline.redriven-from", Some(b"orders.dlq/2/41"));
    let headers: Vec<_> = outgoing
        .headers
        .iter()
        .map(|header| (header.name, header.value))
        .collect();
    assert_eq!(headers, [before[0], before[1], before[2], place]);
    assert_eq!(
        outgoing.timestamp_ms,
        Some(1_700_000_000_123),
        "as it was once"
    );
    assert_eq!(outgoing.partition, Some(7));
    assert_eq!((outgoing.key, outgoing.value), (Some(&b"key"[..]), None));
}

#[test]
fn a_record_sent_back_for_one_group_is_foreign_to_all_others() {
    let once = Redrive::new(own(&[(b"a", None)]), "orders.dlq", 0, Some("billing"));
    let once = read_back(&once.outgoing(None));
    assert!(is_for_another_group(&once, b"orders-service"));
    assert!(!is_for_another_group(&once, b"billing"));
    let again = Redrive::new(once.clone(), "orders.dlq", 0, Some("mail"));
    let again = read_back(&again.outgoing(None));
    assert!(
        is_for_another_group(&again, b"billing"),
        "the last word counts"
    );
    let to_all = Redrive::new(once, "orders.dlq", 0, None);
    let to_all = read_back(&to_all.outgoing(None));
    assert!(!is_for_another_group(&to_all, b"orders-service"));
    assert!(!is_for_another_group(
        &own(&[(b"ackline.redrive-group", None)]),
        b"g"
    ));
}

fn bytes(max: usize) -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..max)
}

fn any_record() -> impl Strategy<Value = Own> {
    let ours = prop::sample::select(&name::ALL[..]).prop_map(|name| name.as_bytes().to_vec());
    let name = prop_oneof![bytes(8), ours];
    let headers = prop::collection::vec((name, prop::option::of(bytes(20))), 0..8);
    let parts = (
        prop::option::of(bytes(8)),
        prop::option::of(bytes(8)),
        headers,
    );
    let kind = prop::sample::select(vec![
        TimestampKind::Unknown,
        TimestampKind::CreateTime,
        TimestampKind::LogAppendTime,
    ]);
    (parts, any::<i64>(), kind).prop_map(|((key, value, headers), at, kind)| Own {
        timestamp: (at, kind),
        key,
        value,
        headers,
        leader_epoch: None,
    })
}

proptest! {
    /// DL1, DL2, DL3.
    #[test]
    fn nothing_of_a_record_is_lost_there_and_back(record in any_record(), reason in "\\PC{0,40}") {
        let kept: Vec<_> = record
            .headers
            .iter()
            .filter(|(name, _)| !name::ALL.iter().any(|ours| ours.as_bytes() == name))
            .cloned()
            .collect();
        let letter = Letter::new(record.clone(), &Facts { reason: &reason, ..FACTS });
        let dead = read_back(&letter.outgoing());
        prop_assert_eq!(&dead.headers[..kept.len()], &kept[..]);
        let read = DeadLetterHeaders::read(&dead);
        prop_assert_eq!(read.reason.as_deref(), Some(reason.as_str()));
        prop_assert_eq!(read.timestamp_ms, Some(record.timestamp.0));
        let back = Redrive::new(dead, "dead", 0, None);
        let back = read_back(&back.outgoing(None));
        prop_assert_eq!(&back.headers[..kept.len()], &kept[..]);
        prop_assert_eq!(back.headers.len(), kept.len() + 1);
        prop_assert_eq!((back.key, back.value), (record.key, record.value));
    }
}
