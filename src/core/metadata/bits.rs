//! Bits in bytes, and numbers in few bits.
//!
//! Numbers are written in Exp-Golomb codes of an order *k*: the number without its *k* lowest bits, plus one, in binary,
//! after as many zeros as it has digits behind its first one; then those *k* bits. An order near the logarithm of what is
//! common keeps common numbers short, and the rare large one costs two bits for each doubling.

/// Largest order. Every number below 2^63 has a code in each.
pub(super) const ORDER_MAX: u8 = 62;

/// Writes bits, the highest of each byte first.
#[derive(Debug)]
pub(super) struct BitWriter<'a> {
    bytes: &'a mut Vec<u8>,
    /// Bits that are free in the last byte.
    free: u32,
}

impl<'a> BitWriter<'a> {
    pub(super) fn new(bytes: &'a mut Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    /// Writes the `count` lowest bits of `value`, the highest of them first.
    fn bits(&mut self, value: u64, count: u32) {
        for at in (0..count).rev() {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            self.free -= 1;
            if let Some(last) = self.bytes.last_mut() {
                *last |= u8::from(value >> at & 1 == 1) << self.free;
            }
        }
    }

    /// Writes a number below 2^63.
    pub(super) fn number(&mut self, value: u64, order: u8) {
        let high = (value >> order) + 1;
        let digits = high.ilog2();
        self.bits(0, digits);
        self.bits(high, digits + 1);
        self.bits(value, order.into());
    }
}

/// How many bits a number below 2^63 takes.
pub(super) fn number_bits(value: u64, order: u8) -> u64 {
    let digits = ((value >> order) + 1).ilog2();
    u64::from(2 * digits + 1) + u64::from(order)
}

/// Reads what a [`BitWriter`] wrote.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Bits that were read.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<u64> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(bit.into())
    }

    fn bits(&mut self, count: u32) -> Option<u64> {
        let mut value = 0;
        for _ in 0..count {
            value = value << 1 | self.bit()?;
        }
        Some(value)
    }

    /// A number below 2^63; `None` for what is none, or when the bits end.
    pub(super) fn number(&mut self, order: u8) -> Option<u64> {
        let mut digits = 0;
        while self.bit()? == 0 {
            digits += 1;
            if digits > 63 {
                return None;
            }
        }
        let high = (1 << digits | self.bits(digits)?) - 1;
        let value = high
            .checked_shl(order.into())
            .filter(|value| value >> order == high)?;
        Some(value | self.bits(order.into())?).filter(|value| *value <= i64::MAX.unsigned_abs())
    }

    /// What is left of the last byte is zero; the bytes after it.
    pub(super) fn rest(self) -> Option<&'a [u8]> {
        let padding = self.at.div_ceil(8) * 8 - self.at;
        let (_, rest) = self.bytes.split_at_checked(self.at.div_ceil(8))?;
        let last = self.bytes.get(self.at / 8).copied().unwrap_or(0);
        let padded = padding == 0 || u32::from(last) & ((1 << padding) - 1) == 0;
        padded.then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn codes_are_those_of_exp_golomb() {
        let code = |value, order| {
            let mut bytes = Vec::new();
            BitWriter::new(&mut bytes).number(value, order);
            let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
            bits[..usize::try_from(number_bits(value, order)).unwrap()].to_owned()
        };
        assert_eq!(code(0, 0), "1");
        assert_eq!(code(1, 0), "010");
        assert_eq!(code(2, 0), "011");
        assert_eq!(code(3, 0), "00100");
        assert_eq!(code(0, 2), "100");
        assert_eq!(code(5, 2), "01001");
    }

    proptest! {
        #[test]
        fn numbers_are_read_back_and_no_bit_is_left(numbers in proptest::collection::vec(
            (any::<u64>(), 0_u32..64, 0..=ORDER_MAX), 0..40)
        ) {
            let mut bytes = Vec::new();
            let mut writer = BitWriter::new(&mut bytes);
            let mut bits = 0;
            for (value, shift, order) in &numbers {
                let value = value >> 1 >> shift;
                writer.number(value, *order);
                bits += number_bits(value, *order);
            }
            prop_assert_eq!(bytes.len() as u64, bits.div_ceil(8));
            bytes.push(7);
            let mut reader = BitReader::new(&bytes);
            for (value, shift, order) in &numbers {
                prop_assert_eq!(reader.number(*order), Some(value >> 1 >> shift));
            }
            prop_assert_eq!(reader.rest(), Some(&[7][..]));
        }

        #[test]
        fn any_bytes_are_numbers_or_none(bytes in proptest::collection::vec(any::<u8>(), 0..40), order in 0..=ORDER_MAX) {
            let mut reader = BitReader::new(&bytes);
            let mut count = 0;
            while let Some(value) = reader.number(order) {
                prop_assert!(value <= i64::MAX.unsigned_abs());
                count += 1;
            }
            prop_assert!(count <= bytes.len() * 8);
        }
    }
}
