//! The command line: what can be asked of the program, and which exit code answers.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done, or ended with everything acknowledged committed; `fake`: everything is settled |
//! | 1 | failed while running, or ended without the last commit; `explain`: something is stuck; `fake`: something is not settled |
//! | 64 | the command line, the settings, the lines for `fake` or the manifests for `inject` are wrong |
//!
//! # Deliberately absent
//!
//! Reading the command line opens no socket, starts no task and logs nothing. What does is a [`Task`],
//! which `main` carries out, so that the command line can be tested without a broker.

mod config_commands;
pub mod dead_letters;
pub mod demo;
pub mod fake;
pub mod inject;
pub mod inject_check;
pub mod kubectl;
mod manual;
pub mod offsets;
pub mod operate;
mod place;
mod settings;
mod terminal;

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use self::config_commands::ConfigCommand;
use self::dead_letters::{DeadLettersCommand, Refusal};
use self::offsets::OffsetsCommand;
use self::settings::SettingFlags;
use crate::config::{Config, Problems};

/// Wrong command line or settings (`EX_USAGE` of sysexits).
const EXIT_USAGE: u8 = 64;

/// Everything the program is given from outside.
pub struct Invocation {
    /// The command line, the program's name first.
    pub arguments: Vec<OsString>,
    /// The environment.
    pub variables: Vec<(OsString, OsString)>,
}

impl Invocation {
    /// Of this process.
    #[must_use]
    pub fn of_process() -> Self {
        Self {
            arguments: std::env::args_os().collect(),
            variables: std::env::vars_os().collect(),
        }
    }
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub enum Failure<E> {
    /// The settings are wrong.
    Settings(Problems),
    /// Lines to be delivered are wrong, or settings, or both; or manifests, or values of the chart.
    Input(String),
    /// It failed while running.
    Running(E),
    /// Its output could not be written.
    Output(io::Error),
}

/// What takes a while: more than words to print.
#[derive(Debug)]
pub enum Task {
    /// Be a sidecar: `ackline run`.
    Run(Box<Config>),
    /// Show one at work: `ackline demo`.
    Demo(demo::Options),
    /// Be one without Kafka: `ackline fake`.
    Fake(Box<fake::Job>),
    /// Look at dead letters, or send them back: `ackline dead-letters`.
    DeadLetters(Box<dead_letters::Request>),
    /// Move positions of a group: `ackline offsets copy`.
    Offsets(Box<offsets::Request>),
    /// Ask one that runs: `ackline status` and the like.
    Operate(operate::Command),
    /// Give pods their sidecars: `ackline inject serve`.
    Inject(Box<inject::Server>),
    /// Ask many in a cluster: `kubectl ackline`.
    Kubectl(kubectl::Kubectl),
    /// See whether there is one: `ackline inject check`.
    InjectCheck(inject_check::Check),
}

/// Does what the command line says. `carry_out` does what takes a while, and says how the process ends.
///
/// # Errors
///
/// What went wrong, not yet told to anybody; [`exit_code`] tells.
pub fn execute<E>(
    invocation: Invocation,
    out: &mut impl Write,
    carry_out: impl FnOnce(Task) -> Result<ExitCode, E>,
) -> Result<ExitCode, Failure<E>> {
    let cli = match Cli::try_parse_from(kubectl::as_subcommand(invocation.arguments)) {
        Ok(cli) => cli,
        Err(refusal) => return Ok(answer(&refusal)),
    };
    match cli.command {
        Command::Run(flags) => {
            let config = Config::load(&flags.into_sources(invocation.variables))
                .map_err(Failure::Settings)?;
            carry_out(Task::Run(Box::new(config))).map_err(Failure::Running)
        }
        Command::Demo(options) => carry_out(Task::Demo(options)).map_err(Failure::Running),
        Command::Fake(options) => {
            let job = options
                .into_job(invocation.variables)
                .map_err(Failure::Input)?;
            carry_out(Task::Fake(Box::new(job))).map_err(Failure::Running)
        }
        Command::Operate(asked) => {
            let command = asked.into_command(invocation.variables);
            let command = command.map_err(Failure::Settings)?;
            carry_out(Task::Operate(command)).map_err(Failure::Running)
        }
        Command::DeadLetters(command) => {
            let request = match command.into_request(invocation.variables) {
                Ok(request) => request,
                Err(refusal) => return told(refusal),
            };
            carry_out(Task::DeadLetters(Box::new(request))).map_err(Failure::Running)
        }
        Command::Offsets(command) => match command.prepare(invocation.variables) {
            Ok(offsets::Wanted::Print(text)) => printed(out, &text),
            Ok(offsets::Wanted::Copy(request)) => {
                carry_out(Task::Offsets(request)).map_err(Failure::Running)
            }
            Err(refusal) => told(refusal),
        },
        Command::Kubectl(asked) => carry_out(Task::Kubectl(asked)).map_err(Failure::Running),
        Command::Inject(asked) => {
            let refused = |refused: inject::Refused| Failure::Input(refused.to_string());
            match asked.prepare(&invocation.variables).map_err(refused)? {
                inject::Wanted::Print(printed) => {
                    printed.write(out).map_err(Failure::Output)?;
                    Ok(ExitCode::SUCCESS)
                }
                inject::Wanted::Serve(server) => {
                    carry_out(Task::Inject(server)).map_err(Failure::Running)
                }
                inject::Wanted::Check(check) => {
                    carry_out(Task::InjectCheck(check)).map_err(Failure::Running)
                }
            }
        }
        Command::Config(command) => {
            let text = command
                .output(invocation.variables)
                .map_err(Failure::Settings)?;
            printed(out, &text)
        }
        Command::Completions { shell } => {
            printed(out, &manual::completions(&Cli::command(), shell))
        }
        Command::Man { dir: Some(dir) } => {
            manual::write_pages(&Cli::command(), &dir).map_err(Failure::Output)?;
            Ok(ExitCode::SUCCESS)
        }
        Command::Man { dir: None } => {
            let page = manual::page(&Cli::command()).map_err(Failure::Output)?;
            printed(out, &page)
        }
    }
}

fn printed<E>(out: &mut impl Write, text: &str) -> Result<ExitCode, Failure<E>> {
    write_all(out, text).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

fn told<E>(refusal: Refusal) -> Result<ExitCode, Failure<E>> {
    match refusal {
        Refusal::Settings(problems) => Err(Failure::Settings(problems)),
        Refusal::Usage(refusal) => Ok(answer(&refusal)),
    }
}

/// Says on standard error what went wrong, and with which code to exit. `describe` puts the failure
/// of a running process into words.
pub fn exit_code<E>(
    outcome: Result<ExitCode, Failure<E>>,
    describe: impl FnOnce(E) -> String,
) -> ExitCode {
    let (message, code) = match outcome {
        Ok(code) => return code,
        Err(Failure::Settings(problems)) => (problems.to_string(), ExitCode::from(EXIT_USAGE)),
        Err(Failure::Input(mistakes)) => (mistakes, ExitCode::from(EXIT_USAGE)),
        Err(Failure::Running(error)) => (describe(error), ExitCode::FAILURE),
        Err(Failure::Output(error)) => (format!("cannot write: {error}"), ExitCode::FAILURE),
    };
    // If standard error is gone, the code is all that is left to say.
    let _ = writeln!(io::stderr(), "error: {message}");
    code
}

/// Streams Kafka records to an application beside it, and commits only what was acknowledged.
///
/// ackline is a member of a Kafka consumer group. It delivers records over gRPC on a Unix socket to
/// applications in any language, which acknowledge them one by one, in any order.
#[derive(Debug, Parser)]
#[command(
    name = "ackline",
    version,
    propagate_version = true,
    max_term_width = 100
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the sidecar until SIGTERM or SIGINT
    ///
    /// Joins the consumer group, serves records to applications and commits what they acknowledge.
    /// A first SIGTERM or SIGINT stops deliveries, waits for records in flight to be settled,
    /// commits, leaves the group and ends, all within `drain.shutdown`. A second one does not wait
    /// for records in flight.
    ///
    /// Exit code 0 means that everything acknowledged is committed, 1 that it is not, or that the
    /// process failed; 64 that a setting is wrong, and nothing was started.
    ///
    /// Flags win over ACKLINE_… variables, variables over the settings file.
    #[command(after_help = RUN_EXAMPLES)]
    Run(SettingFlags),
    /// Show it at work: an embedded broker, sample records and an application that fails on purpose
    ///
    /// Needs nothing installed and leaves nothing behind. Ends with a summary, and with exit code 1 if
    /// a record was lost. Without a terminal it prints a line each second.
    #[command(after_help = DEMO_EXAMPLES)]
    Demo(demo::Options),
    /// Stand in for Kafka in an application's own tests: records come from a file or standard input
    ///
    /// Serves the same gRPC service as `run`, with the same settings of delivery; nothing about Kafka or
    /// the group is needed. A script takes partitions away, loses them, ends streams or lets commits fail
    /// after so many deliveries.
    ///
    /// Ends on SIGTERM or SIGINT, after `--timeout`, or, with `--until-settled`, when the input has ended
    /// and every record is settled, with a summary.
    ///
    /// Exit code 0 means that every record is settled: a commit covers it. 1 means that some are not, which
    /// are named, or that the process failed; 64 that lines or settings are wrong.
    ///
    /// A line is a record, all of whose keys may be left out:
    ///   {"topic": "orders", "partition": 0, "key": "k", "value": "v", "headers": [["name", "value"]],
    ///    "timestamp_ms": 1700000000000, "offset": 17}
    /// Keys, values and header values are strings, null, or {"base64": "…"}. Or it is a step:
    ///   {"do": "revoke", "partition": 0, "after_delivered": 100}
    /// The steps are revoke, assign, lose, redeliver, close_streams and commit_fails; docs/testing.md
    /// explains them.
    #[command(after_help = FAKE_EXAMPLES, verbatim_doc_comment)]
    Fake(fake::Options),
    /// List, show and send back records that were given up
    ///
    /// Talks to Kafka itself, with the credentials of whoever runs it; the sidecar is not asked.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Move the positions of a group between Kafka and another offset store
    #[command(subcommand)]
    Offsets(OffsetsCommand),
    #[command(flatten)]
    Operate(operate::Operate),
    /// Ask the sidecars of many pods at once: the plugin `kubectl ackline`
    ///
    /// Under the name `kubectl-ackline` somewhere on the PATH, this program is a plugin of kubectl:
    ///   ln -s "$(command -v ackline)" /usr/local/bin/kubectl-ackline
    /// It asks through `kubectl exec`, with the rights of whoever runs it. Without -l or --pod it
    /// asks all pods of the namespace that have a sidecar; what changes something wants to be told
    /// which.
    #[command(after_help = KUBECTL_EXAMPLES, verbatim_doc_comment)]
    Kubectl(kubectl::Kubectl),
    /// Give pods on Kubernetes their sidecar: in manifests, or as the webhook of a cluster
    ///
    /// Injects into all pods and workloads of the files that have the label ackline.dev/inject: "true" on
    /// their pods, and prints them with everything else that is in the files. What the webhook does in a
    /// cluster is the same.
    ///
    /// Exit code 64 means that annotations, manifests or values are wrong; then nothing is printed.
    #[command(after_help = inject::INJECT_EXAMPLES)]
    Inject(inject::Inject),
    /// Check, print and explain settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print a script by which a shell completes commands and flags
    #[command(after_help = COMPLETIONS_EXAMPLES)]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write those of all commands into a folder
    #[command(after_help = MAN_EXAMPLES)]
    Man {
        /// Write a page for each command into this folder, which is made if it is not there.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

const RUN_EXAMPLES: &str = "\
Examples:
  ackline run --brokers localhost:9092 --group orders-service --topic orders --start earliest
  ackline run --config /etc/ackline/ackline.yaml --set log.format=text
  ACKLINE_GROUP_ID=orders-service ackline run --config ackline.yaml";

const DEMO_EXAMPLES: &str = "\
Examples:
  ackline demo
  ackline demo --seconds 30
  ackline demo --listen unix:/tmp/ackline.sock";

const FAKE_EXAMPLES: &str = "\
Examples:
  ackline fake --records orders.jsonl --until-settled --timeout 60s
  ackline fake --records orders.jsonl --script bad-day.jsonl --until-settled --order key
  generate-orders | ackline fake --records - --topic orders --partitions 4 --until-settled -o json";

const KUBECTL_EXAMPLES: &str = "\
Examples:
  kubectl ackline explain -n shop -l app=orders
  kubectl ackline status -A
  kubectl ackline pause -n shop -l app=orders orders/3 --reason 'bad deploy'
  kubectl ackline drain -n shop --pod orders-7d4b9c-x2x1p --reason 'node is to go'";

const COMPLETIONS_EXAMPLES: &str = "\
Examples:
  source <(ackline completions bash)
  ackline completions zsh > ~/.zfunc/_ackline
  ackline completions fish > ~/.config/fish/completions/ackline.fish";

const MAN_EXAMPLES: &str = "\
Examples:
  ackline man | man -l -
  ackline man --dir /usr/local/share/man/man1";

/// Help and version are answers, everything else is a mistake.
fn answer(refusal: &clap::Error) -> ExitCode {
    // Nobody is left to tell if this cannot be written.
    let _ = refusal.print();
    if refusal.use_stderr() {
        ExitCode::from(EXIT_USAGE)
    } else {
        ExitCode::SUCCESS
    }
}

/// A reader that has seen enough, such as `head`, is not a failure.
fn write_all(out: &mut impl Write, text: &str) -> io::Result<()> {
    write_on(out, text).map(|_is_read| ())
}

/// The same, for who has more to write: whether somebody still reads.
fn write_on(out: &mut impl Write, text: &str) -> io::Result<bool> {
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true),
    }
}

#[cfg(test)]
mod tests;
