//! Variables of the environment that give settings.

use std::ffi::OsString;

use super::origin::{Given, Origin};
use super::problem::{Fault, Problem, shown};
use super::table::{self, VARIABLE_PREFIX};
use super::unknown::unknown_variable;
use super::value::Value;

/// Variables with our prefix that are not settings: the settings file, and the address that
/// applications connect to, which is meant for them.
const OTHER_VARIABLES: [&str; 2] = ["ACKLINE_CONFIG", "ACKLINE_TARGET"];

/// Reads our variables out of all of them.
pub(super) fn read(
    environment: &[(OsString, OsString)],
    given: &mut Vec<Given>,
    problems: &mut Vec<Problem>,
) {
    for (name, value) in environment {
        let Some(name) = name
            .to_str()
            .filter(|name| name.starts_with(VARIABLE_PREFIX))
        else {
            continue;
        };
        // An empty variable is how manifests spell "not set".
        if value.is_empty() || OTHER_VARIABLES.contains(&name) || is_service_link(name) {
            continue;
        }
        let Some(setting) = table::settings().find(|setting| setting.variable() == name) else {
            problems.push(unknown_variable(name));
            continue;
        };
        match value.to_str() {
            Some(text) => given.push(Given {
                key: setting.key,
                value: Value::Word(text.to_owned()),
                origin: Origin::Variable(name.to_owned()),
            }),
            None => problems.push(Problem {
                key: setting.key.to_owned(),
                value: None,
                place: Some(Origin::Variable(name.to_owned()).to_string()),
                fault: Fault::new("is not text in UTF-8", "correct the variable"),
            }),
        }
    }
}

/// Kubernetes tells every container about the services of its namespace in variables. A service
/// called `ackline` or `ackline-metrics` must not keep us from starting.
fn is_service_link(name: &str) -> bool {
    let is_port = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    let is_port_part = || {
        let (_, rest) = name.split_once("_PORT_")?;
        let (port, protocol) = rest.split_once('_')?;
        let known = ["TCP", "UDP", "SCTP"]
            .iter()
            .any(|known| protocol.starts_with(known));
        Some(known && is_port(port))
    };
    name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT")
        || name.ends_with("_PORT")
        || is_port_part().unwrap_or(false)
}

/// Replaces each `${NAME}` in a text by the variable NAME.
pub(super) fn expand(text: &str, variables: &[(OsString, OsString)]) -> Result<String, Fault> {
    let mut expanded = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let Some((name, tail)) = after.split_once('}') else {
            break;
        };
        let value = variables.iter().find(|(known, _)| known == name);
        let value = value.and_then(|(_, value)| value.to_str());
        let Some(value) = value.filter(|value| !value.is_empty()) else {
            return Err(Fault::new(
                format!("the variable {} is not set", shown(name)),
                "set it, in a pod by `env` with `fieldRef: metadata.name`, or write the text itself",
            ));
        };
        expanded.push_str(before);
        expanded.push_str(value);
        rest = tail;
    }
    Ok(expanded + rest)
}
