//! Error codes and errors.

use std::ffi::{c_char, c_int};
use std::fmt;

use rdkafka::bindings::{self as sys, rd_kafka_resp_err_t};

use super::text_at;

/// librdkafka's functions that carry codes of brokers, with the code as the integer it is (F3).
mod raw {
    use std::ffi::{c_char, c_int};

    use rdkafka::bindings::{
        rd_kafka_error_t, rd_kafka_event_t, rd_kafka_metadata_t, rd_kafka_t, rd_kafka_topic_t,
    };

    unsafe extern "C" {
        pub(super) fn rd_kafka_err2str(code: c_int) -> *const c_char;
        pub(super) fn rd_kafka_error_code(error: *const rd_kafka_error_t) -> c_int;
        pub(super) fn rd_kafka_event_error(event: *mut rd_kafka_event_t) -> c_int;
        pub(super) fn rd_kafka_metadata(
            client: *mut rd_kafka_t,
            all_topics: c_int,
            only: *mut rd_kafka_topic_t,
            answer: *mut *const rd_kafka_metadata_t,
            wait_ms: c_int,
        ) -> c_int;
    }
}

/// An error code of Kafka (positive, from a broker) or of librdkafka (negative); zero for none.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::kafka) struct Code(c_int);

impl Code {
    /// No error.
    pub(in crate::kafka) const NONE: Self = Self(0);

    /// The code with this name in the bindings.
    pub(in crate::kafka) const fn of(name: rd_kafka_resp_err_t) -> Self {
        Self(name as c_int)
    }

    /// Whether it stands for an error.
    pub(in crate::kafka) fn is_error(self) -> bool {
        self != Self::NONE
    }

    /// librdkafka's words for it.
    pub(in crate::kafka) fn describe(self) -> String {
        // SAFETY: takes any integer, and returns a string that lives at least until this thread's
        // next calls; it is copied at once.
        unsafe { text_at(raw::rd_kafka_err2str(self.0)) }.into_owned()
    }

    /// `Ok` for no error.
    pub(in crate::kafka) fn check(self) -> Result<(), Failure> {
        if self.is_error() {
            return Err(Failure {
                code: self,
                text: self.describe(),
            });
        }
        Ok(())
    }

    /// The code of a partition in a list.
    ///
    /// # Safety
    ///
    /// `partition` points to a valid element.
    pub(super) unsafe fn of_partition(partition: *const sys::rd_kafka_topic_partition_t) -> Self {
        // SAFETY: valid by the contract; a C enum of this kind has the size of an `int`.
        Self(unsafe { (&raw const (*partition).err).cast::<c_int>().read() })
    }

    /// The code of a message.
    ///
    /// # Safety
    ///
    /// `message` points to a valid message.
    pub(super) unsafe fn of_message(message: *const sys::rd_kafka_message_t) -> Self {
        // SAFETY: valid by the contract; a C enum of this kind has the size of an `int`.
        Self(unsafe { (&raw const (*message).err).cast::<c_int>().read() })
    }

    /// The code of a topic in an answer about all topics.
    ///
    /// # Safety
    ///
    /// `topic` points to a valid topic.
    pub(super) unsafe fn of_topic(topic: *const sys::rd_kafka_metadata_topic) -> Self {
        // SAFETY: valid by the contract; a C enum of this kind has the size of an `int`.
        Self(unsafe { (&raw const (*topic).err).cast::<c_int>().read() })
    }

    /// Asks about all topics, and waits for the answer, which is written only if the code is none.
    ///
    /// # Safety
    ///
    /// The client is valid.
    pub(super) unsafe fn of_question(
        client: *mut sys::rd_kafka_t,
        answer: &mut *const sys::rd_kafka_metadata,
        wait_ms: c_int,
    ) -> Self {
        // SAFETY: valid by the contract; no single topic stands for all of them.
        Self(unsafe { raw::rd_kafka_metadata(client, 1, std::ptr::null_mut(), answer, wait_ms) })
    }

    /// The code of an event.
    ///
    /// # Safety
    ///
    /// `event` points to a valid event.
    pub(super) unsafe fn of_event(event: *mut sys::rd_kafka_event_t) -> Self {
        // SAFETY: valid by the contract.
        Self(unsafe { raw::rd_kafka_event_error(event) })
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.0, self.describe())
    }
}

/// A call that librdkafka refused, or a request that failed, in its words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Failure {
    /// The code.
    pub(in crate::kafka) code: Code,
    /// The words; may name brokers and topics, never secrets.
    pub(in crate::kafka) text: String,
}

impl Failure {
    /// Takes over an error object: `Ok` for null.
    ///
    /// # Safety
    ///
    /// `error` is null or an error object that nobody else frees.
    pub(super) unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so valid by the contract.
        let failure = unsafe { Self::copy_of(error) };
        // SAFETY: ours to free by the contract, and not used after this.
        unsafe { sys::rd_kafka_error_destroy(error) };
        Err(failure)
    }

    /// Copies an error object that stays with its owner.
    ///
    /// # Safety
    ///
    /// `error` points to a valid error object.
    pub(super) unsafe fn copy_of(error: *const sys::rd_kafka_error_t) -> Self {
        // SAFETY: valid by the contract; the string lives as long as the object and is copied.
        unsafe {
            Self {
                code: Code(raw::rd_kafka_error_code(error)),
                text: text_at(sys::rd_kafka_error_string(error)).into_owned(),
            }
        }
    }

    /// What librdkafka wrote into a buffer for error texts.
    pub(super) fn from_buffer(code: rd_kafka_resp_err_t, buffer: &[c_char]) -> Self {
        // SAFETY: librdkafka ends what it writes into such a buffer with a NUL byte, and the buffer
        // was made of NUL bytes.
        let text = unsafe { text_at(buffer.as_ptr()) }.into_owned();
        Self {
            code: Code::of(code),
            text,
        }
    }
}
