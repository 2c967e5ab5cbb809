//! The one thread on which a command does everything.

use anyhow::Context as _;
use tokio::runtime::{Builder, Runtime};

/// What waits for sockets and timers, on the thread that asks.
///
/// # Errors
///
/// If the system does not give the few file descriptors that it needs.
pub(crate) fn one_thread() -> anyhow::Result<Runtime> {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.context(
        "could not get what waits for sockets and timers from the system; is the limit of open files \
         (`ulimit -n`) used up?",
    )
}
