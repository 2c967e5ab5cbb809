//! A fixed, fast hash for keys that are hashes or small numbers already.
//!
//! Fixed, so that memory and speed of a replayed seed are those of the first time.

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FixedState;

impl std::hash::BuildHasher for FixedState {
    type Hasher = FixedHasher;

    fn build_hasher(&self) -> FixedHasher {
        FixedHasher(0)
    }
}

/// See [`FixedState`].
#[derive(Debug)]
pub(crate) struct FixedHasher(u64);

impl std::hash::Hasher for FixedHasher {
    fn finish(&self) -> u64 {
        // The table takes its tag from the top bits, its bucket from the low ones: mix both ways.
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u64(&mut self, value: u64) {
        // Fibonacci hashing: 2^64 divided by the golden ratio.
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write_isize(&mut self, value: isize) {
        // Discriminants of enums.
        self.write_u64(u64::try_from(value).unwrap_or(0));
    }
}
