//! Processes of containers, as their node sees them: as processes of this machine.

use std::path::PathBuf;

use serde_json::Value;

/// The process of the sidecar in a pod.
pub(super) fn sidecar_of(pod: &Value) -> u32 {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // Those that end meanwhile have no files any more.
    let read = |number: u32, file: &str| {
        let content = std::fs::read(format!("/proc/{number}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    };
    let mut sidecars = numbers.filter(|&number| {
        read(number, "cgroup").contains(uid)
            && read(number, "cmdline").starts_with("/ackline\0run\0")
    });
    sidecars.next().expect("the sidecar of the pod runs")
}

/// A file or folder, as a process sees it.
pub(super) fn seen_by(process: u32, path: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/root{path}"))
}

/// Kills a process as the kernel does when memory runs out.
pub(super) fn kill(process: u32) {
    let status = std::process::Command::new("kill")
        .args(["-KILL", &process.to_string()])
        .status();
    assert!(status.unwrap().success());
}
