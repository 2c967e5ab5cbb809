//! The consumers of `examples/`, as `docs/clients.md` shows them.

use std::collections::BTreeMap;
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::harness::{Address, Client, Over, PATIENCE, Sidecar};

use super::{Scene, until_committed_to_the_end};

/// Records that are written before each end, dealt out over three partitions.
const WRITTEN: i32 = 999;

/// A running example, and the lines it prints: topic, partition, offset, value.
struct Example {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

/// How often each record was printed, by partition and offset.
struct Printed<'a> {
    scene: &'a Scene,
    times: BTreeMap<(i32, i64), u32>,
}

impl Printed<'_> {
    fn note(&mut self, line: &str) {
        let fields: Vec<&str> = line.splitn(4, ' ').collect();
        let (partition, offset): (i32, i64) =
            (fields[1].parse().unwrap(), fields[2].parse().unwrap());
        let value = fields[3].trim_start_matches('b').trim_matches(['\'', '"']);
        let place = self.scene.topic.place(partition, offset);
        let written = self.scene.ledger.written_at(&place).unwrap();
        assert_eq!(
            Some(value.as_bytes()),
            written.value.as_deref(),
            "in the line {line}"
        );
        *self.times.entry((partition, offset)).or_default() += 1;
    }

    fn repeated(&self) -> u32 {
        self.times.values().map(|count| count - 1).sum()
    }
}

impl Example {
    fn start(client: Client, address: &Address) -> Self {
        let mut child = Command::from(client.example())
            .env("ACKLINE_TARGET", &address.target)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    async fn until_printed(&mut self, count: usize, printed: &mut Printed<'_>) {
        while printed.times.len() < count {
            let line = timeout(PATIENCE, self.lines.next_line()).await.unwrap();
            printed.note(&line.unwrap().expect("it runs until it is told to end"));
        }
    }

    /// Kills it; what it had printed before counts as well.
    async fn kill(mut self, printed: &mut Printed<'_>) {
        self.child.kill().await.unwrap();
        let mut rest = String::new();
        let mut output = self.lines.into_inner();
        output.read_to_string(&mut rest).await.unwrap();
        // It may have been killed in the midst of a line.
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        for line in whole.lines() {
            printed.note(line);
        }
    }

    /// Tells it to end, and demands that it does so cleanly.
    async fn terminate(mut self, client: Client, printed: &mut Printed<'_>) {
        let id = self.child.id().expect("it runs").to_string();
        let told = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(told.unwrap().success());
        while let Some(line) = timeout(PATIENCE, self.lines.next_line())
            .await
            .unwrap()
            .unwrap()
        {
            printed.note(&line);
        }
        let status = timeout(PATIENCE, self.child.wait()).await.unwrap().unwrap();
        assert_eq!(status.code(), Some(client.status_after_sigterm()));
    }
}

async fn finishes_everything(client: Client) {
    if !client.is_tested() {
        return;
    }
    let scene = Scene::new(client, Over::UnixSocket, 3).await;
    let sidecar = Sidecar::start(scene.settings()).await;
    let address = scene.address(&sidecar).await;
    let mut printed = Printed {
        scene: &scene,
        times: BTreeMap::new(),
    };

    scene.topic.write_numbered(&scene.ledger, WRITTEN).await;
    let mut example = Example::start(client, &address);
    example.until_printed(300, &mut printed).await;
    example.terminate(client, &mut printed).await;

    scene.topic.write_numbered(&scene.ledger, WRITTEN).await;
    let mut example = Example::start(client, &address);
    let so_far = printed.times.len();
    example.until_printed(so_far + 300, &mut printed).await;
    assert_eq!(printed.repeated(), 0, "the one before it ended cleanly");
    example.kill(&mut printed).await;

    scene.topic.write_numbered(&scene.ledger, WRITTEN).await;
    let mut example = Example::start(client, &address);
    let so_far = printed.times.len();
    example.until_printed(so_far + 300, &mut printed).await;
    let repeated = printed.repeated();
    assert!(
        repeated <= 100,
        "{repeated} came again, but at most 100 were in flight"
    );
    let directory = sidecar.kill().await;
    let sidecar = Sidecar::start_in(directory, scene.settings()).await;
    let everything = usize::try_from(3 * WRITTEN).unwrap();
    example.until_printed(everything, &mut printed).await;
    until_committed_to_the_end(scene.member.cluster, &scene.group, &scene.topic).await;
    example.terminate(client, &mut printed).await;
    sidecar.stop().await;
}

// R22 R23 B39 B40
#[tokio::test]
async fn the_python_example_finishes_everything_through_every_kind_of_end() {
    finishes_everything(Client::PythonSync).await;
}

#[tokio::test]
async fn the_go_example_finishes_everything_through_every_kind_of_end() {
    finishes_everything(Client::Go).await;
}

#[tokio::test]
async fn the_java_example_finishes_everything_through_every_kind_of_end() {
    finishes_everything(Client::JavaBlocking).await;
}

#[tokio::test]
async fn the_typescript_example_finishes_everything_through_every_kind_of_end() {
    finishes_everything(Client::TypeScript).await;
}
