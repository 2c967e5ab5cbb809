//! Commits, and reading what was committed, what logs hold and what topics are.

use rdkafka::bindings::rd_kafka_resp_err_t as E;

use super::bed::{Bed, Member, OFFSET_COMMIT, OFFSET_FETCH, id};
use crate::core::{
    Assignment, CommitEntry, CommitError, CommitId, CommittedAnswer, CommittedOffset, Input,
    LogRange, PartitionId, ReadError, TopicIndex,
};
use crate::kafka::GroupProtocol::ClassicCooperative;

fn entry(partition: i32, assignment: u64, offset: i64, metadata: &str) -> CommitEntry {
    CommitEntry {
        partition: id(partition),
        assignment: Assignment(assignment),
        offset,
        leader_epoch: Some(0),
        metadata: metadata.to_owned(),
    }
}

type Results = Vec<(Assignment, Result<(), CommitError>)>;

fn commit(member: &mut Member, request: u64, entries: &[CommitEntry]) -> Results {
    member.client.commit(CommitId(request), entries).unwrap();
    member.input("commit result", |input| match input {
        Input::CommitDone {
            request: done,
            results,
        } if done.0 == request => Some(results.clone()),
        _ => None,
    })
}

fn read(member: &mut Member, asked: &[(Assignment, PartitionId)]) -> Vec<CommittedAnswer> {
    member.client.read_committed(asked).unwrap();
    member.input("committed offsets", |input| match input {
        Input::CommittedRead { answers, .. } => Some(answers.clone()),
        _ => None,
    })
}

/// A member that owns partitions 0 and 1 of two, and fetches none.
fn member(bed: &Bed) -> Member {
    let mut member = bed.member("g", ClassicCooperative);
    assert_eq!(member.join(), [id(0), id(1)]);
    member.client.assign(&[], true).unwrap();
    member
}

#[test]
fn commit_is_read_back_with_metadata_byte_for_byte() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    let metadata = "x".repeat(3_900);
    let results = commit(
        &mut member,
        1,
        &[entry(1, 8, 5, ""), entry(0, 7, 3, &metadata)],
    );
    assert_eq!(
        results,
        [(Assignment(8), Ok(())), (Assignment(7), Ok(()))],
        "in order"
    );

    let answers = read(
        &mut member,
        &[(Assignment(7), id(0)), (Assignment(8), id(1))],
    );
    assert_eq!(answers[0].assignment, Assignment(7));
    let expected = CommittedOffset {
        offset: 3,
        // The mock cluster answers with its own epoch, which is 0.
        leader_epoch: Some(0),
        metadata: metadata.into_bytes(),
    };
    assert_eq!(answers[0].answer, Ok(Some(expected)));
    let second = answers[1].answer.as_ref().unwrap().as_ref().unwrap();
    assert_eq!((second.offset, &second.metadata[..]), (5, &b""[..]));
}

/// M12, B24: an error is never "no offset".
#[test]
fn no_offset_and_a_failed_read_are_different_answers() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    let answers = read(&mut member, &[(Assignment(7), id(0))]);
    assert_eq!(answers[0].answer, Ok(None));

    for (code, unauthorized) in [
        (E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED, true),
        (E::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS, false),
        (E::RD_KAFKA_RESP_ERR_UNSTABLE_OFFSET_COMMIT, false),
        (E::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH, false),
    ] {
        // Only one of the two requests fails; which one it is does not matter.
        bed.inject(OFFSET_FETCH, &[code]);
        let answers = read(&mut member, &[(Assignment(7), id(0))]);
        match &answers[0].answer {
            Err(ReadError::Unauthorized(_)) => assert!(unauthorized, "{code:?}"),
            Err(ReadError::Transient(_)) => assert!(!unauthorized, "{code:?}"),
            other => panic!("{code:?} was read as {other:?}"),
        }
    }
    let answers = read(&mut member, &[(Assignment(7), id(0))]);
    assert_eq!(answers[0].answer, Ok(None), "healed");
}

/// B18, B20–B23.
#[test]
fn commit_errors_of_the_broker_are_told_by_what_they_mean() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    let mut request = 0;
    let mut class = |code| {
        request += 1;
        bed.inject(OFFSET_COMMIT, &[code]);
        let results = commit(
            &mut member,
            request,
            &[entry(0, 7, 3, ""), entry(1, 8, 3, "")],
        );
        assert_eq!(
            results[0].1, results[1].1,
            "an error of the request is one of each entry"
        );
        results[0].1.clone().unwrap_err()
    };
    for code in [
        E::RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS,
        E::RD_KAFKA_RESP_ERR_FENCED_MEMBER_EPOCH,
    ] {
        assert!(matches!(class(code), CommitError::NotMember(_)), "{code:?}");
    }
    for code in [
        E::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE,
        E::RD_KAFKA_RESP_ERR_INVALID_COMMIT_OFFSET_SIZE,
    ] {
        assert_eq!(class(code), CommitError::MetadataTooLarge, "{code:?}");
    }
    for code in [
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
    ] {
        assert!(
            matches!(class(code), CommitError::Unauthorized(_)),
            "{code:?}"
        );
    }
    let code = E::RD_KAFKA_RESP_ERR_INVALID_REQUEST;
    assert!(matches!(class(code), CommitError::Transient(_)), "{code:?}");
}

/// F3: a broker from the future, or a hostile one.
#[test]
fn error_code_that_nobody_knows_is_an_error_like_any_other() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    bed.inject_codes(OFFSET_COMMIT, &[31_999]);
    let results = commit(&mut member, 1, &[entry(0, 7, 3, "")]);
    assert!(matches!(&results[0].1, Err(CommitError::Transient(text)) if text.contains("31999")));
    bed.inject_codes(OFFSET_FETCH, &[31_999]);
    let answers = read(&mut member, &[(Assignment(7), id(0))]);
    assert!(
        matches!(answers[0].answer, Err(ReadError::Transient(_))),
        "{answers:?}"
    );
}

/// B21: librdkafka finds the coordinator again and sends again.
#[test]
fn commit_outlives_a_coordinator_that_is_away_for_a_moment() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    bed.inject(
        OFFSET_COMMIT,
        &[
            E::RD_KAFKA_RESP_ERR__TRANSPORT,
            E::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        ],
    );
    let results = commit(&mut member, 1, &[entry(0, 7, 3, "m")]);
    assert_eq!(results, [(Assignment(7), Ok(()))]);
}

/// I-S3: the broker would take both.
#[test]
fn commit_of_what_is_not_ours_is_not_sent() {
    let bed = Bed::new(&["t"], 2);
    let mut member = member(&bed);
    let start = member.start(0, 9, 0);
    member.client.assign(&[start], false).unwrap();
    let results = commit(&mut member, 1, &[entry(0, 7, 3, ""), entry(1, 8, 4, "")]);
    assert!(
        matches!(results[0], (Assignment(7), Err(CommitError::NotMember(_)))),
        "{results:?}"
    );
    assert_eq!(results[1], (Assignment(8), Ok(())));

    member.client.leave().unwrap();
    let taken = member.input("revocation", |input| match input {
        Input::GroupRevoked { partitions } => Some(partitions.clone()),
        _ => None,
    });
    // Until the answer, it is still ours.
    assert_eq!(
        commit(&mut member, 2, &[entry(1, 8, 5, "")]),
        [(Assignment(8), Ok(()))]
    );
    member.client.unassign(&taken, true).unwrap();
    let results = commit(&mut member, 3, &[entry(1, 8, 6, "")]);
    assert!(
        matches!(results[0].1, Err(CommitError::NotMember(_))),
        "{results:?}"
    );
    let answers = read(
        &mut member,
        &[(Assignment(7), id(0)), (Assignment(8), id(1))],
    );
    assert_eq!(answers[0].answer, Ok(None));
    let second = answers[1].answer.as_ref().unwrap().as_ref().unwrap();
    assert_eq!(second.offset, 5);
}

#[test]
fn log_ranges_and_topics_are_described() {
    let bed = Bed::new(&["t", "u"], 2);
    bed.produce_numbers(1, 0..4);
    let mut member = bed.member("g", ClassicCooperative);
    let asked = [
        (Assignment(7), id(0)),
        (Assignment(8), id(1)),
        (Assignment(9), id(77)),
    ];
    member.client.list_offsets(&asked).unwrap();
    let mut ranges = Vec::new();
    for _ in 0..3 {
        ranges.push(member.input("log range", |input| match input {
            Input::OffsetsListed { assignment, answer } => Some((*assignment, answer.clone())),
            _ => None,
        }));
    }
    assert_eq!(
        ranges[0],
        (
            Assignment(7),
            Ok(LogRange {
                earliest: 0,
                latest: 0
            })
        )
    );
    assert_eq!(
        ranges[1],
        (
            Assignment(8),
            Ok(LogRange {
                earliest: 0,
                latest: 4
            })
        )
    );
    assert!(matches!(ranges[2], (Assignment(9), Err(_))), "{ranges:?}");

    member
        .client
        .describe_topics(&[TopicIndex(0), TopicIndex(1)])
        .unwrap();
    for topic in 0..2 {
        let (number, answer) = member.input("topic", |input| match input {
            Input::TopicDescribed { topic, answer } => Some((*topic, answer.clone())),
            _ => None,
        });
        assert_eq!(number, TopicIndex(topic));
        assert_eq!(answer.unwrap().partitions, 2);
    }
}

#[test]
fn topic_that_does_not_exist_is_said_to_be_unknown() {
    let bed = Bed::new(&["t"], 1);
    let settings = bed.settings("g", ClassicCooperative);
    let mut member = Member::new(&settings, &["t".to_owned(), "missing".to_owned()]);
    member.client.describe_topics(&[TopicIndex(1)]).unwrap();
    let answer = member.input("topic", |input| match input {
        Input::TopicDescribed { answer, .. } => Some(answer.clone()),
        _ => None,
    });
    assert!(
        matches!(answer, Err(ReadError::UnknownTopic(_))),
        "{answer:?}"
    );
}
