//! Log output: where it goes, how it looks, and what cannot get into it.
//!
//! Names of topics, clients and files and the words of brokers are written by others. Whatever they
//! contain, one event is one line, and no terminal is steered by it (C-9). That is held here, at the
//! last moment before the bytes leave, so that no call site has to remember it.

use std::io::{self, Write};

use tracing::Level;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer, Registry};

use crate::config::{Log, LogFormat, LogLevel};

/// Starts logging to standard error, for the whole process.
///
/// # Errors
///
/// If logging was started before.
pub fn start_logging(log: &Log) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(log, io::stderr))
}

fn subscriber<W>(log: &Log, make_writer: W) -> impl tracing::Subscriber + Send + Sync
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(SafeLines(make_writer));
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match log.format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .boxed(),
        LogFormat::Text => lines.with_target(false).boxed(),
    };
    Registry::default().with(lines.with_filter(filter(log.level)))
}

/// Our own lines by the setting. Libraries say at their lower levels what must not be written:
/// headers of calls, which carry tokens, and properties of the Kafka client, which carry passwords.
fn filter(level: LogLevel) -> Targets {
    let ours = match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    };
    let at_most = |most: Level| LevelFilter::from_level(ours.min(most));
    Targets::new()
        .with_target("ackline", ours)
        .with_target("librdkafka", at_most(Level::INFO))
        .with_default(at_most(Level::WARN))
}

/// Hands out writers that turn harmful characters into escapes.
struct SafeLines<M>(M);

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for SafeLines<M> {
    type Writer = SafeWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        SafeWriter(self.0.make_writer())
    }
}

/// Gets one whole line in each call.
struct SafeWriter<W>(W);

impl<W: Write> Write for SafeWriter<W> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(line);
        let body = text.strip_suffix('\n').unwrap_or(&text);
        if body.chars().any(is_harmful) {
            let mut safe: String = body.chars().map(escaped).collect();
            safe.push('\n');
            self.0.write_all(safe.as_bytes())?;
        } else {
            self.0.write_all(line)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Control characters, the separators that some readers take for line ends, and marks that change
/// the direction of writing.
pub(crate) fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The form that JSON reads back as the same character, and that people know.
fn escaped(c: char) -> String {
    if is_harmful(c) {
        format!("\\u{:04x}", u32::from(c))
    } else {
        c.to_string()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex, PoisonError};

    use super::*;

    #[derive(Clone, Default)]
    struct Memory(Arc<Mutex<Vec<u8>>>);

    impl Write for Memory {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut memory = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            memory.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn logged(format: LogFormat, level: LogLevel, act: impl FnOnce()) -> String {
        let memory = Memory::default();
        let writer = memory.clone();
        let subscriber = subscriber(&Log { level, format }, move || writer.clone());
        tracing::subscriber::with_default(subscriber, act);
        let bytes = memory.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: &str = "a\r\nlevel=ERROR forged\u{1b}[2J\u{9b}31m\u{2028}b\u{202e}c\u{0}\u{7}";

    #[test]
    fn hostile_values_stay_in_one_line_and_steer_no_terminal() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let output = logged(format, LogLevel::Info, || {
                tracing::info!(topic = HOSTILE, debug = ?HOSTILE, display = %HOSTILE, "{HOSTILE}");
            });
            assert_eq!(output.matches('\n').count(), 1, "{format:?} {output:?}");
            let body = output.strip_suffix('\n').unwrap();
            assert!(!body.chars().any(is_harmful), "{format:?} {output:?}");
        }
    }

    #[test]
    fn json_lines_read_back_as_what_was_logged() {
        let output = logged(LogFormat::Json, LogLevel::Info, || {
            tracing::warn!(topic = HOSTILE, offset = 7_i64, "moved");
        });
        let line: serde_json::Value = serde_json::from_str(&output).unwrap();
        assert_eq!(line["topic"], HOSTILE);
        assert_eq!(line["offset"], 7);
        assert_eq!(
            (&line["level"], &line["message"]),
            (&"WARN".into(), &"moved".into())
        );
    }

    #[test]
    fn levels_of_libraries_are_capped() {
        let output = logged(LogFormat::Text, LogLevel::Trace, || {
            tracing::trace!("ours");
            tracing::debug!(target: "h2::codec", "authorization: canary");
            tracing::debug!(target: "rdkafka::client", "sasl.password: canary");
            tracing::info!(target: "librdkafka", "broker is away");
            tracing::warn!(target: "hyper", "odd");
        });
        assert!(
            output.contains("ours") && output.contains("broker is away") && output.contains("odd")
        );
        assert!(!output.contains("canary"), "{output}");
        let quiet = logged(LogFormat::Text, LogLevel::Error, || {
            tracing::warn!("ours");
            tracing::warn!(target: "librdkafka", "theirs");
        });
        assert_eq!(quiet, "");
    }
}
