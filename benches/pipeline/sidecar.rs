//! ackline as it is measured: the real program, with the settings that the report prints.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::{Value, json};

/// Which settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Settings {
    /// For throughput: limits so wide that they never bind, and large messages.
    Wide,
    /// As they are when nothing is said.
    Default,
}

impl Settings {
    /// What differs from the defaults.
    pub(crate) fn changes(self) -> Value {
        match self {
            // Refused with `order: none`, where it would mean nothing.
            Self::Wide => json!({
                "kafka": {"fetch_max_bytes": "1MiB"},
                "lane_depth": 10_000,
                "in_flight": {
                    "records": 200_000,
                    "bytes": "32MiB",
                    "per_stream_records": 65_536,
                    "per_stream_bytes": "32MiB",
                },
                "window": {"records": 1_000_000},
                "batch": {"records": 2048},
            }),
            Self::Default => json!({}),
        }
    }
}

/// A running sidecar.
pub(crate) struct Sidecar {
    child: Child,
    directory: PathBuf,
}

impl Sidecar {
    /// Starts it and waits until its socket is there.
    pub(crate) fn start(
        program: &Path,
        (brokers, topic, group): (&str, &str, &str),
        order: &str,
        start: &str,
        settings: Settings,
    ) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("ackline-bench-{group}"));
        std::fs::create_dir_all(&directory)?;
        let mut file = settings.changes();
        if let Some(settings) = file.as_object_mut().filter(|_| order == "none") {
            settings.remove("lane_depth");
        }
        let entries = [
            ("group", json!({"id": group})),
            ("topics", json!([topic])),
            ("start", json!(start)),
            ("order", json!(order)),
            ("log", json!({"level": "warn"})),
        ];
        for (key, value) in entries {
            file[key] = value;
        }
        file["kafka"]["brokers"] = json!([brokers]);
        file["listen"] = json!({
            "app": format!("unix:{}", directory.join("ackline.sock").display()),
            "admin": format!("unix:{}", directory.join("admin.sock").display()),
            "http": "",
        });
        let path = directory.join("ackline.yaml");
        std::fs::write(&path, file.to_string())?;
        let mut command = Command::new(program);
        // What is measured is what the file says, whatever the caller's shell has set.
        for (variable, _) in std::env::vars_os() {
            if variable.to_string_lossy().starts_with("ACKLINE_") {
                command.env_remove(&variable);
            }
        }
        let child = command
            .args(["run", "--config"])
            .arg(&path)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .context("could not start ackline")?;
        let mut sidecar = Self { child, directory };
        sidecar.until_listening()?;
        Ok(sidecar)
    }

    fn until_listening(&mut self) -> anyhow::Result<()> {
        let deadline = Instant::now() + Duration::from_secs(20);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            if let Some(status) = self.child.try_wait()? {
                bail!("ackline ended with {status}");
            }
            anyhow::ensure!(Instant::now() < deadline, "ackline does not listen");
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.directory.join("ackline.sock")
    }

    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        Usage::of(self.child.id())
    }

    /// Ends it as Kubernetes does, and demands a clean end.
    pub(crate) fn stop(mut self) -> anyhow::Result<()> {
        let status = Command::new("kill")
            .arg(self.child.id().to_string())
            .status()?;
        anyhow::ensure!(status.success(), "could not signal ackline");
        let status = self.child.wait()?;
        anyhow::ensure!(status.success(), "ackline ended with {status}");
        Ok(())
    }
}

impl Drop for Sidecar {
    fn drop(&mut self) {
        let _ended_before = self.child.kill();
        let _nothing_to_reap = self.child.wait();
        let _left_for_the_system = std::fs::remove_dir_all(&self.directory);
    }
}

/// What a process has used so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_seconds: f64,
    pub(crate) resident_bytes: u64,
    pub(crate) peak_bytes: u64,
}

impl Usage {
    fn of(id: u32) -> anyhow::Result<Self> {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: Vec<&str> = after_name.split_whitespace().skip(11).take(2).collect();
        let ticks = ticks.iter().filter_map(|ticks| ticks.parse::<f64>().ok());
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let kilobytes = |name: &str| {
            status
                .lines()
                .find_map(|line| line.strip_prefix(name)?.trim().strip_suffix(" kB"))
                .and_then(|number| number.parse::<u64>().ok())
                .unwrap_or(0)
        };
        Ok(Self {
            // Linux counts in hundredths of a second for programs.
            cpu_seconds: ticks.sum::<f64>() / 100.0,
            resident_bytes: kilobytes("VmRSS:") << 10,
            peak_bytes: kilobytes("VmHWM:") << 10,
        })
    }
}
