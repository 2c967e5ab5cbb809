//! What librdkafka's codes and words mean to the core.

use rdkafka::bindings::rd_kafka_resp_err_t as E;

use crate::core::{CommitError, FetchError, ReadError};
use crate::kafka::TroubleKind;
use crate::kafka::error::{commit_error, fetch_error, read_error};
use crate::kafka::ffi::{Code, Failure};

fn failure(code: E, text: &str) -> Failure {
    Failure {
        code: Code::of(code),
        text: text.to_owned(),
    }
}

/// B3, B4.
#[test]
fn truncation_is_told_from_out_of_range_by_the_end_that_the_text_names() {
    let reset = E::RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET;
    let truncated = "Partition log truncation detected at offset 9 (leader epoch 1): broker end \
                     offset is 5 (offset leader epoch 1). Reset to INVALID.: Local: Log truncated";
    let cases = [
        (truncated, FetchError::Truncated { end: 5 }),
        (
            "at 9: broker end offset is 0 (offset",
            FetchError::Truncated { end: 0 },
        ),
        // The broker knows no epoch at or below ours, so there is no place to go back to.
        (
            "No epoch found less or equal to 9: broker end offset is -1 (",
            FetchError::OutOfRange,
        ),
        (
            "fetch failed due to requested offset not available",
            FetchError::OutOfRange,
        ),
        (
            "broker end offset is 99999999999999999999999",
            FetchError::OutOfRange,
        ),
        ("broker end offset is", FetchError::OutOfRange),
        ("", FetchError::OutOfRange),
    ];
    for (text, expected) in cases {
        assert_eq!(fetch_error(failure(reset, text)), expected, "{text}");
    }
}

/// B27.
#[test]
fn damaged_batches_are_corrupt_whoever_noticed() {
    for code in [
        E::RD_KAFKA_RESP_ERR__BAD_MSG,
        E::RD_KAFKA_RESP_ERR__BAD_COMPRESSION,
        E::RD_KAFKA_RESP_ERR_INVALID_MSG,
    ] {
        let error = fetch_error(failure(code, "x"));
        assert_eq!(error, FetchError::Corrupt("x".to_owned()), "{code:?}");
    }
    let error = fetch_error(failure(
        E::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED,
        "x",
    ));
    assert_eq!(error, FetchError::Unauthorized("x".to_owned()));
    let error = fetch_error(failure(E::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR, "x"));
    assert_eq!(error, FetchError::Transient("x".to_owned()));
}

#[test]
fn brokers_too_old_for_a_question_are_not_asked_again() {
    for code in [
        E::RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE,
        E::RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION,
    ] {
        assert_eq!(
            read_error(failure(code, "x")),
            ReadError::Unsupported,
            "{code:?}"
        );
    }
}

/// B18, B20.
#[test]
fn commit_refused_to_a_stale_member_waits_for_the_group() {
    for code in [
        E::RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION,
        E::RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID,
        E::RD_KAFKA_RESP_ERR_STALE_MEMBER_EPOCH,
    ] {
        let error = commit_error(failure(code, "x"));
        assert_eq!(error, CommitError::NotMember("x".to_owned()), "{code:?}");
    }
}

#[test]
fn troubles_are_told_apart() {
    let cases = [
        (
            E::RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN,
            TroubleKind::BrokersDown,
        ),
        (E::RD_KAFKA_RESP_ERR__RESOLVE, TroubleKind::Connection),
        (
            E::RD_KAFKA_RESP_ERR__AUTHENTICATION,
            TroubleKind::Authentication,
        ),
        (E::RD_KAFKA_RESP_ERR__SSL, TroubleKind::Authentication),
        (
            E::RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED,
            TroubleKind::Authorization,
        ),
        (
            E::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
            TroubleKind::UnknownTopic,
        ),
        (
            E::RD_KAFKA_RESP_ERR__MAX_POLL_EXCEEDED,
            TroubleKind::PollTooLate,
        ),
        (E::RD_KAFKA_RESP_ERR__FAIL, TroubleKind::Other),
    ];
    for (code, kind) in cases {
        assert_eq!(TroubleKind::of(Code::of(code)), kind, "{code:?}");
    }
}
