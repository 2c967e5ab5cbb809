//! A record as it lies in the log, seen without copying it.
//!
//! Both edges know this trait and not each other: `kafka` implements it for popped messages, `grpc`
//! encodes whatever implements it. Bytes stay bytes: null differs from empty, headers keep their
//! order and their duplicates, names need not be UTF-8.

/// Who set a record's timestamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimestampKind {
    /// The broker gave none.
    Unknown,
    /// The producer.
    CreateTime,
    /// The broker, when it appended the record.
    LogAppendTime,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Its name, usually but not necessarily UTF-8.
    pub name: &'a [u8],
    /// Its value; `None` is Kafka's null.
    pub value: Option<&'a [u8]>,
}

/// Read access to one record.
pub trait Record {
    /// Offset in its partition.
    fn offset(&self) -> i64;
    /// Milliseconds since 1970 and who set them.
    fn timestamp(&self) -> (i64, TimestampKind);
    /// The key; `None` is null.
    fn key(&self) -> Option<&[u8]>;
    /// The value; `None` is null, a tombstone.
    fn value(&self) -> Option<&[u8]>;
    /// Header number `index`, in the order of the log, or `None` past the last one.
    fn header(&self, index: usize) -> Option<Header<'_>>;
    /// Leader epoch of its batch, if the broker said.
    fn leader_epoch(&self) -> Option<i32>;
}

/// A record that is to be written, all of it borrowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingRecord<'a> {
    /// The partition; `None` for the one that the key leads to.
    pub partition: Option<i32>,
    /// Milliseconds since 1970, above 0; `None` for the time of writing.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<&'a [u8]>,
    /// The value; `None` is null.
    pub value: Option<&'a [u8]>,
    /// The headers, in order.
    pub headers: Vec<Header<'a>>,
}

/// A record that is to be written, all of it owned.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Where to.
    pub topic: String,
    /// The partition; `None` for the one that the key leads to.
    pub partition: Option<i32>,
    /// Milliseconds since 1970, above 0; `None` for the time of writing.
    pub timestamp_ms: Option<i64>,
    /// The key; `None` is null.
    pub key: Option<Vec<u8>>,
    /// The value; `None` is null.
    pub value: Option<Vec<u8>>,
    /// The headers, in order: names and values.
    pub headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl Output {
    /// A copy of a record that goes there.
    #[must_use]
    pub fn copy_of(topic: &str, record: &OutgoingRecord<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
        let headers = record.headers.iter();
        Self {
            topic: topic.to_owned(),
            partition: record.partition,
            timestamp_ms: record.timestamp_ms,
            key: owned(record.key),
            value: owned(record.value),
            headers: headers
                .map(|header| (header.name.to_vec(), owned(header.value)))
                .collect(),
        }
    }

    /// The same, borrowed.
    #[must_use]
    pub fn outgoing(&self) -> OutgoingRecord<'_> {
        OutgoingRecord {
            partition: self.partition,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| Header {
                    name,
                    value: value.as_deref(),
                })
                .collect(),
        }
    }

    /// How many bytes it takes, itself included.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let header = size_of::<(Vec<u8>, Option<Vec<u8>>)>();
        let headers = self.headers.iter();
        let headers: usize = headers
            .map(|(name, value)| header + name.len() + length(value))
            .sum();
        let payload = self.topic.len() + length(&self.key) + length(&self.value) + headers;
        (size_of::<Self>() + payload) as u64
    }
}
