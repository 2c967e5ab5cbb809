use proptest::prelude::*;

use super::super::ids::LeaderEpoch;
use super::*;

const TOPIC: TopicUuid = TopicUuid([7; 16]);
const OTHER_TOPIC: TopicUuid = TopicUuid([8; 16]);

fn header(base_offset: i64) -> Header {
    Header {
        cluster: Some("5L6g3nShT-eMCtK--X86sw".to_owned()),
        topic: Some(TOPIC),
        identity_hash: identity_hash("group", "topic", 3),
        base_offset,
        partition_count: 12,
    }
}

fn expect_of(header: &Header) -> Expectation<'_> {
    Expectation {
        cluster: header.cluster.as_deref(),
        topic: header.topic,
        identity_hash: header.identity_hash,
    }
}

fn marks(leader_epoch: LeaderEpoch, runs: &[(i64, i64)]) -> Marks {
    let mut finished = FinishedRuns::default();
    for (from, to) in runs {
        finished.push(*from, *to);
    }
    Marks {
        leader_epoch,
        finished,
        retried: Vec::new(),
    }
}

/// A text with a right checksum around any content.
fn forged(content: &[u8]) -> String {
    seal(&mut content.to_vec(), usize::MAX).expect("no limit")
}

#[test]
fn format_is_what_the_documentation_says() {
    let header = Header {
        cluster: Some("c".to_owned()),
        topic: None,
        identity_hash: 0x0807_0605_0403_0201,
        base_offset: 10,
        partition_count: 2,
    };
    let encoded = encode(
        &header,
        Some(&marks(Some(4), &[(12, 15), (300, 301)])),
        4096,
    );
    let bytes = URL_SAFE_NO_PAD
        .decode(encoded.text.strip_prefix("ack2").expect("prefix"))
        .expect("base64url");
    let (content, _) = bytes.split_last_chunk::<4>().expect("checksum");
    #[rustfmt::skip]
    let documented = [
        1, 2, 3, 4, 5, 6, 7, 8,  10, 0, 0, 0, 0, 0, 0, 0,  2, 0, 0, 0,  1, b'c',  0,
        5,  2, 5, 0,  2,  0b1000_1001, 0b1000_1001, 0b1110_0100,
    ];
    assert_eq!(content, documented);
}

#[test]
fn identity_hash_never_changes() {
    assert_eq!(identity_hash("group", "topic", 3), 0x0473_c936_c433_0b72);
    let all = [
        ("ab", "c", 0),
        ("a", "bc", 0),
        ("ab", "c", 1),
        ("abc", "", 0),
        ("c", "ab", 0),
    ];
    let hashes: std::collections::BTreeSet<_> = all
        .iter()
        .map(|(g, t, p)| identity_hash(g, t, *p))
        .collect();
    assert_eq!(hashes.len(), all.len());
}

#[test]
fn no_text_is_absent() {
    let header = header(5);
    assert_eq!(decode(b"", &expect_of(&header), 5), Decoded::Absent);
    assert_eq!(partition_count_of(b"", &expect_of(&header)), None);
}

#[test]
fn text_for_another_offset_partition_or_cluster_is_ignored() {
    let header = header(5);
    let text = encode(&header, Some(&marks(None, &[(7, 9)])), 4096).text;
    let expect = expect_of(&header);
    let ignored = |expect: Expectation<'_>, offset| {
        matches!(
            decode(text.as_bytes(), &expect, offset),
            Decoded::Ignored(_)
        )
    };
    assert!(!ignored(expect, 5));
    assert!(ignored(expect, 4));
    assert!(ignored(expect, 6));
    assert!(ignored(
        Expectation {
            identity_hash: identity_hash("group", "topic", 4),
            ..expect
        },
        5
    ));
    assert!(ignored(
        Expectation {
            cluster: Some("another"),
            ..expect
        },
        5
    ));
    // Another cluster's topic ids are always different; that alone does not make a topic new.
    assert!(ignored(
        Expectation {
            cluster: Some("another"),
            topic: Some(OTHER_TOPIC),
            ..expect
        },
        5
    ));
}

#[test]
fn topic_is_made_again_only_if_cluster_and_both_ids_are_known() {
    let known = header(5);
    let text = encode(&known, None, 4096).text;
    let expect = expect_of(&known);
    let made_again = decode(
        text.as_bytes(),
        &Expectation {
            topic: Some(OTHER_TOPIC),
            ..expect
        },
        5,
    );
    assert_eq!(made_again, Decoded::MadeAgain);

    let ours = |header: &Header, expect: Expectation<'_>| {
        let text = encode(header, Some(&marks(Some(1), &[(8, 9)])), 4096).text;
        matches!(
            decode(text.as_bytes(), &expect, 5),
            Decoded::Ours { marks: Some(_), .. }
        )
    };
    assert!(ours(
        &known,
        Expectation {
            topic: None,
            ..expect
        }
    ));
    assert!(ours(
        &known,
        Expectation {
            cluster: None,
            ..expect
        }
    ));
    assert!(ours(
        &Header {
            topic: None,
            ..known.clone()
        },
        expect
    ));
    assert!(ours(
        &Header {
            cluster: None,
            ..known.clone()
        },
        expect
    ));

    // Which of the two it is cannot be told: the offset is kept, the marks are not.
    let unknown = Expectation {
        cluster: None,
        topic: Some(OTHER_TOPIC),
        ..expect
    };
    assert!(matches!(
        decode(text.as_bytes(), &unknown, 5),
        Decoded::Ignored(_)
    ));
}

#[test]
fn sibling_tells_the_partition_count_of_its_own_topic_and_cluster_only() {
    let header = header(5);
    let text = encode(&header, None, 4096).text;
    let count = |expect: Expectation<'_>| partition_count_of(text.as_bytes(), &expect);
    let expect = expect_of(&header);
    assert_eq!(count(expect), Some(12));
    assert_eq!(
        count(Expectation {
            cluster: None,
            topic: None,
            ..expect
        }),
        Some(12)
    );
    assert_eq!(
        count(Expectation {
            cluster: Some("another"),
            ..expect
        }),
        None
    );
    assert_eq!(
        count(Expectation {
            topic: Some(OTHER_TOPIC),
            ..expect
        }),
        None
    );
    assert_eq!(
        count(Expectation {
            identity_hash: 1,
            ..expect
        }),
        None
    );
}

#[test]
fn metadata_of_other_programs_is_ignored() {
    let expected = header(5);
    let foreign: [&[u8]; 10] = [
        // The shape of parallel-consumer: standard base64 of an encoding's letter and its body.
        b"bAAQAAAAAAAAAAAAAA==",
        b"TFAAAAAA",
        b"emJhY2tvZmZzZXRz+/8=",
        // The shape of kafka-pixy: a version letter and ranges in an alphabet of its own.
        b"0gAAAA3QBk",
        b"consumer-7 at 2026-01-01",
        "metadata of jos\u{e9}".as_bytes(),
        b"\xff\xfe\x00\x80",
        b"ack2",
        b"ack1AAAAAAAAAAAA",
        b"ack3AAAAAAAAAAAA",
    ];
    for text in foreign {
        assert!(
            matches!(decode(text, &expect_of(&expected), 5), Decoded::Ignored(_)),
            "{text:?}"
        );
        assert_eq!(
            partition_count_of(text, &expect_of(&expected)),
            None,
            "{text:?}"
        );
    }
}

#[test]
fn numbers_have_one_spelling() {
    let read = |bytes: &[u8]| Reader { bytes }.varint();
    assert_eq!(read(&[0]), Some(0));
    assert_eq!(read(&[0x80, 0x01]), Some(128));
    assert_eq!(read(&[0x80, 0x00]), None);
    assert_eq!(
        read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        Some(u64::MAX)
    );
    assert_eq!(
        read(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02]),
        None
    );
    assert_eq!(read(&[0xff; 11]), None);
    assert_eq!(read(&[0x80]), None);
}

#[test]
fn marks_that_do_not_fit_leave_the_header() {
    let header = header(0);
    let many: Vec<_> = (0..20_000).map(|n| (2 * n + 1, 2 * n + 2)).collect();
    let encoded = encode(&header, Some(&marks(None, &many)), 4096);
    assert!(encoded.header_kept && !encoded.marks_kept);
    assert_eq!(encoded.text, encode(&header, None, 4096).text);
    let fewer = encode(&header, Some(&marks(None, &many[..11_800])), 4096);
    assert!(fewer.marks_kept && fewer.text.len() <= 4096);
}

#[test]
fn limit_is_kept_at_every_size() {
    let header = header(1 << 40);
    let marks = marks(
        Some(9),
        &[
            ((1 << 40) + 3, (1 << 40) + 1000),
            ((1 << 41), (1 << 41) + 1),
        ],
    );
    let alone = encode(&header, None, usize::MAX).text.len();
    let full = encode(&header, Some(&marks), usize::MAX).text.len();
    for chars_max in 0..full + 9 {
        let encoded = encode(&header, Some(&marks), chars_max);
        assert!(encoded.text.len() <= chars_max); // I-B4
        assert_eq!(encoded.header_kept, chars_max >= alone);
        assert_eq!(encoded.marks_kept, chars_max >= full);
        assert_eq!(encoded.text.is_empty(), chars_max < alone);
    }
}

#[test]
fn marks_below_the_base_are_left_out() {
    let header = header(10);
    let text = encode(
        &header,
        Some(&marks(None, &[(3, 5), (8, 12), (20, 21)])),
        4096,
    )
    .text;
    let Decoded::Ours {
        marks: Some(kept), ..
    } = decode(text.as_bytes(), &expect_of(&header), 10)
    else {
        panic!("ours");
    };
    assert_eq!(kept.finished.runs(), [(10, 12), (20, 21)]);
    let text = encode(&header, Some(&marks(None, &[(3, 5)])), 4096).text;
    assert_eq!(text, encode(&header, None, 4096).text);
}

prop_compose! {
    fn any_header()(
        cluster in proptest::option::of("[a-zA-Z0-9_-]{1,40}"),
        topic in proptest::option::of(any::<[u8; 16]>()),
        identity_hash in any::<u64>(),
        base_offset in 0..i64::MAX / 2,
        partition_count in any::<u32>(),
    ) -> Header {
        Header { cluster, topic: topic.map(TopicUuid), identity_hash, base_offset, partition_count }
    }
}

prop_compose! {
    fn any_marks(base: i64)(
        leader_epoch in proptest::option::of(0..=i32::MAX),
        lengths in proptest::collection::vec((1_i64..1_000_000_000, 1_i64..1_000_000_000), 1..40),
    ) -> Marks {
        let mut finished = FinishedRuns::default();
        let mut at = base;
        for (gap, length) in lengths {
            finished.push(at + gap, at + gap + length);
            at += gap + length;
        }
        Marks { leader_epoch, finished, retried: Vec::new() }
    }
}

fn header_and_marks() -> impl Strategy<Value = (Header, Option<Marks>)> {
    any_header().prop_flat_map(|header| {
        let marks = proptest::option::of(any_marks(header.base_offset));
        (Just(header), marks)
    })
}

proptest! {
    #[test]
    fn what_was_written_is_read_back((header, marks) in header_and_marks()) {
        let encoded = encode(&header, marks.as_ref(), 4096);
        prop_assert!(encoded.marks_kept && encoded.header_kept && encoded.text.is_ascii());
        let decoded = decode(encoded.text.as_bytes(), &expect_of(&header), header.base_offset);
        prop_assert_eq!(decoded, Decoded::Ours { header, marks });
    }

    // D4.
    #[test]
    fn changed_byte_is_ignored((header, marks) in header_and_marks(), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let mut text = encode(&header, marks.as_ref(), 4096).text.into_bytes();
        let at = at.index(text.len());
        prop_assume!(text[at] != to);
        text[at] = to;
        let decoded = decode(&text, &expect_of(&header), header.base_offset);
        prop_assert!(matches!(decoded, Decoded::Ignored(_)), "{decoded:?}");
    }

    #[test]
    fn cut_text_is_ignored((header, marks) in header_and_marks(), len in any::<prop::sample::Index>()) {
        let text = encode(&header, marks.as_ref(), 4096).text.into_bytes();
        let cut = &text[..1 + len.index(text.len() - 1)];
        let decoded = decode(cut, &expect_of(&header), header.base_offset);
        prop_assert!(matches!(decoded, Decoded::Ignored(_)), "{decoded:?}");
    }

    // D2 and D3: with a right checksum, any content is read in a time bounded by its length.
    #[test]
    fn forged_content_never_fails(mut content in proptest::collection::vec(any::<u8>(), 0..300), ours in any::<bool>()) {
        let header = header(5);
        if ours {
            content.splice(0..0, header_bytes(&header));
        }
        let len = content.len();
        if let Decoded::Ours { marks: Some(marks), .. } = decode(forged(&content).as_bytes(), &expect_of(&header), 5) {
            prop_assert!(marks.finished.runs().len() <= len * 4);
            prop_assert!(marks.finished.runs().iter().all(|(from, to)| 5 <= *from && from < to));
        }
    }

    #[test]
    fn random_bytes_never_fail(text in proptest::collection::vec(any::<u8>(), 1..300)) {
        let decoded = decode(&text, &expect_of(&header(5)), 5);
        prop_assert!(matches!(decoded, Decoded::Ignored(_)));
    }

    #[test]
    fn runs_hold_what_was_pushed(lengths in proptest::collection::vec((0_i64..4, 0_i64..4), 0..12), above in 0_i64..50) {
        let mut runs = FinishedRuns::default();
        let mut set = std::collections::BTreeSet::new();
        let mut at = 0;
        for (gap, length) in lengths {
            runs.push(at + gap, at + gap + length);
            set.extend(at + gap..at + gap + length);
            at += gap + length;
        }
        let mut tail = FinishedRuns::default();
        tail.extend_above(above, &runs);
        for offset in 0..60 {
            prop_assert_eq!(runs.contains(offset), set.contains(&offset));
            prop_assert_eq!(tail.contains(offset), offset >= above && set.contains(&offset));
        }
        prop_assert_eq!(runs.offsets(), set.len() as u64);
        prop_assert_eq!(runs.end(), set.last().map(|last| last + 1));
        prop_assert!(runs.runs().windows(2).all(|pair| pair[0].1 < pair[1].0));
    }
}
