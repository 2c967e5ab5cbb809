//! A record that outlives what it was fetched with.

use super::ffi::Message;
use crate::record::{Header, Record, TimestampKind};

/// A record with bytes of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRecord {
    /// Its partition.
    pub partition: i32,
    offset: i64,
    timestamp: (i64, TimestampKind),
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    leader_epoch: Option<i32>,
}

impl LogRecord {
    /// A copy of what was popped from a partition.
    pub(super) fn copy_of(message: &Message<'_>, partition: i32) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = (0..).map_while(|index| message.header(index));
        Self {
            partition,
            offset: message.offset(),
            timestamp: message.timestamp(),
            key: owned(message.key()),
            value: owned(message.value()),
            headers: headers
                .map(|header| (header.name.to_vec(), owned(header.value)))
                .collect(),
            leader_epoch: message.leader_epoch(),
        }
    }
}

impl Record for LogRecord {
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
