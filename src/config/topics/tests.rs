use crate::config::{Config, FlagValue, Sources};
use crate::core::{Order, WhenSpent};

/// Settings that read these topics.
fn reading(topics: &str, more: &[(&str, &str)]) -> Result<Config, String> {
    let least = [
        ("kafka.brokers", "kafka:9092"),
        ("group.id", "orders"),
        ("start", "earliest"),
        ("topics", topics),
    ];
    let flags = least.iter().chain(more);
    let sources = Sources {
        flags: flags
            .map(|(key, value)| FlagValue::set(key, value))
            .collect(),
        ..Sources::default()
    };
    Config::load(&sources).map_err(|problems| problems.to_string())
}

#[test]
fn names_are_known_beforehand_and_patterns_find_others() {
    let config = reading("orders,^pay.*", &[]).unwrap();
    assert_eq!(config.topic_names(), ["orders"]);
    assert!(config.reads("orders") && config.reads("payments"));
    assert!(!config.reads("orders2") && !config.reads("my.payments"));
    let settings = config.core_settings(1);
    assert_eq!((settings.topics.len(), settings.policies.len()), (1, 1));
    let finder = settings.find_topics.unwrap();
    assert_eq!(finder.topics_max, 100);
    assert!((finder.policy_of)("payments").is_some());
    assert!((finder.policy_of)("invoices").is_none());
    let config = reading("orders", &[]).unwrap();
    assert!(config.core_settings(1).find_topics.is_none());
}

#[test]
fn a_found_topic_has_the_policy_of_its_rule() {
    let rules = "[{topics: ['^pay.*'], retry: {max_attempts: 3}}]";
    let config = reading("^.*", &[("per_topic", rules)]).unwrap();
    let finder = config.core_settings(1).find_topics.unwrap();
    assert_eq!((finder.policy_of)("payments").unwrap().failures_max, 3);
    assert_eq!((finder.policy_of)("orders").unwrap().failures_max, 10);
}

#[test]
fn a_pattern_means_neither_topics_of_brokers_nor_own_dead_letter_topics() {
    let config = reading("^.*", &[("dead_letter.topic", "{topic}.dlq")]).unwrap();
    assert!(!config.reads("__consumer_offsets"));
    assert!(config.reads("orders") && !config.reads("orders.dlq"));
    assert!(config.reads(".dlq"), "made of nothing, so not ours");
    let config = reading("^.*", &[("dead_letter.topic", "dead")]).unwrap();
    assert!(config.reads("orders") && !config.reads("dead"));
    let config = reading("^pay.*", &[("dead_letter.topic", "pay.{topic}")]).unwrap();
    assert!(
        config.reads("pay.orders"),
        "orders is not read, so this is somebody else's"
    );
    assert!(!config.reads("pay.pay1"));
    let rules = "[{topics: [orders], dead_letter: {topic: '{topic}.dead'}}]";
    let config = reading("^.*", &[("per_topic", rules)]).unwrap();
    assert!(!config.reads("orders.dead"));
    assert!(
        config.reads("payments.dead"),
        "payments has no dead-letter topic"
    );
}

#[test]
fn limits_of_finding_need_a_pattern_and_room_for_what_is_named() {
    let problems = reading("orders", &[("topics_max", "5"), ("topics_refresh", "5s")]).unwrap_err();
    assert_eq!(
        problems.matches("has no effect without a pattern").count(),
        2
    );
    let problems = reading("a,b,^c.*", &[("topics_max", "1")]).unwrap_err();
    assert!(
        problems.contains("is less than the 2 topics that are named"),
        "{problems}"
    );
    let problems = reading("a,^c(", &[]).unwrap_err();
    assert!(problems.contains("unclosed group"), "{problems}");
    let rules = "[{topics: [dolls], order: key}]";
    let problems = reading("^c.*", &[("per_topic", rules)]).unwrap_err();
    assert!(
        problems.contains("match none of the topics that are read"),
        "{problems}"
    );
    let rules = "[{topics: [coats], order: key}]";
    assert!(reading("^c.*", &[("per_topic", rules)]).is_ok());
}

/// The page that explains all this shows settings that work, and says of them what they do.
#[test]
fn the_example_of_the_documentation_means_what_it_says() {
    let page = include_str!("../../../docs/topics.md");
    let (_, example) = page.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.yaml");
    std::fs::write(&path, example).unwrap();
    let sources = Sources {
        files: vec![path],
        ..Sources::default()
    };
    let config = Config::load(&sources).unwrap();
    let (orders, europe) = (config.policy("orders"), config.policy("payments.eu"));
    assert_eq!((orders.order, orders.lane_depth), (Order::Key, 4));
    assert_eq!(
        (orders.failures_max, orders.then),
        (10, WhenSpent::DeadLetter)
    );
    assert_eq!((europe.failures_max, europe.then), (3, WhenSpent::Park));
    assert!(config.reads("payments.eu") && !config.reads("payments.eu.dlq"));
    assert!(!config.reads("payments"));
}
