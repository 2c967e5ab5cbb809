//! Wrong lines end with 64 before anything is served, all of them named.

use super::{Fake, write_line};

#[tokio::test]
async fn every_mistake_is_named_with_its_line_and_a_remedy() {
    let lines = [
        r#"{"value": "right"}"#,
        r#"{"value": 7, "colour": "red"}"#,
        "not JSON",
        r#"{"partition": 3}"#,
        r#"{"offset": 0}"#,
        r#"{"do": "revoke", "after_delivered": 2}"#,
        r#"{"headers": [["name"]]}"#,
        r#"{"do": "explode"}"#,
        r#"{"do": "lose", "partition": 0}"#,
    ];
    let ended = Fake::start(&lines, &[]).ended().await;
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    assert_eq!(ended.out, "");
    let errors = &ended.errors;
    assert!(
        errors.starts_with("error: 9 mistakes in the lines\n"),
        "{errors}"
    );
    for words in [
        "records.jsonl:2  value = 7\n    is a number, not bytes\n    -> write a string, null",
        "records.jsonl:2 = \"colour\"\n    is not a key of such a line",
        "records.jsonl:3\n    is not JSON",
        "records.jsonl:4  partition = 3\n    does not exist: topics have one partition, 0\n    -> correct it, or pass --partitions 4",
        "records.jsonl:5  offset = 0\n    is not above the offset before it",
        "records.jsonl:6  partition\n    is missing",
        "records.jsonl:7  headers = [\"name\"]",
        "records.jsonl:8  do = explode\n    is no step",
        "records.jsonl:9 = lose\n    does not say when",
    ] {
        assert!(errors.contains(words), "{words} in {errors}");
    }
}

#[tokio::test]
async fn no_more_than_twenty_mistakes_are_shown() {
    let ended = Fake::start(&["{"; 25], &[]).ended().await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        ended
            .errors
            .starts_with("error: 25 mistakes in the lines\n")
    );
    assert!(ended.errors.ends_with("  and 5 more\n"), "{}", ended.errors);
    assert_eq!(ended.errors.matches("is not JSON").count(), 20);
}

#[tokio::test]
async fn wrong_settings_and_lines_are_shown_together() {
    let ended = Fake::start(&["[]"], &["--order", "size"]).ended().await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        ended.errors.contains("is a list, not an object"),
        "{}",
        ended.errors
    );
    assert!(ended.errors.contains("order = size"), "{}", ended.errors);
}

#[tokio::test]
async fn a_topic_that_is_not_configured_is_refused() {
    let lines = [r#"{"topic": "orders"}"#, r#"{"topic": "order"}"#];
    let ended = Fake::start(&lines, &["--topic", "orders"]).ended().await;
    assert_eq!(ended.status.code(), Some(64));
    let words = "records.jsonl:2  topic = order\n    is not among the topics, orders";
    assert!(ended.errors.contains(words), "{}", ended.errors);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_a_mistake() {
    let directory = tempfile::tempdir().unwrap();
    let ended = Fake::launch(directory, "/nowhere/records.jsonl", &[])
        .ended()
        .await;
    assert_eq!(ended.status.code(), Some(64));
    assert!(
        ended
            .errors
            .contains("/nowhere/records.jsonl\n    cannot be read")
    );
}

#[tokio::test]
async fn a_wrong_line_of_standard_input_ends_the_run() {
    let (fake, mut input) = Fake::start_streaming(&["--until-settled"]);
    write_line(&mut input, r#"{"value": "right"}"#).await;
    write_line(&mut input, r#"{"value": true}"#).await;
    let ended = fake.ended().await;
    assert_eq!(ended.summary(64)["records"], 1);
    let words = "standard input:2  value = true\n    is true or false, not bytes";
    assert!(ended.errors.contains(words), "{}", ended.errors);
}
