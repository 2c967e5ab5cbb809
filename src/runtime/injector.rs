//! The body of `ackline inject serve`.

use anyhow::Context as _;

use super::one_thread;
use crate::config::Log;
use crate::k8s::{Injector, serve};
use crate::observe::start_logging;
use crate::shutdown::{Shutdown, Signals};

/// Runs the injector until it is told to end.
///
/// # Errors
///
/// What kept it from starting.
pub fn run(injector: Injector, log: &Log) -> anyhow::Result<()> {
    start_logging(log).context("could not start logging")?;
    let runtime = one_thread()?;
    runtime.block_on(async {
        let signals = Signals::install().context("could not listen for signals")?;
        let shutdown = Shutdown::new();
        tokio::select! {
            ended = serve(injector, &shutdown) => Ok(ended?),
            () = signals.forward_to(shutdown.clone()) => Ok(()),
        }
    })
}
