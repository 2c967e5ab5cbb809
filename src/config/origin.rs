//! Where values come from, and which of several wins.

use std::collections::BTreeMap;
use std::fmt;

use super::value::Value;

/// Where a value came from. A greater one wins.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// Nobody said anything.
    Default,
    /// The settings file, at a line; zero if the line is not known. Of several files a later one wins.
    File(String, u64),
    /// Settings that another program holds, by its name for them. As strong as a file.
    Layer(String),
    /// A variable of the environment.
    Variable(String),
    /// A flag of the command line.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(file, 0) => write!(f, "{file}"),
            Self::File(file, line) => write!(f, "{file}, line {line}"),
            Self::Layer(name) => f.write_str(name),
            Self::Variable(name) => write!(f, "variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// For each setting, by its key, where its value came from.
pub(super) type Origins = BTreeMap<&'static str, Origin>;

/// A value for a setting.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Given {
    /// The key of a setting in the table.
    pub(super) key: &'static str,
    /// The value.
    pub(super) value: Value,
    /// Where it came from.
    pub(super) origin: Origin,
}
