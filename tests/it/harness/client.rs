//! Applications in other languages, made from nothing but the `.proto`: those of `tests/clients`, and the examples.

use std::path::PathBuf;
use std::process::Command;

use super::repository;
use super::sidecar::without_variables;

/// Every way to use the stubs that is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Client {
    /// Blocking stub, one thread.
    PythonSync,
    /// `grpc.aio`, one event loop.
    PythonAsyncio,
    /// Workers that are forked before any channel is opened.
    PythonPrefork,
    Go,
    /// Blocking stub, one thread.
    JavaBlocking,
    /// Asynchronous stub, work in its callbacks.
    JavaAsync,
    TypeScript,
}

impl Client {
    pub(crate) const ALL: [Self; 7] = [
        Self::PythonSync,
        Self::PythonAsyncio,
        Self::PythonPrefork,
        Self::Go,
        Self::JavaBlocking,
        Self::JavaAsync,
        Self::TypeScript,
    ];

    /// One client of each language: all of them share its example.
    pub(crate) fn language(self) -> &'static str {
        match self {
            Self::PythonSync | Self::PythonAsyncio | Self::PythonPrefork => "python",
            Self::Go => "go",
            Self::JavaBlocking | Self::JavaAsync => "java",
            Self::TypeScript => "typescript",
        }
    }

    /// Whether this run includes the language. All are, unless `ACKLINE_TEST_LANGUAGES` says otherwise: what is not
    /// there is a failure then.
    pub(crate) fn is_tested(self) -> bool {
        let tested = match std::env::var("ACKLINE_TEST_LANGUAGES") {
            Ok(languages) => languages.split(',').any(|name| name == self.language()),
            Err(_) => true,
        };
        if !tested {
            eprintln!("skipped: ACKLINE_TEST_LANGUAGES leaves {self:?} out");
        }
        tested
    }

    /// Whether its stub can call `Consume`. The blocking one of Java cannot.
    pub(crate) fn has_consume(self) -> bool {
        self != Self::JavaBlocking
    }

    /// The status with which its process ends after SIGTERM. A JVM runs its shutdown hooks and says 143.
    pub(crate) fn status_after_sigterm(self) -> i32 {
        match self.language() {
            "java" => 143,
            _ => 0,
        }
    }

    /// The conformance application.
    pub(crate) fn conformance(self) -> Command {
        let (mut command, manner) = match self {
            Self::PythonSync => (python("tests/clients/python/conformance.py"), Some("sync")),
            Self::PythonAsyncio => (
                python("tests/clients/python/conformance.py"),
                Some("asyncio"),
            ),
            Self::PythonPrefork => (
                python("tests/clients/python/conformance.py"),
                Some("prefork"),
            ),
            Self::Go => (Command::new(built("go/bin/conformance")), None),
            Self::JavaBlocking => (
                java("dev.ackline.conformance.Conformance"),
                Some("blocking"),
            ),
            Self::JavaAsync => (java("dev.ackline.conformance.Conformance"), Some("async")),
            Self::TypeScript => (node("typescript/dist/conformance/conformance.js"), None),
        };
        if let Some(manner) = manner {
            command.args(["--manner", manner]);
        }
        command
    }

    /// The example of its language.
    pub(crate) fn example(self) -> Command {
        match self.language() {
            "python" => python("examples/python/consumer.py"),
            "go" => Command::new(built("go/bin/consumer")),
            "java" => java("com.example.Consumer"),
            _ => node("typescript/dist/consumer.js"),
        }
    }
}

/// The examples' own tests, which run `ackline fake`, by their language.
pub(crate) fn tests_of_example(language: &str) -> tokio::process::Command {
    let command = match language {
        "python" => python("examples/python/test_consumer.py"),
        _ => Command::new(built("go/bin/consumer.test")),
    };
    let mut command = tokio::process::Command::from(command);
    without_variables(&mut command);
    command.env("ACKLINE", env!("CARGO_BIN_EXE_ackline"));
    command
}

/// Another example in Python.
pub(crate) fn example(file: &str) -> Command {
    python(file)
}

fn python(file: &str) -> Command {
    let mut command = Command::new(cached("python/bin/python"));
    command
        .arg(repository().join(file))
        .env("PYTHONPATH", built("python"));
    command
}

fn java(class: &str) -> Command {
    let target = built("java/target");
    let mut command = Command::new("java");
    // As short a start as can be.
    command
        .args(["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"])
        .arg(format!("{0}/classes:{0}/libraries/*", target.display()))
        .arg(class);
    command
}

fn node(file: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(built(file));
    command
}

/// What `tests/clients/build` made.
fn built(path: &str) -> PathBuf {
    cached("clients").join(path)
}

/// What `tests/setup` put into the cache.
fn cached(path: &str) -> PathBuf {
    let cache = std::env::var_os("ACKLINE_TEST_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| repository().join("tests/cache"));
    let path = repository().join(cache).join(path);
    assert!(
        path.exists(),
        "there is no {}: run tests/setup, or leave its language out with ACKLINE_TEST_LANGUAGES",
        path.display()
    );
    path
}

/// Makes tests of a scenario: `async fn NAME(client: Client, over: Over)` becomes one test per client and transport, in
/// modules NAME::unix_socket and NAME::tcp.
macro_rules! on_every_client {
    ($scenario:ident, $($over:ident),+) => {
        mod $scenario {
            $($crate::harness::on_every_client! { @over $scenario $over })+
        }
    };
    (@over $scenario:ident unix_socket) => {
        $crate::harness::on_every_client! { @tests $scenario unix_socket UnixSocket }
    };
    (@over $scenario:ident tcp) => {
        $crate::harness::on_every_client! { @tests $scenario tcp Tcp }
    };
    (@tests $scenario:ident $module:ident $over:ident) => {
        $crate::harness::on_every_client! {
            @each $scenario $module $over
            python_sync PythonSync, python_asyncio PythonAsyncio, python_prefork PythonPrefork, go Go,
            java_blocking JavaBlocking, java_async JavaAsync, typescript TypeScript
        }
    };
    (@each $scenario:ident $module:ident $over:ident $($name:ident $client:ident),+) => {
        mod $module {
            use crate::harness::{Client, Over};

            $(#[tokio::test]
            async fn $name() {
                if Client::$client.is_tested() {
                    super::super::$scenario(Client::$client, Over::$over).await;
                }
            })+
        }
    };
}
pub(crate) use on_every_client;
