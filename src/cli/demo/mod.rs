//! `ackline demo`: the real sidecar between an embedded broker and a sample application that fails on purpose.
//!
//! ```text
//! producer ──► broker ──► sidecar (own thread) ──► Unix socket ──► application
//!     └────────────────────────── ledger ──────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `options` | the flags |
//! | `cluster` | broker and sidecars |
//! | `producer`, `application` | sample records, and who works on them |
//! | `faults` | what goes wrong on purpose |
//! | `play` | the course of it, to the end |
//! | `guest` | a second member of the group, for a while |
//! | `ledger` | what happened to every record |
//! | `news` | what happens, for people |
//! | `picture` | one moment as data, which `view` shows on the `screen` or as `lines` |
//! | `summary` | the broker's offsets against the ledger |
//!
//! # Invariants
//!
//! - The sidecar is the one of `ackline run`, with settings of its own, on a socket.
//! - The verdict stands on what producer, application and broker say, never on the sidecar's own counts.
//! - Everything random comes from one seed.

mod application;
mod cluster;
mod faults;
mod guest;
mod ledger;
mod lines;
mod news;
mod options;
mod picture;
mod play;
mod producer;
mod screen;
mod summary;
mod view;

use std::io::Write as _;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::watch;

pub use options::Options;

use self::application::Application;
use self::cluster::{Directory, Member, Members};
use self::guest::Guest;
use self::ledger::Ledger;
use self::news::{Kind, News};
use self::options::Place;
use self::play::Play;
use self::producer::Producer;
use self::summary::Summary;
use self::view::{Scene, View};
use crate::runtime::one_thread;
use crate::shutdown::{Shutdown, Signals};

/// Of producer and application.
const SEED: u64 = 0x0ac1_11ae;
/// Name of the sidecar.
const FIRST: char = 'A';

/// How far the demonstration is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Records are produced, and things fail.
    Running,
    /// Nothing new is produced and nothing fails any more; what is there is worked off.
    Finishing,
    /// The application leaves.
    Closing,
}

/// Shows the sidecar at work until the time is up or the user asks for the end: the body of
/// `ackline demo`.
///
/// # Errors
///
/// What kept it from running, or a promise that the sidecar did not keep.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let news = News::new();
    news.take_log()?;
    let runtime = one_thread()?;
    let summary = runtime.block_on(Box::pin(demonstrate(options, &news)))?;
    // If standard output is gone, the exit code still answers.
    let _ = write!(std::io::stdout(), "{summary}");
    let mistakes = summary.mistakes();
    anyhow::ensure!(mistakes.is_empty(), "{}", mistakes.join("; "));
    Ok(())
}

async fn demonstrate(options: &Options, news: &News) -> anyhow::Result<Summary> {
    let asked = Shutdown::new();
    let signals = Signals::install().context("could not listen for signals")?;
    let broker = cluster::start_broker()?;
    let directory = Arc::new(Directory::make()?);
    let place = match &options.listen {
        Some(place) => place.clone(),
        None => Place::Unix(directory.socket("ackline.sock")),
    };
    let ledger = Arc::new(Ledger::default());
    let (stage, at_stage) = watch::channel(Stage::Running);
    let member = Member::start(FIRST, broker.brokers(), &place).await?;
    let members = Members::default();
    members.add(FIRST, member.source());
    news.tell(Kind::Good, "broker and sidecar run, the producer starts");
    let play = Play {
        seconds: options.seconds,
        producer: Producer::new(broker.brokers(), &ledger, SEED)?,
        application: application(options, &place, &ledger, news),
        guest: options.listen.is_none().then(|| Guest {
            brokers: broker.brokers().to_owned(),
            directory: Arc::clone(&directory),
            members: members.clone(),
            ledger: Arc::clone(&ledger),
            news: news.clone(),
        }),
        member,
        members: members.clone(),
        ledger: Arc::clone(&ledger),
        stage,
        asked: asked.clone(),
    };
    let scene = Scene {
        stage: at_stage,
        members,
        ledger: Arc::clone(&ledger),
        news: news.clone(),
    };
    let mut view = View::open(options, broker.brokers(), scene);
    let complete = tokio::select! {
        complete = Box::pin(play.run()) => complete,
        shown = view.run(&asked) => shown.context("could not show what happens").map(|()| false),
        () = signals.forward_to(asked.clone()) => Ok(false),
    };
    view.close().context("could not write")?;
    let own = options.listen.is_none();
    Summary::make(broker.brokers(), &ledger, news.elapsed(), own, complete?)
}

/// The sample application, unless the user brings one.
fn application(
    options: &Options,
    place: &Place,
    ledger: &Arc<Ledger>,
    news: &News,
) -> Option<Application> {
    match (place, &options.listen) {
        (Place::Unix(socket), None) => {
            Some(Application::new(FIRST, socket, ledger, news, SEED).that_fails())
        }
        (Place::Unix(_) | Place::Tcp(_), _) => None,
    }
}
