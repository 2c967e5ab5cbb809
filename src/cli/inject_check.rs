//! `ackline inject check`: whether the container that it runs in got its sidecar.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::time::{Instant, sleep, timeout};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::operate::channel;
use crate::runtime::one_thread;

/// Pause between two tries.
const RETRY_EVERY: Duration = Duration::from_millis(200);
/// How long one try may take.
const TRY_WITHIN: Duration = Duration::from_secs(3);

/// What is to be checked.
#[derive(Debug)]
pub struct Check {
    /// `ACKLINE_TARGET`, if it is set.
    pub(super) target: Option<String>,
    /// How long to try.
    pub(super) within: Duration,
}

impl Check {
    /// Asks the sidecar whether it serves. No stream is opened, so that no group is joined.
    ///
    /// # Errors
    ///
    /// That there is none, or that it does not answer, with what to do.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let runtime = one_thread()?;
        let target = runtime.block_on(self.ask())?;
        super::write_all(out, &format!("the sidecar at {target} answers\n"))?;
        Ok(ExitCode::SUCCESS)
    }

    async fn ask(self) -> anyhow::Result<String> {
        let target = self.target.ok_or_else(|| {
            anyhow!(
                "ACKLINE_TARGET is not set: this container got no sidecar; look whether the pod has the label \
                 ackline.dev/inject: \"true\" and whether its namespace is one that the webhook is asked about"
            )
        })?;
        let path = target.strip_prefix("unix:").map(PathBuf::from);
        let path =
            path.ok_or_else(|| anyhow!("ACKLINE_TARGET is {target}, which is no Unix socket"))?;
        let end = Instant::now() + self.within;
        loop {
            let tried = timeout(TRY_WITHIN, serves(&path)).await;
            match tried.unwrap_or_else(|_| Err(anyhow!("it did not answer in time"))) {
                Ok(()) => return Ok(target),
                Err(error) if Instant::now() >= end => {
                    return Err(error).with_context(|| {
                        format!("the sidecar at {target} does not serve; look at its log")
                    });
                }
                Err(_) => sleep(RETRY_EVERY).await,
            }
        }
    }
}

async fn serves(path: &Path) -> anyhow::Result<()> {
    let answer = HealthClient::new(channel(path).await?)
        .check(HealthCheckRequest::default())
        .await?;
    match answer.into_inner().status() {
        ServingStatus::Serving => Ok(()),
        other @ (ServingStatus::Unknown
        | ServingStatus::NotServing
        | ServingStatus::ServiceUnknown) => Err(anyhow!("it says {}", other.as_str_name())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(target: Option<String>) -> String {
        let check = Check {
            target,
            within: Duration::ZERO,
        };
        format!("{:#}", check.run(&mut Vec::new()).unwrap_err())
    }

    #[test]
    fn a_container_without_a_sidecar_is_told_what_to_look_at() {
        assert!(refusal(None).contains("ackline.dev/inject: \"true\""));
        assert!(refusal(Some("localhost:1".to_owned())).contains("no Unix socket"));
        let nobody = refusal(Some("unix:/nowhere/ackline.sock".to_owned()));
        assert!(nobody.contains("does not serve"), "{nobody}");
    }
}
