//! Where is the sidecar, and what if it is not there?

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::transport::{Channel, Endpoint};

use super::arguments::Target;
use crate::config::{Config, DEFAULT_ADMIN_SOCKET, Problems, Sources};
use crate::grpc::admin_proto::admin_service_client::AdminServiceClient;

pub(super) type Client = AdminServiceClient<Channel>;

/// The socket that was named, else that of the settings file, else the default.
pub(super) fn socket(
    target: &Target,
    variables: Vec<(OsString, OsString)>,
) -> Result<PathBuf, Problems> {
    if let Some(named) = &target.admin {
        return Ok(PathBuf::from(path_of(named)));
    }
    if target.config.is_none() {
        return Ok(PathBuf::from(path_of(DEFAULT_ADMIN_SOCKET)));
    }
    let config = Config::load(&Sources {
        files: target.config.iter().cloned().collect(),
        variables,
        skip_files: true,
        ..Sources::default()
    })?;
    Ok(config.listen.admin.unwrap_or_default())
}

fn path_of(named: &str) -> &str {
    named.strip_prefix("unix:").unwrap_or(named)
}

/// Connects, or says what to do.
pub(super) async fn connect(path: &Path) -> anyhow::Result<Client> {
    if path.as_os_str().is_empty() {
        return Err(anyhow!(
            "the sidecar has no admin socket: `listen.admin` is empty; set it and restart the sidecar"
        ));
    }
    // Tried apart, because a channel hides why it cannot connect.
    if let Err(error) = UnixStream::connect(path).await {
        let kind = error.kind();
        return Err(error).with_context(|| no_sidecar(path, kind));
    }
    let channel = channel(path)
        .await
        .context("could not talk to the sidecar")?;
    Ok(AdminServiceClient::new(channel).max_decoding_message_size(64 << 20))
}

/// Connects to a Unix socket.
pub(in crate::cli) async fn channel(path: &Path) -> Result<Channel, tonic::transport::Error> {
    let path = path.to_owned();
    let connector = tower::service_fn(move |_| {
        let path = path.clone();
        async move { UnixStream::connect(path).await.map(TokioIo::new) }
    });
    Endpoint::from_static("http://localhost")
        .connect_with_connector(connector)
        .await
}

fn no_sidecar(path: &Path, kind: ErrorKind) -> String {
    let path = path.display();
    if kind == ErrorKind::NotFound {
        format!(
            "no sidecar listens on {path}. Is it running on this machine, with that `listen.admin`? In \
             Kubernetes run the command in its container: kubectl exec POD -c ackline -- ackline status"
        )
    } else if kind == ErrorKind::PermissionDenied {
        format!("this user may not use {path}; run the command as the sidecar's user, or as root")
    } else if kind == ErrorKind::ConnectionRefused {
        format!("{path} is there, but nobody listens: the sidecar has ended; look at its log")
    } else {
        format!("could not connect to {path}; name the socket of `listen.admin` with --admin")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refusal(path: &Path) -> String {
        match connect(path).await {
            Ok(_) => panic!("nobody is there"),
            Err(error) => format!("{error:#}"),
        }
    }

    #[tokio::test]
    async fn a_sidecar_that_is_not_there_is_told_with_what_to_do() {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("admin.sock");
        let missing = refusal(&socket).await;
        assert!(missing.contains("no sidecar listens on"), "{missing}");
        assert!(missing.contains("kubectl exec"), "{missing}");
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        let ended = refusal(&socket).await;
        assert!(ended.contains("the sidecar has ended"), "{ended}");
        let off = refusal(Path::new("")).await;
        assert!(off.contains("`listen.admin` is empty"), "{off}");
    }

    #[test]
    fn the_socket_is_the_one_named_or_the_default() {
        let target = |admin: Option<&str>| Target {
            admin: admin.map(str::to_owned),
            config: None,
        };
        let found = socket(&target(Some("unix:/tmp/a.sock")), Vec::new()).unwrap();
        assert_eq!(found, Path::new("/tmp/a.sock"));
        let found = socket(&target(None), Vec::new()).unwrap();
        assert_eq!(found, Path::new("/run/ackline-admin/admin.sock"));
    }
}
