//! The small fields between keys and values, put together before they are written.
//!
//! Written one by one, each would cost a look at the capacity of the buffer, dozens for a record. Gathered here they
//! are written at once.

/// More than all small fields of a record that follow each other: tag and length of the record, id, attempt, offset,
/// timestamp, its kind, tag and length of key or value.
const ROOM: usize = 80;

/// A few bytes that are about to be written.
pub(super) struct Small {
    bytes: [u8; ROOM],
    len: usize,
}

impl Default for Small {
    fn default() -> Self {
        Self {
            bytes: [0; ROOM],
            len: 0,
        }
    }
}

impl Small {
    /// A number of variable length.
    pub(super) fn varint_field(&mut self, tag: u8, value: u64) {
        self.byte(tag);
        self.varint(value);
    }

    /// A number of eight bytes.
    pub(super) fn fixed_field(&mut self, tag: u8, value: u64) {
        self.byte(tag);
        self.bytes[self.len..self.len + 8].copy_from_slice(&value.to_le_bytes());
        self.len += 8;
    }

    /// What stands before `len` bytes of a field.
    pub(super) fn head_of_bytes(&mut self, tag: u8, len: usize) {
        self.varint_field(tag, len as u64);
    }

    /// Appends what was gathered, and starts anew.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.len]);
        self.len = 0;
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.byte(value.to_le_bytes()[0]);
    }

    fn byte(&mut self, byte: u8) {
        self.bytes[self.len] = byte;
        self.len += 1;
    }
}
