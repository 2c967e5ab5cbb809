//! H1 to H5, for what clients send and for what they should not.

use std::time::Duration;

use http::uri::Authority;
use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::Mended;
use super::block::{self, AUTHORITY_MAX, NAME_IN_HUFFMAN};
use super::frames::{BLOCK_MAX, Frames, PAYLOAD_MAX};
use crate::grpc::tests::http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, frame,
};

mod client;

use client::{Call, Client, How, Said, call, in_huffman, said, text};

/// What comes out if reads return that many bytes, over and over.
fn through(sent: &[u8], reads: &[usize]) -> Vec<u8> {
    let mut frames = Frames::new();
    let mut received = Vec::new();
    let mut rest = sent;
    for &count in reads.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (read, after) = rest.split_at(count.clamp(1, rest.len()));
        rest = after;
        let passed = frames.feed(read);
        assert!(passed <= read.len());
        // H5. What is mended grows, at most from five bits for each byte to eight.
        assert!(frames.kept() <= BLOCK_MAX + read.len() + AUTHORITY_MAX);
        received.extend_from_slice(&read[..passed]);
        while !frames.ready().is_empty() {
            let some = frames.ready().len().min(100);
            received.extend_from_slice(&frames.ready()[..some]);
            frames.took(some);
        }
        assert!(frames.kept() <= BLOCK_MAX, "H5");
    }
    if frames.end() {
        received.extend_from_slice(frames.ready());
    }
    received
}

fn all_at_once(sent: &[u8]) -> Vec<u8> {
    through(sent, &[usize::MAX])
}

fn mended(host: &[u8]) -> Vec<u8> {
    if Authority::try_from(host).is_ok() {
        return host.to_vec();
    }
    let harmless = |&byte: &u8| byte.is_ascii_alphanumeric() || byte == b'.';
    let dash = |byte| if harmless(byte) { *byte } else { b'-' };
    host.iter().map(dash).collect()
}

/// H2, in the words of another decoder: the same was said, but for what is no authority.
fn check(sent: &[u8], received: &[u8]) {
    let mut expected = said(sent);
    for said in &mut expected {
        if let Said::Headers { headers, .. } = said {
            for (_, value) in headers.iter_mut().filter(|(name, _)| name == b":authority") {
                *value = mended(value);
                assert!(Authority::try_from(value.as_slice()).is_ok(), "{value:?}");
            }
        }
    }
    assert_eq!(said(received), expected);
}

fn connection(calls: &[Call]) -> Vec<u8> {
    let mut client = Client::new();
    calls.iter().for_each(|call| client.call(call));
    client.sent
}

fn reads() -> impl Strategy<Value = Vec<usize>> {
    let count = prop_oneof![Just(1), 1..30_usize, 1..5000_usize];
    proptest::collection::vec(count, 1..10)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_client_is_understood_as_it_meant_but_for_its_authority(
        calls in proptest::collection::vec(call(), 1..12),
        reads in reads(),
    ) {
        let sent = connection(&calls);
        let received = all_at_once(&sent);
        check(&sent, &received);
        prop_assert!(through(&sent, &reads) == received, "H1");
    }

    #[test]
    fn client_that_names_its_host_is_not_changed_by_a_byte(
        mut calls in proptest::collection::vec(call(), 1..12),
        reads in reads(),
    ) {
        for call in &mut calls {
            call.authority.0 = "localhost:80".to_owned();
        }
        let sent = connection(&calls);
        prop_assert!(through(&sent, &reads) == sent, "H2");
    }

    #[test]
    fn damaged_connection_harms_nobody(
        calls in proptest::collection::vec(call(), 1..4),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
        reads in reads(),
    ) {
        let mut sent = connection(&calls);
        for (at, byte) in damage {
            let at = at.index(sent.len());
            sent[at] = byte;
        }
        prop_assert!(through(&sent, &reads) == all_at_once(&sent), "H1");
    }

    #[test]
    fn random_frames_harm_nobody(
        frames in proptest::collection::vec(
            (0..11_u8, any::<u8>(), 0..2_u32, proptest::collection::vec(any::<u8>(), 0..300)),
            1..20,
        ),
        tail in proptest::collection::vec(any::<u8>(), 0..20),
        reads in reads(),
    ) {
        let mut sent = PREFACE.to_vec();
        for (kind, flags, stream, payload) in frames {
            sent.extend(frame(kind, flags, stream, &payload));
        }
        sent.extend(tail);
        prop_assert!(through(&sent, &reads) == all_at_once(&sent), "H1");
    }

    #[test]
    fn what_is_malformed_goes_on_as_it_came(
        frames in proptest::collection::vec(
            // No byte of a block says `:authority`, in whichever way.
            (0..11_u8, any::<u8>(), 0..2_u32, proptest::collection::vec(0x42..=0xa0_u8, 0..300)),
            1..20,
        ),
        reads in reads(),
    ) {
        let mut sent = PREFACE.to_vec();
        for (kind, flags, stream, payload) in frames {
            sent.extend(frame(kind, flags, stream, &payload));
        }
        prop_assert!(through(&sent, &reads) == sent, "H4");
    }
}

const INDEXED: How = How {
    kind: 0x40,
    by_index: true,
    huffman: false,
};

fn usual(host: &str) -> Call {
    Call {
        authority: (host.to_owned(), INDEXED),
        fields: Vec::new(),
        resize: None,
        end_stream: false,
        padding: None,
        priority: false,
        cut: usize::MAX,
        before: (DATA, Vec::new()),
    }
}

/// H3: were a mended value of another length, the tables would sooner or later drop other fields.
#[test]
fn tables_stay_in_step_over_thousands_of_calls() {
    let mut client = Client::new();
    let hosts = [
        "/a",
        "run%2Fackline%2Fackline.sock",
        "localhost",
        "/tmp/x.sock",
    ];
    for number in 0..4000_usize {
        let mut call = usual(hosts[number / 7 % hosts.len()]);
        call.authority.1.huffman = number % 3 == 0;
        for field in 0..number % 4 {
            let how = How {
                huffman: number % 5 == 0,
                ..INDEXED
            };
            let value = (number * 31 + field * 17) % 200;
            call.fields
                .push((format!("x-{field}"), "v".repeat(value), how));
        }
        call.resize = (number % 97 == 0).then_some(number * 13 % 4097);
        client.call(&call);
    }
    check(&client.sent, &all_at_once(&client.sent));
}

fn block(kind: u8, name: &[u8], value: &[u8], huffman: bool) -> Vec<u8> {
    let mut block = vec![kind];
    text(name, huffman, &mut block);
    text(value, huffman, &mut block);
    block
}

#[test]
fn mark_of_what_must_not_be_indexed_is_kept() {
    let sent = block(0x10, b":authority", b"/a", false);
    assert_eq!(
        block::mend(&sent),
        Some(block(0x10, b":authority", b"-a", false))
    );
}

#[test]
fn authority_in_the_huffman_code_is_mended() {
    assert_eq!(in_huffman(b":authority"), NAME_IN_HUFFMAN);
    let long = "/a".repeat(200);
    for path in ["/a", &long] {
        let mut wanted = vec![0x40];
        text(b":authority", true, &mut wanted);
        text(path.replace('/', "-").as_bytes(), false, &mut wanted);
        let sent = block(0x40, b":authority", path.as_bytes(), true);
        assert_eq!(block::mend(&sent), Some(wanted));
    }
}

#[test]
fn only_the_first_authority_of_a_block_is_looked_at() {
    let sent = [
        block(0, b":authority", b"localhost", false),
        block(0, b":authority", b"/a", false),
    ];
    assert_eq!(block::mend(&sent.concat()), None);
}

#[test]
fn what_cannot_be_mended_is_left_to_be_refused() {
    assert_eq!(block::mend(&block(0, b":authority", b"", false)), None);
    let at_most = b"/".repeat(AUTHORITY_MAX);
    assert!(block::mend(&block(0, b":authority", &at_most, false)).is_some());
    let too_long = b"/".repeat(AUTHORITY_MAX + 1);
    assert_eq!(
        block::mend(&block(0, b":authority", &too_long, false)),
        None
    );
    // The code of a slash, and then bits that end no text.
    assert_eq!(block::mend(&[0x01, 0x82, 0x63, 0x00]), None);
    assert_eq!(block::mend(&[0x01, 0x05, b'/']), None, "cut off");
}

/// A connection whose first block names a path, with a field of that many bytes, cut into frames.
fn long_block(field: usize, cut: usize) -> Vec<u8> {
    let mut block = block(0, b":authority", b"/a", false);
    block.extend(self::block(0, b"x", &b"y".repeat(field), false));
    let mut sent = PREFACE.to_vec();
    let parts: Vec<&[u8]> = block.chunks(cut).collect();
    for (index, part) in parts.iter().enumerate() {
        let kind = if index == 0 { HEADERS } else { CONTINUATION };
        let end = if index + 1 == parts.len() {
            END_HEADERS
        } else {
            0
        };
        sent.extend(frame(kind, end, 1, part));
    }
    sent
}

#[test]
fn block_up_to_the_limit_is_mended_and_a_longer_one_goes_on_as_it_came() {
    let overhead = long_block(1000, usize::MAX).len() - PREFACE.len() - 1000;
    let at_limit = BLOCK_MAX - overhead;
    for reads in [&[usize::MAX][..], &[1000], &[1, 5000]] {
        let sent = long_block(at_limit, usize::MAX);
        assert_eq!(sent.len() - PREFACE.len(), BLOCK_MAX);
        let received = through(&sent, reads);
        assert_ne!(received, sent);
        check(&sent, &received);
        let sent = long_block(at_limit + 1, usize::MAX);
        assert_eq!(through(&sent, reads), sent);
        let sent = long_block(60_000, 16 << 10);
        assert_eq!(through(&sent, reads), sent);
    }
}

#[test]
fn block_in_seven_frames_is_mended_and_one_in_eight_goes_on_as_it_came() {
    let sent = long_block(600, 90);
    assert_eq!(
        sent.windows(4).filter(|it| it[..3] == [0, 0, 90]).count(),
        6
    );
    check(&sent, &all_at_once(&sent));
    assert_ne!(all_at_once(&sent), sent);
    let sent = long_block(690, 90);
    assert_eq!(through(&sent, &[1]), sent);
}

/// Frames without payload are no way round the limit.
#[test]
fn endless_continuations_are_not_held() {
    let mut sent = PREFACE.to_vec();
    sent.extend(frame(HEADERS, 0, 1, &[]));
    for _ in 0..10_000 {
        sent.extend(frame(CONTINUATION, 0, 1, &[]));
    }
    let mut frames = Frames::new();
    let passed = frames.feed(&sent[..1000]);
    frames.took(frames.ready().len());
    assert!(passed > 500);
    assert!(frames.kept() < 100);
    assert_eq!(through(&sent, &[1]), sent);
}

#[test]
fn mended_block_that_outgrows_a_frame_is_cut() {
    // In the Huffman code a path takes fewer bytes than as it is.
    let path = format!("/{}", "e".repeat(600));
    let mut whole = block(0, b":authority", path.as_bytes(), true);
    let field = PAYLOAD_MAX - 9 - whole.len() - 7;
    whole.extend(block(0, b"x", &b"y".repeat(field), false));
    let mut sent = PREFACE.to_vec();
    let flags = END_HEADERS | END_STREAM;
    sent.extend(frame(HEADERS, flags, 1, &whole));
    sent.extend(frame(DATA, 0, 1, b"more"));
    let received = all_at_once(&sent);
    check(&sent, &received);
    let first = &received[PREFACE.len()..][..9];
    assert_eq!(
        first,
        &frame(HEADERS, END_STREAM, 1, &[0; PAYLOAD_MAX])[..9]
    );
}

#[test]
fn what_is_not_http2_is_none_of_our_business() {
    let whole = connection(&[usual("/a")]);
    let without_preface = &whole[PREFACE.len()..];
    assert_eq!(through(without_preface, &[7]), without_preface);
}

/// As a block it would be mended.
#[test]
fn block_that_is_interrupted_goes_on_as_it_came() {
    let (start, rest) = (
        block(0, b":authority", b"/a", false),
        block(0, b"x", b"y", false),
    );
    for (kind, stream) in [(DATA, 1), (CONTINUATION, 3)] {
        let mut sent = PREFACE.to_vec();
        sent.extend(frame(HEADERS, 0, 1, &start));
        sent.extend(frame(kind, END_HEADERS, stream, &rest));
        assert_eq!(all_at_once(&sent), sent);
        assert_eq!(through(&sent, &[1]), sent);
    }
}

#[test]
fn what_a_client_leaves_unfinished_is_not_kept_from_the_server() {
    let sent = connection(&[usual("/a")]);
    let whole = all_at_once(&sent);
    for end in 0..sent.len() {
        let received = through(&sent[..end], &[usize::MAX]);
        let as_sent = received == sent[..end];
        assert!(as_sent || received == whole[..end], "{end}");
    }
}

/// A server that reads a few bytes at a time still gets everything, and then the end.
#[tokio::test]
async fn connection_reads_what_the_frames_are_and_then_ends() {
    let sent = connection(&[usual("/a"), usual("/tmp/x.sock"), usual("localhost")]);
    let whole = all_at_once(&sent);
    for end in [sent.len(), sent.len() - 3, PREFACE.len() + 12] {
        for buffer in [1, 7, 1000] {
            let (mut client, server) = tokio::io::duplex(11);
            let mut server = Mended::new(server);
            let writing = async {
                client.write_all(&sent[..end]).await.unwrap();
                client.shutdown().await.unwrap();
            };
            let reading = async {
                let mut received = Vec::new();
                let mut some = vec![0; buffer];
                loop {
                    let count = server.read(&mut some).await.unwrap();
                    received.extend_from_slice(&some[..count]);
                    if count == 0 {
                        break received;
                    }
                }
            };
            let both = async { tokio::join!(reading, writing).0 };
            let received = timeout(Duration::from_secs(20), both)
                .await
                .expect("it hangs");
            assert_eq!(received, through(&sent[..end], &[usize::MAX]));
            assert_eq!(received, whole[..received.len()]);
        }
    }
}
