//! `kubectl ackline …`: the operator's commands for many pods at once.
//!
//! A plugin of kubectl is a program called `kubectl-ackline`; this program under that name is one, and
//! `ackline kubectl` is the same. It asks through `kubectl exec`, so that whatever lets kubectl into a cluster, and
//! whatever it may do there, holds here too.
//!
//! # Deliberately absent
//!
//! An own connection to the API server: its credentials, proxies and login helpers are kubectl's business.

mod pods;
#[cfg(test)]
mod tests;

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};
use futures_util::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::timeout;

use pods::{Pod, pods_in};

use crate::runtime::one_thread;

/// Pods that are asked at one time.
const AT_ONCE: usize = 8;
/// How long one answer may take unless it is told: a drain waits up to 25 s by itself.
const ANSWER_WITHIN: u64 = 60;
/// All pods with a sidecar have this label, injected or not.
const ALL_SIDECARS: &str = "ackline.dev/inject";

/// Flags of `kubectl ackline`.
#[derive(Debug, Clone, Args)]
pub struct Kubectl {
    /// What every sidecar is asked.
    verb: Verb,
    /// Pods with these labels.
    #[arg(short = 'l', long, value_name = "SELECTOR")]
    selector: Option<String>,
    /// A pod by its name. May be repeated.
    #[arg(short, long = "pod", value_name = "NAME")]
    pods: Vec<String>,
    /// The namespace.
    #[arg(short, long, value_name = "NAME")]
    namespace: Option<String>,
    /// In all namespaces.
    #[arg(short = 'A', long, conflicts_with = "namespace")]
    all_namespaces: bool,
    /// The context of the kubeconfig.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
    /// How answers look: text, or one JSON object.
    #[arg(short, long, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// How long one sidecar may take to answer, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = ANSWER_WITHIN)]
    timeout: u64,
    /// What the command takes besides: `kubectl ackline explain -l app=orders orders/3`, or
    /// `… pause -l app=orders orders --reason "bad deploy"`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Commands that make sense for many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Verb {
    Status,
    Explain,
    Inflight,
    Pause,
    Resume,
    Drain,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

impl Verb {
    fn name(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Explain => "explain",
            Self::Inflight => "inflight",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Drain => "drain",
        }
    }

    fn changes_something(self) -> bool {
        match self {
            Self::Status | Self::Explain | Self::Inflight => false,
            Self::Pause | Self::Resume | Self::Drain => true,
        }
    }
}

/// The command line as it is meant: a program called `kubectl-ackline` is `ackline kubectl`.
pub(super) fn as_subcommand(arguments: Vec<OsString>) -> Vec<OsString> {
    let name = arguments.first().map(Path::new).and_then(Path::file_name);
    if name != Some(OsStr::new("kubectl-ackline")) {
        return arguments;
    }
    let ours = ["ackline", "kubectl"].map(OsString::from);
    ours.into_iter()
        .chain(arguments.into_iter().skip(1))
        .collect()
}

/// What a sidecar said.
struct Answer {
    pod: Pod,
    said: Result<String, String>,
}

impl Kubectl {
    /// Asks all sidecars, and shows what they say. The exit code is 1 if one of them could not be asked, refuses, or
    /// has something that is stuck.
    ///
    /// # Errors
    ///
    /// That there is nobody to ask, with what to do.
    pub fn run(self, out: &mut impl Write) -> anyhow::Result<ExitCode> {
        if self.verb.changes_something() && self.selector.is_none() && self.pods.is_empty() {
            bail!(
                "{} changes what sidecars do, so say which: -l SELECTOR or --pod NAME",
                self.verb.name()
            );
        }
        let runtime = one_thread()?;
        let answers = runtime.block_on(self.ask_all())?;
        let failed = answers.iter().filter(|it| it.said.is_err()).count();
        let text = match self.output {
            Output::Text => self.as_text(&answers, failed),
            Output::Json => as_json(&answers),
        };
        super::write_all(out, &text)?;
        Ok(ExitCode::from(u8::from(failed > 0)))
    }

    async fn ask_all(&self) -> anyhow::Result<Vec<Answer>> {
        let pods = self.find().await?;
        let asked = pods.into_iter().map(|pod| self.ask(pod));
        Ok(stream::iter(asked).buffered(AT_ONCE).collect().await)
    }

    /// The pods that are meant and have a sidecar.
    async fn find(&self) -> anyhow::Result<Vec<Pod>> {
        let mut kubectl = self.kubectl();
        kubectl.args(["get", "pods", "-o", "json"]);
        if self.all_namespaces {
            kubectl.arg("-A");
        }
        let selector = self.selector.as_deref();
        match (selector, self.pods.is_empty()) {
            (Some(selector), _) => kubectl.args(["-l", selector]),
            (None, true) => kubectl.args(["-l", ALL_SIDECARS]),
            (None, false) => &mut kubectl,
        };
        let listed = output_of(kubectl, Duration::from_secs(self.timeout)).await;
        let listed = listed.map_err(|error| anyhow!("could not list pods: {error}"))?;
        let listed: Value = serde_json::from_str(&listed).context("kubectl printed no JSON")?;
        let mut pods = pods_in(&listed);
        if !self.pods.is_empty() {
            if let Some(missing) = self
                .pods
                .iter()
                .find(|name| !pods.iter().any(|it| it.name == **name))
            {
                bail!(
                    "there is no pod {missing} with a sidecar; look at its namespace (-n), and its labels (-l)"
                );
            }
            pods.retain(|pod| self.pods.contains(&pod.name));
        }
        if pods.is_empty() {
            bail!(
                "no pod with a sidecar was found; name the namespace with -n or -A, and pods with -l SELECTOR or --pod NAME"
            );
        }
        Ok(pods)
    }

    async fn ask(&self, pod: Pod) -> Answer {
        if let Some(why) = pod.not_running.clone() {
            let said = Err(format!("its sidecar does not run: {why}"));
            return Answer { pod, said };
        }
        let mut kubectl = self.kubectl();
        kubectl.args([
            "exec",
            &pod.name,
            "-n",
            &pod.namespace,
            "-c",
            "ackline",
            "--",
        ]);
        kubectl.args(["/ackline", self.verb.name()]);
        kubectl.args(&self.arguments);
        if self.output == Output::Json {
            kubectl.args(["-o", "json"]);
        }
        let said = output_of(kubectl, Duration::from_secs(self.timeout)).await;
        Answer { pod, said }
    }

    fn kubectl(&self) -> Command {
        let program = std::env::var_os("KUBECTL").unwrap_or_else(|| "kubectl".into());
        let mut command = Command::new(program);
        if let Some(context) = &self.context {
            command.args(["--context", context]);
        }
        if let Some(namespace) = &self.namespace {
            command.args(["--namespace", namespace]);
        }
        command
    }

    fn as_text(&self, answers: &[Answer], failed: usize) -> String {
        let mut text = String::new();
        for Answer { pod, said } in answers {
            let _ = writeln!(text, "== {}/{}", pod.namespace, pod.name);
            let (Ok(said) | Err(said)) = said;
            let _ = writeln!(text, "{}\n", said.trim_end());
        }
        let all = answers.len();
        let verdict = match (self.verb, failed) {
            (_, 0) => "all answered",
            (Verb::Explain, _) => "the others are stuck, or could not be asked",
            _ => "the others could not be asked, or refused",
        };
        let _ = writeln!(text, "{} of {all} pods: {verdict}", all - failed);
        text
    }
}

fn as_json(answers: &[Answer]) -> String {
    let all = answers.iter().map(|Answer { pod, said }| {
        let mut answer = json!({"namespace": pod.namespace, "pod": pod.name});
        let (Ok(text) | Err(text)) = said;
        // One whose exit code says that something is stuck has printed its answer, too.
        match serde_json::from_str::<Value>(text) {
            Ok(said) => answer["answer"] = said,
            Err(_) => answer["error"] = json!(text.trim()),
        }
        answer["ok"] = json!(said.is_ok());
        answer
    });
    format!("{:#}\n", json!({"pods": all.collect::<Vec<_>>()}))
}

/// What a command printed; the error is what it printed and said when its exit code is not 0.
async fn output_of(mut command: Command, within: Duration) -> Result<String, String> {
    command
        .kill_on_drop(true)
        .stdin(std::process::Stdio::null());
    let output = match timeout(within, command.output()).await {
        Err(_) => return Err(format!("no answer within {} s", within.as_secs())),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err("kubectl is not there; install it, or name it in KUBECTL".to_owned());
        }
        Ok(Err(error)) => return Err(format!("kubectl could not be run: {error}")),
        Ok(Ok(output)) => output,
    };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(printed);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    // kubectl says itself that the command in the container failed, which says nothing new.
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.starts_with("command terminated with exit code"))
        .collect();
    let both = [printed.trim_end(), &said.join("\n")].join("\n");
    Err(both.trim().to_owned())
}
