//! Inputs near those of a corpus, each from a number.

/// Numbers at which something changes.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0xffff,
    1 << 24,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX.cast_unsigned(),
    1 << 63,
    u64::MAX,
];

/// Changes of one input, at most.
const CHANGES_MAX: usize = 6;

/// See the module.
pub(crate) struct Mutation {
    state: u64,
}

impl Mutation {
    pub(crate) fn of(seed: u64) -> Self {
        Self {
            state: seed.wrapping_mul(0x9e37_79b9_7f4a_7c15),
        }
    }

    /// One of the inputs with some changes, none longer than `len_max`.
    pub(crate) fn input(mut self, corpus: &[&[u8]], len_max: usize) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].to_vec();
        for _ in 0..=self.below(CHANGES_MAX) {
            self.change(&mut input, corpus);
        }
        input.truncate(len_max);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>, corpus: &[&[u8]]) {
        let at = self.below(input.len() + 1);
        let end = at + self.below(input.len() - at + 1).min(64);
        match self.below(9) {
            0 | 1 if at < input.len() => input[at] ^= 1 << self.below(8),
            2 if at < input.len() => input[at] = self.byte(),
            3 => input.insert(at, self.byte()),
            4 => drop(input.drain(at..end)),
            5 => {
                // A piece again, somewhere.
                let piece = input[at..end].to_vec();
                let to = self.below(input.len() + 1);
                input.splice(to..to, piece);
            }
            6 => {
                // A piece of another input, in place of this one.
                let other = corpus[self.below(corpus.len())];
                let from = self.below(other.len() + 1);
                let to = from + self.below(other.len() - from + 1).min(256);
                input.splice(at..end, other[from..to].iter().copied());
            }
            7 => {
                let number = self.number();
                let to = (at + number.len()).min(input.len());
                let over = if self.below(2) == 0 { at..to } else { at..at };
                input.splice(over, number);
            }
            _ => input.truncate(input.len() - self.below(input.len() + 1).min(16)),
        }
    }

    /// A number in one of the ways in which bytes hold them.
    fn number(&mut self) -> Vec<u8> {
        let mut number = NUMBERS[self.below(NUMBERS.len())];
        number = number.wrapping_add_signed([0, 0, 1, -1][self.below(4)]);
        match self.below(5) {
            0 => number.to_le_bytes().to_vec(),
            1 => number.to_be_bytes().to_vec(),
            2 => number.to_string().into_bytes(),
            3 => number.to_be_bytes()[4..].to_vec(),
            _ => {
                let mut bytes = Vec::new();
                while number >= 0x80 {
                    bytes.push(number.to_le_bytes()[0] | 0x80);
                    number >>= 7;
                }
                bytes.push(number.to_le_bytes()[0]);
                bytes
            }
        }
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// SplitMix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
