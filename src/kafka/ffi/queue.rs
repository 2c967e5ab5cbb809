//! Queues: where librdkafka puts what it has for us.

use std::ffi::{CStr, c_void};
use std::ptr::NonNull;
use std::sync::Arc;

use rdkafka::bindings as sys;

use super::{Event, Handle, Messages};

/// Called from librdkafka's threads when a queue that was empty has something.
///
/// librdkafka holds the queue's lock during the call, so it must only wake somebody up.
pub type Wake = Arc<dyn Fn() + Send + Sync>;

/// One queue.
pub(in crate::kafka) struct Queue {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// What the callback points to, while it is set.
    wake: Option<Box<Wake>>,
    /// F1; also what popped messages share.
    handle: Arc<Handle>,
}

// SAFETY: queues of librdkafka may be used from any thread, and the callback is `Send + Sync`.
unsafe impl Send for Queue {}

impl Queue {
    /// The queue of rebalances, errors and logs.
    pub(in crate::kafka) fn consumer(handle: &Arc<Handle>) -> Self {
        // SAFETY: the handle is valid; the reference returned is ours.
        Self::own(
            unsafe { sys::rd_kafka_queue_get_consumer(handle.as_ptr()) },
            handle,
        )
    }

    /// The queue of delivery reports, errors and logs of a producer.
    pub(in crate::kafka) fn main(handle: &Arc<Handle>) -> Self {
        // SAFETY: the handle is valid; the reference returned is ours.
        Self::own(
            unsafe { sys::rd_kafka_queue_get_main(handle.as_ptr()) },
            handle,
        )
    }

    /// A queue of our own.
    pub(in crate::kafka) fn new(handle: &Arc<Handle>) -> Self {
        // SAFETY: the handle is valid; the queue returned is ours.
        Self::own(unsafe { sys::rd_kafka_queue_new(handle.as_ptr()) }, handle)
    }

    fn own(queue: *mut sys::rd_kafka_queue_t, handle: &Arc<Handle>) -> Self {
        // Null would mean a client without a group, and ours has one.
        let queue = NonNull::new(queue).unwrap_or_else(|| unreachable!("a client without group"));
        Self {
            queue,
            wake: None,
            handle: Arc::clone(handle),
        }
    }

    /// Calls `wake` from now on whenever the queue stops being empty.
    pub(in crate::kafka) fn on_filled(&mut self, wake: &Wake) {
        unsafe extern "C" fn filled(_: *mut sys::rd_kafka_t, opaque: *mut c_void) {
            // SAFETY: `opaque` is the box below, which lives until the callback is disabled.
            let wake = unsafe { &*opaque.cast::<Wake>() };
            wake();
        }
        let wake = Box::new(Arc::clone(wake));
        let opaque = (&raw const *wake).cast_mut().cast::<c_void>();
        // SAFETY: the box does not move when it is stored below, and is freed only after `Drop`
        // has disabled the callback. librdkafka calls it under the queue's lock, which disabling
        // takes too, so no call is under way after that.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), Some(filled), opaque);
        }
        self.wake = Some(wake);
    }

    /// The next event, if there is one.
    pub(in crate::kafka) fn poll(&self) -> Option<Event> {
        // SAFETY: the queue is valid, and zero means not to wait. The event returned is ours.
        let event = unsafe { sys::rd_kafka_queue_poll(self.queue.as_ptr(), 0) };
        // SAFETY: an event from this call has no other owner.
        NonNull::new(event).map(|event| unsafe { Event::own(event) })
    }

    /// Pops at most `max` messages into `messages`, which must be empty, without waiting.
    ///
    /// Only for a queue that carries nothing but messages: librdkafka would answer a rebalance found
    /// here by itself.
    pub(in crate::kafka) fn pop(&self, messages: &mut Messages, max: usize) {
        let room = messages.reserve(&self.handle, max);
        // SAFETY: `room` is a slice of `max` places for messages; zero means not to wait.
        let popped = unsafe {
            sys::rd_kafka_consume_batch_queue(
                self.queue.as_ptr(),
                0,
                room.as_mut_ptr().cast(),
                room.len(),
            )
        };
        // SAFETY: so many places were filled, with messages that are ours now. The call returns -1
        // without having filled any if it failed.
        unsafe { messages.filled(usize::try_from(popped).unwrap_or(0)) };
    }

    /// Sends what librdkafka fetches of a partition to this queue.
    pub(in crate::kafka) fn collect(&self, topic: &CStr, partition: i32) {
        // SAFETY: the handle is valid and the topic a C string. The reference is given back at once;
        // the forwarding holds one of its own.
        unsafe {
            let source =
                sys::rd_kafka_queue_get_partition(self.handle.as_ptr(), topic.as_ptr(), partition);
            if !source.is_null() {
                sys::rd_kafka_queue_forward(source, self.queue.as_ptr());
                sys::rd_kafka_queue_destroy(source);
            }
        }
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_queue_t {
        self.queue.as_ptr()
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: the queue is valid, ours, and not used after this. Disabling the callback first
        // makes sure that nothing points to `wake` when it is freed.
        unsafe {
            sys::rd_kafka_queue_cb_event_enable(self.queue.as_ptr(), None, std::ptr::null_mut());
            sys::rd_kafka_queue_destroy(self.queue.as_ptr());
        }
    }
}
