//! Which topic takes the dead letters of a topic?
//!
//! The setting is a name, or a template of one. `dead` is one topic for all, `{topic}.dlq` one for each.

/// Stands for the name of the topic that a record comes from.
pub const PLACEHOLDER: &str = "{topic}";

/// The dead-letter topic of `source`; `None` if there is none.
///
/// `config` has made sure that the name is one that Kafka accepts and not the source itself.
#[must_use]
pub fn topic_of(template: &str, source: &str) -> Option<String> {
    (!template.is_empty()).then(|| template.replace(PLACEHOLDER, source))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_makes_one_topic_for_each_and_a_name_one_for_all() {
        let topic = |template, source| topic_of(template, source);
        assert_eq!(
            topic("{topic}.dlq", "orders").as_deref(),
            Some("orders.dlq")
        );
        assert_eq!(
            topic("dead.{topic}.v1", "orders").as_deref(),
            Some("dead.orders.v1")
        );
        assert_eq!(topic("dead", "orders").as_deref(), Some("dead"));
        assert_eq!(topic("", "orders"), None);
    }
}
