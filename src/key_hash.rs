//! A fixed, fast hash of record keys.
//!
//! Two records with equal keys have equal hashes, in every process and every release: that is all the
//! core relies on. Different keys with equal hashes share a lane, which costs parallelism and nothing
//! else, so the hash need not withstand an attacker.

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
const STEP: u64 = 0xd6e8_feb8_6659_fd93;

/// The hash of a key.
pub(crate) fn key_hash(key: &[u8]) -> u64 {
    let (words, rest) = key.as_chunks::<8>();
    let mut hash = SEED ^ (key.len() as u64).wrapping_mul(STEP);
    for word in words {
        hash = absorb(hash, *word);
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    spread(absorb(hash, last))
}

/// Takes in eight bytes. For a given hash, different words give different results.
fn absorb(hash: u64, word: [u8; 8]) -> u64 {
    let hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(STEP);
    // A product carries bits up only; the shift brings them down again.
    hash ^ (hash >> 29)
}

/// Makes every bit in count for every bit out, without losing any.
fn spread(hash: u64) -> u64 {
    let hash = (hash ^ (hash >> 32)).wrapping_mul(STEP);
    let hash = (hash ^ (hash >> 32)).wrapping_mul(STEP);
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::key_hash;

    #[test]
    fn keys_that_differ_in_length_or_in_one_bit_differ_in_hash() {
        let mut keys: Vec<Vec<u8>> = (0..40).map(|length| vec![0; length]).collect();
        for bit in 0..192 {
            let mut key = vec![0; 24];
            key[bit / 8] = 1 << (bit % 8);
            keys.push(key);
        }
        let hashes: BTreeSet<u64> = keys.iter().map(|key| key_hash(key)).collect();
        assert_eq!(hashes.len(), keys.len());
    }

    #[test]
    fn hash_spreads_over_high_and_low_bits() {
        let numbers = 0..10_000_u32;
        let low: BTreeSet<u64> = numbers
            .clone()
            .map(|n| key_hash(&n.to_be_bytes()) & 0xffff)
            .collect();
        let high: BTreeSet<u64> = numbers.map(|n| key_hash(&n.to_be_bytes()) >> 48).collect();
        // 10,000 balls in 65,536 bins fill about 9,270 of them.
        assert!(low.len() > 9_000, "{}", low.len());
        assert!(high.len() > 9_000, "{}", high.len());
    }

    #[test]
    fn hash_is_fixed_for_all_time() {
        assert_eq!(key_hash(b""), 0x2ea0_2b13_65de_f25e);
    }
}
