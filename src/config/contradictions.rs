//! Settings that are right one by one and wrong together.
//!
//! Each check says why the two do not fit, because the reason is what tells a person which one to
//! change. Checks whose settings are wrong already stay silent.

mod offset_store;
mod transactions;

use std::time::Duration;

use super::load::Loading;
use super::model::{GroupProtocol, Processing, Tls};
use super::per_topic;
use super::problem::{Fault, nearest};
use super::rules;
use super::topic_pattern::is_pattern;
use super::units::{duration_text, size_text};
use crate::core::{CommitMode, Order, WhenOversize, WhenSpent};

/// A drain may take this part of the time that the group waits for us.
const DRAIN_PART: u32 = 4;

/// Reports every contradiction.
pub(super) fn check(loading: &mut Loading) {
    times(loading);
    group_protocol(loading);
    in_flight(loading);
    topic_patterns(loading);
    of_topics(loading);
    loading.with_each_rule(of_topics);
    rules_of_topics(loading);
    tls(loading);
    sasl(loading);
    offset_store::check(loading);
    transactions::check(loading);
    listeners(loading);
    operators(loading);
}

fn times(loading: &mut Loading) {
    let (group, drain) = (loading.config.group.clone(), loading.config.drain.clone());
    let longest = group.max_poll_interval / DRAIN_PART;
    if drain.revoke > longest {
        loading.report("drain.revoke", &["group.max_poll_interval"], Fault::new(
            format!("is longer than a quarter of group.max_poll_interval ({}): the wait, the last commit and the answer must fit well into it, or the group throws the member out and nothing is committed", duration_text(group.max_poll_interval)),
            format!("write at most {}, or raise group.max_poll_interval", duration_text(longest)),
        ));
    }
    if group.session_timeout > group.max_poll_interval {
        loading.report(
            "group.session_timeout",
            &["group.max_poll_interval"],
            Fault::new(
                format!(
                    "is longer than group.max_poll_interval ({}), which Kafka clients refuse",
                    duration_text(group.max_poll_interval)
                ),
                "lower it, or raise group.max_poll_interval",
            ),
        );
    }
    staleness(loading);
}

fn topic_patterns(loading: &mut Loading) {
    let config = loading.config.clone();
    if !config.has_topic_patterns() {
        for key in ["topics_max", "topics_refresh"] {
            if loading.is_changed(key) {
                let fault = Fault::new(
                    "has no effect without a pattern in topics",
                    "remove it, or write a pattern, such as ^orders\\..*",
                );
                loading.report(key, &["topics"], fault);
            }
        }
        return;
    }
    let names = config.topic_names().len();
    if usize::try_from(config.topics_max).is_ok_and(|most| most < names) {
        let fault = Fault::new(
            format!(
                "is less than the {names} topics that are named: nothing could be found beside them"
            ),
            format!("raise it above {names}"),
        );
        loading.report("topics_max", &["topics"], fault);
    }
}

/// What some topics may have of their own.
fn of_topics(loading: &mut Loading) {
    backoff(loading);
    lane_depth(loading);
    dead_letter(loading);
}

fn backoff(loading: &mut Loading) {
    let backoff = loading.config.retry.backoff;
    if backoff.initial > backoff.max {
        loading.report(
            "retry.backoff.initial",
            &["retry.backoff.max"],
            Fault::new(
                format!(
                    "is longer than retry.backoff.max ({}): the first delay would be cut at once",
                    duration_text(backoff.max)
                ),
                "lower it, or raise retry.backoff.max",
            ),
        );
    }
}

/// In a healthy group every interval passes without a commit; that must not look like failure.
fn staleness(loading: &mut Loading) {
    let commit = loading.config.commit.clone();
    let transactions = loading.config.transactions.interval;
    let (key, interval): (&'static str, Duration) = match commit.mode {
        CommitMode::OnAck if loading.config.processing == Processing::Transactional => {
            ("transactions.interval", transactions)
        }
        CommitMode::OnAck => ("commit.interval", commit.interval),
        CommitMode::OnDelivery => ("commit.delivery_interval", commit.delivery_interval),
    };
    if commit.staleness_max <= interval {
        loading.report(
            "commit.staleness_max",
            &[key],
            Fault::new(
                format!(
                    "is not longer than {key} ({}): deliveries would stop between two commits",
                    duration_text(interval)
                ),
                format!("raise it, best to ten times {key}, or lower {key}"),
            ),
        );
    }
}

fn group_protocol(loading: &mut Loading) {
    if loading.config.group.protocol != GroupProtocol::Consumer {
        return;
    }
    for key in ["group.session_timeout", "group.assignor"] {
        if loading.is_changed(key) {
            loading.report(
                key,
                &["group.protocol"],
                Fault::new(
                    "has no effect with group.protocol consumer: the broker decides about it",
                    "remove it, or write `protocol: classic`",
                ),
            );
        }
    }
}

fn lane_depth(loading: &mut Loading) {
    if loading.config.order == Order::None && loading.config.lane_depth > 1 {
        loading.report(
            "lane_depth",
            &["order"],
            Fault::new(
                "has no effect with order none: every record is on its own",
                "remove it, or choose `order: partition` or `order: key`",
            ),
        );
    }
}

/// What a stream has without a word of its own must fit into what the process has. A default is lowered; whoever wrote
/// the number meant it.
fn in_flight(loading: &mut Loading) {
    let limits = loading.config.in_flight.clone();
    let shares = [
        (
            "in_flight.per_stream_records",
            "in_flight.records",
            limits.per_stream_records > limits.records,
            limits.records.to_string(),
        ),
        (
            "in_flight.per_stream_bytes",
            "in_flight.bytes",
            limits.per_stream_bytes > limits.bytes,
            size_text(limits.bytes),
        ),
    ];
    for (share, whole, above, most) in shares {
        if above && loading.is_changed(share) {
            loading.report(
                share,
                &[whole],
                Fault::new(
                    format!("is above {whole} ({most}): the limit of the process holds for all streams together, and no stream could have as much"),
                    format!("write at most {most}, or raise {whole}"),
                ),
            );
        }
    }
}

fn dead_letter(loading: &mut Loading) {
    const KEY: &str = "dead_letter.topic";
    let config = &loading.config;
    let wanted = [
        ("retry.then", config.retry.then == WhenSpent::DeadLetter),
        ("oversize", config.oversize == WhenOversize::DeadLetter),
    ];
    let without = !config.has_dead_letters();
    for (key, _) in wanted.into_iter().filter(|(_, wanted)| without && *wanted) {
        loading.report(
            key,
            &[KEY],
            Fault::new(
                format!("is dead_letter, but {KEY} is not set: there is nowhere to go"),
                format!("name a topic in {KEY}, such as {{topic}}.dlq, or choose park"),
            ),
        );
    }
    let mut sources = loading.config.topic_names();
    // Each topic where its settings stand.
    sources.retain(|topic| per_topic::rule_of(&loading.config.per_topic, topic) == loading.rule);
    for source in sources {
        let Some(name) = loading.config.dead_letter_topic(&source) else {
            return;
        };
        let fault = if name == source {
            Fault::new(
                format!("is {source} for records of {source}: they would be read again and again"),
                "write another name, such as {topic}.dlq",
            )
        } else if (rules::TOPIC.check)(&name).is_err() {
            Fault::new(
                format!("makes {name} of {source}, which is not a name that Kafka accepts"),
                "write something shorter, or one name for all topics",
            )
        } else {
            continue;
        };
        loading.report(KEY, &["topics"], fault);
        return;
    }
}

/// A rule that holds for no topic is a slip of the pen, or one of a later time.
fn rules_of_topics(loading: &mut Loading) {
    let config = loading.config.clone();
    for (index, rule) in config.per_topic.iter().enumerate() {
        let holds = |topic: &str| per_topic::rule_of(&config.per_topic, topic) == Some(index);
        let names = config.topic_names();
        let may_hold = |text: &str| holds(text) && config.reads(text);
        // Which topics a pattern will find nobody knows.
        let finds = config.has_topic_patterns()
            && rule.topics().any(|text| is_pattern(text) || may_hold(text));
        if finds || names.iter().any(|name| holds(name)) {
            continue;
        }
        let fault = if names.iter().any(|name| rule.matches(name)) {
            Fault::new(
                "match only topics for which an earlier rule holds: the first one that matches does",
                "write this rule before the other, or both as one",
            )
        } else {
            let mut wrong = rule.topics().filter(|text| !is_pattern(text));
            let near = wrong.find_map(|name| nearest(name, names.iter().map(String::as_str)));
            let remedy = near.map(|near| format!("did you mean `{near}`?"));
            Fault::new(
                "match none of the topics that are read",
                remedy.unwrap_or_else(|| "correct them, or remove the rule".to_owned()),
            )
        };
        loading.report_rule(index, fault);
    }
}

fn tls(loading: &mut Loading) {
    let keys = TlsKeys {
        section: "kafka.tls",
        enabled: "kafka.tls.enabled",
        ca_file: "kafka.tls.ca_file",
        cert_file: "kafka.tls.cert_file",
        key_file: "kafka.tls.key_file",
    };
    let tls = loading.config.kafka.tls.clone();
    tls_files(loading, &tls, &keys);
}

/// The settings of one kind of connection.
struct TlsKeys {
    section: &'static str,
    enabled: &'static str,
    ca_file: &'static str,
    cert_file: &'static str,
    key_file: &'static str,
}

fn tls_files(loading: &mut Loading, tls: &Tls, keys: &TlsKeys) {
    let TlsKeys {
        section, enabled, ..
    } = keys;
    let files = [
        (keys.ca_file, tls.ca_file.is_some()),
        (keys.cert_file, tls.cert_file.is_some()),
        (keys.key_file, tls.key_file.is_some()),
    ];
    for (key, _) in files
        .into_iter()
        .filter(|(_, given)| *given && !tls.enabled)
    {
        loading.report(
            key,
            &[enabled],
            Fault::new(
                format!("is given, but {enabled} is false: the connection would not be encrypted"),
                format!("write `enabled: true` below {section}, or remove the file"),
            ),
        );
    }
    let alone = match (tls.cert_file.is_some(), tls.key_file.is_some()) {
        (true, false) => Some((keys.cert_file, keys.key_file)),
        (false, true) => Some((keys.key_file, keys.cert_file)),
        (true, true) | (false, false) => None,
    };
    if let Some((given, lacking)) = alone {
        loading.report(
            given,
            &[lacking],
            Fault::new(
                format!("is given without {lacking}: one is of no use without the other"),
                format!("name both, or remove {given}"),
            ),
        );
    }
}

fn sasl(loading: &mut Loading) {
    const KEY: &str = "kafka.sasl.mechanism";
    let sasl = loading.config.kafka.sasl.clone();
    let files = [
        ("kafka.sasl.username_file", sasl.username_file.is_some()),
        ("kafka.sasl.password_file", sasl.password_file.is_some()),
    ];
    for (file, given) in files {
        match (sasl.mechanism, given) {
            (Some(mechanism), false) => loading.report(
                KEY,
                &[file],
                Fault::new(
                    format!("{} needs {file}", mechanism.name()),
                    format!("name the file in {file}"),
                ),
            ),
            (None, true) => loading.report(
                file,
                &[KEY],
                Fault::new(
                    format!("is given, but {KEY} is not: nobody would be authenticated"),
                    format!("choose a mechanism in {KEY}, or remove the file"),
                ),
            ),
            (Some(_), true) | (None, false) => {}
        }
    }
}

fn listeners(loading: &mut Loading) {
    const ADDRESS: &str = "listen.app_tcp.address";
    const TOKEN: &str = "listen.app_tcp.token_file";
    const INSECURE: &str = "listen.app_tcp.insecure";
    let listen = loading.config.listen.clone();
    let (tcp, token) = (listen.app_tcp.address, listen.app_tcp.token_file.is_some());
    match (tcp.is_some(), token, listen.app_tcp.insecure) {
        (true, false, false) => loading.report(
            ADDRESS,
            &[TOKEN, INSECURE],
            Fault::new(
                "has no token: everybody who can connect could read and acknowledge records",
                format!("name a token file in {TOKEN}, or accept that with `insecure: true`"),
            ),
        ),
        (true, true, true) => loading.report(
            INSECURE,
            &[ADDRESS, TOKEN],
            Fault::new(
                format!("contradicts {TOKEN}: either calls need the token or they do not"),
                "remove one of them",
            ),
        ),
        (false, true, _) => loading.report(TOKEN, &[ADDRESS], no_address(ADDRESS)),
        (false, false, true) => loading.report(INSECURE, &[ADDRESS], no_address(ADDRESS)),
        (true, true, false) | (true, false, true) | (false, false, false) => {}
    }
    if listen.app.is_none() && tcp.is_none() {
        loading.report(
            "listen.app",
            &[ADDRESS],
            Fault::new(
                "is empty, and there is no listen.app_tcp.address: no application could connect",
                "write `app: unix:/run/ackline/ackline.sock`",
            ),
        );
    }
    if listen.app.is_none() && !listen.uids.is_empty() {
        loading.report(
            "listen.uids",
            &["listen.app"],
            Fault::new(
                "has no effect without listen.app: only a Unix socket knows the user of its peer",
                "remove it, or name a socket in listen.app",
            ),
        );
    }
    if let (Some(tcp), Some(http)) = (tcp, listen.http)
        && tcp == http
        && tcp.port() != 0
    {
        loading.report(
            "listen.http",
            &[ADDRESS],
            Fault::new(
                format!("is the same as {ADDRESS}: only one of them could listen"),
                "choose another port",
            ),
        );
    }
}

/// The places of operators are apart from those of others.
fn operators(loading: &mut Loading) {
    let listen = loading.config.listen.clone();
    if listen.app.is_some() && listen.app == listen.admin {
        loading.report(
            "listen.admin",
            &["listen.app"],
            Fault::new(
                "is the same as listen.app: applications must not reach it",
                "choose another path, in a directory of its own",
            ),
        );
    }
    if let (Some(page), Some(http)) = (listen.status_page, listen.http)
        && page == http
        && page.port() != 0
    {
        loading.report(
            "listen.status_page",
            &["listen.http"],
            Fault::new(
                "is the same as listen.http: only one of them could listen",
                "choose another port",
            ),
        );
    }
}

fn no_address(address: &str) -> Fault {
    Fault::new(
        format!("has no effect without {address}"),
        format!("remove it, or write {address}"),
    )
}
