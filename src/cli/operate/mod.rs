//! `ackline status`, `explain`, `inflight`, `parked`, `tail`, `pause`, `resume`, `seek` and `drain`: the operator's commands.
//!
//! Each of them is one call to the admin socket of a sidecar that runs on this machine (in Kubernetes: in
//! this container), and so each of them speaks of that sidecar only.
//!
//! | file | question |
//! |---|---|
//! | `arguments` | what can be asked for? |
//! | `connect` | where is the sidecar, and what if it is not there? |
//! | `text` | how is an answer shown to people? |
//! | `json` | and to programs? |
//! | `tail` | which records pass by? |
//! | `parked` | what is parked, and what is to become of it? |

mod arguments;
mod connect;
mod json;
mod parked;
mod tail;
#[cfg(test)]
mod tests;
mod text;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use anyhow::Context as _;
use tokio::time::{Duration, timeout};

pub(super) use arguments::Operate;
use arguments::{Asked, List, Output};
use connect::Client;
pub(in crate::cli) use connect::channel;

use crate::grpc::admin_proto as proto;
use crate::runtime::one_thread;

/// How long an answer may take, drains and watches left out.
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
/// Clears the screen, and goes to its beginning.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// One command, with where to find the sidecar.
#[derive(Debug)]
pub struct Command {
    asked: Asked,
    socket: std::path::PathBuf,
}

impl Operate {
    /// Finds out where the sidecar is.
    pub(super) fn into_command(
        self,
        variables: Vec<(OsString, OsString)>,
    ) -> Result<Command, crate::config::Problems> {
        let (target, asked) = self.split();
        let socket = connect::socket(&target, variables)?;
        Ok(Command { asked, socket })
    }
}

impl Command {
    /// Asks the sidecar, and shows what it answers.
    ///
    /// # Errors
    ///
    /// That there is no sidecar, or that it refuses, with what to do about it.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let runtime = one_thread()?;
        runtime.block_on(self.ask(out))
    }

    async fn ask(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        let mut client = connect::connect(&self.socket).await?;
        match self.asked {
            Asked::Status {
                output,
                watch: Some(interval),
            } => watch(&mut client, output, interval, out).await,
            Asked::Tail { request, output } => tail::tail(&mut client, request, output, out).await,
            Asked::Drain { reason, wait } => drain(&mut client, reason, wait, out).await,
            asked @ (Asked::Status { .. }
            | Asked::Explain { .. }
            | Asked::InFlight(_)
            | Asked::Parked(_)
            | Asked::ActOnParked(_)
            | Asked::Pause { .. }
            | Asked::Resume { .. }
            | Asked::Seek(_)) => timeout(ANSWER_WITHIN, once(&mut client, asked, out))
                .await
                .context("the sidecar did not answer; is it under load, or stopped?")?,
        }
    }
}

async fn once(client: &mut Client, asked: Asked, out: &mut impl Write) -> anyhow::Result<ExitCode> {
    let mut code = ExitCode::SUCCESS;
    let text = match asked {
        Asked::Status { output, .. } => {
            let answer = client.status(proto::StatusRequest {}).await;
            let status = answered(answer)?.status.unwrap_or_default();
            shown(output, &status, text::status, json::status)
        }
        Asked::Explain { scope, output } => {
            let scoped = scope.is_some();
            let answer = answered(client.explain(proto::ExplainRequest { scope }).await)?;
            if answer.stuck || (scoped && answer.explanations.is_empty()) {
                code = ExitCode::FAILURE;
            }
            let text = |answer: &_| text::explanations(answer, scoped);
            shown(output, &answer, text, json::explanations)
        }
        Asked::InFlight(List {
            scope,
            limit,
            output,
        }) => {
            let request = proto::ListInFlightRequest { scope, limit };
            let answer = answered(client.list_in_flight(request).await)?;
            shown(output, &answer, text::in_flight, json::in_flight)
        }
        Asked::Parked(List {
            scope,
            limit,
            output,
        }) => {
            let request = proto::ListParkedRequest { scope, limit };
            let answer = answered(client.list_parked(request).await)?;
            shown(output, &answer, parked::text, parked::json)
        }
        Asked::ActOnParked(request) => {
            let action = request.action();
            let answer = answered(client.act_on_parked(request).await)?;
            parked::done(action, &answer)
        }
        Asked::Pause { scope, reason } => {
            let answer = client.pause(proto::PauseRequest { scope, reason }).await;
            text::pauses(&answered(answer)?.pauses)
        }
        Asked::Resume { scope, reason } => {
            let answer = client.resume(proto::ResumeRequest { scope, reason }).await;
            text::pauses(&answered(answer)?.pauses)
        }
        Asked::Seek(request) => {
            let place = format!(
                "{}/{}",
                request.topic,
                request.partition.unwrap_or_default()
            );
            text::sought(&place, &answered(client.seek(request).await)?)
        }
        Asked::Tail { .. } | Asked::Drain { .. } => String::new(), // have ways of their own
    };
    super::write_all(out, &text)?;
    Ok(code)
}

fn shown<T>(
    output: Output,
    answer: &T,
    text: impl Fn(&T) -> String,
    json: impl Fn(&T) -> serde_json::Value,
) -> String {
    match output {
        Output::Text => text(answer),
        Output::Json => format!("{:#}\n", json(answer)),
    }
}

async fn watch(
    client: &mut Client,
    output: Output,
    interval: Duration,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let interval = prost_types::Duration::try_from(interval).ok();
    let request = proto::WatchStatusRequest { interval };
    let mut statuses = answered(client.watch_status(request).await)?;
    let clears = output == Output::Text && std::io::stdout().is_terminal();
    while let Some(answer) = statuses.message().await.map_err(refused)? {
        let status = answer.status.unwrap_or_default();
        let text = match output {
            Output::Text => format!("{}\n", text::status(&status)),
            // One a line, for programs that read lines.
            Output::Json => format!("{}\n", json::status(&status)),
        };
        let clear = if clears { CLEAR } else { "" };
        if !super::write_on(out, &format!("{clear}{text}"))? {
            return Ok(ExitCode::SUCCESS);
        }
    }
    anyhow::bail!("the sidecar has ended")
}

async fn drain(
    client: &mut Client,
    reason: String,
    wait: Option<Duration>,
    out: &mut impl Write,
) -> anyhow::Result<ExitCode> {
    let request = proto::DrainRequest {
        reason,
        wait: wait.and_then(|wait| prost_types::Duration::try_from(wait).ok()),
    };
    let answer = answered(client.drain(request).await)?;
    super::write_all(out, &text::drain(&answer))?;
    let unfinished = answer.state() == proto::DrainState::Draining;
    let unclean = answer.state() == proto::DrainState::DrainedUnclean;
    Ok(if unclean || (wait.is_some() && unfinished) {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn answered<T>(answer: Result<tonic::Response<T>, tonic::Status>) -> anyhow::Result<T> {
    answer.map(tonic::Response::into_inner).map_err(refused)
}

/// What the sidecar says of its refusal is meant for people.
fn refused(status: tonic::Status) -> anyhow::Error {
    let code = status.code();
    if code == tonic::Code::Unimplemented {
        return anyhow::anyhow!(
            "this is not an admin socket, or one of an older sidecar; name the one of `listen.admin` with --admin"
        );
    }
    anyhow::anyhow!("{}", status.message())
}
