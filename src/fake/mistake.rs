//! Mistakes in lines, collected rather than thrown: a person who mends one wants to know of the others.

use std::fmt;

/// Mistakes that are shown; the others are counted.
const SHOWN_MAX: usize = 20;
/// Longest piece of a value that is repeated in a message.
const VALUE_CHARS_MAX: usize = 80;

/// Where a line stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// The file as it was named, or `standard input`.
    pub(super) file: String,
    /// From 1; zero for the file itself.
    pub(super) line: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.file),
            line => write!(f, "{}:{line}", self.file),
        }
    }
}

/// What is wrong in a line, before anybody knows which line it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The key in the line; empty for the whole line.
    pub(super) key: &'static str,
    /// The value, if there is one.
    pub(super) value: Option<String>,
    /// What is wrong, as a statement about the value.
    pub(super) what: String,
    /// What to do.
    pub(super) remedy: String,
}

impl Fault {
    pub(super) fn new(
        key: &'static str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            key,
            value: None,
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn with_value(self, value: &impl ToString) -> Self {
        let value = value.to_string();
        let mut shown: String = value.chars().take(VALUE_CHARS_MAX).collect();
        if shown.len() < value.len() {
            shown.push('…');
        }
        Self {
            value: Some(shown),
            ..self
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mistake {
    place: Place,
    fault: Fault,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fault {
            key,
            value,
            what,
            remedy,
        } = &self.fault;
        write!(f, "  {}", self.place)?;
        if !key.is_empty() {
            write!(f, "  {key}")?;
        }
        if let Some(value) = value {
            write!(f, " = {value}")?;
        }
        write!(f, "\n    {what}\n    -> {remedy}")
    }
}

/// All mistakes in the lines, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mistakes {
    first: Vec<Mistake>,
    more: usize,
}

impl Mistakes {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    pub(super) fn add(&mut self, place: &Place, fault: Fault) {
        if self.first.len() < SHOWN_MAX {
            let place = place.clone();
            self.first.push(Mistake { place, fault });
        } else {
            self.more += 1;
        }
    }

    pub(super) fn add_all(&mut self, place: &Place, faults: Vec<Fault>) {
        faults.into_iter().for_each(|fault| self.add(place, fault));
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.first.len() + self.more {
            1 => f.write_str("1 mistake in the lines")?,
            count => write!(f, "{count} mistakes in the lines")?,
        }
        for mistake in &self.first {
            write!(f, "\n{mistake}")?;
        }
        match self.more {
            0 => Ok(()),
            more => write!(f, "\n  and {more} more"),
        }
    }
}
