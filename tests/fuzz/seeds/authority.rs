//! Connections of clients that name the path of the socket as their host, and of others.

use octets::OctetsMut;

use super::Seeds;

#[allow(dead_code, reason = "tests of the gRPC edge use all of it")]
#[path = "../../../src/grpc/tests/http2.rs"]
mod http2;

use http2::{CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, SETTINGS, frame};

const PADDED: u8 = 8;
const PRIORITY: u8 = 0x20;
const SOCKET: &[u8] = b"run%2Fackline%2Fackline.sock";

/// What gRPC clients send before the first call.
const POST: &[u8] = &[0x83, 0x86];

pub(super) fn seeds() -> Seeds {
    let plain = block(&plain(SOCKET));
    let huffman = block(&huffman(SOCKET));
    let by_name = block(&[&[0x40, 10][..], b":authority", &plain_text(SOCKET)].concat());
    let once = connection(&[headers(END_HEADERS, &plain)]);
    let (start, rest) = plain.split_at(9);
    let in_parts = [headers(0, start), frame(CONTINUATION, END_HEADERS, 1, rest)];
    let padded = [&[3], &[0x80, 0, 0, 0, 77][..], &huffman, &[0; 3]].concat();
    Seeds::from([
        ("real-plain", once.clone()),
        (
            "real-huffman",
            connection(&[headers(END_HEADERS, &huffman)]),
        ),
        ("real-byte-by-byte", [&[0, 1], &once[2..]].concat()),
        (
            "real-host",
            connection(&[headers(END_HEADERS, &block(&self::plain(b"localhost:80")))]),
        ),
        ("real-continued", connection(&in_parts)),
        (
            "real-padded",
            connection(&[headers(END_HEADERS | PADDED | PRIORITY, &padded)]),
        ),
        (
            "real-indexed-after",
            connection(&[
                headers(END_HEADERS, &by_name),
                headers(END_HEADERS, &[0x83, 0xbe]),
            ]),
        ),
        (
            "hostile-not-http2",
            [&[1, 0], &b"GET / HTTP/1.1\r\n\r\n"[..]].concat(),
        ),
        (
            "hostile-never-continued",
            connection(&[headers(0, start), frame(DATA, 0, 1, b"x")]),
        ),
        (
            "hostile-padding",
            connection(&[headers(END_HEADERS | PADDED, &[255, 1, 2])]),
        ),
        (
            "hostile-length-of-frame",
            [
                &connection(&[])[..],
                &[0xff, 0xff, 0xff, HEADERS, 4, 0, 0, 0, 1],
            ]
            .concat(),
        ),
        (
            "hostile-length-of-text",
            connection(&[headers(END_HEADERS, &[0x41, 0x7f, 0xff, 0xff, 0xff, 0x7f])]),
        ),
        (
            "hostile-huffman",
            connection(&[headers(END_HEADERS, &[0x41, 0x84, 0xff, 0xff, 0xff, 0xff])]),
        ),
        ("hostile-continuations", connection(&many_parts(&plain))),
    ])
}

/// As the target reads it: with a preface, in one read.
fn connection(frames: &[Vec<u8>]) -> Vec<u8> {
    let settings = frame(SETTINGS, 0, 0, &[0, 2, 0, 0, 0, 0]);
    [&[0, 0], &settings[..], &frames.concat()].concat()
}

fn headers(flags: u8, payload: &[u8]) -> Vec<u8> {
    [
        frame(HEADERS, flags, 1, payload),
        frame(DATA, END_STREAM, 1, &[0; 5]),
    ]
    .concat()
}

fn block(authority: &[u8]) -> Vec<u8> {
    [POST, authority, &[0x44, 2], b"/x"].concat()
}

fn plain(value: &[u8]) -> Vec<u8> {
    [&[0x41][..], &plain_text(value)].concat()
}

fn plain_text(value: &[u8]) -> Vec<u8> {
    [&[u8::try_from(value.len()).unwrap()], value].concat()
}

fn huffman(value: &[u8]) -> Vec<u8> {
    let mut coded = vec![0; value.len() * 4];
    let mut writer = OctetsMut::with_slice(&mut coded);
    writer.put_huffman_encoded::<false>(value).unwrap();
    let length = writer.off();
    coded.truncate(length);
    [&[0x41, 0x80 | u8::try_from(length).unwrap()], &coded[..]].concat()
}

/// A block of one byte for each frame, and more of them than anybody takes.
fn many_parts(block: &[u8]) -> Vec<Vec<u8>> {
    let part = |byte: &u8| frame(CONTINUATION, 0, 1, &[*byte]);
    let mut frames = vec![frame(HEADERS, 0, 1, &[])];
    frames.extend(block.iter().map(part));
    frames.push(frame(CONTINUATION, END_HEADERS, 1, &[]));
    frames
}
