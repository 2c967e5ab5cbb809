//! Writing dead letters.

#![allow(clippy::disallowed_methods, reason = "deadlines of tests")]

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rdkafka::bindings::rd_kafka_resp_err_t as E;

use super::bed::{Bed, PRODUCE};
use crate::kafka::GroupProtocol::ClassicCooperative;
use crate::kafka::producer::{BYTES_MAX, RECORDS_MAX};
use crate::kafka::properties::PRODUCER_GUARANTEES;
use crate::kafka::{
    Bell, ClientSettings, DeadLetterProducer, Sasl, SaslMechanism, Secret, SendError, Tls,
    refused_property,
};
use crate::record::{Header, OutgoingRecord, TimestampKind};

/// Longer than anything takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(40);

/// A producer and its bell.
struct Writer {
    producer: DeadLetterProducer,
    bell: Bell,
    reports: BTreeMap<u64, Result<(), SendError>>,
}

impl Writer {
    fn new(settings: &ClientSettings) -> Self {
        let bell = Bell::default();
        Self {
            producer: DeadLetterProducer::new(settings, bell.wake()),
            bell,
            reports: BTreeMap::new(),
        }
    }

    fn of(bed: &Bed) -> Self {
        let mut settings = bed.settings("g", ClassicCooperative);
        let quick = [("topic.metadata.propagation.max.ms", "500")];
        let quick = quick.map(|(key, value)| (key.to_owned(), value.to_owned()));
        settings.properties.extend(quick);
        Self::new(&settings)
    }

    fn send(&mut self, token: u64, value: &[u8]) {
        self.producer.send(token, "t", &record(value)).unwrap();
    }

    fn poll(&mut self) {
        let mut reports = Vec::new();
        self.producer.poll(&mut reports);
        for (token, result) in reports {
            let before = self.reports.insert(token, result);
            assert_eq!(before, None, "P1: {token} is reported once");
        }
    }

    /// Polls when the bell rings, until a token is reported.
    fn report(&mut self, token: u64) -> Result<(), SendError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            self.poll();
            if let Some(result) = self.reports.remove(&token) {
                return result;
            }
            assert!(Instant::now() < deadline, "no report of {token}");
            self.bell.wait(Duration::from_secs(1));
        }
    }
}

fn record(value: &[u8]) -> OutgoingRecord<'_> {
    OutgoingRecord {
        partition: None,
        timestamp_ms: None,
        key: None,
        value: Some(value),
        headers: Vec::new(),
    }
}

fn permanent(result: Result<(), SendError>) -> String {
    match result {
        Err(SendError::Permanent(text)) => text,
        Ok(()) | Err(SendError::Transient(_)) => panic!("not permanent: {result:?}"),
    }
}

fn transient(result: Result<(), SendError>) -> String {
    match result {
        Err(SendError::Transient(text)) => text,
        Ok(()) | Err(SendError::Permanent(_)) => panic!("not transient: {result:?}"),
    }
}

/// B31, DL1.
#[test]
fn dead_letters_arrive_byte_for_byte() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    let binary: Vec<u8> = (0..=255).collect();
    let headers: [(&[u8], Option<&[u8]>); 6] = [
        (b"a", Some(b"1")),
        (b"a", None),
        (b"a", Some(b"")),
        (b"", Some(&binary)),
        (b"\xff\xfe", Some(b"x")),
        (b"a", Some(b"1")),
    ];
    let full = OutgoingRecord {
        partition: Some(0),
        timestamp_ms: Some(1_700_000_000_123),
        key: Some(&binary),
        value: Some(&binary),
        headers: headers
            .iter()
            .map(|&(name, value)| Header { name, value })
            .collect(),
    };
    let empty = OutgoingRecord {
        key: Some(b""),
        value: Some(b""),
        headers: Vec::new(),
        ..full.clone()
    };
    let null = OutgoingRecord {
        key: None,
        value: None,
        ..empty.clone()
    };
    for (token, record) in [(1, &full), (2, &empty), (3, &null)] {
        writer.producer.send(token, "t", record).unwrap();
        assert_eq!(writer.report(token), Ok(()));
    }
    assert_eq!(writer.producer.outstanding(), 0);

    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    let read = member.records(3);
    let expected: Vec<(Vec<u8>, Option<Vec<u8>>)> = headers
        .iter()
        .map(|(name, value)| (name.to_vec(), value.map(<[u8]>::to_vec)))
        .collect();
    assert_eq!(read[0].headers, expected);
    assert_eq!(
        (&read[0].key, &read[0].value),
        (&Some(binary.clone()), &Some(binary))
    );
    assert_eq!(
        read[0].timestamp,
        (1_700_000_000_123, TimestampKind::CreateTime)
    );
    assert_eq!(
        (&read[1].key, &read[1].value),
        (&Some(vec![]), &Some(vec![]))
    );
    assert_eq!((&read[2].key, &read[2].value), (&None, &None));
    assert_eq!(read[2].headers, []);
}

#[test]
fn an_unknown_topic_is_permanent_and_a_topic_made_later_is_found() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    writer.producer.send(1, "nowhere", &record(b"x")).unwrap();
    let text = permanent(writer.report(1));
    assert!(text.to_lowercase().contains("unknown topic"), "{text}");
    writer.send(2, b"x");
    assert_eq!(writer.report(2), Ok(()), "the others are not held up");
    let partition = OutgoingRecord {
        partition: Some(7),
        ..record(b"x")
    };
    let sent = writer.producer.send(3, "t", &partition);
    permanent(sent.and_then(|()| writer.report(3)));
}

#[test]
fn what_is_too_large_is_permanent_for_it_alone() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    bed.inject(PRODUCE, &[E::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE]);
    writer.send(1, b"x");
    permanent(writer.report(1));
    writer.send(2, b"x");
    assert_eq!(writer.report(2), Ok(()));
}

#[test]
fn what_the_broker_forbids_is_permanent_with_its_words() {
    let bed = Bed::new(&["t"], 1);
    for code in [
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_INVALID_RECORD,
    ] {
        let mut writer = Writer::of(&bed);
        bed.inject(PRODUCE, &[code]);
        writer.send(1, b"x");
        assert!(!permanent(writer.report(1)).is_empty());
    }
}

#[test]
fn a_broker_that_is_away_is_transient_and_later_it_succeeds() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    writer.producer.expire_after("1500");
    writer.send(1, b"x");
    assert_eq!(writer.report(1), Ok(()));
    bed.broker_down();
    writer.send(2, b"x");
    let text = transient(writer.report(2));
    assert!(text.contains("timed out"), "{text}");
    bed.broker_up();
    let mut last = Ok(());
    for token in 3..30 {
        writer.send(token, b"x");
        last = writer.report(token);
        if last.is_ok() {
            break;
        }
        transient(last.clone());
    }
    assert_eq!(last, Ok(()));
}

/// P2: the broker's answer is what counts, and one that can pass is asked for again by the client.
#[test]
fn an_error_that_passes_is_not_told_at_all() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    bed.inject(
        PRODUCE,
        &[
            E::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
            E::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        ],
    );
    writer.send(1, b"once");
    assert_eq!(writer.report(1), Ok(()));
    let mut member = bed.member("g", ClassicCooperative);
    member.join_and_start(0);
    assert_eq!(member.records(1)[0].text(), "once");
}

#[test]
fn a_full_queue_is_transient_and_one_record_always_fits() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    bed.broker_down();
    let large = vec![b'x'; BYTES_MAX + 1];
    writer.send(1, &large);
    transient(writer.producer.send(2, "t", &record(b"x")));
    assert_eq!(
        writer.producer.outstanding(),
        1,
        "the refused one is forgotten"
    );

    let mut writer = Writer::of(&bed);
    for token in 0..RECORDS_MAX {
        writer.send(token as u64, b"");
    }
    transient(writer.producer.send(9_999, "t", &record(b"")));
}

/// P1.
#[test]
fn a_producer_that_dies_reports_everything_and_is_made_anew() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    writer.send(1, b"x");
    assert_eq!(writer.report(1), Ok(()));
    bed.broker_down();
    writer.send(2, b"x");
    writer.send(3, b"x");
    writer
        .producer
        .die_of(E::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER);
    transient(writer.report(2));
    transient(writer.report(3));
    bed.broker_up();
    writer.send(4, b"x");
    assert_eq!(writer.report(4), Ok(()));

    writer.send(5, b"x");
    writer
        .producer
        .die_of(E::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED);
    // The broker may have been quicker.
    if writer.report(5).is_err() {
        assert_eq!(writer.producer.outstanding(), 0);
    }
}

/// K7.
#[test]
fn a_producer_with_records_under_way_is_dropped_at_once() {
    let bed = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    bed.broker_down();
    writer.send(1, b"x");
    let start = Instant::now();
    drop(writer);
    assert!(start.elapsed() < Duration::from_secs(1));
}

#[test]
fn new_settings_are_in_force_when_nothing_is_under_way() {
    let bed = Bed::new(&["t"], 1);
    let other = Bed::new(&["t"], 1);
    let mut writer = Writer::of(&bed);
    writer.send(1, b"old");
    writer
        .producer
        .change_settings(&other.settings("g", ClassicCooperative));
    assert_eq!(writer.report(1), Ok(()));
    writer.send(2, b"new");
    assert_eq!(writer.report(2), Ok(()));
    let mut member = other.member("g", ClassicCooperative);
    member.join_and_start(0);
    assert_eq!(member.records(1)[0].text(), "new");
}

#[test]
fn settings_that_make_no_producer_are_told_with_the_record() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = bed.settings("g", ClassicCooperative);
    settings
        .properties
        .insert("compression.type".to_owned(), "best".to_owned());
    let mut writer = Writer::new(&settings);
    let text = transient(writer.producer.send(1, "t", &record(b"x")));
    assert!(text.contains("compression.type"), "{text}");
    assert_eq!(writer.producer.outstanding(), 0);
}

/// The producer reaches the same brokers in the same way, and its guarantees cannot be taken back.
#[test]
fn connection_settings_are_carried_over_and_guarantees_set_last() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = bed.settings("g", ClassicCooperative);
    settings.tls = Some(Tls {
        ca_file: Some(PathBuf::from("/ca")),
        cert_file: Some(PathBuf::from("/cert")),
        key_file: Some(PathBuf::from("/key")),
    });
    settings.sasl = Some(Sasl {
        mechanism: SaslMechanism::ScramSha512,
        username: "alice".to_owned(),
        password: Secret::new("canary".to_owned()),
    });
    for (key, _) in PRODUCER_GUARANTEES {
        assert!(refused_property(key).is_some(), "{key}");
        settings
            .properties
            .insert((*key).to_owned(), "user".to_owned());
    }
    for (key, value) in [
        ("client.id", "mine"),
        ("linger.ms", "7"),
        ("isolation.level", "x"),
    ] {
        settings.properties.insert(key.to_owned(), value.to_owned());
    }
    let set: BTreeMap<String, String> = settings
        .to_producer_properties()
        .into_iter()
        .map(|(key, value)| (key, value.as_str().to_owned()))
        .collect();
    for (key, value) in [
        ("bootstrap.servers", settings.brokers[0].as_str()),
        ("security.protocol", "SASL_SSL"),
        ("ssl.ca.location", "/ca"),
        ("ssl.certificate.location", "/cert"),
        ("ssl.key.location", "/key"),
        ("sasl.mechanism", "SCRAM-SHA-512"),
        ("sasl.username", "alice"),
        ("sasl.password", "canary"),
        ("client.id", "mine"),
        ("linger.ms", "7"),
    ] {
        assert_eq!(set[key], value, "{key}");
    }
    for (key, value) in PRODUCER_GUARANTEES {
        assert_eq!(set[*key], *value, "{key}");
    }
    for key in [
        "group.id",
        "isolation.level",
        "fetch.max.bytes",
        "check.crcs",
    ] {
        assert!(!set.contains_key(key), "{key} is for consumers");
    }
}
