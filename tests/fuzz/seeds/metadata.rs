//! Texts beside offsets.

use ackline::core::TopicUuid;
use ackline::core::metadata::{FinishedRuns, Header, Marks, Retried, encode, identity_hash};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::Seeds;

const BASE: i64 = 1000;
const TEXT: u8 = 1;
const CONTENT: u8 = 0;

/// Kinds of finished offsets, and the largest order of a code.
const NONE: u8 = 0;
const BITMAP: u8 = 1;
const RUNS: u8 = 2;

pub(super) fn seeds() -> Seeds {
    let half = marks((0..900).map(|n| (BASE + 2 * n, BASE + 2 * n + 1)));
    let nearly_all = marks((0..60).map(|n| (BASE + 97 * n + 1, BASE + 97 * (n + 1))));
    let far = marks([(BASE + 5, BASE + 6), (i64::MAX - 9, i64::MAX)]);
    let mut failed = marks([(BASE + 1, BASE + 40)]);
    failed.retried = (0..30).map(|n| retried(BASE + 50 + 3 * n)).collect();
    Seeds::from([
        ("real-header", content(None)),
        ("real-text", as_text(Some(&nearly_all))),
        ("real-bitmap", content(Some(&half))),
        ("real-runs", content(Some(&nearly_all))),
        ("real-far-apart", content(Some(&far))),
        ("real-retried", content(Some(&failed))),
        (
            "hostile-run-of-quintillions",
            forged(&run_of_quintillions()),
        ),
        (
            "hostile-count-of-runs",
            forged(&[0, RUNS, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f, 0xff]),
        ),
        ("hostile-order", forged(&[0, RUNS, 63, 255, 1, 0xff])),
        (
            "hostile-length-of-bitmap",
            forged(&[
                0, BITMAP, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 1,
            ]),
        ),
        (
            "hostile-epoch",
            forged(&[0x81, 0x80, 0x80, 0x80, 0x08, BITMAP, 1, 1]),
        ),
        ("hostile-failures", forged(&[0, NONE, 0, 1, 2])),
        ("hostile-retried-for-ever", forged(&too_many_retried())),
        ("hostile-prefix-alone", [&[TEXT][..], b"ack2"].concat()),
        (
            "foreign-parallel-consumer",
            [&[TEXT][..], b"bAAQAAAAAAAAAAAAAA=="].concat(),
        ),
        ("foreign-kafka-pixy", [&[TEXT][..], b"0gAAAA3QBk"].concat()),
        (
            "foreign-words",
            [&[TEXT][..], b"consumer-7 at 2026-01-01"].concat(),
        ),
    ])
}

fn header() -> Header {
    Header {
        cluster: Some("5L6g3nShT-eMCtK--X86sw".to_owned()),
        topic: Some(TopicUuid([7; 16])),
        identity_hash: identity_hash("group", "topic", 3),
        base_offset: BASE,
        partition_count: 12,
    }
}

fn marks(runs: impl IntoIterator<Item = (i64, i64)>) -> Marks {
    let mut finished = FinishedRuns::default();
    for (from, to) in runs {
        finished.push(from, to);
    }
    Marks {
        leader_epoch: Some(4),
        finished,
        retried: Vec::new(),
    }
}

fn retried(offset: i64) -> Retried {
    Retried {
        offset,
        attempts: 300,
        failures: 2,
    }
}

fn as_text(marks: Option<&Marks>) -> Vec<u8> {
    let text = encode(&header(), marks, 4096).text;
    [&[TEXT], text.as_bytes()].concat()
}

/// What lies under the checksum.
fn content(marks: Option<&Marks>) -> Vec<u8> {
    let text = encode(&header(), marks, 4096).text;
    let bytes = URL_SAFE_NO_PAD.decode(&text[4..]).unwrap();
    [&[CONTENT], &bytes[..bytes.len() - 4]].concat()
}

/// A header with these marks, which nothing of ours would write.
fn forged(marks: &[u8]) -> Vec<u8> {
    [&content(None), marks].concat()
}

/// One run from the base on, of 2^62 offsets and some: sixty-two zeros, a one, and as many bits as zeros.
fn run_of_quintillions() -> Vec<u8> {
    let mut marks = vec![0, RUNS, 0, 0, 1];
    let mut bits = vec![true];
    bits.extend([false; 62]);
    bits.extend([true; 63]);
    bits.resize(bits.len().next_multiple_of(8), false);
    marks.extend(
        bits.chunks(8)
            .map(|byte| byte.iter().fold(0, |byte, bit| byte << 1 | u8::from(*bit))),
    );
    marks
}

fn too_many_retried() -> Vec<u8> {
    let mut marks = vec![0, NONE];
    marks.extend([1, 1, 1].repeat(257));
    marks
}
