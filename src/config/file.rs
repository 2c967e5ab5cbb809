//! The settings file: YAML, taken apart into values of known settings.

use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::origin::{Given, Origin};
use super::problem::{Fault, Problem};
use super::secret::may_be_secret;
use super::table;
use super::unknown::unknown_key;
use super::value::Value;

/// Largest settings file.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads a settings file.
pub(super) fn read(path: &Path, given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
    let name = path.display().to_string();
    match text_of(path) {
        Ok(text) => parse(&name, &text, given, problems),
        Err(why) => problems.push(about_file(
            &name,
            0,
            why,
            "correct the path, or make it readable",
        )),
    }
}

/// Reads the text of a settings file called `name`.
pub(super) fn parse(name: &str, text: &str, given: &mut Vec<Given>, problems: &mut Vec<Problem>) {
    // Without snippets: a settings file with a syntax error may hold what must not be shown.
    let options = serde_saphyr::options! { with_snippet: false };
    match serde_saphyr::from_str_with_options::<Option<Spanned<Node>>>(text, options) {
        Ok(None) => {}
        Ok(Some(root)) => match root.value {
            Node::Map(entries) => {
                let mut walk = Walk {
                    file: name,
                    given,
                    problems,
                };
                entries
                    .into_iter()
                    .for_each(|(key, node)| walk.entry("", &key, node));
            }
            Node::Leaf(_) | Node::List(_) => problems.push(about_file(
                name,
                0,
                "is not a mapping of settings".to_owned(),
                "write `key: value` lines; `ackline config example` prints a complete file",
            )),
        },
        Err(error) => {
            let line = error.location().map_or(0, |location| location.line());
            let what = not_yaml(&error);
            problems.push(about_file(name, line, what, "correct the file there"));
        }
    }
}

/// A value that is written as in a settings file, for variables and flags that hold more than a word.
///
/// # Errors
///
/// What is wrong with the text, as a statement about it.
pub(super) fn value_of(text: &str) -> Result<Value, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    serde_saphyr::from_str_with_options::<Option<Node>>(text, options)
        .map(|node| node.map_or(Value::Nothing, Node::into_value))
        .map_err(|error| not_yaml(&error))
}

fn not_yaml(error: &serde_saphyr::Error) -> String {
    format!(
        "is not valid YAML: {}",
        super::problem::shown(&error.to_string())
    )
}

/// One piece of the document, with the lines of what it holds.
enum Node {
    Leaf(Value),
    List(Vec<Spanned<Node>>),
    Map(Vec<(String, Spanned<Node>)>),
}

struct Walk<'a> {
    file: &'a str,
    given: &'a mut Vec<Given>,
    problems: &'a mut Vec<Problem>,
}

impl Walk<'_> {
    fn entry(&mut self, parent: &str, name: &str, node: Spanned<Node>) {
        let key = if parent.is_empty() {
            name.to_owned()
        } else {
            format!("{parent}.{name}")
        };
        let line = node.referenced.line();
        if let Some(setting) = table::find(&key) {
            let origin = Origin::File(self.file.to_owned(), line);
            self.given.push(Given {
                key: setting.key,
                value: node.value.into_value(),
                origin,
            });
        } else if table::sections().any(|section| section.key == key) {
            self.section(&key, line, node.value);
        } else {
            self.problems.push(Problem {
                place: Some(Origin::File(self.file.to_owned(), line).to_string()),
                ..unknown_key(&key)
            });
        }
    }

    fn section(&mut self, key: &str, line: u64, node: Node) {
        match node {
            Node::Map(entries) => {
                entries
                    .into_iter()
                    .for_each(|(name, node)| self.entry(key, &name, node));
            }
            // A section whose settings are all commented out.
            Node::Leaf(Value::Nothing) => {}
            Node::Leaf(_) | Node::List(_) => {
                let inside = format!("{key}.");
                let settings: Vec<&str> = table::settings()
                    .map(|setting| setting.key)
                    .filter(|known| known.starts_with(&inside))
                    .collect();
                let value = node.into_value();
                let fault = Fault::new(
                    format!("is {}, but is a section of settings", value.described()),
                    format!("write below it: {}", settings.join(", ")),
                );
                self.problems.push(Problem {
                    key: key.to_owned(),
                    value: (!may_be_secret(key)).then(|| value.shown()),
                    place: Some(Origin::File(self.file.to_owned(), line).to_string()),
                    fault,
                });
            }
        }
    }
}

impl Node {
    fn into_value(self) -> Value {
        match self {
            Self::Leaf(value) => value,
            Self::List(items) => Value::List(
                items
                    .into_iter()
                    .map(|item| item.value.into_value())
                    .collect(),
            ),
            Self::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(name, node)| (name, node.value.into_value()))
                    .collect(),
            ),
        }
    }
}

fn text_of(path: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.len() > FILE_BYTES_MAX {
        return Err("is larger than 1 MiB".to_owned());
    }
    std::fs::read_to_string(path).map_err(unreadable)
}

fn about_file(name: &str, line: u64, what: String, remedy: &str) -> Problem {
    Problem {
        key: "settings file".to_owned(),
        value: None,
        place: Some(Origin::File(name.to_owned(), line).to_string()),
        fault: Fault::new(what, remedy),
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("settings")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Nothing))
    }

    fn visit_bool<E>(self, on: bool) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Switch(on)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Number(number.to_string())))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Number(number.to_string())))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Number(number.to_string())))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Leaf(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Node, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Node::Map(map))
    }
}
