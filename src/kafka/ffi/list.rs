//! Lists of partitions with offsets, leader epochs and metadata.

use std::ffi::{CStr, c_int};
use std::marker::PhantomData;
use std::ptr::NonNull;

use rdkafka::bindings as sys;

use super::{Code, bytes_at};
use crate::core::LeaderEpoch;

/// An owned list.
pub(in crate::kafka) struct Partitions {
    list: NonNull<sys::rd_kafka_topic_partition_list_t>,
}

// SAFETY: a list is plain memory without ties to a thread, and `&Partitions` only reads it.
unsafe impl Send for Partitions {}

impl Partitions {
    /// An empty list with room for `capacity` partitions.
    pub(in crate::kafka) fn with_capacity(capacity: usize) -> Self {
        let capacity = c_int::try_from(capacity).unwrap_or(c_int::MAX);
        // SAFETY: takes any capacity; the list returned is ours.
        let list = unsafe { sys::rd_kafka_topic_partition_list_new(capacity) };
        // librdkafka ends the process when memory runs out, so this is not reached.
        Self {
            list: NonNull::new(list).unwrap_or_else(|| unreachable!("out of memory")),
        }
    }

    /// Adds a partition without an offset.
    pub(in crate::kafka) fn add(&mut self, topic: &CStr, partition: i32) -> PartitionMut<'_> {
        // SAFETY: the list is ours and the topic a C string, which is copied. The element returned
        // is valid until the list changes, which the borrow of `self` excludes.
        let element = unsafe {
            sys::rd_kafka_topic_partition_list_add(self.list.as_ptr(), topic.as_ptr(), partition)
        };
        PartitionMut {
            element,
            list: PhantomData,
        }
    }

    /// The partitions, in the order of the list.
    pub(in crate::kafka) fn iter(&self) -> impl ExactSizeIterator<Item = PartitionView<'_>> {
        // SAFETY: the list is ours, so valid and unchanged while `self` is borrowed.
        unsafe { views(self.list.as_ptr()) }
    }

    /// Whether there are none.
    pub(in crate::kafka) fn is_empty(&self) -> bool {
        self.iter().len() == 0
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_topic_partition_list_t {
        self.list.as_ptr()
    }
}

impl Drop for Partitions {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { sys::rd_kafka_topic_partition_list_destroy(self.list.as_ptr()) }
    }
}

/// A partition just added to a list.
pub(in crate::kafka) struct PartitionMut<'a> {
    element: *mut sys::rd_kafka_topic_partition_t,
    list: PhantomData<&'a mut Partitions>,
}

impl PartitionMut<'_> {
    /// Sets its offset, which may be one of librdkafka's logical ones.
    pub(in crate::kafka) fn offset(self, offset: i64) -> Self {
        // SAFETY: the element is valid and exclusively borrowed.
        unsafe { (*self.element).offset = offset };
        self
    }

    /// Sets the leader epoch of its offset.
    pub(in crate::kafka) fn leader_epoch(self, epoch: LeaderEpoch) -> Self {
        // SAFETY: the element is valid and exclusively borrowed.
        unsafe {
            sys::rd_kafka_topic_partition_set_leader_epoch(self.element, epoch.unwrap_or(-1))
        };
        self
    }

    /// Sets its metadata; an empty text leaves it without.
    pub(in crate::kafka) fn metadata(self, text: &str) {
        if text.is_empty() {
            return;
        }
        // SAFETY: `malloc` is asked for the length copied, and the list frees the buffer with
        // `free`. The element is valid, exclusively borrowed, and new, so it has no buffer yet.
        unsafe {
            let buffer = libc::malloc(text.len());
            assert!(!buffer.is_null(), "out of memory");
            std::ptr::copy_nonoverlapping(text.as_ptr(), buffer.cast::<u8>(), text.len());
            (*self.element).metadata = buffer;
            (*self.element).metadata_size = text.len();
        }
    }
}

/// One partition of a list or of a result.
#[derive(Clone, Copy)]
pub(in crate::kafka) struct PartitionView<'a> {
    element: *const sys::rd_kafka_topic_partition_t,
    owner: PhantomData<&'a ()>,
}

impl<'a> PartitionView<'a> {
    /// A view on `element`.
    ///
    /// # Safety
    ///
    /// `element` is valid and unchanged for `'a`.
    pub(super) unsafe fn new(element: *const sys::rd_kafka_topic_partition_t) -> Self {
        Self {
            element,
            owner: PhantomData,
        }
    }

    /// Its topic.
    pub(in crate::kafka) fn topic(&self) -> &'a CStr {
        // SAFETY: valid for `'a`; every element has a topic.
        unsafe { CStr::from_ptr((*self.element).topic) }
    }

    /// Its number.
    pub(in crate::kafka) fn partition(&self) -> i32 {
        // SAFETY: valid for `'a`.
        unsafe { (*self.element).partition }
    }

    /// Its offset; negative ones are logical or absent.
    pub(in crate::kafka) fn offset(&self) -> i64 {
        // SAFETY: valid for `'a`.
        unsafe { (*self.element).offset }
    }

    /// The leader epoch of its offset.
    pub(in crate::kafka) fn leader_epoch(&self) -> LeaderEpoch {
        // SAFETY: valid for `'a`.
        let epoch = unsafe { sys::rd_kafka_topic_partition_get_leader_epoch(self.element) };
        (epoch >= 0).then_some(epoch)
    }

    /// Its metadata as stored; empty for none.
    pub(in crate::kafka) fn metadata(&self) -> &'a [u8] {
        // SAFETY: valid for `'a`, and so is the buffer of the length said.
        unsafe { bytes_at((*self.element).metadata, (*self.element).metadata_size) }.unwrap_or(&[])
    }

    /// Its own error.
    pub(in crate::kafka) fn code(&self) -> Code {
        // SAFETY: valid for `'a`.
        unsafe { Code::of_partition(self.element) }
    }
}

/// The elements of `list`; none for null.
///
/// # Safety
///
/// `list` is null, or valid and unchanged for `'a`.
pub(super) unsafe fn views<'a>(
    list: *const sys::rd_kafka_topic_partition_list_t,
) -> impl ExactSizeIterator<Item = PartitionView<'a>> {
    let (elements, count) = if list.is_null() {
        (std::ptr::null_mut(), 0)
    } else {
        // SAFETY: not null, so valid by the contract.
        unsafe { ((*list).elems, usize::try_from((*list).cnt).unwrap_or(0)) }
    };
    // SAFETY: the list has `count` elements from `elements` on, valid for `'a` by the contract.
    (0..count).map(move |index| unsafe { PartitionView::new(elements.add(index)) })
}
