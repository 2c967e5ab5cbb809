//! The topic of dead letters: what newcomers write, and what they read then.

use super::*;

#[track_caller]
fn mistake(topic: &str) -> String {
    let text = load(LEAST, &[], &[("dead_letter.topic", topic)]).unwrap_err();
    text.split_once("\n\n").unwrap().1.trim_start().to_owned()
}

#[test]
fn one_topic_for_each_or_one_for_all_or_none() {
    let topic = |template| {
        let config = load(LEAST, &[], &[("dead_letter.topic", template)]).unwrap();
        config.dead_letter_topic("orders")
    };
    assert_eq!(topic("{topic}.dlq").as_deref(), Some("orders.dlq"));
    assert_eq!(topic("dead").as_deref(), Some("dead"));
    assert_eq!(topic(""), None);
}

#[test]
fn a_dead_letter_topic_that_is_read_itself_is_refused() {
    let expected = "\
  dead_letter.topic = \"{topic}\"  (flag --set)
    is orders for records of orders: they would be read again and again
    -> write another name, such as {topic}.dlq";
    assert_eq!(mistake("{topic}"), expected);
    assert!(mistake("orders").contains("would be read again"));
}

#[test]
fn placeholders_that_do_not_exist_and_names_that_kafka_refuses_are_refused() {
    let expected = "\
  dead_letter.topic = {group}.dlq  (flag --set)
    contains a placeholder that does not exist
    -> write {topic}, which stands for the topic that a record comes from";
    assert_eq!(mistake("{group}.dlq"), expected);
    assert!(mistake("dead letters").contains("not a name that Kafka accepts"));
    let long = format!("{{topic}}.{}", "x".repeat(246));
    let long = mistake(&long);
    assert!(
        long.contains("of orders, which is not a name that Kafka accepts"),
        "{long}"
    );
}

#[test]
fn presets_stand_only_where_nobody_says_anything() {
    let sources = Sources {
        flags: vec![
            FlagValue::set("kafka.brokers", "a:1"),
            FlagValue::set("start", "latest"),
        ],
        ..Sources::default()
    };
    let none = || "none".to_owned();
    let with_presets = Sources {
        presets: vec![
            ("topics", none()),
            ("group.id", none()),
            ("start", "stop".to_owned()),
        ],
        ..sources.clone()
    };
    let config = Config::load(&with_presets).unwrap();
    assert_eq!(
        (config.topics, config.group.id),
        (vec!["none".to_owned()], "none".to_owned())
    );
    assert_eq!(config.start, crate::core::StartPolicy::Latest);
    assert!(Config::load(&sources).is_err());
}
