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
