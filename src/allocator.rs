//! The allocator of this program, for its own code and for librdkafka's.
//!
//! librdkafka allocates one operation per record on another thread than frees it; built with `override`, mimalloc serves the C
//! code too.

#![allow(unsafe_code, reason = "the crate has no safe way to set an option")]

use std::ffi::{c_int, c_long};

use libmimalloc_sys::mi_option_set_default;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay` of mimalloc's `mimalloc.h`: after how many milliseconds pages that are free go back to the system.
const PURGE_DELAY: c_int = 15;

/// A response of a broker is unpacked, and gone milliseconds later. With the default of a second, a process that works off a
/// backlog holds the pages of all responses of that second: 130 MB were seen where these take 60. With 10 ms it takes a tenth
/// less, and a tenth more CPU.
const PURGE_DELAY_MS: c_long = 50;

/// Before any other thread runs. What `MIMALLOC_PURGE_DELAY` says counts more.
pub(crate) fn give_memory_back_soon() {
    // SAFETY: it writes a number that mimalloc keeps for the option, which exists, and no other thread runs yet.
    unsafe { mi_option_set_default(PURGE_DELAY, PURGE_DELAY_MS) };
}

#[cfg(test)]
mod tests {
    use libmimalloc_sys::mi_option_get;

    use super::*;

    #[test]
    fn the_option_is_the_one_that_is_meant() {
        // SAFETY: it reads a number.
        let delay = || unsafe { mi_option_get(PURGE_DELAY) };
        assert_eq!(delay(), 1000, "mimalloc's default");
        give_memory_back_soon();
        assert_eq!(delay(), PURGE_DELAY_MS);
    }
}
