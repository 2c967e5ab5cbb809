//! A real browser, without a window.

use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

use super::PATIENCE;

/// Chromium, by any of its names. It is missing where `tests/setup` said so; where every language must be there, as in
/// continuous integration, it must be, too.
pub(crate) struct Browser(PathBuf);

/// A page as the browser has it after it was loaded.
#[derive(Debug)]
pub(crate) struct Shown {
    /// What the document has become, as HTML.
    pub(crate) document: String,
    /// What the browser says of it to a developer.
    pub(crate) console: String,
}

impl Browser {
    pub(crate) fn find() -> Option<Self> {
        let directories = std::env::var_os("PATH").unwrap_or_default();
        let names = [
            "chromium-headless-shell",
            "chromium",
            "chromium-browser",
            "google-chrome",
        ];
        let found = std::env::split_paths(&directories)
            .flat_map(|directory| names.map(|name| directory.join(name)))
            .find(|path| path.is_file());
        let must = std::env::var_os("ACKLINE_TEST_LANGUAGES").is_some();
        assert!(
            found.is_some() || !must,
            "no Chromium; tests/setup installs it"
        );
        found.map(Self)
    }

    /// Opens an address; `words` are further options.
    pub(crate) async fn open(&self, address: &str, words: &[&str]) -> Shown {
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(&self.0);
        command
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--dump-dom"])
            .args([
                "--no-first-run",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--disable-background-networking", "--disable-quic"])
            // The console's messages go to its standard error.
            .arg("--enable-logging=stderr")
            // What a page starts when it is loaded comes to its end.
            .arg("--virtual-time-budget=2000")
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .args(words)
            .arg(address)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        let output = output.expect("the browser ends").unwrap();
        Shown {
            document: String::from_utf8(output.stdout).unwrap(),
            console: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Another site: whatever it is asked for, it answers with this page. Returns its address.
pub(crate) async fn another_site(headers: &str, page: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/", listener.local_addr().unwrap());
    let answer = format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {}\r\nConnection: close\r\n{headers}\r\n{page}",
        page.len()
    );
    tokio::spawn(async move {
        while let Ok((mut connection, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request).await;
            let _ = connection.write_all(answer.as_bytes()).await;
        }
    });
    address
}
