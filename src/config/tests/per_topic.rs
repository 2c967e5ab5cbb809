use std::time::Duration;

use super::*;
use crate::config::per_topic::permitted;
use crate::core::{Order, WhenSpent};

const TWO_TOPICS: &str = "kafka: {brokers: [kafka:9092]}\ngroup: {id: orders}\nstart: earliest\n\
                          topics: [orders, payments]\n";

fn with_rules(rules: &str) -> Result<Config, String> {
    load(&format!("{TWO_TOPICS}per_topic:\n{rules}"), &[], &[])
}

#[test]
fn the_first_rule_that_matches_a_topic_holds_for_it_alone() {
    let config = with_rules(
        "- topics: [payments]\n  retry: {max_attempts: 3, backoff: {initial: 1s}}\n\
         - topics: ['^.*']\n  retry: {max_attempts: 5, then: discard}\n  delivery: {deadline: 5m}\n",
    )
    .unwrap();
    let (orders, payments) = (config.policy("orders"), config.policy("payments"));
    assert_eq!((payments.failures_max, payments.then), (3, WhenSpent::Park));
    assert_eq!(payments.retry.initial, Duration::from_secs(1));
    assert_eq!(payments.retry.max, Duration::from_secs(60));
    assert_eq!(payments.deadline, Duration::ZERO);
    assert_eq!((orders.failures_max, orders.then), (5, WhenSpent::Discard));
    assert_eq!(orders.retry.initial, Duration::from_millis(500));
    assert_eq!(orders.deadline, Duration::from_secs(300));
    assert_eq!(config.core_settings(1).policies, [orders, payments]);
}

#[test]
fn a_depth_that_nobody_wrote_into_the_rule_follows_its_order() {
    let config = load(
        &format!("{TWO_TOPICS}lane_depth: 7\nper_topic: [{{topics: [payments], order: key}}]\n"),
        &[],
        &[],
    )
    .unwrap();
    let lanes = |topic| (config.policy(topic).order, config.policy(topic).lane_depth);
    assert_eq!(lanes("orders"), (Order::Partition, 7));
    assert_eq!(lanes("payments"), (Order::Key, 1));
    let config = with_rules("- {topics: [payments], lane_depth: 9, order: key}\n").unwrap();
    assert_eq!(config.policy("payments").lane_depth, 9);
    let config = load(
        &format!(
            "{TWO_TOPICS}lane_depth: 7\nper_topic: [{{topics: [payments], order: partition}}]\n"
        ),
        &[],
        &[],
    )
    .unwrap();
    assert_eq!(config.policy("payments").lane_depth, 7);
}

#[test]
fn dead_letter_topics_may_differ_and_be_missing() {
    let config = load(
        &format!(
            "{TWO_TOPICS}dead_letter: {{topic: '{{topic}}.dlq'}}\n\
             per_topic: [{{topics: [payments], dead_letter: {{topic: ''}}}}]\n"
        ),
        &[],
        &[],
    )
    .unwrap();
    assert_eq!(
        config.dead_letter_topic("orders").as_deref(),
        Some("orders.dlq")
    );
    assert_eq!(config.dead_letter_topic("payments"), None);
    assert!(
        config.policy("orders").has_dead_letters && !config.policy("payments").has_dead_letters
    );
    assert!(config.has_dead_letters());
    let config = with_rules("- {topics: [payments], dead_letter: {topic: dead}}\n").unwrap();
    assert!(config.has_dead_letters() && !config.policy("orders").has_dead_letters);
}

#[test]
fn variables_and_flags_hold_rules_as_a_file_does() {
    let rules = "[{topics: [orders], order: key, retry: {backoff: {max: 5s}, max_attempts: 2}}]";
    let config = load(LEAST, &[("ACKLINE_PER_TOPIC", rules)], &[]).unwrap();
    assert_eq!(config.policy("orders").failures_max, 2);
    assert_eq!(
        load(LEAST, &[], &[("per_topic", rules)])
            .unwrap()
            .policy("orders")
            .order,
        Order::Key
    );
    let printed = print(&config);
    assert!(
        printed.contains(&format!("per_topic: {rules}")),
        "{printed}"
    );
    assert!(load(LEAST, &[("ACKLINE_PER_TOPIC", "[]")], &[]).is_ok());
}

#[test]
fn every_mistake_of_a_rule_names_its_place_its_value_and_a_remedy() {
    let problems = with_rules(
        "- {topics: [payments], retry: {max_attempts: many, than: park}, window: {records: 5}}\n\
         - {topics: ['^pay('], order: sideways}\n\
         - {topic: [payments], order: key, max_attempts: 3}\n\
         - {topics: [orders]}\n\
         - orders\n",
    )
    .unwrap_err();
    for expected in [
        "per_topic[0].retry.max_attempts = many",
        "per_topic[0].retry.than",
        "did you mean `retry.then`?",
        "per_topic[0].window.records",
        "is the same for all topics",
        "per_topic[1].topics",
        "unclosed group",
        "per_topic[1].order = sideways",
        "per_topic[2].topics",
        "did you mean `topics`?",
        "did you mean `retry.max_attempts`?",
        "name the topics that the rule is for",
        "per_topic[3]",
        "says nothing but which topics it is for",
        "per_topic[4]",
        "line 6",
        "a rule may hold order, lane_depth, oversize, delivery.deadline, retry.*, dead_letter.topic",
    ] {
        assert!(problems.contains(expected), "{expected}:\n{problems}");
    }
    assert!(problems.starts_with("10 mistakes"), "{problems}");
}

#[test]
fn rules_are_held_against_each_other_and_against_what_is_for_all() {
    for (rules, expected) in [
        (
            "- {topics: [payment], order: key}\n",
            "did you mean `payments`?",
        ),
        (
            "- {topics: ['^x.*'], order: key}\n",
            "match none of the topics that are read",
        ),
        (
            "- {topics: ['^pay.*'], order: key}\n- {topics: [payments], order: none}\n",
            "match only topics for which an earlier rule holds",
        ),
        (
            "- {topics: [payments], retry: {then: dead_letter}}\n",
            "per_topic[0].retry.then = dead_letter",
        ),
        (
            "- {topics: [payments], retry: {backoff: {max: 100ms}}}\n",
            "per_topic[0].retry.backoff.initial = 500ms",
        ),
        (
            "- {topics: [payments], order: none, lane_depth: 5}\n",
            "per_topic[0].lane_depth = 5",
        ),
        (
            "- {topics: [payments], dead_letter: {topic: payments}}\n",
            "they would be read again and again",
        ),
    ] {
        let problems = with_rules(rules).unwrap_err();
        assert!(problems.contains(expected), "{expected}:\n{problems}");
        assert!(problems.starts_with("1 mistake "), "{problems}");
    }
}

/// What is wrong for all topics is said once, not once more for each rule.
#[test]
fn a_mistake_for_all_topics_is_not_repeated_by_rules_that_do_not_touch_it() {
    let problems = load(
        &format!("{TWO_TOPICS}retry: {{then: dead_letter}}\nper_topic: [{{topics: [orders], order: key}}]\n"),
        &[],
        &[],
    )
    .unwrap_err();
    assert!(problems.starts_with("1 mistake "), "{problems}");
}

#[test]
fn the_documentation_of_the_rules_names_what_they_may_hold() {
    let doc = table::find("per_topic").unwrap().doc;
    for setting in permitted() {
        let section = setting.key.split('.').next().unwrap();
        let named =
            doc.contains(&format!("`{}`", setting.key)) || doc.contains(&format!("`{section}`"));
        assert!(named, "{}", setting.key);
    }
    let schema = schema();
    let rule = &schema["properties"]["per_topic"]["items"]["properties"];
    assert!(rule["retry"]["properties"]["backoff"]["properties"]["initial"].is_object());
    assert!(rule["window"].is_null() && rule["topics"].is_object());
}
