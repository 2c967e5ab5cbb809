//! What the demonstration runs: a broker, sidecars on threads of their own, and a directory for sockets.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{oneshot, watch};

use super::options::Place;
use crate::config::{Config, FlagValue, Sources};
use crate::core::Status;
use crate::kafka::EmbeddedBroker;
use crate::runtime::{Sidecar, StatusSource, one_thread};
use crate::shutdown::Shutdown;

/// The topic of the sample records.
pub(super) const TOPIC: &str = "orders";
/// Its partitions.
pub(super) const PARTITIONS: i32 = 6;
/// The group that the sidecars are members of.
pub(super) const GROUP: &str = "demo";

/// How soon a member hears that partitions move.
const HEARTBEAT: Duration = Duration::from_millis(200);
/// How long a sidecar may take to bind its socket and make its client.
const START_WITHIN: Duration = Duration::from_secs(20);

/// Starts the broker.
pub(super) fn start_broker() -> anyhow::Result<EmbeddedBroker> {
    EmbeddedBroker::start(TOPIC, PARTITIONS, HEARTBEAT)
        .context("could not start the embedded broker")
}

/// A directory of this process, which goes with it.
pub(super) struct Directory(PathBuf);

impl Directory {
    /// Makes it, for this user alone.
    pub(super) fn make() -> anyhow::Result<Self> {
        let name = format!("ackline-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("could not make {}", path.display()))?;
        Ok(Self(path))
    }

    /// Path of a socket in it.
    pub(super) fn socket(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // What cannot be removed is left to whoever cleans the system's temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The settings of one sidecar.
fn config(brokers: &str, place: &Place) -> anyhow::Result<Config> {
    let fixed = [
        ("kafka.brokers", brokers),
        ("group.id", GROUP),
        ("group.protocol", "consumer"),
        ("topics", TOPIC),
        ("start", "earliest"),
        ("order", "key"),
        ("drain.shutdown", "8s"),
        ("drain.revoke", "2s"),
        ("listen.http", ""),
        ("listen.admin", ""),
        ("listen.status_page", ""),
        // The embedded broker holds an empty fetch back for as long as this, whatever arrives.
        ("kafka.properties.fetch.wait.max.ms", "50"),
    ];
    let mut flags: Vec<FlagValue> = Vec::new();
    flags.extend(fixed.map(|(key, value)| FlagValue::set(key, value)));
    let listen = place.settings();
    flags.extend(listen.iter().map(|(key, value)| FlagValue::set(key, value)));
    let sources = Sources {
        flags,
        ..Sources::default()
    };
    Config::load(&sources).map_err(|problems| anyhow::anyhow!("{problems}"))
}

/// A sidecar that runs on its own thread, as it would in its own container.
pub(super) struct Member {
    source: StatusSource,
    shutdown: Shutdown,
    ended: watch::Receiver<Option<Result<(), String>>>,
}

impl Member {
    /// Starts one and waits until its socket is bound.
    pub(super) async fn start(name: char, brokers: &str, place: &Place) -> anyhow::Result<Self> {
        let config = config(brokers, place)?;
        let shutdown = Shutdown::new();
        let (started, when_started) = oneshot::channel();
        let (ended, when_ended) = watch::channel(None);
        let asked = shutdown.clone();
        thread::Builder::new()
            .name(format!("sidecar {name}"))
            .spawn(move || {
                let result = run(config, started, &asked);
                ended.send_replace(Some(result.map_err(|error| format!("{error:#}"))));
            })
            .context("could not start a thread")?;
        let mut member_ended = when_ended.clone();
        let source = tokio::time::timeout(START_WITHIN, when_started)
            .await
            .context("the sidecar did not start in time")?;
        let Ok(source) = source else {
            let why = member_ended.wait_for(Option::is_some).await;
            let why = why.ok().and_then(|why| why.clone()?.err());
            anyhow::bail!("the sidecar did not start: {}", why.unwrap_or_default());
        };
        Ok(Self {
            source,
            shutdown,
            ended: when_ended,
        })
    }

    /// Where to read how it stands.
    pub(super) fn source(&self) -> StatusSource {
        self.source.clone()
    }

    /// Asks it to end, as SIGTERM would; a second time to hurry.
    pub(super) fn request_end(&self) {
        self.shutdown.request("the demonstration ends");
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) -> anyhow::Result<()> {
        let mut ended = self.ended.clone();
        let how = ended.wait_for(Option::is_some).await;
        match how.as_deref() {
            Ok(Some(Ok(()))) => Ok(()),
            Ok(Some(Err(error))) => anyhow::bail!("the sidecar failed: {error}"),
            Ok(None) | Err(_) => anyhow::bail!("the thread of the sidecar died"),
        }
    }
}

fn run(
    config: Config,
    started: oneshot::Sender<StatusSource>,
    shutdown: &Shutdown,
) -> anyhow::Result<()> {
    let runtime = one_thread()?;
    runtime.block_on(async {
        let sidecar = Sidecar::start(config).await?;
        // Nobody waits any more if starting took too long; the sidecar then ends with the process.
        let _ = started.send(sidecar.status_source());
        Box::pin(sidecar.run(shutdown)).await
    })
}

/// The members that run, by their names.
#[derive(Clone, Default)]
pub(super) struct Members(Arc<Mutex<Vec<(char, StatusSource)>>>);

impl Members {
    /// Adds one.
    pub(super) fn add(&self, name: char, source: StatusSource) {
        self.locked().push((name, source));
    }

    /// Takes one away.
    pub(super) fn remove(&self, name: char) {
        self.locked().retain(|(of, _)| *of != name);
    }

    /// How all of them stand.
    pub(super) fn statuses(&self) -> Vec<(char, Status)> {
        let members = self.locked();
        let status = |(name, source): &(char, StatusSource)| (*name, source.status());
        members.iter().map(status).collect()
    }

    fn locked(&self) -> std::sync::MutexGuard<'_, Vec<(char, StatusSource)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
