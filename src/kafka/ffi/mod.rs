//! librdkafka's C interface, as safe types. The only place in the crate with `unsafe`.
//!
//! The `rdkafka` crate wraps most of librdkafka, but not what this edge stands on: popping in
//! batches from a queue of our own, results of single requests, leader epochs, committed offsets
//! with their raw metadata, and topic ids. It also hands the password on in plain strings and
//! reads error codes of the broker into an enum without a place for unknown ones. So the client is
//! built on `rdkafka::bindings` directly, and nothing here decides anything.
//!
//! # Invariants
//!
//! - F1: a [`Handle`] outlives its [`Queue`]s and [`Messages`], because each of them shares it.
//!   librdkafka waits for them when it is destroyed, so they are gone first.
//! - F2: everything librdkafka allocates has one owner here and is freed by its `Drop`.
//! - F3: error codes are read as integers ([`Code`]), never as the enum of the bindings: a broker may
//!   send a code that the enum does not have.
//! - F4: nothing here waits for a broker, but for `transactions`. What blocks, waits for librdkafka's main thread alone.

#![allow(unsafe_code, reason = "this module exists to contain it")]

mod admin;
mod code;
mod embedded;
mod event;
mod handle;
mod list;
mod message;
mod metadata;
mod producer;
mod queue;
mod transactions;

pub(super) use admin::{Isolation, LogEnd};
pub(super) use code::{Code, Failure};
pub use embedded::EmbeddedBroker;
pub(super) use event::{Event, EventKind};
pub(super) use handle::{Events, Handle};
pub(super) use list::{PartitionView, Partitions};
pub use message::Message;
pub(super) use message::Messages;
pub(super) use queue::Queue;
pub use queue::Wake;
pub(super) use transactions::{GroupMetadata, TransactionFailure};

use std::borrow::Cow;
use std::ffi::{CStr, c_char};

/// The text at `text`, with replacement characters for what is not UTF-8; empty for null.
///
/// # Safety
///
/// `text` is null, or ends with a NUL byte and stays valid and unchanged for `'a`.
unsafe fn text_at<'a>(text: *const c_char) -> Cow<'a, str> {
    if text.is_null() {
        return Cow::Borrowed("");
    }
    // SAFETY: not null, so by the contract of this function a valid C string for `'a`.
    unsafe { CStr::from_ptr(text) }.to_string_lossy()
}

/// The bytes at `data`; `None` for null.
///
/// # Safety
///
/// `data` is null, or points to `length` bytes that stay valid and unchanged for `'a`.
unsafe fn bytes_at<'a>(data: *const std::ffi::c_void, length: usize) -> Option<&'a [u8]> {
    if data.is_null() {
        return None;
    }
    // SAFETY: not null, so by the contract of this function `length` valid bytes for `'a`.
    Some(unsafe { std::slice::from_raw_parts(data.cast::<u8>(), length) })
}
