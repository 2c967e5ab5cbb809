//! Record frames, written by hand.
//!
//! A frame is one gRPC message with records of one partition: five bytes of prefix, then a
//! `StreamResponse`, in it `Records`, in it each `Record`. Encoding them through the generated types
//! would cost an allocation per key, value and header; here the bytes go from the Kafka client's
//! memory straight to their place in a buffer of exactly the right size.
//!
//! ```text
//! 00 len4 │ 12 len │ 0a topic 10 partition 18 assignment │ 22 len │ 09 id8 40 attempt │ body │ 22 …
//! prefix    StreamResponse.records                         Records.records[0]
//! ```
//!
//! The *body* of a record is all of its fields but `id` and `attempt`, the two that change when it
//! is delivered again. A body can be stored and sent later as it is, and a sent frame is itself a
//! store of the bodies in it: [`bodies`] finds them.
//!
//! # Invariants
//!
//! - F1: a frame's buffer is allocated once, and holds exactly what was announced when it was.
//! - F2: what is written decodes with the generated types to exactly what the record said.
//! - F3: a record takes at most [`RECORD_OVERHEAD`] bytes besides its body, and everything before
//!   the first record at most [`HEAD_MAX`].

use bytes::Bytes;
use prost::encoding::{decode_varint, encoded_len_varint};

pub use glance::Glance;
use small::Small;
pub use stored::StoredRecord;

use crate::record::{Header, Record, TimestampKind};

/// Bytes of gRPC framing before each message: a flag and a length.
pub const PREFIX: usize = 5;

/// The most that a record takes in a frame besides its body: tag and length, id, attempt.
pub const RECORD_OVERHEAD: u32 = (1 + 5) + (1 + 8) + (1 + 5);

/// The most that a frame takes before its first record, prefix excluded; topic names are at most
/// 249 characters in Kafka.
pub const HEAD_MAX: u32 = (1 + 5) + (1 + 2 + 249) + (1 + 10) + (1 + 10);

/// Tag and value of the id.
const ID_LEN: usize = 1 + 8;

/// Tags of the fields, wire type included.
mod tag {
    pub(super) const RESPONSE_RECORDS: u8 = 0x12;
    pub(super) const TOPIC: u8 = 0x0a;
    pub(super) const PARTITION: u8 = 0x10;
    pub(super) const ASSIGNMENT: u8 = 0x18;
    pub(super) const RECORD: u8 = 0x22;
    pub(super) const ID: u8 = 0x09;
    pub(super) const OFFSET: u8 = 0x10;
    pub(super) const TIMESTAMP_MS: u8 = 0x18;
    pub(super) const TIMESTAMP_TYPE: u8 = 0x20;
    pub(super) const KEY: u8 = 0x2a;
    pub(super) const VALUE: u8 = 0x32;
    pub(super) const HEADER: u8 = 0x3a;
    pub(super) const ATTEMPT: u8 = 0x40;
    pub(super) const LEADER_EPOCH: u8 = 0x48;
    pub(super) const HEADER_NAME: u8 = 0x0a;
    pub(super) const HEADER_VALUE: u8 = 0x12;
    pub(super) const HEADER_RAW_NAME: u8 = 0x1a;
}

/// Length of the body that [`encode_body`] writes.
///
/// A Kafka record is below 2 GiB, so its body fits; a record that claims more is reported as
/// `u32::MAX`, which no stream accepts.
pub fn body_len(record: &impl Record) -> u32 {
    let (timestamp_ms, kind) = record.timestamp();
    let mut len =
        varint_field_len(signed(record.offset())) + varint_field_len(signed(timestamp_ms));
    if kind != TimestampKind::Unknown {
        len += 2;
    }
    len += record.key().map_or(0, bytes_field_len);
    len += record.value().map_or(0, bytes_field_len);
    for index in 0.. {
        let Some(header) = record.header(index) else {
            break;
        };
        len += nested_field_len(header_len(&header));
    }
    len += record
        .leader_epoch()
        .map_or(0, |epoch| varint_field_len(signed(i64::from(epoch))));
    u32::try_from(len).unwrap_or(u32::MAX)
}

/// Writes all fields of a `Record` except id and attempt.
pub fn encode_body(record: &impl Record, out: &mut Vec<u8>) {
    encode_after(Small::default(), record, out);
}

/// Writes what is in `small`, then the body of a record.
fn encode_after(mut small: Small, record: &impl Record, out: &mut Vec<u8>) {
    let (timestamp_ms, kind) = record.timestamp();
    small.varint_field(tag::OFFSET, signed(record.offset()));
    small.varint_field(tag::TIMESTAMP_MS, signed(timestamp_ms));
    match kind {
        TimestampKind::Unknown => {}
        TimestampKind::CreateTime => small.varint_field(tag::TIMESTAMP_TYPE, 1),
        TimestampKind::LogAppendTime => small.varint_field(tag::TIMESTAMP_TYPE, 2),
    }
    if let Some(key) = record.key() {
        small.head_of_bytes(tag::KEY, key.len());
        small.flush(out);
        out.extend_from_slice(key);
    }
    if let Some(value) = record.value() {
        small.head_of_bytes(tag::VALUE, value.len());
        small.flush(out);
        out.extend_from_slice(value);
    }
    small.flush(out);
    encode_headers(record, out);
    if let Some(epoch) = record.leader_epoch() {
        small.varint_field(tag::LEADER_EPOCH, signed(i64::from(epoch)));
        small.flush(out);
    }
}

fn encode_headers(record: &impl Record, out: &mut Vec<u8>) {
    for index in 0.. {
        let Some(header) = record.header(index) else {
            break;
        };
        let mut small = Small::default();
        small.head_of_bytes(tag::HEADER, header_len(&header));
        small.flush(out);
        // A protobuf string must be UTF-8, or the client's decoder fails the whole message.
        let name_tag = match std::str::from_utf8(header.name) {
            Ok(_) => tag::HEADER_NAME,
            Err(_) => tag::HEADER_RAW_NAME,
        };
        put_bytes_field(name_tag, header.name, out);
        if let Some(value) = header.value {
            put_bytes_field(tag::HEADER_VALUE, value, out);
        }
    }
}

/// The most that a record with such a body takes in a frame.
#[must_use]
pub const fn record_size(body_len: u32) -> u32 {
    body_len.saturating_add(RECORD_OVERHEAD)
}

/// What all records of a frame share.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// Name of the topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// Number of the assignment.
    pub assignment: u64,
}

/// One record's place in a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot {
    /// Delivery id.
    pub id: u64,
    /// Which delivery of the record this is, from 1.
    pub attempt: u32,
    /// Length of its body.
    pub body_len: u32,
}

impl Slot {
    fn record_len(&self) -> usize {
        ID_LEN + varint_field_len(u64::from(self.attempt)) + self.body_len as usize
    }
}

/// Builds one frame: first all sizes, then all bodies, in the same order.
#[derive(Debug)]
pub struct Frame {
    bytes: Vec<u8>,
    size: usize,
}

impl Frame {
    /// Takes a buffer with exactly the room that the records in `slots` need, or more, from `allocate`, which is told
    /// that room, and writes what comes before the first record.
    pub fn new(
        head: &Head<'_>,
        slots: impl Iterator<Item = Slot>,
        allocate: impl FnOnce(usize) -> Vec<u8>,
    ) -> Self {
        let records_len = bytes_field_len(head.topic.as_bytes())
            + varint_field_len(signed(i64::from(head.partition)))
            + varint_field_len(head.assignment)
            + slots
                .map(|slot| nested_field_len(slot.record_len()))
                .sum::<usize>();
        let message_len = nested_field_len(records_len);
        let size = PREFIX + message_len;
        let mut bytes = allocate(size);
        debug_assert!(
            bytes.is_empty() && bytes.capacity() >= size,
            "F1: a buffer that is empty and large enough"
        );
        put_prefix(message_len, &mut bytes);
        let mut small = Small::default();
        small.head_of_bytes(tag::RESPONSE_RECORDS, records_len);
        small.flush(&mut bytes);
        put_bytes_field(tag::TOPIC, head.topic.as_bytes(), &mut bytes);
        small.varint_field(tag::PARTITION, signed(i64::from(head.partition)));
        small.varint_field(tag::ASSIGNMENT, head.assignment);
        small.flush(&mut bytes);
        Self { bytes, size }
    }

    /// Appends a record straight from the Kafka client's memory.
    pub fn record(&mut self, slot: &Slot, record: &impl Record) {
        let before = self.bytes.len();
        encode_after(opening(slot), record, &mut self.bytes);
        debug_assert_eq!(
            self.bytes.len() - before,
            nested_field_len(slot.record_len()),
            "F1: body as announced"
        );
    }

    /// Appends a record whose body was stored before.
    pub fn stored(&mut self, slot: &Slot, body: &[u8]) {
        debug_assert_eq!(body.len(), slot.body_len as usize, "F1: body as announced");
        opening(slot).flush(&mut self.bytes);
        self.bytes.extend_from_slice(body);
    }

    /// The finished frame.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        debug_assert_eq!(self.bytes.len(), self.size, "F1: as much as announced");
        self.bytes
    }
}

/// What stands before a record's body.
fn opening(slot: &Slot) -> Small {
    let mut small = Small::default();
    small.head_of_bytes(tag::RECORD, slot.record_len());
    small.fixed_field(tag::ID, slot.id);
    small.varint_field(tag::ATTEMPT, u64::from(slot.attempt));
    small
}

/// The records of a finished frame, each with its id and its body, in their order.
///
/// Meant for frames built here: it relies on their layout and ends early at anything else.
pub fn bodies(frame: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut rest = records_of(frame).unwrap_or_default();
    std::iter::from_fn(move || {
        let record = take_nested(tag::RECORD, &mut rest)?;
        let (id, mut body) = record.strip_prefix(&[tag::ID])?.split_first_chunk()?;
        take_varint(tag::ATTEMPT, &mut body)?;
        Some((u64::from_le_bytes(*id), body))
    })
}

/// One message of a record stream that is no record frame, framed for gRPC.
#[must_use]
pub fn message(message: &impl prost::Message) -> Bytes {
    let len = message.encoded_len();
    let mut bytes = Vec::with_capacity(PREFIX + len);
    put_prefix(len, &mut bytes);
    message.encode_raw(&mut bytes);
    Bytes::from(bytes)
}

fn put_prefix(message_len: usize, out: &mut Vec<u8>) {
    out.push(0);
    // Messages are limited by what the client receives, a number of 32 bits.
    let len = u32::try_from(message_len).unwrap_or(u32::MAX);
    out.extend_from_slice(&len.to_be_bytes());
}

/// What follows the assignment in a frame: its records.
fn records_of(frame: &[u8]) -> Option<&[u8]> {
    let mut message = frame.get(PREFIX..)?;
    let mut records = take_nested(tag::RESPONSE_RECORDS, &mut message)?;
    take_nested(tag::TOPIC, &mut records)?;
    take_varint(tag::PARTITION, &mut records)?;
    take_varint(tag::ASSIGNMENT, &mut records)?;
    Some(records)
}

fn take_nested<'a>(tag: u8, from: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(take_varint(tag, from)?).ok()?;
    let (field, rest) = from.split_at_checked(len)?;
    *from = rest;
    Some(field)
}

fn take_varint(tag: u8, from: &mut &[u8]) -> Option<u64> {
    *from = from.strip_prefix(&[tag])?;
    decode_varint(from).ok()
}

/// Protobuf writes negative numbers as their two's complement in 64 bits.
fn signed(value: i64) -> u64 {
    value.cast_unsigned()
}

fn varint_field_len(value: u64) -> usize {
    1 + encoded_len_varint(value)
}

fn nested_field_len(len: usize) -> usize {
    1 + encoded_len_varint(len as u64) + len
}

fn bytes_field_len(bytes: &[u8]) -> usize {
    nested_field_len(bytes.len())
}

fn header_len(header: &Header<'_>) -> usize {
    bytes_field_len(header.name) + header.value.map_or(0, bytes_field_len)
}

fn put_bytes_field(tag: u8, bytes: &[u8], out: &mut Vec<u8>) {
    let mut small = Small::default();
    small.head_of_bytes(tag, bytes.len());
    small.flush(out);
    out.extend_from_slice(bytes);
}

mod glance;
mod small;
mod stored;

#[cfg(test)]
mod tests;
