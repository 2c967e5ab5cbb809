//! Produces a record that no client library here can: a header's name may be any bytes in the log, but is text to the
//! bindings of librdkafka.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cluster::Cluster;

const PRODUCE: i16 = 0;
const VERSION: i16 = 3;

/// Writes one record without a key, with one header, to partition 0. Returns its offset.
pub(crate) async fn produce_with_raw_name(
    cluster: &Cluster,
    topic: &str,
    value: &[u8],
    name: &[u8],
    header: &[u8],
) -> i64 {
    let batch = batch(value, name, header);
    let mut request = Vec::new();
    request.extend(PRODUCE.to_be_bytes());
    request.extend(VERSION.to_be_bytes());
    request.extend(7_i32.to_be_bytes()); // correlation
    text(&mut request, "raw"); // client
    request.extend((-1_i16).to_be_bytes()); // no transaction
    request.extend((-1_i16).to_be_bytes()); // all replicas
    request.extend(30_000_i32.to_be_bytes()); // time-out
    request.extend(1_i32.to_be_bytes());
    text(&mut request, topic);
    request.extend(1_i32.to_be_bytes());
    request.extend(0_i32.to_be_bytes()); // partition
    bytes(&mut request, &batch);

    let mut connection = TcpStream::connect(cluster.brokers()).await.unwrap();
    let mut frame = Vec::new();
    bytes(&mut frame, &request);
    connection.write_all(&frame).await.unwrap();
    let size = usize::try_from(connection.read_i32().await.unwrap()).unwrap();
    let mut answer = vec![0; size];
    connection.read_exact(&mut answer).await.unwrap();
    // Correlation, one topic with its name, one partition with its number; then an error code and the offset.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    let error = i16::from_be_bytes(answer[at..at + 2].try_into().unwrap());
    assert_eq!(error, 0, "the broker refuses the record");
    i64::from_be_bytes(answer[at + 2..at + 10].try_into().unwrap())
}

/// A record batch of format 2.
fn batch(value: &[u8], name: &[u8], header: &[u8]) -> Vec<u8> {
    let mut record = vec![0]; // attributes
    varint(&mut record, 0); // timestamp, against that of the batch
    varint(&mut record, 0); // offset, likewise
    varint(&mut record, -1); // no key
    sized(&mut record, value);
    varint(&mut record, 1);
    sized(&mut record, name);
    sized(&mut record, header);

    let mut checked = Vec::new();
    checked.extend(0_i16.to_be_bytes()); // attributes
    checked.extend(0_i32.to_be_bytes()); // last offset, against the first
    let now = super::now_ms();
    checked.extend(now.to_be_bytes()); // first timestamp
    checked.extend(now.to_be_bytes()); // last timestamp
    checked.extend((-1_i64).to_be_bytes()); // no producer id
    checked.extend((-1_i16).to_be_bytes()); // nor its epoch
    checked.extend((-1_i32).to_be_bytes()); // nor a sequence
    checked.extend(1_i32.to_be_bytes()); // records
    sized(&mut checked, &record);

    let mut rest = Vec::new();
    rest.extend((-1_i32).to_be_bytes()); // leader epoch
    rest.push(2); // format
    rest.extend(crc32c(&checked).to_be_bytes());
    rest.extend(checked);
    let mut batch = Vec::new();
    batch.extend(0_i64.to_be_bytes()); // first offset
    bytes(&mut batch, &rest);
    batch
}

fn text(into: &mut Vec<u8>, text: &str) {
    into.extend(i16::try_from(text.len()).unwrap().to_be_bytes());
    into.extend(text.as_bytes());
}

fn bytes(into: &mut Vec<u8>, content: &[u8]) {
    into.extend(i32::try_from(content.len()).unwrap().to_be_bytes());
    into.extend(content);
}

fn sized(into: &mut Vec<u8>, content: &[u8]) {
    varint(into, i64::try_from(content.len()).unwrap());
    into.extend(content);
}

/// Zigzag, seven bits a byte, the lowest first.
fn varint(into: &mut Vec<u8>, number: i64) {
    let mut rest = (number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned();
    while rest >= 0x80 {
        into.push(rest.to_le_bytes()[0] | 0x80);
        rest >>= 7;
    }
    into.push(rest.to_le_bytes()[0]);
}

fn crc32c(content: &[u8]) -> u32 {
    let mut crc = !0_u32;
    for &byte in content {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg());
        }
    }
    !crc
}
