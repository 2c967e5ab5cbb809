//! What the injector reports, as lines and metrics.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tracing::Level;

use super::line::{Fields, Line, cut};
use crate::k8s::Admission;

/// Something that happened in the injector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InjectorEvent {
    /// The process starts.
    Starting,
    /// A socket listens.
    Listening {
        /// For whom.
        purpose: &'static str,
        /// Where.
        place: String,
    },
    /// A call of the API server was answered.
    Answered {
        /// How.
        admission: Admission,
        /// Namespace and name of the pod, or what its name begins with.
        pod: String,
        /// What the caller was told beside it: mistakes, or warnings.
        said: String,
    },
    /// A certificate is served.
    CertificateServed {
        /// Until when it is valid.
        expires: SystemTime,
    },
    /// Something was done about the certificate.
    CertificateStep {
        /// What, from a small closed set.
        step: &'static str,
    },
    /// No certificate, or none that is of use; the one before stays.
    CertificateTrouble {
        /// Why.
        error: String,
    },
    /// The process begins to end.
    Draining,
    /// The process has ended.
    Ended,
}

/// Turns events into lines and counts.
#[derive(Debug, Default)]
pub struct InjectorObserver {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    answered: BTreeMap<Admission, u64>,
    expires: Option<SystemTime>,
}

impl InjectorObserver {
    /// Reports an event.
    pub fn report(&self, event: &InjectorEvent) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let InjectorEvent::Answered { admission, .. } = event {
            *state.answered.entry(*admission).or_default() += 1;
        }
        if let InjectorEvent::CertificateServed { expires } = event {
            state.expires = Some(*expires);
        }
        drop(state);
        line(event).write(&[], 0);
    }

    /// All metrics as OpenMetrics text.
    #[must_use]
    pub fn metrics(&self) -> String {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        let version = env!("CARGO_PKG_VERSION");
        let [build, admissions, expiry] = METRICS;
        build.head(&mut text);
        let _ = writeln!(text, "ackline_{}{{version=\"{version}\"}} 1", build.name);
        admissions.head(&mut text);
        for admission in Admission::ALL {
            let count = state.answered.get(&admission).copied().unwrap_or(0);
            let (name, result) = (admissions.name, admission.name());
            let _ = writeln!(text, "ackline_{name}_total{{result=\"{result}\"}} {count}");
        }
        expiry.head(&mut text);
        if let Some(since) = state
            .expires
            .and_then(|at| at.duration_since(UNIX_EPOCH).ok())
        {
            let _ = writeln!(text, "ackline_{} {}", expiry.name, since.as_secs());
        }
        text.push_str("# EOF\n");
        text
    }
}

/// One metric of the injector.
#[derive(Debug, Clone, Copy)]
struct Metric {
    /// Without the prefix `ackline_` and the `_total` of counters.
    name: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
}

const METRICS: [Metric; 3] = [
    Metric {
        name: "injector_build_info",
        kind: "gauge",
        labels: &["version"],
        help: "Always 1; the version is a label.",
    },
    Metric {
        name: "injector_admissions",
        kind: "counter",
        labels: &["result"],
        help: "Calls of the API server, by how they were answered.",
    },
    Metric {
        name: "injector_certificate_expiry_timestamp_seconds",
        kind: "gauge",
        labels: &[],
        help: "Until when the certificate that is served is valid; absent before there is one.",
    },
];

impl Metric {
    fn head(&self, text: &mut String) {
        let _ = writeln!(text, "# HELP ackline_{} {}", self.name, self.help);
        let _ = writeln!(text, "# TYPE ackline_{} {}", self.name, self.kind);
    }
}

fn line(event: &InjectorEvent) -> Line {
    let place = |place: &str| Fields {
        place: Some(cut(place)),
        ..Fields::default()
    };
    let make = |level, event, message, fields| Line {
        level,
        event,
        message,
        fields,
    };
    match event {
        InjectorEvent::Starting => {
            let fields = Fields {
                version: Some(env!("CARGO_PKG_VERSION")),
                ..Fields::default()
            };
            make(Level::INFO, "starting", "the injector starts", fields)
        }
        InjectorEvent::Listening { purpose, place: at } => {
            let fields = place(at).reason(purpose);
            make(Level::INFO, "listening", "a socket listens", fields)
        }
        InjectorEvent::Answered {
            admission,
            pod,
            said,
        } => {
            let (level, message) = match admission {
                Admission::Injected => (Level::INFO, "a pod gets its sidecar"),
                Admission::Unchanged => (Level::DEBUG, "a pod has its sidecar, or wants none"),
                Admission::Refused => (Level::WARN, "a pod was refused; who made it was told why"),
                Admission::Malformed => (Level::WARN, "what was sent is no admission review"),
            };
            make(level, admission.name(), message, place(pod).said(said))
        }
        InjectorEvent::CertificateServed { expires } => {
            let left = expires.duration_since(SystemTime::now());
            let fields = Fields {
                seconds: Some(left.unwrap_or_default().as_secs()),
                ..Fields::default()
            };
            let message = "a certificate is served, valid for so many seconds more";
            make(Level::INFO, "certificate_served", message, fields)
        }
        InjectorEvent::CertificateStep { step } => {
            let message = "something was done about the certificate";
            let fields = Fields::default().reason(step);
            make(Level::INFO, "certificate_step", message, fields)
        }
        InjectorEvent::CertificateTrouble { error } => {
            let message = "the certificate could not be looked after; it is tried again";
            let fields = Fields::default().error(error);
            make(Level::WARN, "certificate_trouble", message, fields)
        }
        InjectorEvent::Draining => {
            let message = "the injector answers for a little longer, until nobody asks it";
            make(Level::INFO, "draining", message, Fields::default())
        }
        InjectorEvent::Ended => make(
            Level::INFO,
            "ended",
            "the injector has ended",
            Fields::default(),
        ),
    }
}

/// Names of the injector's metrics and of their labels, as Prometheus shows them.
pub fn injector_metrics() -> impl Iterator<Item = (String, &'static [&'static str])> {
    METRICS.iter().map(|metric| {
        let is_counter = metric.kind == "counter";
        let total = if is_counter { "_total" } else { "" };
        (format!("ackline_{}{total}", metric.name), metric.labels)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_their_answers_and_the_expiry_is_told() {
        let observer = InjectorObserver::default();
        assert!(!observer.metrics().contains("expiry_timestamp_seconds 1"));
        observer.report(&InjectorEvent::Answered {
            admission: Admission::Refused,
            pod: "shop/orders-".to_owned(),
            said: String::new(),
        });
        observer.report(&InjectorEvent::CertificateServed {
            expires: UNIX_EPOCH + std::time::Duration::from_secs(17),
        });
        let text = observer.metrics();
        assert!(text.contains("ackline_injector_admissions_total{result=\"refused\"} 1\n"));
        assert!(text.contains("ackline_injector_admissions_total{result=\"injected\"} 0\n"));
        assert!(text.contains("ackline_injector_certificate_expiry_timestamp_seconds 17\n"));
        assert!(text.ends_with("# EOF\n"));
    }
}
