//! A glance at a record's body, without copying or allocating anything.

use prost::encoding::decode_varint;

use super::{tag, take_nested};
use crate::record::TimestampKind;

/// What somebody who looks on wants to know of a record, read from what [`super::encode_body`] wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Glance<'a> {
    /// Its offset.
    pub offset: i64,
    /// Milliseconds since 1970, if somebody set them.
    pub timestamp_ms: Option<i64>,
    /// Its key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// Its value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// How many headers it has.
    pub headers: u32,
}

impl<'a> Glance<'a> {
    /// Reads a body; `None` if it is none.
    #[must_use]
    pub fn read(mut body: &'a [u8]) -> Option<Self> {
        let mut seen = Self::default();
        let (mut at, mut kind) = (0, TimestampKind::Unknown);
        while let Some(&tag) = body.first() {
            match tag {
                tag::KEY => seen.key = Some(take_nested(tag, &mut body)?),
                tag::VALUE => seen.value = Some(take_nested(tag, &mut body)?),
                tag::HEADER => {
                    take_nested(tag, &mut body)?;
                    seen.headers += 1;
                }
                _ => {
                    body = &body[1..];
                    let number = decode_varint(&mut body).ok()?.cast_signed();
                    match tag {
                        tag::OFFSET => seen.offset = number,
                        tag::TIMESTAMP_MS => at = number,
                        tag::TIMESTAMP_TYPE if number == 2 => kind = TimestampKind::LogAppendTime,
                        tag::TIMESTAMP_TYPE => kind = TimestampKind::CreateTime,
                        tag::LEADER_EPOCH => {}
                        _ => return None,
                    }
                }
            }
        }
        seen.timestamp_ms = (kind != TimestampKind::Unknown).then_some(at);
        Some(seen)
    }
}
