//! One header block: finds its authority and mends it.
//!
//! HPACK is read only as far as it takes to get from one field to the next.

use std::borrow::Cow;
use std::ops::Range;

use http::uri::Authority;
use octets::Octets;

/// Longest authority looked at, as it is sent: the path of a socket has 108 bytes at most, and
/// three times as many if each is escaped.
pub(super) const AUTHORITY_MAX: usize = 512;

/// Place of `:authority` in the static table.
const STATIC_INDEX: usize = 1;

const NAME: &[u8] = b":authority";

/// The name in the Huffman code, in which every text has exactly one form.
pub(super) const NAME_IN_HUFFMAN: &[u8] = &[0xb8, 0x3b, 0x53, 0x39, 0xec, 0x32, 0x7d, 0x7f];

/// The block with a mended authority; `None` if nothing is to be done.
pub(super) fn mend(block: &[u8]) -> Option<Vec<u8>> {
    let text = authority(block)?;
    let value = block
        .get(text.content)
        .filter(|it| it.len() <= AUTHORITY_MAX)?;
    let value = if text.huffman {
        Cow::Owned(Octets::with_slice(value).get_huffman_decoded().ok()?)
    } else {
        Cow::Borrowed(value)
    };
    if value.is_empty() || Authority::try_from(&*value).is_ok() {
        return None;
    }
    let mut mended = Vec::with_capacity(block.len() + value.len());
    mended.extend_from_slice(block.get(..text.whole.start)?);
    push_length(value.len(), &mut mended);
    mended.extend(value.iter().map(|&byte| host_byte(byte)));
    mended.extend_from_slice(block.get(text.whole.end..)?);
    Some(mended)
}

/// The byte if it may stand anywhere in the name of a host, and a dash for all others.
fn host_byte(byte: u8) -> u8 {
    if byte.is_ascii_alphanumeric() || byte == b'.' {
        byte
    } else {
        b'-'
    }
}

/// The length of a text that is not in the Huffman code.
fn push_length(length: usize, block: &mut Vec<u8>) {
    const PREFIX: usize = 0x7f;
    let Some(mut rest) = length.checked_sub(PREFIX) else {
        block.push(low_bits(length));
        return;
    };
    block.push(low_bits(PREFIX));
    while rest > PREFIX {
        block.push(low_bits(rest) | 0x80);
        rest >>= 7;
    }
    block.push(low_bits(rest));
}

fn low_bits(number: usize) -> u8 {
    u8::try_from(number & 0x7f).unwrap_or_default()
}

/// Where the first authority of the block has its value. `None` also if the block is malformed
/// before it.
fn authority(block: &[u8]) -> Option<Text> {
    let mut reader = Reader { block, at: 0 };
    while let Some(&first) = block.get(reader.at) {
        if first & 0x80 != 0 {
            reader.integer(7)?; // a field of one of the tables
        } else if first & 0x40 != 0 {
            if let Some(value) = reader.literal(6)? {
                return Some(value);
            }
        } else if first & 0x20 != 0 {
            reader.integer(5)?; // the size of the dynamic table changes
        } else if let Some(value) = reader.literal(4)? {
            return Some(value);
        }
    }
    None
}

/// A text in a block.
struct Text {
    /// With its length.
    whole: Range<usize>,
    /// Without.
    content: Range<usize>,
    huffman: bool,
}

struct Reader<'a> {
    block: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// Passes a literal field. Its value, if it is the authority.
    fn literal(&mut self, prefix: u32) -> Option<Option<Text>> {
        let index = self.integer(prefix)?;
        let is_authority = if index == 0 {
            let name = self.text()?;
            let wanted = if name.huffman { NAME_IN_HUFFMAN } else { NAME };
            self.block.get(name.content) == Some(wanted)
        } else {
            index == STATIC_INDEX
        };
        let value = self.text()?;
        Some(is_authority.then_some(value))
    }

    fn text(&mut self) -> Option<Text> {
        let start = self.at;
        let huffman = self.block.get(start)? & 0x80 != 0;
        let length = self.integer(7)?;
        let content = self.at..self.at.checked_add(length)?;
        self.block.get(content.clone())?;
        self.at = content.end;
        Some(Text {
            whole: start..content.end,
            content,
            huffman,
        })
    }

    /// An integer that begins in the low bits of a byte and takes five bytes at most, as in `h2`.
    fn integer(&mut self, prefix: u32) -> Option<usize> {
        let mask = (1_usize << prefix) - 1;
        let mut number = usize::from(*self.block.get(self.at)?) & mask;
        self.at += 1;
        if number < mask {
            return Some(number);
        }
        for shift in [0, 7, 14, 21] {
            let byte = usize::from(*self.block.get(self.at)?);
            self.at += 1;
            number += (byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }
}
