//! The real binary, `ackline run`, as a child process.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::process::{Child, Command};

use super::matrix::Member;
use super::{PATIENCE, Topic, until};

/// A running sidecar.
pub(crate) struct Sidecar {
    /// Settings, socket and log; a sidecar that is started again takes it over.
    directory: Arc<TempDir>,
    child: Child,
}

/// Settings of a sidecar, as its settings file holds them.
#[derive(Clone, Debug)]
pub(crate) struct Settings(Value);

impl Settings {
    /// The least that must be said; logs and sockets are set when it starts.
    pub(crate) fn new(brokers: &str, group: &str, topics: &[&str]) -> Self {
        Self(json!({
            "kafka": {"brokers": brokers.split(',').collect::<Vec<_>>()},
            "group": {"id": group},
            "topics": topics,
            "start": "earliest",
        }))
    }

    /// Changes settings: maps are merged, everything else is replaced.
    #[must_use]
    pub(crate) fn with(mut self, changes: Value) -> Self {
        merge(&mut self.0, changes);
        self
    }
}

impl Settings {
    /// Writes them into a file, for commands that take the settings of a sidecar.
    pub(crate) fn write_to(&self, file: &Path) {
        // JSON is YAML.
        std::fs::write(file, self.0.to_string()).unwrap();
    }
}

impl Member {
    /// Settings of a member of this group that reads the topic.
    pub(crate) fn settings(self, group: &str, topic: &Topic<'_>) -> Settings {
        Settings::new(self.cluster.brokers(), group, &[&topic.name])
            .with(json!({"group": self.group_settings()}))
    }
}

impl Sidecar {
    /// Starts the binary and waits until applications can connect.
    pub(crate) async fn start(settings: Settings) -> Self {
        Self::start_in(new_directory(), settings).await
    }

    /// Starts in the place of another one, as a container that is restarted.
    pub(crate) async fn start_in(directory: Arc<TempDir>, settings: Settings) -> Self {
        let mut sidecar = Self::launch_in(directory, settings);
        let (socket, log) = (sidecar.socket(), sidecar.log_path());
        until("the sidecar listens", async || {
            if let Some(status) = sidecar.child.try_wait().unwrap() {
                panic!("the sidecar ended with {status}:\n{}", tail(&log));
            }
            UnixStream::connect(&socket).await.ok().map(|_| ())
        })
        .await;
        sidecar
    }

    /// Starts the binary and returns at once; for settings with which it must not come up.
    pub(crate) fn launch(settings: Settings) -> Self {
        Self::launch_in(new_directory(), settings)
    }

    fn launch_in(directory: Arc<TempDir>, settings: Settings) -> Self {
        let path = directory.path();
        let settings = settings.with(json!({
            "listen": {
                "app": format!("unix:{}", path.join("ackline.sock").display()),
                "admin": format!("unix:{}", path.join("admin.sock").display()),
                "http": "127.0.0.1:0",
                "status_page": "127.0.0.1:0",
            },
            "log": {"format": "json", "level": "debug"},
        }));
        let file = path.join("ackline.yaml");
        settings.write_to(&file);
        let log = File::options()
            .create(true)
            .append(true)
            .open(path.join("log"))
            .unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ackline"));
        command
            .arg("run")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command.stdout(log.try_clone().unwrap()).stderr(log);
        without_variables(&mut command);
        let child = command.spawn().unwrap();
        Self { directory, child }
    }

    /// The application's socket.
    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.path().join("ackline.sock")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.path().join("log")
    }

    /// Everything it logged so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.log_path()).unwrap()
    }

    /// Waits until a line of the log contains all of these.
    pub(crate) async fn until_logged(&self, parts: &[&str]) -> String {
        until(&format!("the log says {parts:?}"), async || {
            let log = self.log();
            let found = log
                .lines()
                .find(|line| parts.iter().all(|part| line.contains(part)));
            found.map(str::to_owned)
        })
        .await
    }

    /// Sends SIGTERM and demands a clean end.
    pub(crate) async fn stop(mut self) -> Arc<TempDir> {
        self.signal("TERM").await;
        let status = self.ended().await;
        assert!(status.success(), "the sidecar ended with {status}");
        Arc::clone(&self.directory)
    }

    /// Waits for the end of the process.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        ended
            .unwrap_or_else(|_| panic!("the sidecar does not end:\n{}", tail(&self.log_path())))
            .unwrap()
    }

    /// Kills the process as the kernel does when memory runs out.
    pub(crate) async fn kill(mut self) -> Arc<TempDir> {
        self.child.kill().await.unwrap();
        Arc::clone(&self.directory)
    }

    /// Sends a signal, by its name.
    pub(crate) async fn signal(&mut self, name: &str) {
        let id = self.child.id().expect("the sidecar runs");
        let status = Command::new("kill")
            .arg(format!("-{name}"))
            .arg(id.to_string())
            .status()
            .await;
        assert!(status.unwrap().success());
    }

    /// What `ackline config memory` says that it takes at most.
    pub(crate) async fn memory_bytes_max(&self) -> u64 {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ackline"));
        command
            .args(["config", "memory", "--config"])
            .arg(self.directory.path().join("ackline.yaml"));
        without_variables(&mut command);
        let output = command.output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let line = text.lines().find(|line| line.starts_with("at most"));
        let number = line.unwrap().split_whitespace().nth(2).unwrap();
        number.strip_suffix("MiB").unwrap().parse::<u64>().unwrap() << 20
    }

    /// Lines of a file about the process under `/proc`.
    pub(crate) fn proc(&self, file: &str) -> String {
        let id = self.child.id().expect("the sidecar runs");
        std::fs::read_to_string(format!("/proc/{id}/{file}")).unwrap()
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let status = self.proc("status");
        let line = status
            .lines()
            .find(|line| line.starts_with("VmRSS:"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }

    /// Status code and body of a page of its HTTP port.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let address = self.address_of("probes and metrics").await;
        let exchange = async {
            let mut connection = TcpStream::connect(&address).await?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
            connection.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            connection.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer)
        };
        let answer = tokio::time::timeout(Duration::from_secs(30), exchange)
            .await
            .unwrap()
            .unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let code = head.split_whitespace().nth(1).unwrap().parse().unwrap();
        (code, body.to_owned())
    }

    /// Where it listens on TCP for this purpose: port 0 may have been asked for, and the log says what came of it.
    pub(crate) async fn address_of(&self, purpose: &str) -> String {
        let line = self
            .until_logged(&["\"listening\"", purpose, "127.0.0.1:"])
            .await;
        let after = line.split_once("127.0.0.1:").unwrap().1;
        let port: String = after.chars().take_while(char::is_ascii_digit).collect();
        format!("127.0.0.1:{port}")
    }

    /// Sum over the series of a metric that carry these labels.
    pub(crate) async fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let (code, page) = self.get("/metrics").await;
        assert_eq!(code, 200, "{page}");
        let series = page.lines().filter(|line| {
            let rest = line.strip_prefix(name).unwrap_or_default();
            rest.starts_with(['{', ' ']) && labels.iter().all(|label| rest.contains(label))
        });
        series
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("log of the sidecar:\n{}", tail(&self.log_path()));
        }
    }
}

/// The tests' own variables would be refused as settings that do not exist.
pub(super) fn without_variables(command: &mut Command) {
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("ACKLINE_")) {
        command.env_remove(name);
    }
}

fn new_directory() -> Arc<TempDir> {
    Arc::new(
        tempfile::Builder::new()
            .prefix("ackline")
            .tempdir()
            .unwrap(),
    )
}

fn tail(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(60)..].join("\n")
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(into.entry(key).or_insert(Value::Null), change);
            }
        }
        (into, change) => *into = change,
    }
}
