//! A client that knows all of HPACK, and a reading of what it says that shares no code with ours.

use std::collections::VecDeque;

use octets::OctetsMut;
use proptest::prelude::*;

use crate::grpc::tests::http2::{CONTINUATION, DATA, END_HEADERS, HEADERS, PREFACE, frame};

const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;

pub(super) type Header = (Vec<u8>, Vec<u8>);

/// How a field is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct How {
    /// `0x40` to index it, `0` not to, `0x10` never to.
    pub(super) kind: u8,
    /// The name by its index, if it has one.
    pub(super) by_index: bool,
    pub(super) huffman: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) authority: (String, How),
    pub(super) fields: Vec<(String, String, How)>,
    /// Changes the size of the table before the first field.
    pub(super) resize: Option<usize>,
    pub(super) end_stream: bool,
    pub(super) padding: Option<u8>,
    pub(super) priority: bool,
    /// Length of the part in the first frame, and in each that follows.
    pub(super) cut: usize,
    /// Kind and payload of a frame that comes before.
    pub(super) before: (u8, Vec<u8>),
}

/// The table of the client, and the connection as bytes.
pub(super) struct Client {
    table: VecDeque<Header>,
    max: usize,
    next: u32,
    pub(super) sent: Vec<u8>,
}

impl Client {
    pub(super) fn new() -> Self {
        Self {
            table: VecDeque::new(),
            max: 4096,
            next: 1,
            sent: PREFACE.to_vec(),
        }
    }

    pub(super) fn call(&mut self, call: &Call) {
        self.sent.extend(frame(call.before.0, 0, 0, &call.before.1));
        let mut block = Vec::new();
        if let Some(max) = call.resize {
            self.max = max;
            self.evict();
            integer(0x20, 5, max, &mut block);
        }
        self.field(":method", "POST", call.authority.1, &mut block);
        self.field(
            ":authority",
            &call.authority.0,
            call.authority.1,
            &mut block,
        );
        for (name, value, how) in &call.fields {
            self.field(name, value, *how, &mut block);
        }
        self.frames(call, &block);
        self.sent.extend(frame(DATA, 1, self.next, b"\0\0\0\0\0"));
        self.next += 2;
    }

    fn frames(&mut self, call: &Call, block: &[u8]) {
        let parts: Vec<&[u8]> = block.chunks(call.cut.max(block.len() / 6 + 1)).collect();
        for (index, part) in parts.iter().enumerate() {
            let end = if index + 1 == parts.len() {
                END_HEADERS
            } else {
                0
            };
            if index > 0 {
                self.sent.extend(frame(CONTINUATION, end, self.next, part));
                continue;
            }
            let mut payload = Vec::new();
            let mut flags = end | u8::from(call.end_stream);
            if let Some(padding) = call.padding {
                flags |= PADDED;
                payload.push(padding);
            }
            if call.priority {
                flags |= PRIORITY;
                payload.extend([0x80, 0, 0, 0, 77]);
            }
            payload.extend_from_slice(part);
            payload.resize(payload.len() + usize::from(call.padding.unwrap_or(0)), 0);
            self.sent.extend(frame(HEADERS, flags, self.next, &payload));
        }
    }

    fn field(&mut self, name: &str, value: &str, how: How, block: &mut Vec<u8>) {
        let header = (name.as_bytes().to_vec(), value.as_bytes().to_vec());
        if let Some(at) = self.table.iter().position(|known| *known == header) {
            return integer(0x80, 7, 62 + at, block);
        }
        let known = self.table.iter().position(|(known, _)| *known == header.0);
        let index = match name {
            ":authority" => Some(1),
            ":method" => Some(3),
            _ => known.map(|at| 62 + at),
        };
        let prefix = if how.kind == 0x40 { 6 } else { 4 };
        if let Some(index) = index.filter(|_| how.by_index) {
            integer(how.kind, prefix, index, block);
        } else {
            block.push(how.kind);
            text(&header.0, how.huffman, block);
        }
        text(&header.1, how.huffman, block);
        if how.kind == 0x40 {
            self.table.push_front(header);
            self.evict();
        }
    }

    fn evict(&mut self) {
        let size = |(name, value): &Header| name.len() + value.len() + 32;
        while self.table.iter().map(size).sum::<usize>() > self.max {
            self.table.pop_back();
        }
    }
}

pub(super) fn integer(kind: u8, prefix: u32, number: usize, block: &mut Vec<u8>) {
    let mask = (1_usize << prefix) - 1;
    block.push(kind | u8::try_from(number.min(mask)).unwrap());
    if let Some(mut rest) = number.checked_sub(mask) {
        while rest >= 128 {
            block.push(u8::try_from(rest % 128).unwrap() | 128);
            rest /= 128;
        }
        block.push(u8::try_from(rest).unwrap());
    }
}

pub(super) fn text(text: &[u8], huffman: bool, block: &mut Vec<u8>) {
    if huffman {
        let coded = in_huffman(text);
        integer(0x80, 7, coded.len(), block);
        block.extend(coded);
    } else {
        integer(0, 7, text.len(), block);
        block.extend_from_slice(text);
    }
}

pub(super) fn in_huffman(text: &[u8]) -> Vec<u8> {
    let mut coded = vec![0; text.len() * 4 + 8];
    let mut writer = OctetsMut::with_slice(&mut coded);
    writer.put_huffman_encoded::<false>(text).unwrap();
    let length = writer.off();
    coded.truncate(length);
    coded
}

/// What a connection says, without the form in which it says it.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Frame(Vec<u8>),
    Headers {
        stream: u32,
        end_stream: bool,
        priority: Option<[u8; 5]>,
        headers: Vec<Header>,
    },
}

/// Reads a connection on which nothing is malformed.
pub(super) fn said(connection: &[u8]) -> Vec<Said> {
    let mut decoder = loona_hpack::Decoder::new();
    decoder.set_max_allowed_table_size(4096);
    let mut rest = connection.strip_prefix(PREFACE).unwrap();
    let mut said = Vec::new();
    while !rest.is_empty() {
        let [a, b, c, kind, flags, stream @ ..] = *rest.first_chunk::<9>().unwrap();
        let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
        let (frame, after) = rest.split_at(length);
        rest = after;
        if kind != HEADERS {
            said.push(Said::Frame(frame.to_vec()));
            continue;
        }
        let mut payload = &frame[9..];
        if flags & PADDED != 0 {
            payload = &payload[1..payload.len() - usize::from(payload[0])];
        }
        let priority = (flags & PRIORITY != 0).then(|| *payload.first_chunk::<5>().unwrap());
        let mut block = payload[priority.map_or(0, |it| it.len())..].to_vec();
        let mut ended = flags & END_HEADERS != 0;
        while !ended {
            let [a, b, c, kind, flags, of @ ..] = *rest.first_chunk::<9>().unwrap();
            assert_eq!((kind, of), (CONTINUATION, stream));
            let length = 9 + u32::from_be_bytes([0, a, b, c]) as usize;
            block.extend_from_slice(&rest[9..length]);
            rest = &rest[length..];
            ended = flags & END_HEADERS != 0;
        }
        said.push(Said::Headers {
            stream: u32::from_be_bytes(stream),
            end_stream: flags & 1 != 0,
            priority,
            headers: decoder.decode(&block).unwrap(),
        });
    }
    said
}

fn how() -> impl Strategy<Value = How> {
    let kind = prop_oneof![3 => Just(0x40), 1 => Just(0), 1 => Just(0x10)];
    (kind, any::<bool>(), any::<bool>()).prop_map(|(kind, by_index, huffman)| How {
        kind,
        by_index,
        huffman,
    })
}

/// Hosts, paths, and what is neither; few enough to be named again.
fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => Just("run%2Fackline%2Fackline.sock".to_owned()),
        2 => Just("/run/ackline/ackline.sock".to_owned()),
        2 => Just("localhost".to_owned()),
        1 => Just("user@[::1]:9090".to_owned()),
        1 => "[!-~]{1,40}",
        1 => "/[a-z%]{100,300}",
    ]
}

pub(super) fn call() -> impl Strategy<Value = Call> {
    let field = || ("x-[a-c]", "[ -~]{0,12}|[ab]|y{300}", how());
    let fields = prop_oneof![
        12 => proptest::collection::vec(field(), 0..6),
        1 => proptest::collection::vec(field(), 40..60),
    ];
    let resize = prop_oneof![6 => Just(None), 1 => (0..=4096_usize).prop_map(Some)];
    let padding = prop_oneof![3 => Just(None), 1 => any::<u8>().prop_map(Some)];
    let cut = prop_oneof![2 => Just(usize::MAX), 1 => 1..200_usize];
    let before = (
        prop_oneof![Just(DATA), 2..=8_u8, 10..=255_u8],
        proptest::collection::vec(any::<u8>(), 0..40),
    );
    (
        (host(), how()),
        fields,
        resize,
        any::<bool>(),
        padding,
        any::<bool>(),
        cut,
        before,
    )
        .prop_map(
            |(authority, fields, resize, end_stream, padding, priority, cut, before)| Call {
                authority,
                fields,
                resize,
                end_stream,
                padding,
                priority,
                cut,
                before,
            },
        )
}
