//! Descriptors of unfinished records, in pages of 64.
//!
//! Records are numbered densely as they are taken in, so pages are too, until some in the middle are finished: a page
//! is dropped when nothing in it is unfinished. Most are found by counting back from the newest one.

use std::collections::VecDeque;

use super::input::PoppedRecord;

/// Records of a page: one bit each in a word.
const PAGE: u64 = 64;
const SLOTS: usize = 64;

/// Descriptors of up to 64 consecutive records.
#[derive(Debug)]
struct Page {
    number: u64,
    offsets: [i64; SLOTS],
    sizes: [u32; SLOTS],
    /// Key hashes; absent unless records are ordered by key.
    keys: Option<Box<[u64; SLOTS]>>,
    /// Bit per record: it has no key.
    keyless: u64,
    /// Bit per record: it is not finished.
    unfinished: u64,
}

/// A record that stands on a page.
#[derive(Clone, Copy)]
struct Spot<'a> {
    page: &'a Page,
    slot: usize,
}

/// What became of records that were to be finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Finished {
    /// How many were not finished before.
    pub(super) count: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// The highest of their offsets, and its number.
    pub(super) last: Option<(u64, i64)>,
    /// A page went.
    pub(super) page_dropped: bool,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Pages {
    /// Rising numbers; none of them all finished.
    pages: VecDeque<Box<Page>>,
    keyed: bool,
}

impl Pages {
    pub(super) fn new(keyed: bool) -> Self {
        Self {
            pages: VecDeque::new(),
            keyed,
        }
    }

    /// Puts a record on its page; numbers rise from call to call.
    pub(super) fn push(&mut self, number: u64, record: &PoppedRecord) {
        let page_number = number / PAGE;
        if self
            .pages
            .back()
            .is_none_or(|page| page.number != page_number)
        {
            self.pages.push_back(Page::new(page_number, self.keyed));
        }
        if let Some(page) = self.pages.back_mut() {
            page.put(slot_of(number), record);
        }
    }

    /// Number and offset of the lowest record.
    pub(super) fn lowest(&self) -> Option<(u64, i64)> {
        let page = self.pages.front()?;
        let slot = page.unfinished.trailing_zeros();
        Some((
            page.number * PAGE + u64::from(slot),
            page.offsets[slot as usize],
        ))
    }

    /// Offset of an unfinished record.
    pub(super) fn offset(&self, number: u64) -> Option<i64> {
        let Spot { page, slot } = self.spot(number)?;
        (page.unfinished >> slot & 1 == 1).then(|| page.offsets[slot])
    }

    /// Sizes of the record and those behind it on its page, finished or not.
    pub(super) fn sizes(&self, number: u64) -> &[u32] {
        self.spot(number)
            .map_or(&[], |Spot { page, slot }| &page.sizes[slot..])
    }

    /// Key hash of a record; `None` without a key, or without key order.
    pub(super) fn key(&self, number: u64) -> Option<u64> {
        let Spot { page, slot } = self.spot(number)?;
        let keys = page.keys.as_ref()?;
        (page.keyless >> slot & 1 == 0).then(|| keys[slot])
    }

    /// Finishes records, in any order; those that are finished already change nothing.
    pub(super) fn finish(&mut self, numbers: &[u64]) -> Finished {
        let mut finished = Finished::default();
        each_page(numbers, |number, wanted| {
            let Some(at) = self.place(number) else {
                return;
            };
            self.pages[at].finish(wanted, &mut finished);
            if self.pages[at].unfinished == 0 {
                self.pages.remove(at);
                finished.page_dropped = true;
            }
        });
        finished
    }

    /// Number and offset of every unfinished record, rising.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, i64)> + '_ {
        self.pages.iter().flat_map(|page| {
            let mut bits = page.unfinished;
            std::iter::from_fn(move || {
                if bits == 0 {
                    return None;
                }
                let slot = bits.trailing_zeros();
                bits &= bits - 1;
                Some((
                    page.number * PAGE + u64::from(slot),
                    page.offsets[slot as usize],
                ))
            })
        })
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.pages.len()
    }

    fn spot(&self, number: u64) -> Option<Spot<'_>> {
        let page = &self.pages[self.place(number / PAGE)?];
        let slot = slot_of(number);
        Some(Spot { page, slot })
    }

    fn place(&self, page_number: u64) -> Option<usize> {
        let newest = self.pages.back()?.number;
        // Behind the oldest gap, pages stand as many places from the end as their numbers say.
        let back = usize::try_from(newest.checked_sub(page_number)?).unwrap_or(usize::MAX);
        let dense = (self.pages.len() - 1).checked_sub(back);
        if let Some(at) = dense
            && self.pages[at].number == page_number
        {
            return Some(at);
        }
        self.pages
            .binary_search_by_key(&page_number, |page| page.number)
            .ok()
    }
}

impl Page {
    fn new(number: u64, keyed: bool) -> Box<Self> {
        Box::new(Self {
            number,
            offsets: [0; SLOTS],
            sizes: [0; SLOTS],
            keys: keyed.then(|| Box::new([0; SLOTS])),
            keyless: 0,
            unfinished: 0,
        })
    }

    fn put(&mut self, slot: usize, record: &PoppedRecord) {
        self.offsets[slot] = record.offset;
        self.sizes[slot] = record.size;
        self.unfinished |= 1 << slot;
        if let Some(keys) = &mut self.keys {
            match record.key_hash {
                Some(hash) => keys[slot] = hash,
                None => self.keyless |= 1 << slot,
            }
        }
    }

    fn finish(&mut self, wanted: u64, finished: &mut Finished) {
        let mut done = self.unfinished & wanted;
        self.unfinished &= !wanted;
        let Some(last) = done.checked_ilog2() else {
            return;
        };
        finished.count += u64::from(done.count_ones());
        let offset = self.offsets[last as usize];
        let number = self.number * PAGE + u64::from(last);
        finished.last = finished.last.max(Some((number, offset)));
        if done == u64::MAX {
            finished.bytes += self.sizes.iter().map(|size| u64::from(*size)).sum::<u64>();
            return;
        }
        while done != 0 {
            finished.bytes += u64::from(self.sizes[done.trailing_zeros() as usize]);
            done &= done - 1;
        }
    }
}

/// Calls `found` with each page that has some of `numbers`, and with the bits of those.
fn each_page(numbers: &[u64], mut found: impl FnMut(u64, u64)) {
    let (Some(lowest), Some(highest)) = (numbers.iter().min(), numbers.iter().max()) else {
        return;
    };
    let first = lowest / PAGE;
    let span = usize::try_from(highest / PAGE - first + 1).unwrap_or(usize::MAX);
    if span >= numbers.len() {
        // One alone, or far apart: a look at each costs less than one at all pages between.
        for number in numbers {
            found(number / PAGE, 1 << (number % PAGE));
        }
        return;
    }
    // A message holds records in the order of their lanes, which jumps to and fro within a few pages.
    let mut wanted = vec![0; span];
    for number in numbers {
        wanted[usize::try_from(number / PAGE - first).unwrap_or(0)] |= 1 << (number % PAGE);
    }
    for (page, wanted) in (first..).zip(wanted) {
        if wanted != 0 {
            found(page, wanted);
        }
    }
}

fn slot_of(number: u64) -> usize {
    usize::try_from(number % PAGE).unwrap_or(0)
}
