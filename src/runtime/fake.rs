//! The sidecar without Kafka, until everything is settled: the body of `ackline fake`.
//!
//! Everything but the source of records is what `ackline run` runs.

use std::io::BufReader;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::source::Origin;
use super::{Sidecar, entropy, one_thread};
use crate::config::{Config, Kafka, OffsetStore, StoreKind};
use crate::core::AssignMode;
use crate::fake::{Cluster, Ended, Mistakes, Verdict, read_rest};
use crate::observe::start_logging;
use crate::shutdown::{Shutdown, Signals};

/// What is to be run.
#[derive(Debug)]
pub struct Run {
    /// Settings. What they say of Kafka is not looked at.
    pub config: Config,
    /// The cluster, as far as it is filled.
    pub cluster: Arc<Cluster>,
    /// Whether more lines come by standard input.
    pub reads_standard_input: bool,
    /// Whether it ends when everything is settled.
    pub until_settled: bool,
    /// When it ends at the latest.
    pub timeout: Option<Duration>,
}

/// How a run ended.
#[derive(Debug)]
pub struct Outcome {
    /// What is settled, and what is not.
    pub verdict: Verdict,
    /// What was wrong in lines that came by standard input.
    pub mistakes: Mistakes,
}

/// Serves applications until the end.
///
/// # Errors
///
/// What kept it from starting, or ended it before its time.
pub fn run(run: Run) -> anyhow::Result<Outcome> {
    start_logging(&run.config.log).context("could not start logging")?;
    let runtime = one_thread()?;
    runtime.block_on(Box::pin(serve(run)))
}

/// Positions are in the cluster, where the verdict looks for them. An application that keeps its own is asked for them all the
/// same, and what it is offered goes there as well.
fn offset_store(kind: StoreKind) -> OffsetStore {
    match kind {
        StoreKind::Kafka | StoreKind::Postgres | StoreKind::ZooKeeper => OffsetStore::default(),
        StoreKind::Application => OffsetStore {
            kind,
            mirror_to_kafka: true,
            ..OffsetStore::default()
        },
    }
}

async fn serve(run: Run) -> anyhow::Result<Outcome> {
    let Run {
        mut config,
        cluster,
        reads_standard_input,
        until_settled,
        timeout,
    } = run;
    // Settings made for a real cluster are welcome; files that they name need not be here.
    config.kafka = Kafka::default();
    config.offset_store = offset_store(config.offset_store.kind);
    let mut settings = config.core_settings(entropy());
    settings.assign_mode = AssignMode::Incremental;
    let signals = Signals::install().context("could not listen for signals")?;
    let origin = Origin::Fake(Arc::clone(&cluster));
    let sidecar = Sidecar::start_from(config, settings, origin).await?;
    if reads_standard_input {
        read_standard_input(Arc::clone(&cluster))?;
    }
    let status = sidecar.status_source();
    let asked = Shutdown::new();
    let mut ended = None;
    let watch = async {
        ended = Some(watch(&cluster, until_settled, timeout, &asked).await);
        std::future::pending::<()>().await;
    };
    let result = tokio::select! {
        result = Box::pin(sidecar.run(&asked)) => result,
        () = signals.forward_to(asked.clone()) => Ok(()),
        () = watch => Ok(()),
    };
    let ended = match ended {
        Some(ended) => ended,
        None if asked.is_begun() => Ended::Told(asked.begun().await),
        None => {
            return Err(result
                .err()
                .unwrap_or_else(|| anyhow::anyhow!("it ended by itself")));
        }
    };
    let counters = status.status().counters;
    let verdict = Verdict::of(&cluster, &counters, ended);
    let mistakes = cluster.mistakes();
    // What is not committed is not settled, and the verdict says so.
    if verdict.is_settled() && mistakes.is_empty() {
        result?;
    }
    Ok(Outcome { verdict, mistakes })
}

/// On a thread of its own, which ends with the process: nothing can interrupt it while it waits for a line.
fn read_standard_input(cluster: Arc<Cluster>) -> anyhow::Result<()> {
    std::thread::Builder::new()
        .name("standard input".to_owned())
        .spawn(move || read_rest(&mut BufReader::new(std::io::stdin()), &cluster))
        .context("could not start a thread")?;
    Ok(())
}

/// Waits for the end, and asks for it.
async fn watch(
    cluster: &Cluster,
    until_settled: bool,
    timeout: Option<Duration>,
    asked: &Shutdown,
) -> Ended {
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    let settled = async {
        while !(cluster.mistakes().is_empty() && until_settled && cluster.is_settled()) {
            if !cluster.mistakes().is_empty() {
                return Ended::Told("a mistake in the input");
            }
            cluster.changed().await;
        }
        Ended::Settled
    };
    let ended = tokio::select! {
        biased; // what is settled when the time is up is settled
        ended = settled => ended,
        () = time_is_up => Ended::TimedOut,
    };
    match ended {
        Ended::Settled => asked.request("everything is settled"),
        // What is in flight is not waited for: it had its time, or the input is not what was meant.
        Ended::Told(reason) => hurry(asked, reason),
        Ended::TimedOut => hurry(asked, "the time is up"),
    }
    ended
}

fn hurry(asked: &Shutdown, reason: &'static str) {
    asked.request(reason);
    asked.request(reason);
}
