//! Popped messages.

use std::ffi::{CStr, c_char, c_void};
use std::marker::PhantomData;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null, null_mut};
use std::sync::Arc;

use rdkafka::bindings::{self as sys, rd_kafka_resp_err_t, rd_kafka_timestamp_type_t};

use super::{Code, Handle, bytes_at, text_at};
use crate::core::LeaderEpoch;
use crate::record::{Header, Record, TimestampKind};

/// Messages popped together. Each pins the whole response it came in, so they should not be kept.
#[derive(Default)]
pub(in crate::kafka) struct Messages {
    messages: Vec<NonNull<sys::rd_kafka_message_t>>,
    /// F1, while there are messages.
    handle: Option<Arc<Handle>>,
}

// SAFETY: messages may be read and freed on any thread, and `&Messages` only reads. Headers are
// parsed at the first look and kept in the message: that is why `Messages` is not `Sync`.
unsafe impl Send for Messages {}

impl Messages {
    /// How many there are.
    pub(in crate::kafka) fn len(&self) -> usize {
        self.messages.len()
    }

    /// The message at `index`.
    pub(in crate::kafka) fn get(&self, index: usize) -> Option<Message<'_>> {
        let message = self.messages.get(index)?.as_ptr();
        Some(Message {
            message,
            headers: true,
            owner: PhantomData,
        })
    }

    /// Frees all.
    pub(in crate::kafka) fn clear(&mut self) {
        for message in self.messages.drain(..) {
            // SAFETY: ours, and drained, so not used after this.
            unsafe { sys::rd_kafka_message_destroy(message.as_ptr()) };
        }
        self.handle = None;
    }

    /// Room for `max` messages of `handle`.
    pub(super) fn reserve(
        &mut self,
        handle: &Arc<Handle>,
        max: usize,
    ) -> &mut [MaybeUninit<NonNull<sys::rd_kafka_message_t>>] {
        debug_assert!(
            self.messages.is_empty(),
            "a batch is cleared before it is filled again"
        );
        self.clear();
        self.handle = Some(Arc::clone(handle));
        self.messages.reserve(max);
        &mut self.messages.spare_capacity_mut()[..max]
    }

    /// Takes over the first `count` places of the room.
    ///
    /// # Safety
    ///
    /// They hold messages that nobody else frees.
    pub(super) unsafe fn filled(&mut self, count: usize) {
        // SAFETY: the room is spare capacity, of which `count` places hold valid pointers.
        unsafe { self.messages.set_len(count) };
    }
}

impl Drop for Messages {
    fn drop(&mut self) {
        self.clear();
    }
}

/// One popped message: a record, or the error of a partition.
#[derive(Clone, Copy)]
pub struct Message<'a> {
    message: *const sys::rd_kafka_message_t,
    /// It may have headers. The client parses anew each time it is asked for headers that are not there, at the cost
    /// of an allocation.
    headers: bool,
    owner: PhantomData<&'a Messages>,
}

impl<'a> Message<'a> {
    /// Its topic and partition; `None` for an error that belongs to none.
    pub(in crate::kafka) fn place(&self) -> Option<(&'a CStr, i32)> {
        // SAFETY: the message is valid for `'a`, and its topic lives as long as it does.
        unsafe {
            let topic = (*self.message).rkt;
            (!topic.is_null()).then(|| {
                (
                    CStr::from_ptr(sys::rd_kafka_topic_name(topic)),
                    (*self.message).partition,
                )
            })
        }
    }

    /// Whether both are of the same partition, by the cheapest sufficient look.
    pub(in crate::kafka) fn same_place(&self, other: &Message<'_>) -> bool {
        // SAFETY: both messages are valid. Each holds its topic object, so that equal addresses mean
        // the same object.
        unsafe {
            (*self.message).rkt == (*other.message).rkt
                && (*self.message).partition == (*other.message).partition
        }
    }

    /// Its error; none for a record.
    pub(in crate::kafka) fn code(&self) -> Code {
        // SAFETY: the message is valid for `'a`.
        unsafe { Code::of_message(self.message) }
    }

    /// The words of its error.
    pub(in crate::kafka) fn error_text(&self) -> String {
        // SAFETY: the message is valid for `'a`, and the text lives as long as it does.
        unsafe { text_at(sys::rd_kafka_message_errstr(self.message)) }.into_owned()
    }

    /// Whether it has headers.
    pub(in crate::kafka) fn has_headers(&self) -> bool {
        self.headers().is_some()
    }

    /// The same message, for whoever knows whether it has headers.
    pub(in crate::kafka) fn with_headers(self, headers: bool) -> Self {
        Self { headers, ..self }
    }

    fn headers(&self) -> Option<*mut sys::rd_kafka_headers_t> {
        if !self.headers {
            return None;
        }
        let mut headers = null_mut();
        // SAFETY: the message is valid for `'a`, and keeps the headers that it hands out. The answer
        // is one of librdkafka's own few codes, which the enum has.
        let answer = unsafe { sys::rd_kafka_message_headers(self.message, &raw mut headers) };
        (answer == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR && !headers.is_null())
            .then_some(headers)
    }
}

impl Record for Message<'_> {
    fn offset(&self) -> i64 {
        // SAFETY: the message is valid while it is borrowed.
        unsafe { (*self.message).offset }
    }

    fn timestamp(&self) -> (i64, TimestampKind) {
        let mut kind = rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is valid while it is borrowed; librdkafka knows these three kinds only.
        let millis = unsafe { sys::rd_kafka_message_timestamp(self.message, &raw mut kind) };
        let kind = match kind {
            rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE => TimestampKind::Unknown,
            rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_CREATE_TIME => TimestampKind::CreateTime,
            rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_LOG_APPEND_TIME => {
                TimestampKind::LogAppendTime
            }
        };
        (millis, kind)
    }

    fn key(&self) -> Option<&[u8]> {
        // SAFETY: the message is valid while it is borrowed, and so are its bytes.
        unsafe { bytes_at((*self.message).key, (*self.message).key_len) }
    }

    fn value(&self) -> Option<&[u8]> {
        // SAFETY: the message is valid while it is borrowed, and so are its bytes.
        unsafe { bytes_at((*self.message).payload, (*self.message).len) }
    }

    fn header(&self, index: usize) -> Option<Header<'_>> {
        let headers = self.headers()?;
        let mut name: *const c_char = null();
        let mut value: *const c_void = null();
        let mut size = 0;
        // SAFETY: the headers belong to the message, which is valid while it is borrowed; so do the
        // name, a C string, and the value of the size said. Past the last header, the answer is
        // NOENT and nothing is written.
        unsafe {
            let answer = sys::rd_kafka_header_get_all(
                headers,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            );
            if answer != rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR || name.is_null() {
                return None;
            }
            Some(Header {
                name: CStr::from_ptr(name).to_bytes(),
                value: bytes_at(value, size),
            })
        }
    }

    fn leader_epoch(&self) -> LeaderEpoch {
        // SAFETY: the message is valid while it is borrowed.
        let epoch = unsafe { sys::rd_kafka_message_leader_epoch(self.message) };
        (epoch >= 0).then_some(epoch)
    }
}
