//! Settings about the process: how it ends, where it listens, what it logs.

use std::time::Duration;

use super::Preset::Fixed;
use super::{Section, Setting, choice};
use crate::config::kind::Kind;
use crate::config::model::{LogFormat, LogLevel};
use crate::config::secret::FileUse;

const HOUR: Duration = Duration::from_secs(3600);

/// HTTP/2 permits 1,024 streams on a connection, of which calls that settle need most.
const STREAMS_MAX: u32 = 256;

/// Where operators' commands look unless they are told.
pub const DEFAULT_ADMIN_SOCKET: &str = "unix:/run/ackline-admin/admin.sock";

pub(super) static SECTIONS: &[Section] = &[
    Section {
        key: "drain",
        doc: "Time limits of endings.",
    },
    Section {
        key: "listen",
        doc: "Sockets.",
    },
    Section {
        key: "listen.app_tcp",
        doc: "TCP for applications that cannot use the Unix socket.",
    },
    Section {
        key: "log",
        doc: "Log output, on standard error.",
    },
];

pub(super) static SETTINGS: &[Setting] = &[
    Setting::new(
        "drain.revoke",
        Kind::Time(Duration::ZERO, HOUR, |c| &mut c.drain.revoke),
        Fixed("5s"),
        "How long a partition that moves to another member waits for records in flight to be settled. \
         At most a quarter of `group.max_poll_interval`.",
    )
    .example("10s"),
    Setting::new(
        "drain.shutdown",
        Kind::Time(Duration::from_secs(1), HOUR, |c| &mut c.drain.shutdown),
        Fixed("25s"),
        "How long the process may take to end after SIGTERM, the last commit included. Keep it below \
         the grace period of the pod (30 seconds unless changed).",
    )
    .example("55s"),
    Setting::new(
        "listen.streams_max",
        Kind::Count(1, STREAMS_MAX, |c| &mut c.listen.streams_max),
        Fixed("16"),
        "Record streams open at once.",
    )
    .example("32"),
    Setting::new(
        "listen.uids",
        Kind::Uids(|c| &mut c.listen.uids),
        Fixed(""),
        "User ids that may connect to the Unix socket; without it, everybody who can reach it.",
    )
    .example("1000,1001"),
    Setting::new(
        "listen.app",
        Kind::Socket(|c| &mut c.listen.app),
        Fixed("unix:/run/ackline/ackline.sock"),
        "Unix socket for applications, as `unix:` and a path. Its directory decides who can reach it.",
    )
    .flag("listen")
    .example("unix:/tmp/ackline.sock"),
    Setting::new(
        "listen.admin",
        Kind::Socket(|c| &mut c.listen.admin),
        Fixed(DEFAULT_ADMIN_SOCKET),
        "Unix socket for operators' commands (`ackline status` and others), as `unix:` and a path; only its \
         owner and root can use it. Empty for none. If nobody sets it and the default cannot be bound, the \
         sidecar runs without.",
    )
    .example("unix:/tmp/ackline-admin.sock"),
    Setting::new(
        "listen.app_tcp.address",
        Kind::Address(|c| &mut c.listen.app_tcp.address),
        Fixed(""),
        "TCP address for applications. Needs a token, because other containers of the pod can reach it.",
    )
    .example("127.0.0.1:7420"),
    Setting::new(
        "listen.app_tcp.token_file",
        Kind::File(FileUse::Token, |c| &mut c.listen.app_tcp.token_file),
        Fixed(""),
        "File that holds the token which every call over TCP must carry, at least 43 characters.",
    )
    .example("/etc/ackline/token"),
    Setting::new(
        "listen.app_tcp.insecure",
        Kind::Switch(|c| &mut c.listen.app_tcp.insecure),
        Fixed("false"),
        "Serve TCP without a token. Everybody who can connect can read and acknowledge.",
    )
    .example("true"),
    Setting::new(
        "listen.http",
        Kind::Address(|c| &mut c.listen.http),
        Fixed("0.0.0.0:7421"),
        "Address of `/startupz`, `/livez`, `/readyz` and `/metrics`. Empty for none.",
    )
    .flag("http")
    .example("127.0.0.1:9090"),
    Setting::new(
        "listen.status_page",
        Kind::Address(|c| &mut c.listen.status_page),
        Fixed("127.0.0.1:7422"),
        "Address of the status page for browsers, which only shows. Loopback is reached with `kubectl \
         port-forward`. Empty for none. If nobody sets it and the default is taken, the sidecar runs without.",
    )
    .example("127.0.0.1:9091"),
    Setting::new(
        "log.level",
        Kind::Choice(&[
            choice!("error", log.level, LogLevel::Error),
            choice!("warn", log.level, LogLevel::Warn),
            choice!("info", log.level, LogLevel::Info),
            choice!("debug", log.level, LogLevel::Debug),
            choice!("trace", log.level, LogLevel::Trace),
        ]),
        Fixed("info"),
        "Least severe lines to write: `error` needs a person, `warn` recovers by itself, `info` is a \
         change of state, `trace` names single records.",
    )
    .flag("log-level")
    .example("debug"),
    Setting::new(
        "log.format",
        Kind::Choice(&[
            choice!("json", log.format, LogFormat::Json),
            choice!("text", log.format, LogFormat::Text),
        ]),
        Fixed("json"),
        "How lines look: one JSON object each, or text for people.",
    )
    .flag("log-format")
    .example("text"),
];
