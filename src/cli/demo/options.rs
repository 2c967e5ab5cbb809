//! What the command line says about the demonstration.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, value_parser};

/// A day: nobody watches for longer.
const SECONDS_MAX: u64 = 86_400;

/// Flags of `ackline demo`.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// End by itself after this many seconds of records.
    #[arg(long, value_name = "N", value_parser = value_parser!(u64).range(1..=SECONDS_MAX))]
    pub(super) seconds: Option<u64>,
    /// Wait for a client of yours instead of the sample application: unix:PATH, or HOST:PORT without
    /// a token.
    #[arg(long, value_name = "ADDR", value_parser = place)]
    pub(super) listen: Option<Place>,
}

/// Where applications connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A Unix socket, by its absolute path.
    Unix(PathBuf),
    /// An address.
    Tcp(SocketAddr),
}

impl Place {
    /// The settings that make a sidecar listen there.
    pub(super) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::Unix(_) => vec![("listen.app", self.target())],
            Self::Tcp(address) => vec![
                ("listen.app", String::new()),
                ("listen.app_tcp.address", address.to_string()),
                ("listen.app_tcp.insecure", "true".to_owned()),
            ],
        }
    }

    /// What gRPC libraries call it.
    pub(super) fn target(&self) -> String {
        match self {
            Self::Unix(path) => format!("unix:{}", path.display()),
            Self::Tcp(address) => address.to_string(),
        }
    }
}

fn place(text: &str) -> Result<Place, String> {
    if let Some(path) = text.strip_prefix("unix:") {
        let path = Path::new(path);
        if path.file_name().is_none() {
            return Err("name a file, such as unix:/tmp/ackline.sock".to_owned());
        }
        let path = std::path::absolute(path).map_err(|error| error.to_string())?;
        return Ok(Place::Unix(path));
    }
    let text = text.replacen("localhost:", "127.0.0.1:", 1);
    let address: SocketAddr = text
        .parse()
        .map_err(|_| "write unix:PATH, or an address such as 127.0.0.1:7420".to_owned())?;
    if address.port() == 0 {
        return Err("name a port, so that a client can find it".to_owned());
    }
    Ok(Place::Tcp(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_sockets_or_addresses() {
        assert_eq!(place("unix:/tmp/a"), Ok(Place::Unix("/tmp/a".into())));
        assert_eq!(
            place("localhost:7420").map(|place| place.target()),
            Ok("127.0.0.1:7420".to_owned())
        );
        for wrong in ["", "unix:", "unix:/", "7420", "127.0.0.1:0", "host"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
