//! `ackline inject`: sidecars for pods, as a webhook or over files.

use std::ffi::OsString;
use std::fmt;
use std::io::{self, IsTerminal, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use super::inject_check::Check;
use crate::config::{Log, LogFormat, LogLevel};
use crate::k8s::certificate::{Files, Names};
use crate::k8s::{CertificateSource, Injector, Values, inject_manifests};

/// Largest file of values.
const VALUES_BYTES_MAX: u64 = 4 << 20;

/// What `ackline inject` is asked for.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct Inject {
    #[command(subcommand)]
    command: Option<InjectCommand>,
    /// Manifests to inject into: a file, or - for standard input. May be repeated.
    #[arg(short = 'f', long = "filename", value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Values of the chart, or those of the injector alone. Without them every sidecar has the defaults and
    /// there is no cluster.
    #[arg(long, value_name = "FILE")]
    values: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum InjectCommand {
    /// Serve the webhook that the API server calls
    ///
    /// What the chart runs. Answers admission reviews at /mutate over HTTPS. Its certificate is made by somebody
    /// else (--certificate, --key), or by itself (--manage-certificate), which needs a Secret, a Lease and the
    /// webhook's configuration, and the rights to update these.
    #[command(after_help = SERVE_EXAMPLES)]
    Serve(Box<Serve>),
    /// Check from inside of an application's container that it got its sidecar
    ///
    /// Asks at ACKLINE_TARGET until the sidecar says that it serves, or --within has passed; then the exit
    /// code is 1. Opens no stream.
    Check {
        /// How long to try, in seconds.
        #[arg(long, value_name = "SECONDS", default_value_t = 10)]
        within: u16,
    },
}

#[derive(Debug, Args)]
struct Serve {
    /// Values of the injector, as the chart writes them.
    #[arg(long, value_name = "FILE")]
    values: PathBuf,
    /// Where the API server calls.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:8443")]
    listen: SocketAddr,
    /// Address of /startupz, /livez, /readyz and /metrics.
    #[arg(long, value_name = "ADDR", default_value = "0.0.0.0:7421")]
    http: SocketAddr,
    /// PEM file of the certificate that is served. Watched for changes.
    #[arg(
        long,
        value_name = "FILE",
        requires = "key",
        required_unless_present = "manage_certificate"
    )]
    certificate: Option<PathBuf>,
    /// PEM file of its private key. Watched for changes.
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Make the certificate, replace it in time, and tell the API server to trust it.
    #[arg(
        long,
        conflicts_with = "certificate",
        requires_all = ["service", "secret", "lease", "webhook", "namespace", "identity"]
    )]
    manage_certificate: bool,
    /// Name of the Service that the API server calls.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Name of the Secret that holds the certificate.
    #[arg(long, value_name = "NAME")]
    secret: Option<String>,
    /// Name of the Lease that says which replica sees to it.
    #[arg(long, value_name = "NAME")]
    lease: Option<String>,
    /// Name of the MutatingWebhookConfiguration.
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
    /// Namespace of the Service, the Secret and the Lease.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE")]
    namespace: Option<String>,
    /// A name that no other replica has.
    #[arg(long, value_name = "NAME", env = "POD_NAME")]
    identity: Option<String>,
    /// Least severe lines to write.
    #[arg(long, value_name = "LEVEL", value_enum, default_value_t = Level::Info)]
    log_level: Level,
    /// How lines look: one JSON object each, or text for people.
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t = Format::Json)]
    log_format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Json,
    Text,
}

const SERVE_EXAMPLES: &str = "\
Examples:
  ackline inject serve --values injector.yaml --certificate tls.crt --key tls.key
  ackline inject serve --values injector.yaml --manage-certificate --service ackline \\
    --secret ackline-certificate --lease ackline-certificate --webhook ackline";

pub(super) const INJECT_EXAMPLES: &str = "\
Examples:
  ackline inject -f deployment.yaml --values values.yaml > injected.yaml
  kustomize build . | ackline inject -f - --values values.yaml | kubectl apply -f -
  diff deployment.yaml <(ackline inject -f deployment.yaml --values values.yaml)";

/// What is to be done.
#[derive(Debug)]
pub(super) enum Wanted {
    /// Print these manifests.
    Print(Printed),
    /// Run.
    Serve(Box<Server>),
    /// Ask the sidecar.
    Check(Check),
}

/// Manifests with their sidecars, and what to say about them.
#[derive(Debug)]
pub(super) struct Printed {
    text: String,
    remarks: Vec<String>,
}

/// An injector to be run, and how it logs.
#[derive(Debug)]
pub struct Server {
    /// The injector.
    pub injector: Injector,
    /// Its lines.
    pub log: Log,
}

/// What keeps it from being done: mistakes of whoever asked.
#[derive(Debug)]
pub(super) struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Inject {
    /// Reads everything that was named.
    pub(super) fn prepare(self, variables: &[(OsString, OsString)]) -> Result<Wanted, Refused> {
        match self.command {
            Some(InjectCommand::Check { within }) => {
                let target = variables.iter().find(|(name, _)| name == "ACKLINE_TARGET");
                let target = target.map(|(_, value)| value.to_string_lossy().into_owned());
                let within = Duration::from_secs(within.into());
                Ok(Wanted::Check(Check { target, within }))
            }
            Some(InjectCommand::Serve(serve)) => Ok(Wanted::Serve(Box::new(serve.prepare()?))),
            None => {
                let values = self.values.as_deref().map(read_values).transpose()?;
                let values = values.unwrap_or_default();
                let mut printed = Printed {
                    text: String::new(),
                    remarks: Vec::new(),
                };
                let mut mistakes = Vec::new();
                for file in &self.files {
                    match inject_manifests(&read_manifests(file)?, &values) {
                        Ok(injected) => printed.take(file, injected),
                        Err(found) => mistakes.push(format!("{}:\n{found}", name_of(file))),
                    }
                }
                if mistakes.is_empty() {
                    Ok(Wanted::Print(printed))
                } else {
                    Err(Refused(mistakes.join("\n")))
                }
            }
        }
    }
}

impl Printed {
    fn take(&mut self, file: &Path, injected: crate::k8s::Injected) {
        if !self.text.is_empty() && !injected.text.starts_with("---") {
            self.text.push_str("---\n");
        }
        self.text.push_str(&injected.text);
        let warnings = injected.warnings.into_iter();
        self.remarks
            .extend(warnings.map(|warning| format!("warning: {warning}")));
        if injected.count == 0 {
            self.remarks.push(format!(
                "note: {}: nothing was injected: no pod has the label ackline.dev/inject: \"true\", or all have \
                 their sidecars",
                name_of(file)
            ));
        }
    }

    /// Manifests go to `out`, what is said about them to standard error.
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        for remark in &self.remarks {
            // If standard error is gone, the manifests are still worth writing.
            let _ = writeln!(io::stderr(), "{remark}");
        }
        super::write_all(out, &self.text)
    }
}

impl Serve {
    fn prepare(self) -> Result<Server, Refused> {
        let values = read_values(&self.values)?;
        // That all of them are there is seen to by the command line.
        let certificate = match (self.certificate, self.key) {
            (Some(certificate), Some(key)) => CertificateSource::Files(Files { certificate, key }),
            _ => CertificateSource::Managed(Names {
                namespace: self.namespace.unwrap_or_default(),
                service: self.service.unwrap_or_default(),
                secret: self.secret.unwrap_or_default(),
                lease: self.lease.unwrap_or_default(),
                webhook: self.webhook.unwrap_or_default(),
                identity: self.identity.unwrap_or_default(),
            }),
        };
        Ok(Server {
            injector: Injector {
                values,
                listen: self.listen,
                http: self.http,
                certificate,
            },
            log: Log {
                level: match self.log_level {
                    Level::Error => LogLevel::Error,
                    Level::Warn => LogLevel::Warn,
                    Level::Info => LogLevel::Info,
                    Level::Debug => LogLevel::Debug,
                },
                format: match self.log_format {
                    Format::Json => LogFormat::Json,
                    Format::Text => LogFormat::Text,
                },
            },
        })
    }
}

fn read_values(path: &Path) -> Result<Values, Refused> {
    let text = read_file(path, "values")?;
    Values::parse(&text)
        .map_err(|mistakes| Refused(format!("mistakes in {}:\n{mistakes}", path.display())))
}

/// What messages call a file of manifests.
fn name_of(file: &Path) -> String {
    if file == Path::new("-") {
        "standard input".to_owned()
    } else {
        file.display().to_string()
    }
}

fn read_manifests(path: &Path) -> Result<String, Refused> {
    if path != Path::new("-") {
        return read_file(path, "manifests");
    }
    if io::stdin().is_terminal() {
        let _ = writeln!(
            io::stderr(),
            "reading manifests from the terminal; end them with Ctrl-D"
        );
    }
    let mut text = String::new();
    match io::stdin().read_to_string(&mut text) {
        Ok(_) => Ok(text),
        Err(error) => Err(Refused(format!("cannot read standard input: {error}"))),
    }
}

fn read_file(path: &Path, what: &str) -> Result<String, Refused> {
    let shown = path.display();
    let unreadable = |error: io::Error| {
        Refused(format!(
            "cannot read {what} from {shown}: {error}; correct the path, or make it readable"
        ))
    };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if what == "values" && metadata.len() > VALUES_BYTES_MAX {
        return Err(Refused(format!(
            "{shown} is larger than 4 MiB, which no values are"
        )));
    }
    std::fs::read_to_string(path).map_err(unreadable)
}
