//! Order, bytes and places are those of the real thing.

use super::{Fake, ids, offsets};
use crate::harness::proto::Outcome;

#[tokio::test]
async fn records_of_a_key_keep_their_order_and_others_do_not_wait() {
    let lines = [
        r#"{"key": "a", "value": "1"}"#,
        r#"{"key": "a", "value": "2"}"#,
        r#"{"key": "b", "value": "3"}"#,
    ];
    let words = [
        "--until-settled",
        "--order",
        "key",
        "--set",
        "retry.backoff.initial=1ms",
    ];
    let fake = Fake::start(&lines, &words);
    let mut reader = fake.reader().await;
    let first = reader.take(2).await;
    assert_eq!(offsets(&first), [0, 2], "the second of a key waits");
    reader.settle(&ids(&first[..1]), Outcome::Retry).await;
    reader.ack(&ids(&first[1..])).await;
    let again = reader.take(1).await;
    assert_eq!(offsets(&again), [0], "the failed one comes first");
    reader.ack(&ids(&again)).await;
    let last = reader.take(1).await;
    assert_eq!(offsets(&last), [1]);
    reader.ack(&ids(&last)).await;
    fake.ended().await.summary(0);
}

#[tokio::test]
async fn records_arrive_as_their_lines_say() {
    let lines = [
        r#"{"topic": "a", "partition": 1, "key": null, "value": {"base64": "/wA="}, "timestamp_ms": 17,
            "headers": [["h", "1"], ["h", null], ["", {"base64": ""}]], "offset": 5}"#
            .replace('\n', ""),
        r#"{"topic": "a", "partition": 1, "key": "", "offset": 9}"#.to_owned(),
        r#"{"topic": "b", "partition": 0, "value": "ä"}"#.to_owned(),
    ];
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    let fake = Fake::start(&lines, &["--until-settled", "--partitions", "2"]);
    let mut reader = fake.reader().await;
    let mut records = reader.take(3).await;
    reader.ack(&ids(&records)).await;
    records.sort_by_key(|record| (record.place.topic.clone(), record.place.offset));
    let places = records.iter().map(|record| &record.place);
    let places = places.map(|place| (place.topic.as_str(), place.partition, place.offset));
    assert_eq!(
        places.collect::<Vec<_>>(),
        [("a", 1, 5), ("a", 1, 9), ("b", 0, 0)]
    );
    let first = &records[0].record;
    assert_eq!((&first.key, first.timestamp_ms), (&None, 17));
    assert_eq!(first.value, Some(vec![0xff, 0]));
    let headers = [("h", Some(&b"1"[..])), ("h", None), ("", Some(b""))];
    let headers = headers.map(|(name, value)| (name.to_owned(), value.map(<[u8]>::to_vec)));
    assert_eq!(first.headers, headers);
    let second = &records[1].record;
    assert_eq!((&second.key, &second.value), (&Some(Vec::new()), &None));
    assert_eq!(records[2].record.value, Some("ä".as_bytes().to_vec()));
    fake.ended().await.summary(0);
}

#[tokio::test]
async fn records_of_one_key_go_to_one_partition() {
    let lines: Vec<String> = (0..40)
        .map(|n| format!("{{\"key\": \"{}\"}}", n % 5))
        .collect();
    let fake = Fake::start(
        &super::as_lines(&lines),
        &["--until-settled", "--partitions", "3"],
    );
    let mut reader = fake.reader().await;
    let records = reader.take(40).await;
    reader.ack(&ids(&records)).await;
    let mut places: Vec<_> = records
        .iter()
        .map(|record| (record.record.key.clone(), record.place.partition))
        .collect();
    places.sort();
    places.dedup();
    assert_eq!(places.len(), 5, "one partition for each key: {places:?}");
    fake.ended().await.summary(0);
}
