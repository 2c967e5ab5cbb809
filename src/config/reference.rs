//! The reference of all settings, as a Markdown table for the README.

use std::fmt::Write as _;

use super::kind::Kind;
use super::per_topic::RULES_MAX;
use super::table;
use super::units::{duration_text, size_text};

/// One row for each setting.
#[must_use]
pub fn reference() -> String {
    let mut text =
        String::from("| setting | variable | value | default | meaning |\n|---|---|---|---|---|\n");
    for setting in table::settings() {
        let flag = setting
            .flag
            .map(|flag| format!("<br>`--{flag}`"))
            .unwrap_or_default();
        let default = match setting.preset_shown() {
            shown @ ("required" | "none") => format!("*{shown}*"),
            shown if shown.contains('`') => shown.to_owned(),
            shown => format!("`{shown}`"),
        };
        let _ = writeln!(
            text,
            "| `{}` | `{}`{flag} | {} | {default} | {} |",
            setting.key,
            setting.variable(),
            range(setting.kind),
            setting.doc,
        );
    }
    text
}

/// A word for the value in the help of a flag.
pub(super) fn value_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Switch(_) => "BOOL",
        Kind::Count(..) => "COUNT",
        Kind::Size(..) => "SIZE",
        Kind::Time(..) => "TIME",
        Kind::Factor(..) => "NUMBER",
        Kind::Choice(_) => "WORD",
        Kind::Text(..) | Kind::Names(..) => "NAME",
        Kind::File(..) => "FILE",
        Kind::Socket(_) => "SOCKET",
        Kind::Address(_) => "ADDRESS",
        Kind::Uids(_) => "UID",
        Kind::Properties(_) => "PROPERTY",
        Kind::PerTopic(_) => "RULES",
    }
}

fn range(kind: Kind) -> String {
    match kind {
        Kind::Switch(_) => "`true`, `false`".to_owned(),
        Kind::Count(least, most, _) => format!("{least} to {most}"),
        Kind::Size(least, most, _) => format!("{} to {}", size_text(least), size_text(most)),
        Kind::Time(least, most, _) => {
            format!("{} to {}", duration_text(least), duration_text(most))
        }
        Kind::Factor(least, most, _) => format!("{least} to {most}"),
        Kind::Choice(choices) => {
            let names = choices
                .iter()
                .map(|choice| choice.name)
                .filter(|name| !name.is_empty());
            names
                .map(|name| format!("`{name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        }
        Kind::Text(..) => "text".to_owned(),
        Kind::File(..) => "path of a file".to_owned(),
        Kind::Socket(_) => "`unix:` and a path".to_owned(),
        Kind::Address(_) => "IP address and port".to_owned(),
        Kind::Names(_, most, _) => format!("list of 1 to {most}"),
        Kind::Uids(_) => "list of user ids".to_owned(),
        Kind::Properties(_) => "`name: value` pairs".to_owned(),
        Kind::PerTopic(_) => format!("list of up to {RULES_MAX} rules"),
    }
}
