//! Mistakes in settings, collected rather than thrown: a person who fixes one wants to know of the
//! others.
//!
//! Each names its setting, the value as given and from where, what is wrong, and what to do.

use std::fmt;

use super::value::Value;

/// Longest piece of a value that is repeated in a message.
const SHOWN_CHARS_MAX: usize = 80;

/// What is wrong with a value, before anybody knows where the value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// What is wrong, as a statement about the value.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: String,
    /// Which part of the value is meant, to be written behind the key; empty for all of it.
    pub(super) part: String,
    /// What stands in that part, if it may be shown.
    pub(super) part_value: Option<String>,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            remedy: remedy.into(),
            part: String::new(),
            part_value: None,
        }
    }

    /// The same of a value that is `outer` within another one.
    pub(super) fn inside(mut self, outer: &str) -> Self {
        self.part.insert_str(0, outer);
        self
    }

    /// The same with the value of the part.
    pub(super) fn of_value(mut self, value: &Value) -> Self {
        self.part_value = (*value != Value::Nothing).then(|| value.shown());
        self
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The setting, by its key in the file.
    pub(super) key: String,
    /// The value, if there is one that may be shown.
    pub(super) value: Option<String>,
    /// Where the value came from, if anywhere.
    pub(super) place: Option<String>,
    /// What is wrong and what to do.
    pub(super) fault: Fault,
}

impl Problem {
    /// The setting, by its key.
    #[must_use]
    pub fn setting(&self) -> &str {
        &self.key
    }

    /// The value, if there is one that may be shown.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Where the value came from, if anywhere.
    #[must_use]
    pub fn place(&self) -> Option<&str> {
        self.place.as_deref()
    }

    /// What is wrong, as a statement about the value.
    #[must_use]
    pub fn what(&self) -> &str {
        &self.fault.what
    }

    /// What to do.
    #[must_use]
    pub fn remedy(&self) -> &str {
        &self.fault.remedy
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "  {}", shown(&self.key))?;
        if let Some(value) = &self.value {
            write!(f, " = {}", shown(value))?;
        }
        if let Some(place) = &self.place {
            write!(f, "  ({place})")?;
        }
        write!(f, "\n    {}\n    -> {}", self.fault.what, self.fault.remedy)
    }
}

/// All mistakes of one set of settings; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub(super) Vec<Problem>);

impl Problems {
    /// The mistakes, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.0.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => write!(f, "1 mistake in the settings")?,
            count => write!(f, "{count} mistakes in the settings")?,
        }
        self.0
            .iter()
            .try_for_each(|problem| write!(f, "\n\n{problem}"))
    }
}

impl std::error::Error for Problems {}

/// A piece of input, made safe for a terminal and a log, and cut.
pub(crate) fn shown(text: &str) -> String {
    let mut safe: String = text
        .chars()
        .take(SHOWN_CHARS_MAX)
        .flat_map(escape)
        .collect();
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        safe.push('…');
    }
    safe
}

/// The known name nearest to `wrong`, if one is near enough to be meant.
pub(crate) fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (wrong.chars().count() / 3).max(2);
    known
        .map(|name| (distance(wrong, name), name))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, name)| name)
}

/// Control characters and the separators U+2028 and U+2029 could forge lines of output.
fn escape(c: char) -> impl Iterator<Item = char> {
    let harmful = c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    let escaped = harmful.then(|| c.escape_unicode());
    let plain = (!harmful).then_some(c);
    escaped.into_iter().flatten().chain(plain)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_name_is_found_only_if_it_is_near() {
        let known = ["group.id", "group.join", "drain.revoke"];
        assert_eq!(nearest("grup.id", known.into_iter()), Some("group.id"));
        assert_eq!(
            nearest("drain.revokes", known.into_iter()),
            Some("drain.revoke")
        );
        assert_eq!(nearest("offset_store.kind", known.into_iter()), None);
    }

    #[test]
    fn distances_are_those_of_levenshtein() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("same", "same"), 0);
    }

    #[test]
    fn shown_input_cannot_forge_lines_or_flood() {
        assert_eq!(
            shown("a\r\n\u{1b}[31m\u{2028}b"),
            "a\\u{d}\\u{a}\\u{1b}[31m\\u{2028}b"
        );
        assert_eq!(
            shown(&"x".repeat(1_000)).chars().count(),
            SHOWN_CHARS_MAX + 1
        );
    }
}
