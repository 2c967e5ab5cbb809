//! Processes of containers, as their node sees them: as processes of this machine.

use std::path::PathBuf;

use serde_json::Value;

/// The process of the sidecar in a pod.
pub(super) fn sidecar_of(pod: &Value) -> u32 {
    process_of(pod, "/ackline\0run\0")
}

/// One of the processes in a pod.
pub(super) fn any_process_of(pod: &Value) -> u32 {
    process_of(pod, "/")
}

/// A process in a pod, by the beginning of its command line.
fn process_of(pod: &Value, begin: &str) -> u32 {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    // Those that end meanwhile have no files any more.
    let read = |number: u32, file: &str| {
        let content = std::fs::read(format!("/proc/{number}/{file}")).unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    };
    let mut found = numbers.filter(|&number| {
        read(number, "cgroup").contains(uid) && read(number, "cmdline").starts_with(begin)
    });
    let found = found.next();
    found.unwrap_or_else(|| panic!("no process of the pod begins with {begin:?}"))
}

/// Runs a command of this machine in the network of a process; tells whether it succeeded.
pub(super) async fn in_network_of(process: u32, command: &[&str]) -> bool {
    let network = format!("--net=/proc/{process}/ns/net");
    let output = tokio::process::Command::new("nsenter")
        .arg(network)
        .args(command)
        .output()
        .await;
    output.unwrap().status.success()
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
