//! Real Apache Kafka, by the scripts under `tests/kafka`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock};

use super::environment::Environment;

/// The lines of Kafka that are tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// The newest release: all three group protocols.
    Newest,
    /// The oldest supported release: the two classic protocols.
    Oldest,
}

/// A running cluster.
pub(crate) struct Cluster {
    directory: PathBuf,
    /// Arguments that started it; also start again what was stopped.
    arguments: Vec<String>,
    environment: Environment,
    ends_with_test: bool,
}

impl Cluster {
    /// The cluster of that line which all tests share: the one named by the environment, or else one that is started now
    /// and ends with the test process.
    pub(crate) fn shared(line: Line) -> &'static Self {
        static NEWEST: OnceLock<Cluster> = OnceLock::new();
        static OLDEST: OnceLock<Cluster> = OnceLock::new();
        let (cell, variable, name, secure): (_, _, _, &[&str]) = match line {
            Line::Newest => (&NEWEST, "ACKLINE_TEST_KAFKA_4", "newest", &["--secure"]),
            Line::Oldest => (&OLDEST, "ACKLINE_TEST_KAFKA_39", "oldest", &[]),
        };
        cell.get_or_init(|| match std::env::var(variable) {
            Ok(directory) => Self::running(PathBuf::from(directory), Vec::new(), false),
            Err(_) => Self::start(&format!("shared-{name}"), line, secure, false),
        })
    }

    /// The cluster of that line on which positions are committed in transactions. One of its own: how those end is written
    /// where groups are kept, and Kafka's tools, which others tests read that with, wait for as many records as there are
    /// offsets.
    pub(crate) fn of_transactions(line: Line) -> &'static Self {
        static NEWEST: OnceLock<Cluster> = OnceLock::new();
        static OLDEST: OnceLock<Cluster> = OnceLock::new();
        let (cell, name) = match line {
            Line::Newest => (&NEWEST, "transactions-newest"),
            Line::Oldest => (&OLDEST, "transactions-oldest"),
        };
        cell.get_or_init(|| Self::start(name, line, &[], false))
    }

    /// The one that pods reach, at an address that their nodes lead to: the one named by the environment, or else one that
    /// is started now and ends with the test process.
    pub(crate) fn for_pods(address: &str) -> &'static Self {
        static FOR_PODS: OnceLock<Cluster> = OnceLock::new();
        FOR_PODS.get_or_init(|| match std::env::var("ACKLINE_TEST_KAFKA_PODS") {
            Ok(directory) => Self::running(PathBuf::from(directory), Vec::new(), false),
            Err(_) => Self::start("for-pods", Line::Newest, &["--address", address], false),
        })
    }

    /// A cluster for one test, which may break it.
    pub(crate) fn own(name: &str, arguments: &[&str]) -> Self {
        Self::own_of(Line::Newest, name, arguments)
    }

    /// The same, of that line.
    pub(crate) fn own_of(line: Line, name: &str, arguments: &[&str]) -> Self {
        Self::start(name, line, arguments, true)
    }

    fn start(name: &str, line: Line, arguments: &[&str], ends_with_test: bool) -> Self {
        // Two clusters that look for free ports at the same moment could find the same ones.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        let directory = repository()
            .join("tests/state")
            .join(format!("{name}-{}", std::process::id()));
        let version = match line {
            Line::Newest => "newest",
            Line::Oldest => "oldest",
        };
        let process = std::process::id().to_string();
        let mut all = vec!["--version", version, "--stop-with", &process];
        all.extend(arguments);
        let all: Vec<String> = all.into_iter().map(str::to_owned).collect();
        run(script("up", &directory).args(&all));
        Self::running(directory, all, ends_with_test)
    }

    fn running(directory: PathBuf, arguments: Vec<String>, ends_with_test: bool) -> Self {
        Self {
            environment: Environment::read(&directory.join("cluster.env")),
            directory,
            arguments,
            ends_with_test,
        }
    }

    /// Bootstrap list of the plain listener.
    pub(crate) fn brokers(&self) -> &str {
        self.setting("KAFKA_BOOTSTRAP")
    }

    /// A line of the cluster's `cluster.env`.
    pub(crate) fn setting(&self, name: &str) -> &str {
        self.environment.get(name)
    }

    /// Stops nodes; no number means all of them.
    pub(crate) async fn stop(&self, arguments: &[&str]) {
        run_async(script("down", &self.directory).args(arguments)).await;
    }

    /// Starts the nodes that are down.
    pub(crate) async fn start_again(&self) {
        run_async(script("up", &self.directory).args(&self.arguments)).await;
    }

    /// Runs one of Kafka's own tools and returns what it printed.
    pub(crate) async fn tool(&self, arguments: &[&str]) -> String {
        run_async(script("tool", &self.directory).args(arguments)).await
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.ends_with_test {
            run(script("down", &self.directory).arg("--kill"));
            // What the brokers logged is worth keeping when the test failed.
            if !std::thread::panicking() {
                let _ = std::fs::remove_dir_all(&self.directory);
            }
        }
    }
}

/// Root of the repository.
pub(crate) fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn script(name: &str, directory: &Path) -> Command {
    let mut command = Command::new(repository().join("tests/kafka").join(name));
    command.arg(directory).stdin(Stdio::null());
    command
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

async fn run_async(command: &mut Command) -> String {
    let mut owned = Command::new(command.get_program());
    owned.args(command.get_args()).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || run(&mut owned))
        .await
        .unwrap()
}
