//! Buffers of large frames, used again.
//!
//! A large frame lives for a moment: until its records are acknowledged. Memory given back to the allocator goes back
//! to the kernel soon, which clears each page before it hands it out again; at full speed that costs as much as the
//! encoding. So buffers of frames that are done wait here for the next frame.
//!
//! # Invariants
//!
//! - A frame gets a buffer at most a quarter larger than it needs, because the budget counts what it needs.
//! - At most [`IDLE_MAX`] bytes wait, and none for longer than two calls of [`Buffers::trim`] without a frame.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;

/// Smaller buffers are what allocators are good at.
const POOLED_MIN: usize = 64 << 10;
/// Sizes are rounded up to this, so that buffers fit frames that differ a little.
const STEP: usize = 16 << 10;
/// Most bytes that wait.
pub(super) const IDLE_MAX: usize = 8 << 20;

/// See the module.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers(Arc<Mutex<Idle>>);

#[derive(Debug, Default)]
struct Idle {
    buffers: Vec<Vec<u8>>,
    bytes: usize,
    /// A buffer was asked for since the last trim.
    used: bool,
}

/// A buffer that goes back when the last reference to its bytes is dropped, maybe on another thread.
struct Lent {
    buffer: Vec<u8>,
    home: Arc<Mutex<Idle>>,
}

impl Buffers {
    /// An empty buffer with room for `size` bytes.
    pub(super) fn take(&self, size: usize) -> Vec<u8> {
        if size < POOLED_MIN {
            return Vec::with_capacity(size);
        }
        let mut idle = lock(&self.0);
        idle.used = true;
        // The newest first: its memory may still be in the processor's cache.
        let fits = |buffer: &Vec<u8>| (size..=size + size / 4).contains(&buffer.capacity());
        if let Some(at) = idle.buffers.iter().rposition(fits) {
            let buffer = idle.buffers.remove(at);
            idle.bytes -= buffer.capacity();
            return buffer;
        }
        Vec::with_capacity(size.next_multiple_of(STEP))
    }

    /// The bytes of a buffer that came from here.
    pub(super) fn freeze(&self, buffer: Vec<u8>) -> Bytes {
        if buffer.capacity() < POOLED_MIN {
            return Bytes::from(buffer);
        }
        Bytes::from_owner(Lent {
            buffer,
            home: Arc::clone(&self.0),
        })
    }

    /// Lets go of what waits if nobody wanted any since the last call.
    pub(super) fn trim(&self) {
        let mut idle = lock(&self.0);
        if !std::mem::take(&mut idle.used) {
            idle.buffers = Vec::new();
            idle.bytes = 0;
        }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut idle = lock(&self.home);
        if idle.bytes + buffer.capacity() <= IDLE_MAX {
            buffer.clear();
            idle.bytes += buffer.capacity();
            idle.buffers.push(buffer);
        }
    }
}

fn lock(idle: &Mutex<Idle>) -> MutexGuard<'_, Idle> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{Buffers, IDLE_MAX, POOLED_MIN};

    /// Where a frame of `size` bytes lies.
    fn place(buffers: &Buffers, size: usize) -> (bytes::Bytes, *const u8) {
        let mut buffer = buffers.take(size);
        assert!(buffer.is_empty() && buffer.capacity() >= size);
        buffer.resize(size, 7);
        let bytes = buffers.freeze(buffer);
        assert_eq!(bytes.len(), size);
        let place = bytes.as_ptr();
        (bytes, place)
    }

    #[test]
    fn the_next_frame_lies_where_one_that_is_done_lay() {
        let buffers = Buffers::default();
        let (frame, first) = place(&buffers, 200_000);
        let clone = frame.clone();
        drop(frame);
        let (_other, second) = place(&buffers, 200_000);
        assert_ne!(first, second, "somebody still reads the first");
        drop(clone);
        let (_third, third) = place(&buffers, 199_000);
        assert_eq!(first, third);
    }

    #[test]
    fn a_frame_gets_no_buffer_much_larger_than_itself() {
        let buffers = Buffers::default();
        drop(place(&buffers, 1_000_000));
        for size in [POOLED_MIN, 100_000, 500_000, 799_999] {
            let capacity = buffers.take(size).capacity();
            assert!(capacity <= size + size / 4, "{capacity} for {size}");
        }
        assert_eq!(buffers.take(100).capacity(), 100);
    }

    #[test]
    fn what_waits_is_bounded_and_goes_when_nobody_wants_it() {
        let buffers = Buffers::default();
        let frames: Vec<_> = (0..100).map(|_| place(&buffers, 256 << 10)).collect();
        drop(frames);
        assert!((IDLE_MAX / 2..=IDLE_MAX).contains(&super::lock(&buffers.0).bytes));
        buffers.trim();
        assert_ne!(super::lock(&buffers.0).bytes, 0, "wanted a moment ago");
        buffers.trim();
        assert_eq!(super::lock(&buffers.0).bytes, 0);
        assert!(super::lock(&buffers.0).buffers.is_empty());
    }
}
