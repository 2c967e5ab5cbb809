//! Texts that somebody stored beside a committed offset.

use ackline::core::metadata::{
    Decoded, Expectation, Header, Marks, decode, encode, partition_count_of,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::first;

/// More than any input comes to.
const CHARS_MAX: usize = 1 << 20;

/// The first byte says what follows: a text, or what somebody who knows the format puts under a right checksum.
pub(crate) fn metadata(mut input: &[u8]) {
    let (text, hash, base) = if first(&mut input).is_multiple_of(2) {
        (forged(input), word(input, 0), word(input, 8))
    } else {
        let text = input.to_vec();
        let content = content_of(&text);
        (text, word(&content, 0), word(&content, 8))
    };
    let expect = Expectation {
        cluster: None,
        topic: None,
        identity_hash: u64::from_le_bytes(hash),
    };
    let offset = i64::from_le_bytes(base);
    let count = partition_count_of(&text, &expect);
    match decode(&text, &expect, offset) {
        Decoded::Absent => assert!(text.is_empty()),
        Decoded::Ignored(reason) => assert!(!text.is_empty() && !reason.is_empty()),
        Decoded::MadeAgain => panic!("nothing is known of the topic"),
        Decoded::Ours { header, marks } => {
            assert_eq!(count, Some(header.partition_count));
            assert_eq!(
                (header.identity_hash, header.base_offset),
                (expect.identity_hash, offset)
            );
            if let Some(marks) = &marks {
                are_bounded(marks, offset, text.len());
            }
            means_the_same_again(&header, marks.as_ref(), &expect);
            is_nobody_elses(&text, &header);
        }
    }
}

/// D2: what was read is no larger than what it was read from, whichever offsets it names.
fn are_bounded(marks: &Marks, base: i64, text_len: usize) {
    assert!(!marks.is_empty());
    assert!(marks.leader_epoch.is_none_or(|epoch| epoch >= 0));
    let runs = marks.finished.runs();
    assert!(
        runs.len() <= text_len * 3,
        "{} runs in {text_len} characters",
        runs.len()
    );
    assert!(runs.iter().all(|(from, to)| base <= *from && from < to));
    assert!(runs.windows(2).all(|pair| pair[0].1 < pair[1].0));
    let retried = &marks.retried;
    assert!(retried.len() <= 256, "{} retried", retried.len());
    assert!(
        retried
            .windows(2)
            .all(|pair| pair[0].offset < pair[1].offset)
    );
    for record in retried {
        assert!(record.offset >= base);
        assert!(1 <= record.failures && record.failures <= record.attempts);
    }
}

fn means_the_same_again(header: &Header, marks: Option<&Marks>, expect: &Expectation<'_>) {
    let encoded = encode(header, marks, CHARS_MAX);
    assert!(encoded.header_kept && encoded.marks_kept && encoded.text.is_ascii());
    let again = decode(encoded.text.as_bytes(), expect, header.base_offset);
    let expected = Decoded::Ours {
        header: header.clone(),
        marks: marks.cloned(),
    };
    assert_eq!(again, expected);
    // Whatever fits into less says no more than this.
    let short = encode(header, marks, encoded.text.len() / 2);
    assert!(short.text.len() <= encoded.text.len() / 2);
}

/// Beside another offset, and for another partition, it says nothing.
fn is_nobody_elses(text: &[u8], header: &Header) {
    let mut expect = Expectation {
        cluster: Some("another cluster"),
        topic: None,
        identity_hash: header.identity_hash,
    };
    let other = decode(text, &expect, header.base_offset.wrapping_add(1));
    assert!(matches!(other, Decoded::Ignored(_)));
    if header
        .cluster
        .as_deref()
        .is_some_and(|it| it != "another cluster")
    {
        let mirrored = decode(text, &expect, header.base_offset);
        assert!(matches!(mirrored, Decoded::Ignored(_)));
    }
    expect.identity_hash ^= 1;
    assert_eq!(partition_count_of(text, &expect), None);
}

/// A text with a right checksum around any content.
fn forged(content: &[u8]) -> Vec<u8> {
    let mut bytes = content.to_vec();
    bytes.extend_from_slice(&crc32fast::hash(content).to_le_bytes());
    let mut text = String::from("ack2");
    URL_SAFE_NO_PAD.encode_string(&bytes, &mut text);
    text.into_bytes()
}

/// What a text holds, if it is one at all.
fn content_of(text: &[u8]) -> Vec<u8> {
    let rest = text.strip_prefix(b"ack2").unwrap_or_default();
    URL_SAFE_NO_PAD.decode(rest).unwrap_or_default()
}

/// Eight bytes of the content's head, which says whose it is; what it says is taken for right, or little would be read.
fn word(content: &[u8], at: usize) -> [u8; 8] {
    let bytes = content.get(at..).and_then(<[u8]>::first_chunk);
    bytes.copied().unwrap_or_default()
}
