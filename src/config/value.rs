//! A value as somebody gave it, before anybody knows what it should be.

/// A value from the file, from the environment or from a flag.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// YAML's null, or nothing after the colon.
    Nothing,
    /// YAML's `true` or `false`, and in YAML 1.1 also `on`, `off`, `yes`, `no`.
    Switch(bool),
    /// A number in a YAML file, as text.
    Number(String),
    /// Text in a YAML file.
    Text(String),
    /// Text from a variable or a flag, where everything is text.
    Word(String),
    /// A list in a YAML file.
    List(Vec<Value>),
    /// A mapping in a YAML file.
    Map(Vec<(String, Value)>),
}

impl Value {
    /// The value as text, for a message.
    pub(super) fn shown(&self) -> String {
        match self {
            Self::Nothing => "null".to_owned(),
            Self::Switch(on) => on.to_string(),
            Self::Number(text) | Self::Text(text) | Self::Word(text) => text.clone(),
            Self::List(items) => {
                let items: Vec<String> = items.iter().map(Self::shown).collect();
                format!("[{}]", items.join(", "))
            }
            Self::Map(_) => "{…}".to_owned(),
        }
    }

    /// What it is, for a message.
    pub(super) fn described(&self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Switch(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) | Self::Word(_) => "text",
            Self::List(_) => "a list",
            Self::Map(_) => "a section",
        }
    }

    /// The parts of a list. Variables and flags separate them by commas.
    pub(super) fn items(&self) -> Option<Vec<Value>> {
        match self {
            Self::List(items) => Some(items.clone()),
            Self::Word(text) if text.is_empty() => Some(Vec::new()),
            Self::Word(text) => Some(
                text.split(',')
                    .map(|item| Self::Word(item.trim().to_owned()))
                    .collect(),
            ),
            Self::Nothing | Self::Switch(_) | Self::Number(_) | Self::Text(_) | Self::Map(_) => {
                None
            }
        }
    }
}
