//! An operator at the admin socket, who types commands.

use std::path::{Path, PathBuf};
use std::process::Output;

use tokio::process::Command;

/// Runs a command against the sidecar at that application socket.
pub(crate) async fn ackline(socket: &Path, words: &[&str]) -> (i32, String) {
    let admin: PathBuf = socket.with_file_name("admin.sock");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_ackline"))
        .args(words)
        .env_clear()
        .env("ACKLINE_LISTEN_ADMIN", format!("unix:{}", admin.display()))
        .output()
        .await
        .unwrap();
    let text = [stdout, stderr].concat();
    (
        status.code().unwrap_or(-1),
        String::from_utf8(text).unwrap(),
    )
}
