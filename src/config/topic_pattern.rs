//! Topics by their name, or by a pattern of names.
//!
//! As everywhere in Kafka's own client libraries for C, what begins with `^` is a regular expression. It stands for
//! whole names, as in Java and in groups whose broker evaluates it: `^orders` is the topic `orders` alone, `^orders.*`
//! everything that begins with it.

use regex::bytes::{Regex, RegexBuilder};

use super::problem::Fault;
use super::rules::{Rule, TOPIC};

/// What a pattern begins with.
const MARK: char = '^';

/// Longest pattern.
const PATTERN_CHARS_MAX: usize = 1000;

/// Largest compiled pattern, in bytes. Repetitions of repetitions could need any amount. Names have at most 249
/// characters, and `^[a-z]{1,249}` takes half of this.
const COMPILED_BYTES_MAX: usize = 32 << 10;

/// A name of a topic, or a pattern of names.
pub(super) const TOPIC_OR_PATTERN: Rule = Rule {
    check,
    pattern: "^([a-zA-Z0-9._-]{1,249}|\\^.{0,999})$",
};

/// Topics that a setting speaks of.
#[derive(Debug, Clone)]
pub(super) struct TopicPattern {
    text: String,
    regex: Option<Regex>,
}

impl TopicPattern {
    /// Reads a name or a pattern.
    pub(super) fn read(text: &str) -> Result<Self, Fault> {
        let regex = if is_pattern(text) {
            Some(compile(text)?)
        } else {
            (TOPIC.check)(text)?;
            None
        };
        Ok(Self {
            text: text.to_owned(),
            regex,
        })
    }

    /// Whether the topic is meant.
    pub(super) fn matches(&self, topic: &str) -> bool {
        match &self.regex {
            Some(regex) => regex.is_match(topic.as_bytes()),
            None => self.text == topic,
        }
    }

    /// The name or pattern as written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether the text is a pattern rather than a name.
pub(super) fn is_pattern(text: &str) -> bool {
    text.starts_with(MARK)
}

fn compile(text: &str) -> Result<Regex, Fault> {
    if text.chars().count() > PATTERN_CHARS_MAX {
        return Err(Fault::new(
            "is too long for a pattern",
            format!("write at most {PATTERN_CHARS_MAX} characters"),
        ));
    }
    // Kafka's names are ASCII, and tables of Unicode would make every class large.
    let compiled = |text: &str| {
        RegexBuilder::new(text)
            .unicode(false)
            .size_limit(COMPILED_BYTES_MAX)
            .build()
    };
    // A pattern that is right only between our brackets, such as `^a)|(b`, would mean something else.
    let (alone, whole_name) = (compiled(text), compiled(&format!("^(?:{text})$")));
    match (whole_name, alone) {
        (Ok(regex), Ok(_)) => Ok(regex),
        (Err(regex::Error::CompiledTooBig(_)), _) | (_, Err(regex::Error::CompiledTooBig(_))) => {
            Err(Fault::new(
                "is a regular expression that becomes too large",
                "write fewer or smaller repetitions",
            ))
        }
        (Err(error), _) | (_, Err(error)) => Err(Fault::new(
            format!("is not a regular expression: {}", reason(&error)),
            "correct it, such as ^orders\\..*, or remove the ^ if it is a name",
        )),
    }
}

/// The last line of the library's message says why; those before draw the place.
fn reason(error: &regex::Error) -> String {
    let text = error.to_string();
    let last = text.lines().last().unwrap_or_default();
    last.trim_start_matches("error: ").to_owned()
}

fn check(text: &str) -> Result<(), Fault> {
    TopicPattern::read(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_stands_for_itself_and_a_pattern_for_whole_names() {
        let matches = |text, topic| TopicPattern::read(text).unwrap().matches(topic);
        assert!(matches("orders.v1", "orders.v1"));
        assert!(!matches("orders.v1", "orders-v1"));
        assert!(matches("^orders", "orders"));
        assert!(!matches("^orders", "orders.v1"));
        assert!(matches("^orders\\..*", "orders.v1"));
        assert!(!matches("^orders\\..*", "my.orders.v1"));
        assert!(matches("^a|b", "b"));
        assert!(!matches("^a|b", "bc"));
        assert!(matches("^[a-z]{1,249}", "orders"));
        assert!(matches("^\\w+\\.v\\d", "orders.v1"));
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_a_reason() {
        for (bad, why) in [
            ("^orders(", "unclosed group"),
            ("^a)|(b", "unopened group"),
            ("^[z-a]", "invalid character class range"),
            ("^((a{1000}){1000}){1000}", "becomes too large"),
            ("orders*", "not a name"),
            ("", "not a name"),
        ] {
            let fault = TopicPattern::read(bad).unwrap_err();
            assert!(fault.what.contains(why), "{bad}: {}", fault.what);
        }
        let long = format!("^{}", "a".repeat(PATTERN_CHARS_MAX));
        assert!(TopicPattern::read(&long).is_err());
    }
}
