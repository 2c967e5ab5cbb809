//! The bytes of a client, cut into frames far enough to find header blocks.
//!
//! ```text
//!  Preface ──> Between <──> Passing          all frames but header blocks
//!     │           └ held: the head of a frame, or a header block, that has not come wholly
//!     └──────> Foreign                       is not HTTP/2
//! ```
//!
//! What needs no change stays in the buffer into which it was read, and is neither held nor copied
//! ([`Frames::feed`] counts it). Behind bytes that are held or changed, the rest of what was read
//! at the same time is copied once, to keep the order.

use super::block;

/// Longest header block that is looked at, with the heads of its frames. The server takes as much
/// as headers of one call, before compression: what is longer is refused, or encoded at random.
pub(super) const BLOCK_MAX: usize = 16 << 10;

/// Frames of a header block besides the first; `h2` takes six from a client if the last ends it.
const CONTINUATIONS_MAX: usize = 6;

/// Payload of a frame that is written here. Nobody may refuse this much.
pub(super) const PAYLOAD_MAX: usize = 16 << 10;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

const HEAD: usize = 9;

const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

/// What a connection is in the middle of.
#[derive(Debug)]
pub(super) struct Frames {
    state: State,
    /// The beginning of what cannot be judged before more has come.
    held: Vec<u8>,
    /// To be handed out before anything else is read.
    ready: Vec<u8>,
    /// How much of `ready` has been.
    taken: usize,
}

#[derive(Debug)]
enum State {
    /// What every client says first has been seen up to there.
    Preface { seen: usize },
    /// No HTTP/2: whatever it is, it is none of our business.
    Foreign,
    /// At the beginning of a frame.
    Between,
    /// Inside a frame that is not looked at.
    Passing { left: usize },
}

impl Frames {
    pub(super) fn new() -> Self {
        Self {
            state: State::Preface { seen: 0 },
            held: Vec::new(),
            ready: Vec::new(),
            taken: 0,
        }
    }

    /// What is to be handed out next.
    pub(super) fn ready(&self) -> &[u8] {
        self.ready.get(self.taken..).unwrap_or_default()
    }

    /// That much of it has been handed out.
    pub(super) fn took(&mut self, count: usize) {
        self.taken += count;
        if self.ready().is_empty() {
            self.ready.clear();
            self.taken = 0;
        }
    }

    /// The client says nothing more: what is held goes on as it is. Whether there was anything.
    pub(super) fn end(&mut self) -> bool {
        self.ready.append(&mut self.held);
        !self.ready().is_empty()
    }

    /// Bytes held back or waiting to be handed out.
    #[cfg(test)]
    pub(super) fn kept(&self) -> usize {
        self.held.len() + self.ready().len()
    }

    /// Takes what was read. That many bytes at its beginning go on as they are, before whatever
    /// is ready then; all others have been taken over. Nothing may be ready before.
    pub(super) fn feed(&mut self, read: &[u8]) -> usize {
        debug_assert!(self.ready().is_empty());
        let mut input = Input {
            rest: read,
            passed: 0,
        };
        while !input.rest.is_empty() {
            match self.state {
                State::Preface { seen } => self.preface(seen, &mut input),
                State::Foreign => self.pass(input.rest.len(), &mut input),
                State::Passing { left } => {
                    let count = left.min(input.rest.len());
                    self.pass(count, &mut input);
                    self.passing(left - count);
                }
                State::Between if self.held.is_empty() => self.begin(&mut input),
                State::Between => self.go_on(&mut input),
            }
        }
        input.passed
    }

    fn preface(&mut self, seen: usize, input: &mut Input<'_>) {
        let wanted = PREFACE.get(seen..).unwrap_or_default();
        let count = wanted.len().min(input.rest.len());
        if wanted.get(..count) != input.rest.get(..count) {
            self.state = State::Foreign;
            return;
        }
        self.pass(count, input);
        self.state = if count == wanted.len() {
            State::Between
        } else {
            State::Preface { seen: seen + count }
        };
    }

    /// Nothing is held, so that a frame or block begins with what was read.
    fn begin(&mut self, input: &mut Input<'_>) {
        match Unit::at_start_of(input.rest) {
            Unit::Unfinished { .. } => self.held.extend_from_slice(input.take(input.rest.len())),
            Unit::Frame { length } => {
                let count = length.min(input.rest.len());
                self.pass(count, input);
                self.passing(length - count);
            }
            Unit::Block { length } => {
                let mended = input.rest.get(..length).and_then(mend);
                if let Some(mended) = mended {
                    input.take(length);
                    self.ready.extend_from_slice(&mended);
                } else {
                    self.pass(length, input);
                }
            }
        }
    }

    /// What was read goes on with what is held.
    fn go_on(&mut self, input: &mut Input<'_>) {
        match Unit::at_start_of(&self.held) {
            Unit::Unfinished { wanted } => {
                let count = wanted.saturating_sub(self.held.len()).min(input.rest.len());
                self.held.extend_from_slice(input.take(count));
                // It may be judged now; if nothing follows it must not wait for the next read.
                if input.rest.is_empty() {
                    self.judge_held();
                }
            }
            Unit::Frame { .. } | Unit::Block { .. } => self.judge_held(),
        }
    }

    /// Lets go of all in `held` that has come far enough.
    fn judge_held(&mut self) {
        while !self.held.is_empty() {
            match Unit::at_start_of(&self.held) {
                Unit::Unfinished { .. } => return,
                Unit::Frame { length } => {
                    let count = length.min(self.held.len());
                    self.ready.extend(self.held.drain(..count));
                    self.passing(length - count);
                }
                Unit::Block { length } => {
                    let block = self.held.drain(..length.min(self.held.len()));
                    match mend(block.as_slice()) {
                        Some(mended) => self.ready.extend_from_slice(&mended),
                        None => self.ready.extend_from_slice(block.as_slice()),
                    }
                }
            }
        }
    }

    /// That much of what was read goes on as it is.
    fn pass(&mut self, count: usize, input: &mut Input<'_>) {
        let passed = input.take(count);
        if self.ready.is_empty() {
            input.passed += passed.len();
        } else {
            self.ready.extend_from_slice(passed);
        }
    }

    fn passing(&mut self, left: usize) {
        self.state = if left == 0 {
            State::Between
        } else {
            State::Passing { left }
        };
    }
}

/// What was read and not looked at yet.
struct Input<'a> {
    rest: &'a [u8],
    /// How much of its beginning goes on where it lies.
    passed: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.rest.split_at(count.min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

/// What bytes begin with, from the beginning of a frame.
enum Unit {
    /// Cannot be said before that many bytes have come.
    Unfinished { wanted: usize },
    /// A frame that is not looked at.
    Frame { length: usize },
    /// All frames of a header block.
    Block { length: usize },
}

impl Unit {
    fn at_start_of(bytes: &[u8]) -> Self {
        let Some(first) = Head::read(bytes) else {
            return Self::Unfinished { wanted: HEAD };
        };
        let frame = Self::Frame {
            length: HEAD + first.payload,
        };
        if first.kind != HEADERS {
            return frame;
        }
        let mut length = HEAD + first.payload;
        let mut ended = first.flags & END_HEADERS != 0;
        for _ in 0..CONTINUATIONS_MAX {
            if ended {
                break;
            }
            if length + HEAD > BLOCK_MAX {
                return frame;
            }
            let Some(head) = bytes.get(length..).and_then(Head::read) else {
                return Self::Unfinished {
                    wanted: length + HEAD,
                };
            };
            if head.kind != CONTINUATION || head.stream != first.stream {
                return frame;
            }
            length += HEAD + head.payload;
            ended = head.flags & END_HEADERS != 0;
        }
        if !ended || length > BLOCK_MAX {
            frame
        } else if bytes.len() < length {
            Self::Unfinished { wanted: length }
        } else {
            Self::Block { length }
        }
    }
}

struct Head {
    payload: usize,
    kind: u8,
    flags: u8,
    stream: [u8; 4],
}

impl Head {
    fn read(bytes: &[u8]) -> Option<Self> {
        let [a, b, c, kind, flags, stream @ ..] = *bytes.first_chunk::<HEAD>()?;
        Some(Self {
            payload: usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c),
            kind,
            flags,
            stream,
        })
    }
}

/// The frames of a header block with a mended authority; `None` if they can stay as they are.
fn mend(frames: &[u8]) -> Option<Vec<u8>> {
    let first = Head::read(frames)?;
    let (payload, mut more) = frames.get(HEAD..)?.split_at_checked(first.payload)?;
    let (priority, fragment) = inside(first.flags, payload)?;
    let mended = if more.is_empty() {
        block::mend(fragment)?
    } else {
        let mut whole = fragment.to_vec();
        while let Some(head) = Head::read(more) {
            let (payload, rest) = more.get(HEAD..)?.split_at_checked(head.payload)?;
            whole.extend_from_slice(payload);
            more = rest;
        }
        block::mend(&whole)?
    };
    let mut written = Vec::with_capacity(mended.len() + 2 * HEAD);
    let (start, mut rest) = mended.split_at(mended.len().min(PAYLOAD_MAX - priority.len()));
    let end = |rest: &[u8]| if rest.is_empty() { END_HEADERS } else { 0 };
    let kept = first.flags & !(PADDED | END_HEADERS);
    write(
        HEADERS,
        kept | end(rest),
        first.stream,
        &[priority, start],
        &mut written,
    );
    while !rest.is_empty() {
        let (start, after) = rest.split_at(rest.len().min(PAYLOAD_MAX));
        write(
            CONTINUATION,
            end(after),
            first.stream,
            &[start],
            &mut written,
        );
        rest = after;
    }
    Some(written)
}

/// Priority and part of the block, in the payload of a HEADERS frame.
fn inside(flags: u8, mut payload: &[u8]) -> Option<(&[u8], &[u8])> {
    if flags & PADDED != 0 {
        let (&padding, after) = payload.split_first()?;
        payload = after.get(..after.len().checked_sub(usize::from(padding))?)?;
    }
    payload.split_at_checked(if flags & PRIORITY != 0 { 5 } else { 0 })
}

fn write(kind: u8, flags: u8, stream: [u8; 4], parts: &[&[u8]], to: &mut Vec<u8>) {
    let payload: usize = parts.iter().map(|part| part.len()).sum();
    debug_assert!(payload <= PAYLOAD_MAX);
    let payload = u32::try_from(payload).unwrap_or_default().to_be_bytes();
    to.extend_from_slice(payload.get(1..).unwrap_or_default());
    to.extend_from_slice(&[kind, flags]);
    to.extend_from_slice(&stream);
    for part in parts {
        to.extend_from_slice(part);
    }
}
