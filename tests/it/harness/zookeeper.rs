//! A real ZooKeeper server, started by `tests/zookeeper/up`, with a node for each test that holds all others. What is stored
//! is told by ZooKeeper's own command line.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use super::cluster::repository;
use super::environment::Environment;
use super::{Store, Stored, Topic, unique};

/// Name of the variable that names the folder of the server.
const FOLDER: &str = "ACKLINE_TEST_ZOOKEEPER";

/// Nodes of one's own.
pub(crate) struct Tree {
    folder: PathBuf,
    /// The node that holds all others.
    pub(crate) root: String,
    user: Option<User>,
    encrypted: bool,
    group: OnceLock<String>,
    ends_with_test: bool,
}

/// Who is known by name and password.
pub(crate) struct User {
    name: &'static str,
    files: tempfile::TempDir,
}

impl User {
    pub(crate) fn new(name: &'static str) -> Self {
        let files = tempfile::tempdir().unwrap();
        std::fs::write(files.path().join("username"), name).unwrap();
        std::fs::write(files.path().join("password"), format!("{name}-secret\n")).unwrap();
        Self { name, files }
    }

    /// Settings of a sidecar that is this user.
    pub(crate) fn settings(&self) -> Value {
        json!({"offset_store": {"zookeeper": {
            "username_file": self.files.path().join("username"),
            "password_file": self.files.path().join("password"),
        }}})
    }

    /// The command that says so.
    pub(crate) fn command(&self) -> String {
        format!("addauth digest {0}:{0}-secret", self.name)
    }
}

impl Tree {
    /// On the server that all tests share, for everybody.
    pub(crate) async fn create() -> Self {
        let folder = std::env::var(FOLDER)
            .unwrap_or_else(|_| panic!("{FOLDER} is not set: run tests/run --only kafka"));
        Self::new(PathBuf::from(folder), None, false).await
    }

    /// The same, for one user.
    pub(crate) async fn create_for(user: &'static str) -> Self {
        let mut tree = Self::create().await;
        tree.user = Some(User::new(user));
        tree
    }

    /// The same, over an encrypted connection, by a certificate which is known as a user as well.
    pub(crate) fn encrypted(mut self) -> Self {
        self.encrypted = true;
        self
    }

    /// On a server that one test may break.
    pub(crate) async fn alone() -> Self {
        let folder = repository().join("tests/state").join(unique("zookeeper"));
        script(
            "up",
            &folder,
            &["--stop-with", &std::process::id().to_string()],
        )
        .await;
        Self::new(folder, None, true).await
    }

    async fn new(folder: PathBuf, user: Option<User>, ends_with_test: bool) -> Self {
        let tree = Self {
            folder,
            root: format!("/{}", unique("root")),
            user,
            encrypted: false,
            group: OnceLock::new(),
            ends_with_test,
        };
        tree.ask(&[format!("create {}", tree.root)]).await;
        tree
    }

    /// What is in the server's `env` file, which is written anew when it starts.
    pub(crate) fn environment(&self) -> Environment {
        Environment::read(&self.folder.join("env"))
    }

    /// Sends a signal to the server.
    pub(crate) async fn signal(&self, name: &str) {
        let environment = self.environment();
        let mut kill = Command::new("kill");
        kill.args(["-s", name, environment.get("PID")]);
        assert!(kill.status().await.unwrap().success());
    }

    /// What the server logged.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.join("log")).unwrap()
    }

    /// The path of a node.
    pub(crate) fn path(&self, path: &str) -> String {
        format!("{}{path}", self.root)
    }

    /// The node of the only group.
    async fn group(&self) -> Option<&String> {
        if self.group.get().is_none() {
            let groups = self.path("/consumers");
            let listed = self.ask(&[format!("ls {groups}")]).await.remove(0);
            let name = listed.strip_prefix('[')?.strip_suffix(']')?;
            if !name.is_empty() {
                // Another call may have been faster, with the same.
                let _ = self.group.set(format!("{groups}/{name}"));
            }
        }
        self.group.get()
    }

    /// What ZooKeeper's own command line answers to each of these.
    pub(crate) async fn ask(&self, commands: &[String]) -> Vec<String> {
        self.ask_as(self.user.as_ref(), commands).await
    }

    /// The same, as another user.
    pub(crate) async fn ask_as(&self, user: Option<&User>, commands: &[String]) -> Vec<String> {
        // Answers have no mark at their ends; a node that is not there gives them one.
        const MARK: &str = "/zookeeper/mark";
        let mut script = String::new();
        for command in user.map(User::command).iter().chain(commands) {
            script.push_str(&format!("{command}\nget {MARK}\n"));
        }
        let mut tool = Command::new("sh");
        tool.args(["-c", "exec \"$0\" \"$1\" 2>&1"])
            .arg(repository().join("tests/zookeeper/tool"))
            .arg(&self.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true);
        let mut tool = tool.spawn().unwrap();
        let mut input = tool.stdin.take().unwrap();
        input
            .write_all(format!("get {MARK}\n{script}").as_bytes())
            .await
            .unwrap();
        drop(input);
        let output = tool.wait_with_output().await.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let end = format!("Node does not exist: {MARK}\n");
        let answers = text.split(&end).skip(1 + usize::from(user.is_some()));
        let answers: Vec<String> = answers.map(|answer| answer.trim().to_owned()).collect();
        assert_eq!(answers.len(), commands.len() + 1, "{text}");
        answers[..commands.len()].to_vec()
    }
}

impl Store for Tree {
    fn settings(&self) -> Value {
        let environment = self.environment();
        let address = if self.encrypted {
            "SECURE_ADDRESS"
        } else {
            "ADDRESS"
        };
        let user = self.user.as_ref().map(User::settings);
        let mut settings = user.unwrap_or(json!({"offset_store": {"zookeeper": {}}}));
        settings["offset_store"]["kind"] = "zookeeper".into();
        let zookeeper = &mut settings["offset_store"]["zookeeper"];
        zookeeper["servers"] = format!("{}{}", environment.get(address), self.root).into();
        zookeeper["session_timeout"] = "4s".into();
        if self.encrypted {
            zookeeper["tls"] = json!({
                "enabled": true,
                "ca_file": environment.get("CA_FILE"),
                "cert_file": environment.get("CERT_FILE"),
                "key_file": environment.get("KEY_FILE"),
            });
        }
        settings
    }

    async fn stored(&self, topic: &Topic<'_>) -> Vec<Stored> {
        let Some(group) = self.group().await else {
            return Vec::new();
        };
        let commands = (0..topic.partitions).flat_map(|partition| {
            let place = format!("{}/{partition}", topic.name);
            [
                format!("get {group}/offsets/{place}"),
                format!("get -s {group}/ackline/{place}"),
            ]
        });
        let answers = self.ask(&Vec::from_iter(commands)).await;
        let stored = (0..topic.partitions).zip(answers.chunks(2));
        let stored = stored.filter_map(|(partition, answers)| {
            let version = answers[1]
                .lines()
                .find_map(|line| line.strip_prefix("dataVersion = "));
            Some(Stored {
                partition,
                fence: version?.parse().unwrap(),
                next: answers[0].parse().ok(),
            })
        });
        stored.collect()
    }

    async fn allow_connections(&self, allow: bool) {
        if allow {
            script("up", &self.folder, &[]).await;
        } else {
            assert!(self.ends_with_test, "others need the server");
            script("down", &self.folder, &["--kill"]).await;
        }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if self.ends_with_test {
            let mut down = std::process::Command::new(path_of("down"));
            let _ = down.arg(&self.folder).arg("--kill").status();
            // What the server logged is worth keeping when the test failed.
            if !std::thread::panicking() {
                let _ = std::fs::remove_dir_all(&self.folder);
            }
        }
    }
}

fn path_of(name: &str) -> PathBuf {
    repository().join("tests/zookeeper").join(name)
}

async fn script(name: &str, folder: &Path, arguments: &[&str]) {
    let mut command = Command::new(path_of(name));
    command.arg(folder).args(arguments).stdin(Stdio::null());
    let output = command.output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed: {errors}");
}
