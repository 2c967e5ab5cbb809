//! Writing records, and what became of them.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;

use rdkafka::bindings::{
    self as sys, rd_kafka_resp_err_t, rd_kafka_type_t, rd_kafka_vtype_t, rd_kafka_vu_t,
};
use zeroize::Zeroizing;

use super::handle::Events;
use super::{Code, Event, Failure, Handle, text_at};
use crate::record::OutgoingRecord;

impl Handle {
    /// Creates a producer from properties, of which later ones override earlier ones.
    pub(in crate::kafka) fn producer(
        properties: &[(String, Zeroizing<String>)],
    ) -> Result<Self, Failure> {
        Self::create(
            rd_kafka_type_t::RD_KAFKA_PRODUCER,
            properties,
            Events::PRODUCER,
        )
    }

    /// Queues a record to be written. Everything is copied. What becomes of it is told with `number` by an event
    /// on the main queue.
    pub(in crate::kafka) fn write(
        &self,
        topic: &CStr,
        record: &OutgoingRecord<'_>,
        number: usize,
    ) -> Result<(), Failure> {
        let headers = Headers::new(record)?;
        let mut values = vec![value(rd_kafka_vtype_t::RD_KAFKA_VTYPE_TOPIC)];
        values[0].u.cstr = topic.as_ptr();
        let mut push = |kind, fill: &dyn Fn(&mut rd_kafka_vu_t)| {
            let mut next = value(kind);
            fill(&mut next);
            values.push(next);
        };
        push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_MSGFLAGS, &|next| {
            next.u.i = sys::RD_KAFKA_MSG_F_COPY;
        });
        push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_OPAQUE, &|next| {
            next.u.ptr = std::ptr::without_provenance_mut(number);
        });
        push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_KEY, &|next| {
            next.u.mem = memory(record.key);
        });
        push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_VALUE, &|next| {
            next.u.mem = memory(record.value);
        });
        push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS, &|next| {
            next.u.headers = headers.headers.as_ptr();
        });
        if let Some(partition) = record.partition {
            push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_PARTITION, &|next| {
                next.u.i32_ = partition;
            });
        }
        if let Some(millis) = record.timestamp_ms {
            push(rd_kafka_vtype_t::RD_KAFKA_VTYPE_TIMESTAMP, &|next| {
                next.u.i64_ = millis;
            });
        }
        // SAFETY: the client is valid; each value holds the field that belongs to its kind; names and memory live through
        // the call, which copies them. The error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_produceva(
                self.as_ptr(),
                values.as_ptr(),
                values.len(),
            ))?
        };
        // The message has taken the headers over, which it does only if it was queued.
        std::mem::forget(headers);
        Ok(())
    }

    /// Gives up every record that is not written yet.
    pub(in crate::kafka) fn purge(&self) {
        let everything = sys::RD_KAFKA_PURGE_F_QUEUE
            | sys::RD_KAFKA_PURGE_F_INFLIGHT
            | sys::RD_KAFKA_PURGE_F_NON_BLOCKING;
        // SAFETY: the client is valid. It fails only for consumers.
        unsafe { sys::rd_kafka_purge(self.as_ptr(), everything) };
    }
}

impl Event {
    /// The records that it tells about, by the numbers they were queued with.
    pub(in crate::kafka) fn written(&self) -> Vec<(usize, Result<(), Failure>)> {
        let mut written = Vec::new();
        // SAFETY: the event is ours, and each message lives as long as it does; the texts are copied.
        unsafe {
            while let Some(message) = self.next_message() {
                let code = Code::of_message(message);
                let result = if code.is_error() {
                    // The broker's own words, if it used any.
                    let words = text_at(sys::rd_kafka_message_produce_errstr(message));
                    let text = match words.as_ref() {
                        "" => code.describe(),
                        words => format!("{}: {words}", code.describe()),
                    };
                    Err(Failure { code, text })
                } else {
                    Ok(())
                };
                written.push(((*message)._private.addr(), result));
            }
        }
        written
    }
}

/// A parameter of this kind, without its content.
fn value(kind: rd_kafka_vtype_t) -> rd_kafka_vu_t {
    // SAFETY: a union of plain numbers and pointers, of which all zeros is a value; the kind is set at once.
    let mut value: rd_kafka_vu_t = unsafe { std::mem::zeroed() };
    value.vtype = kind;
    value
}

/// Null and no bytes for nothing; an empty slice has an address.
fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: bytes.map_or(std::ptr::null_mut(), |bytes| {
            bytes.as_ptr().cast_mut().cast::<c_void>()
        }),
        size: bytes.map_or(0, <[u8]>::len),
    }
}

/// Headers that no message has taken over yet.
struct Headers {
    headers: NonNull<sys::rd_kafka_headers_t>,
}

impl Headers {
    fn new(record: &OutgoingRecord<'_>) -> Result<Self, Failure> {
        // SAFETY: takes any capacity; the list returned is ours.
        let list = unsafe { sys::rd_kafka_headers_new(record.headers.len()) };
        // librdkafka ends the process when memory runs out, so this is not reached.
        let list = Self {
            headers: NonNull::new(list).unwrap_or_else(|| unreachable!("out of memory")),
        };
        for header in &record.headers {
            let too_long = |_| Failure {
                code: Code::of(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG),
                text: "a header is too long".to_owned(),
            };
            let memory = memory(header.value);
            let name_size = isize::try_from(header.name.len()).map_err(too_long)?;
            let value_size = isize::try_from(memory.size).map_err(too_long)?;
            // SAFETY: the list is ours; name and value have the sizes said, which are not negative, and are copied.
            Code::of(unsafe {
                sys::rd_kafka_header_add(
                    list.headers.as_ptr(),
                    header.name.as_ptr().cast(),
                    name_size,
                    memory.ptr,
                    value_size,
                )
            })
            .check()?;
        }
        Ok(list)
    }
}

impl Drop for Headers {
    fn drop(&mut self) {
        // SAFETY: ours, as a message that took them over made us forget them.
        unsafe { sys::rd_kafka_headers_destroy(self.headers.as_ptr()) }
    }
}
