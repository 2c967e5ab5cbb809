//! Names nobody knows: what was probably meant.

use super::problem::{Fault, Problem, nearest};
use super::table;

/// A key that is not in the table. Its value is not shown: whoever invents a key may have written a
/// password behind it.
pub(super) fn unknown_key(key: &str) -> Problem {
    let fault = match key {
        "kafka.sasl.password" => from_file("passwords", "kafka.sasl.password_file"),
        "kafka.sasl.username" => from_file("user names", "kafka.sasl.username_file"),
        "listen.app_tcp.token" => from_file("tokens", "listen.app_tcp.token_file"),
        _ => {
            let sections = table::sections().map(|section| section.key);
            let known: Vec<&str> = table::settings()
                .map(|setting| setting.key)
                .chain(sections)
                .collect();
            let remedy = nearest(key, known.iter().copied())
                .or_else(|| same_last_part(key, known.into_iter()))
                .map_or_else(no_idea, |known| format!("did you mean `{known}`?"));
            Fault::new("there is no such setting", remedy)
        }
    };
    Problem {
        key: key.to_owned(),
        value: None,
        place: None,
        fault,
    }
}

/// A variable that begins like ours and sets nothing.
pub(super) fn unknown_variable(name: &str) -> Problem {
    let variables: Vec<String> = table::settings()
        .map(|setting| setting.variable())
        .collect();
    let remedy = nearest(name, variables.iter().map(String::as_str))
        .map_or_else(no_idea, |known| format!("did you mean `{known}`?"));
    let fault = Fault::new("this variable belongs to no setting", remedy);
    Problem {
        key: name.to_owned(),
        value: None,
        place: Some("environment".to_owned()),
        fault,
    }
}

/// `max_poll_interval` at the wrong level means `group.max_poll_interval`.
fn same_last_part<'a>(key: &str, mut known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let last = key.rsplit('.').next()?;
    known.find(|known| known.rsplit('.').next() == Some(last) && known.contains('.'))
}

fn from_file(what: &str, key: &str) -> Fault {
    Fault::new(
        format!("{what} are read from files only"),
        format!("write it into a file and name the file in `{key}`"),
    )
}

fn no_idea() -> String {
    "remove it; `ackline config reference` lists all settings".to_owned()
}
