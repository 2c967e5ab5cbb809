//! How much one assignment may hold: records, bytes, and what a restart has to be told.

use super::assignment::AssignmentState;
use crate::mutant;

/// How much an assignment may hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Unfinished records.
    pub(crate) window: u64,
    /// Bytes of waiting records.
    pub(crate) share: u64,
    /// Bits of marks in the commit metadata, at worst. No limit if none are written.
    pub(crate) marks_bits: u64,
}

impl AssignmentState {
    /// Whether it uses up its window, its share of the budget, or the room for its marks. Live records do not count
    /// against the share: they are bounded by the limits of streams.
    pub(crate) fn is_full(&self, limits: &Limits) -> bool {
        let held = if mutant::planted("window-counted-as-span") {
            self.window.frontier().0.abs_diff(self.window.watermark().0)
        } else {
            self.window.unfinished()
        };
        let window_full = held >= limits.window && !mutant::planted("M10");
        let marks_full = self.marks_bits_at_most(limits) > limits.marks_bits
            && !mutant::planted("marks-without-room");
        window_full
            || (self.waiting_bytes >= limits.share && self.waiting_records > 0)
            || marks_full
    }

    /// Whether, of a partition that is full or was lately, the room for marks is what it fills most of.
    pub(crate) fn is_full_of_marks(&self, limits: &Limits) -> bool {
        let share_of = |used: u64, limit: u64| used as f64 / limit.max(1) as f64;
        let marks = share_of(self.marks_bits_at_most(limits), limits.marks_bits);
        marks > share_of(self.window.unfinished(), limits.window)
            && marks > share_of(self.waiting_bytes, limits.share)
    }

    fn marks_bits_at_most(&self, limits: &Limits) -> u64 {
        // A broker that refuses marks has no room to run out of, and what holds nothing may always take something in.
        if limits.marks_bits == u64::MAX
            || self.metadata_refused > 0
            || self.window.unfinished() == 0
        {
            return 0;
        }
        self.window.marks_bits_at_most()
    }

    /// Whether it has fallen far enough below its limits to be fetched again.
    pub(crate) fn is_half_empty(&self, limits: &Limits) -> bool {
        self.window.unfinished() <= limits.window / 2
            && self.waiting_bytes <= limits.share / 2
            && self.marks_bits_at_most(limits) <= limits.marks_bits / 2
    }
}
