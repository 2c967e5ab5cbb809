//! Wires the core and its edges, and runs them.
//!
//! One thread does everything: it pops, decides, serves gRPC and HTTP. Nothing on it waits for a broker.
//!
//! | file | question |
//! |---|---|
//! | `engine` | one input, its effects, the next input |
//! | `parts` | what an engine is made of |
//! | `source` | Kafka, or what stands in for it |
//! | `client` | the Kafka client is made, given up, replaced |
//! | `feed` | from the client's queue into frames |
//! | `held` | the batches that frames are made of |
//! | `buffers` | the memory of frames, used again |
//! | `dead_letters` | records on their way to a dead-letter topic |
//! | `outputs` | what applications return, and the transactions that write it |
//! | `deaths` | which streams died with their connection? |
//! | `admin` | what do operators see and do? |
//! | `streams` | who has a stream open, and what is it told? |
//! | `store` | where the bytes of unfinished records lie |
//! | `sidecar` | the engine as the gRPC edge sees it |
//! | `places` | where does it listen, and on which terms? |
//! | `health` | is it alive, is it ready, what does it measure? |
//! | `credentials` | secrets from files, and new ones |
//! | `telling` | what the edges saw, for people |
//! | `fake` | the same without Kafka |
//! | `clock` | the one place that reads the clock |
//! | `thread` | what waits, on the one thread |
//!
//! # The end
//!
//! [`crate::shutdown`] has the order: the engine says when it has drained, committed and left the group,
//! then the client is closed, then the sockets. A task that ends before that ends the process, with its
//! reason.

mod admin;
mod buffers;
mod client;
mod clock;
mod credentials;
mod dead_letters;
mod deaths;
mod engine;
pub mod fake;
mod feed;
mod health;
mod held;
pub mod injector;
mod mirror;
mod outputs;
mod parts;
mod places;
mod positions;
mod sidecar;
mod source;
mod store;
mod streams;
mod telling;
mod thread;
mod topics;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::core::{Drained, Moment, Settings, Status};
use crate::grpc;
use crate::grpc::admin::AdminServer;
use crate::http;
use crate::kafka;
use crate::observe::{Observer, ProcessEvent, start_logging};
use crate::shutdown::{self, Ending, Shutdown, Signals};
use crate::store::KeeperTask;
use clock::Clock;
pub(crate) use clock::wall_ms;
pub(crate) use credentials::client_settings;
use engine::{Ended, Engine};
use places::{listen, tell_places, terms};
pub(crate) use positions::offset_store;
use sidecar::Handle;
use source::Origin;
pub(crate) use thread::one_thread;

/// The engine turns at least this often, in case a wake-up of the client is lost.
const TURN_EVERY: Duration = Duration::from_millis(250);
/// How long the sockets may take to close once the streams have ended.
const SOCKETS_CLOSE_WITHIN: Duration = Duration::from_secs(1);
/// How long the client may take to close.
const CLIENT_CLOSES_WITHIN: Duration = Duration::from_secs(1);

/// Random bits. The operating system can always give some; if it should not, ids start where the clock says.
pub(crate) fn entropy() -> u64 {
    getrandom::u64().unwrap_or_else(|_| {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(0))
    })
}

/// Runs the sidecar until it is told to end: the body of `ackline run`.
///
/// # Errors
///
/// What kept it from starting, or ended it before it was told to.
pub fn run(config: Config) -> anyhow::Result<()> {
    forbid_core_dumps().context("could not forbid core dumps")?;
    start_logging(&config.log).context("could not start logging")?;
    let runtime = one_thread()?;
    runtime.block_on(async {
        let signals = Signals::install().context("could not listen for signals")?;
        let shutdown = Shutdown::new();
        let sidecar = Sidecar::start(config).await?;
        tokio::select! {
            ended = sidecar.run(&shutdown) => ended,
            () = signals.forward_to(shutdown.clone()) => Ok(()),
        }
    })
}

/// The memory of this process holds passwords and what is in the records (C-10). The limit keeps the kernel from
/// writing a file, the flag from feeding a program that collects dumps.
fn forbid_core_dumps() -> std::io::Result<()> {
    use rustix::process::{DumpableBehavior, Resource, Rlimit};
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    rustix::process::setrlimit(Resource::Core, none)?;
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    Ok(())
}

/// A sidecar whose sockets are bound and whose client exists.
pub struct Sidecar {
    config: Config,
    handle: Handle,
    changed: Arc<Notify>,
    keeper: Option<KeeperTask>,
    grpc: grpc::Server,
    admin: Option<AdminServer>,
    page: Option<http::Server>,
    http: Option<http::Server>,
}

/// Reads how a running sidecar stands, from any thread.
#[derive(Clone)]
pub struct StatusSource(Handle);

impl StatusSource {
    /// How it stands now.
    #[must_use]
    pub fn status(&self) -> Status {
        self.0.lock().core.status()
    }

    /// The time on the clock that the status uses.
    #[must_use]
    pub fn now(&self) -> Moment {
        self.0.lock().clock.now()
    }
}

impl Sidecar {
    /// Reads secrets, binds all sockets and makes the client. Nothing is served or joined yet.
    ///
    /// # Errors
    ///
    /// A secret that cannot be read, a socket that cannot be bound, or settings that librdkafka refuses.
    pub async fn start(config: Config) -> anyhow::Result<Self> {
        let origin = Origin::Kafka(Box::new(credentials::client_settings(&config)?));
        let settings = config.core_settings(entropy());
        Self::start_from(config, settings, origin).await
    }

    async fn start_from(
        config: Config,
        settings: Settings,
        origin: Origin,
    ) -> anyhow::Result<Self> {
        let clock = Clock::start();
        let observer = Observer::new(settings.topics.as_slice().into());
        observer.report_process(
            clock.now(),
            &ProcessEvent::Starting {
                version: env!("CARGO_PKG_VERSION"),
            },
        );
        let grpc = grpc::Server::bind(listen(&config)).await?;
        let http = match config.listen.http {
            Some(address) => Some(http::Server::bind(address).await?),
            None => None,
        };
        let admin = admin::bind(&config, &observer, clock.now())?;
        let page = admin::bind_page(&config, &observer, clock.now()).await?;
        tell_places(&observer, clock.now(), &config, &grpc, http.as_ref());
        if config.kafka.sends_password_in_clear() {
            observer.report_process(clock.now(), &ProcessEvent::PasswordInClear);
        }
        let changed = Arc::new(Notify::new());
        let wakes = Arc::clone(&changed);
        let wake: kafka::Wake = Arc::new(move || wakes.notify_one());
        let (positions, keeper) = positions::keeping(&config, &settings.topics, &wake);
        let engine = Engine::new(parts::Parts {
            clock,
            settings,
            origin,
            positions,
            mirror_to_kafka: config.offset_store.mirror_to_kafka,
            transactions: positions::transactions(&config),
            dead_letter_topic_of: {
                let config = config.clone();
                Box::new(move |topic| config.dead_letter_topic(topic))
            },
            streams_max: config.listen.streams_max,
            wake,
            observer,
            identity: admin::Identity::of(&config),
        })?;
        let handle = Handle::new(engine, terms(&config), Arc::clone(&changed));
        Ok(Self {
            config,
            handle,
            changed,
            keeper,
            grpc,
            admin,
            page,
            http,
        })
    }

    /// Where to read how it stands.
    #[must_use]
    pub fn status_source(&self) -> StatusSource {
        StatusSource(self.handle.clone())
    }

    /// Serves until `shutdown` asks for the end and the end has come.
    ///
    /// # Errors
    ///
    /// What ended it before it was asked to, or that another member took its place.
    pub async fn run(self, shutdown: &Shutdown) -> anyhow::Result<()> {
        let Self {
            config,
            handle,
            changed,
            keeper,
            grpc,
            admin,
            page,
            http,
        } = self;
        let stop = CancellationToken::new();
        let (ended, when_ended) = watch::channel(None);
        let mut tasks = Tasks::default();
        let serving = Box::pin(grpc.serve(Arc::new(handle.clone()), stop.clone()));
        tasks.spawn("gRPC server", async move {
            serving.await.map_err(anyhow::Error::from)
        });
        if let Some(admin) = admin {
            let serving = Box::pin(admin.serve(Arc::new(handle.clone()), stop.clone()));
            tasks.spawn("admin server", async move {
                serving.await.map_err(anyhow::Error::from)
            });
        }
        if let Some(page) = page {
            let serving = page.serve_page(Arc::new(handle.clone()), stop.clone().cancelled_owned());
            tasks.spawn("status page", async move {
                serving.await;
                Ok(())
            });
        }
        if let Some(http) = http {
            let serving = http.serve(Arc::new(handle.clone()), stop.clone().cancelled_owned());
            tasks.spawn("HTTP server", async move {
                serving.await;
                Ok(())
            });
        }
        tasks.spawn("offset store", positions::keep(keeper, stop.clone()));
        tasks.spawn(
            "watch on credentials",
            credentials::watch(config.clone(), handle.clone(), stop.clone()),
        );
        tasks.spawn(
            "engine",
            drive(
                handle.clone(),
                changed,
                ended,
                shutdown.clone(),
                stop.clone(),
            ),
        );
        let parts = Parts {
            handle: handle.clone(),
            ended: when_ended.clone(),
            stop,
            within: config.drain.shutdown,
        };
        let ending = tokio::select! {
            ending = shutdown::run(&parts, shutdown, config.drain.shutdown) => ending,
            failed = tasks.first_failure() => return Err(failed),
        };
        // Streams have been told to end; what is left are connections without one.
        let _late = tokio::time::timeout(SOCKETS_CLOSE_WITHIN, tasks.all_ended()).await;
        let fenced = *when_ended.borrow() == Some(Ended::Fenced);
        finish(&handle, ending, fenced)
    }
}

/// What has to end, for [`shutdown::run`].
struct Parts {
    handle: Handle,
    ended: watch::Receiver<Option<Ended>>,
    stop: CancellationToken,
    within: Duration,
}

impl shutdown::Parts for Parts {
    fn drain(&self, within: Duration, reason: &'static str) {
        let mut engine = self.handle.lock();
        let event = if engine.is_shutting_down() {
            ProcessEvent::DrainCutShort
        } else {
            ProcessEvent::Draining {
                reason,
                within: self.within,
            }
        };
        engine.tell_person(&event);
        engine.begin_shutdown(within, reason);
        drop(engine);
        self.handle.changed();
    }

    async fn drained(&self) -> Drained {
        let mut ended = self.ended.clone();
        let ended = ended.wait_for(Option::is_some).await;
        match ended.ok().as_deref() {
            Some(Some(Ended::Shutdown(drained))) => *drained,
            Some(Some(Ended::Fenced) | None) | None => Drained::Uncommitted,
        }
    }

    async fn close_client(&self) {
        close_client(&self.handle).await;
    }

    fn close_listeners(&self) {
        self.stop.cancel();
    }
}

/// Turns the engine until it has ended, says so, and waits for the others.
async fn drive(
    handle: Handle,
    changed: Arc<Notify>,
    ended: watch::Sender<Option<Ended>>,
    shutdown: Shutdown,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let how = turn_until_ended(&handle, &changed).await;
    if how == Ended::Fenced {
        shutdown.request("another member took over");
    }
    ended.send_replace(Some(how));
    stop.cancelled().await;
    Ok(())
}

async fn turn_until_ended(handle: &Handle, changed: &Notify) -> Ended {
    loop {
        let due = {
            let mut engine = handle.lock();
            let due = engine.turn();
            engine.discarded.clear();
            if let Some(ended) = engine.ended.clone() {
                return ended;
            }
            due.map(|moment| Instant::from_std(engine.clock.instant(moment)))
        };
        let latest = Instant::now() + TURN_EVERY;
        let until = due.map_or(latest, |due| due.min(latest));
        tokio::select! {
            () = changed.notified() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }
}

/// Leaves the group for good and lets the client go.
async fn close_client(handle: &Handle) {
    let Some(mut client) = handle.lock().take_client() else {
        return;
    };
    client.begin_close();
    let until = Instant::now() + CLIENT_CLOSES_WITHIN;
    let mut inputs = Vec::new();
    while !client.is_closed() && Instant::now() < until {
        let now = handle.lock().clock.now();
        let _over = client.poll(now, &mut inputs);
        inputs.clear();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn finish(handle: &Handle, ending: Ending, fenced: bool) -> anyhow::Result<()> {
    handle.lock().tell_person(&ProcessEvent::Ended { ending });
    anyhow::ensure!(
        !fenced,
        "another member of the group uses the same `group.instance_id`; nothing was committed. \
         Give each member an id of its own, such as the name of its pod"
    );
    match ending {
        Ending::InOrder(Drained::Whole | Drained::Unsettled) => Ok(()),
        Ending::InOrder(Drained::Uncommitted) => anyhow::bail!(
            "the last commit did not succeed; acknowledged records may be delivered again. \
             See `commit_failed` and `kafka_trouble` in the log above"
        ),
        Ending::TooLate => anyhow::bail!(
            "`drain.shutdown` passed before the group was left; acknowledged records may be delivered again"
        ),
    }
}

/// Tasks with names. The end of one before its time is the end of the process.
#[derive(Default)]
struct Tasks(JoinSet<(&'static str, anyhow::Result<()>)>);

impl Tasks {
    fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.0.spawn(async move { (name, task.await) });
    }

    /// Waits for a task to end, which none does by itself.
    async fn first_failure(&mut self) -> anyhow::Error {
        match self.0.join_next().await {
            Some(Ok((name, Ok(())))) => anyhow::anyhow!("the {name} ended by itself"),
            Some(Ok((name, Err(error)))) => error.context(format!("the {name} failed")),
            Some(Err(panic)) => anyhow::Error::from(panic),
            None => std::future::pending().await,
        }
    }

    async fn all_ended(&mut self) {
        while self.0.join_next().await.is_some() {}
    }
}
