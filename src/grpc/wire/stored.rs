//! A record read back from its body.

use prost::Message;

use crate::grpc::proto;
use crate::record::{Header, Record, TimestampKind};

/// A record whose body was stored: what [`super::encode_body`] wrote, seen as a record again.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredRecord(proto::Record);

impl StoredRecord {
    /// Reads a body; `None` if it is none.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        proto::Record::decode(body).ok().map(Self)
    }
}

impl Record for StoredRecord {
    fn offset(&self) -> i64 {
        self.0.offset
    }

    fn timestamp(&self) -> (i64, TimestampKind) {
        let kind = match self.0.timestamp_type() {
            proto::TimestampType::Unspecified => TimestampKind::Unknown,
            proto::TimestampType::CreateTime => TimestampKind::CreateTime,
            proto::TimestampType::LogAppendTime => TimestampKind::LogAppendTime,
        };
        (self.0.timestamp_ms, kind)
    }

    fn key(&self) -> Option<&[u8]> {
        self.0.key.as_deref()
    }

    fn value(&self) -> Option<&[u8]> {
        self.0.value.as_deref()
    }

    fn header(&self, index: usize) -> Option<Header<'_>> {
        let header = self.0.headers.get(index)?;
        // A name is in one of two places, and the other one is empty.
        let name = if header.raw_name.is_empty() {
            header.name.as_bytes()
        } else {
            &header.raw_name
        };
        Some(Header {
            name,
            value: header.value.as_deref(),
        })
    }

    fn leader_epoch(&self) -> Option<i32> {
        self.0.leader_epoch
    }
}
