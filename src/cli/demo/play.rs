//! The course of the demonstration, from the first record to a sidecar that has left its group.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::Stage;
use super::application::Application;
use super::cluster::{Member, Members};
use super::guest::Guest;
use super::ledger::Ledger;
use super::producer::Producer;
use crate::shutdown::Shutdown;

/// How long the first record may take to reach the application.
const BEGIN_WITHIN: Duration = Duration::from_secs(40);
/// How long the application may take to finish what was produced.
const FINISH_WITHIN: Duration = Duration::from_secs(40);

/// Who plays.
pub(super) struct Play {
    pub(super) seconds: Option<u64>,
    pub(super) producer: Producer,
    /// Absent if the user brings a client.
    pub(super) application: Option<Application>,
    /// Absent if the user brings a client.
    pub(super) guest: Option<Guest>,
    pub(super) member: Member,
    pub(super) members: Members,
    pub(super) ledger: Arc<Ledger>,
    pub(super) stage: watch::Sender<Stage>,
    /// The user's wish to end; made twice, to end at once.
    pub(super) asked: Shutdown,
}

impl Play {
    /// Plays to the end. Answers whether everything produced was worked off.
    pub(super) async fn run(self) -> anyhow::Result<bool> {
        let Self {
            seconds,
            producer,
            application,
            guest,
            member,
            members,
            ledger,
            stage,
            asked,
        } = self;
        let own = application.is_some();
        let at = stage.subscribe();
        let finished = || match own {
            true => ledger.totals().acknowledged,
            false => {
                let statuses = members.statuses();
                statuses.iter().map(|(_, it)| it.counters.finished).sum()
            }
        };
        let produce = producer.run(at.clone(), finished);
        let consume = async {
            match application {
                Some(application) => application.run(at.clone()).await,
                None => Ok(()),
            }
        };
        let visit = async {
            match guest {
                Some(guest) => guest.run(at.clone()).await,
                None => Ok(()),
            }
        };
        let direct = direct(seconds, own, &ledger, &stage, &asked);
        let complete = tokio::select! {
            played = async { tokio::try_join!(produce, consume, visit, direct) } => played?.3,
            ended = member.ended() => {
                ended?;
                anyhow::bail!("the sidecar ended by itself");
            }
        };
        end(&member, &asked).await?;
        Ok(complete)
    }
}

/// Moves the stage on.
async fn direct(
    seconds: Option<u64>,
    own_application: bool,
    ledger: &Ledger,
    stage: &watch::Sender<Stage>,
    asked: &Shutdown,
) -> anyhow::Result<bool> {
    let time_is_up = async {
        if own_application {
            // The seconds are for watching records, not for watching a group form.
            timeout(BEGIN_WITHIN, ledger.first_delivery())
                .await
                .with_context(|| format!("no record arrived within {BEGIN_WITHIN:?}"))?;
        }
        match seconds {
            Some(seconds) => sleep(Duration::from_secs(seconds)).await,
            None => std::future::pending().await,
        }
        anyhow::Ok(())
    };
    tokio::select! {
        up = time_is_up => up?,
        _reason = asked.begun() => {}
    }
    stage.send_replace(Stage::Finishing);
    let complete = own_application
        && tokio::select! {
            finished = timeout(FINISH_WITHIN, ledger.all_acknowledged()) => {
                // Too late is no reason to stop here: the summary says what is missing.
                let _ = finished;
                true
            }
            () = asked.hurried() => false,
        };
    stage.send_replace(Stage::Closing);
    Ok(complete)
}

/// Ends the sidecar, and hurries it if the user is in a hurry.
async fn end(member: &Member, asked: &Shutdown) -> anyhow::Result<()> {
    member.request_end();
    tokio::select! {
        ended = member.ended() => return ended,
        () = asked.hurried() => member.request_end(),
    }
    member.ended().await
}
