//! The token that calls over TCP must carry, kept in a file that may change.
//!
//! The file is looked at on calls, at most once per second, and read again when it changed. A
//! change that leaves no usable token keeps the one before in force: a half-written file must not
//! lock every application out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use http::HeaderMap;
use http::header::AUTHORIZATION;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::call_error::CallError;
use super::{Event, Sidecar};
use crate::core::Moment;

/// Shortest token, in characters: 32 random bytes in base64 have 43 without padding.
pub(super) const TOKEN_LEN_MIN: usize = 43;

/// Longest token.
pub(super) const TOKEN_LEN_MAX: usize = 4096;

/// How often the file is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a token file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// It cannot be read.
    #[error("could not read the token file `{}`", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It holds no good token.
    #[error("the token file `{}` must hold {TOKEN_LEN_MIN} to {TOKEN_LEN_MAX} visible ASCII characters and nothing else, as from `openssl rand -base64 32`", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
    },
}

/// A token file and the token last read from it.
pub(super) struct Token {
    path: PathBuf,
    current: Mutex<Current>,
}

struct Current {
    secret: Zeroizing<Vec<u8>>,
    stamp: Option<Stamp>,
    looked: Moment,
}

/// What changes when a file is written or replaced.
#[derive(PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    len: u64,
    inode: u64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("path", &self.path)
            .finish_non_exhaustive()
    }
}

impl Token {
    /// Reads the token for the first time.
    pub(super) fn read(path: &Path) -> Result<Self, TokenError> {
        let stamp = stamp(path);
        let current = Current {
            secret: secret(path)?,
            stamp,
            looked: Moment::default(),
        };
        Ok(Self {
            path: path.to_owned(),
            current: Mutex::new(current),
        })
    }

    /// Whether the headers of a call carry the token.
    pub(super) fn check(
        &self,
        headers: &HeaderMap,
        sidecar: &impl Sidecar,
    ) -> Result<(), CallError> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        self.refresh(&mut current, sidecar);
        let presented = headers.get(AUTHORIZATION).ok_or(CallError::NoToken)?;
        let presented = presented
            .as_bytes()
            .split_at_checked("Bearer ".len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"Bearer "))
            .map(|(_, token)| token)
            .ok_or(CallError::NoToken)?;
        if bool::from(current.secret.ct_eq(presented)) {
            Ok(())
        } else {
            Err(CallError::WrongToken)
        }
    }

    fn refresh(&self, current: &mut Current, sidecar: &impl Sidecar) {
        let now = sidecar.now();
        if now.since(current.looked) < LOOK_EVERY {
            return;
        }
        current.looked = now;
        let stamp = stamp(&self.path);
        if stamp == current.stamp {
            return;
        }
        current.stamp = stamp;
        match secret(&self.path) {
            Ok(secret) => {
                current.secret = secret;
                sidecar.report(Event::TokenReloaded);
            }
            Err(error) => sidecar.report(Event::TokenUnusable(error.to_string())),
        }
    }
}

fn stamp(path: &Path) -> Option<Stamp> {
    let metadata = fs::metadata(path).ok()?;
    Some(Stamp {
        modified: metadata.modified().ok(),
        len: metadata.len(),
        inode: metadata.ino(),
    })
}

fn secret(path: &Path) -> Result<Zeroizing<Vec<u8>>, TokenError> {
    let bytes = fs::read(path).map_err(|source| TokenError::Unreadable {
        path: path.to_owned(),
        source,
    })?;
    let bytes = Zeroizing::new(bytes);
    let token = bytes.trim_ascii_end();
    let fits = (TOKEN_LEN_MIN..=TOKEN_LEN_MAX).contains(&token.len());
    if !fits || !token.iter().all(u8::is_ascii_graphic) {
        return Err(TokenError::Unfit {
            path: path.to_owned(),
        });
    }
    Ok(Zeroizing::new(token.to_vec()))
}
