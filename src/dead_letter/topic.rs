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

/// Whose records a topic may take.
#[derive(Debug, PartialEq, Eq)]
pub enum Source {
    /// Those of every topic.
    Any,
    /// Those of this one.
    One(String),
}

/// Whose records `topic` takes, if the template makes that name of any; the inverse of [`topic_of`].
#[must_use]
pub fn source_of(template: &str, topic: &str) -> Option<Source> {
    let places = template.matches(PLACEHOLDER).count();
    if places == 0 {
        return (!template.is_empty() && template == topic).then_some(Source::Any);
    }
    let constant = template.len() - places * PLACEHOLDER.len();
    let length = topic.len().checked_sub(constant)? / places;
    let start = template.find(PLACEHOLDER)?;
    let source = topic.get(start..start + length)?;
    let is_it = !source.is_empty() && topic_of(template, source).as_deref() == Some(topic);
    is_it.then(|| Source::One(source.to_owned()))
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

    #[test]
    fn a_template_knows_the_topics_that_it_made() {
        let one = |topic: &str| Some(Source::One(topic.to_owned()));
        assert_eq!(source_of("{topic}.dlq", "orders.dlq"), one("orders"));
        assert_eq!(
            source_of("{topic}.dlq", "orders.dlq.dlq"),
            one("orders.dlq")
        );
        assert_eq!(source_of("{topic}.dlq", ".dlq"), None);
        assert_eq!(source_of("{topic}.dlq", "orders"), None);
        assert_eq!(source_of("{topic}-{topic}", "ab-ab"), one("ab"));
        assert_eq!(source_of("{topic}-{topic}", "ab-ba"), None);
        assert_eq!(source_of("dead", "dead"), Some(Source::Any));
        assert_eq!(source_of("dead", "alive"), None);
        assert_eq!(source_of("", ""), None);
    }
}
