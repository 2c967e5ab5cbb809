//! Which topics there are.
//!
//! librdkafka answers this question only to a caller who waits. Each question waits on a thread of its own.

use std::ffi::c_int;
use std::ptr::{NonNull, null};

use rdkafka::bindings as sys;

use super::{Code, Failure, Handle, text_at};

/// How long brokers may take, in milliseconds. Without any broker librdkafka waits as long.
const WAIT_MS: c_int = 10_000;

/// An answer, freed by our drop.
struct Metadata(NonNull<sys::rd_kafka_metadata>);

impl Handle {
    /// The names of all topics that brokers tell us about: those that exist and that we may describe. Waits for up to
    /// ten seconds.
    pub(in crate::kafka) fn topic_names(&self) -> Result<Vec<String>, Failure> {
        let mut answer = null();
        // SAFETY: the client is valid.
        unsafe { Code::of_question(self.as_ptr(), &mut answer, WAIT_MS) }.check()?;
        Ok(
            NonNull::new(answer.cast_mut())
                .map_or_else(Vec::new, |answer| Metadata(answer).names()),
        )
    }
}

impl Metadata {
    fn names(&self) -> Vec<String> {
        // SAFETY: valid until our drop.
        let (topics, count) = unsafe { ((*self.0.as_ptr()).topics, (*self.0.as_ptr()).topic_cnt) };
        let name = |index| {
            // SAFETY: there are `count` topics, valid until our drop. No reference to one is made: its error may be
            // one that the bindings do not know.
            unsafe {
                let topic = topics.add(index);
                let exists = !Code::of_topic(topic).is_error();
                exists.then(|| text_at((*topic).topic).into_owned())
            }
        };
        (0..usize::try_from(count).unwrap_or(0))
            .filter_map(name)
            .collect()
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        // SAFETY: ours, and nobody looks at it any more.
        unsafe { sys::rd_kafka_metadata_destroy(self.0.as_ptr()) }
    }
}
