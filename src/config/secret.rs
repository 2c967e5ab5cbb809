//! What must never be seen in logs, errors, metrics or dumps.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::Path;

use zeroize::Zeroizing;

use super::problem::Fault;

/// Largest secret or certificate file; bundles of the usual authorities take a quarter of a MiB.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// Fewest characters of the token that guards a TCP listener: 256 bits in hexadecimal take 64, in
/// base64 43.
const TOKEN_CHARS_MIN: usize = 43;

/// A secret: shown as `***`, overwritten when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Wraps a secret that was read.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(Zeroizing::new(secret))
    }

    /// The secret itself. Every call is a place to look at in a review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Reads a secret file. Editors and `echo` end files with a line break that is not meant.
    ///
    /// # Errors
    ///
    /// Says in words why the file is of no use.
    pub fn read(path: &Path) -> Result<Self, String> {
        let bytes = Zeroizing::new(read_limited(path)?);
        let text = std::str::from_utf8(&bytes).map_err(|_| "is not text in UTF-8".to_owned())?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err("is empty".to_owned());
        }
        Ok(Self::new(secret.to_owned()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// librdkafka properties. Values that may be secrets are not shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PropertyMap(BTreeMap<String, String>);

impl PropertyMap {
    /// Names of properties whose values may be secrets.
    pub(super) fn secret_names(&self) -> Vec<String> {
        let names = self.0.keys().filter(|name| may_be_secret(name));
        names.cloned().collect()
    }

    /// The properties with the values as they may be shown.
    pub(super) fn shown(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| {
            let value = if may_be_secret(name) {
                "***"
            } else {
                value.as_str()
            };
            (name.as_str(), value)
        })
    }
}

impl Deref for PropertyMap {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for PropertyMap {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl fmt::Debug for PropertyMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.shown()).finish()
    }
}

/// Whether the value of a property, or of a setting nobody knows, must stay hidden. Better one
/// harmless value too few in a dump than one password.
pub(super) fn may_be_secret(name: &str) -> bool {
    const WORDS: [&str; 9] = [
        "password",
        "passwd",
        "secret",
        "token",
        "credential",
        "pem",
        "jaas",
        "username",
        "key",
    ];
    let name = name.to_ascii_lowercase();
    name.starts_with("sasl.") || WORDS.iter().any(|word| name.contains(word))
}

/// What a file is for, and so what it must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FileUse {
    /// PEM certificates or keys.
    Pem,
    /// A user name or password.
    Word,
    /// A bearer token.
    Token,
}

/// Looks at a file as the process will need it later.
pub(super) fn check_file(path: &Path, holds: FileUse) -> Result<(), Fault> {
    let remedy = "make it readable for the user that runs ackline, or correct the path";
    match holds {
        FileUse::Pem => {
            let bytes = Zeroizing::new(
                read_limited(path).map_err(|why| Fault::new(format!("the file {why}"), remedy))?,
            );
            if bytes.windows(11).any(|window| window == b"-----BEGIN ") {
                return Ok(());
            }
            Err(Fault::new(
                "the file holds no PEM block",
                "convert it with `openssl` to PEM",
            ))
        }
        FileUse::Word | FileUse::Token => {
            let secret =
                Secret::read(path).map_err(|why| Fault::new(format!("the file {why}"), remedy))?;
            if holds == FileUse::Token && secret.expose().len() < TOKEN_CHARS_MIN {
                return Err(Fault::new(
                    format!("the token has fewer than {TOKEN_CHARS_MIN} characters"),
                    "make one with `openssl rand -hex 32`",
                ));
            }
            Ok(())
        }
    }
}

/// The text continues a sentence that begins with the file's name.
fn read_limited(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err("is not a regular file".to_owned());
    }
    if metadata.len() > FILE_BYTES_MAX {
        return Err("is larger than 1 MiB".to_owned());
    }
    std::fs::read(path).map_err(unreadable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_shown_by_debug() {
        assert_eq!(format!("{:?}", Secret::new("canary".to_owned())), "***");
        let mut properties = PropertyMap::default();
        properties.insert("sasl.oauthbearer.config".to_owned(), "canary".to_owned());
        properties.insert("socket.timeout.ms".to_owned(), "1000".to_owned());
        let text = format!("{properties:?}");
        assert!(text.contains("1000") && !text.contains("canary"), "{text}");
    }

    #[test]
    fn a_secret_file_is_read_without_its_last_line_break() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        for (content, expected) in [
            ("hunter2\n", Ok("hunter2")),
            ("two words \r\n", Ok("two words ")),
            ("\n", Err("is empty")),
        ] {
            std::fs::write(&path, content).unwrap();
            let read = Secret::read(&path);
            assert_eq!(
                read.as_ref().map(Secret::expose).map_err(String::as_str),
                expected,
                "{content:?}"
            );
        }
        std::fs::write(&path, [0xff]).unwrap();
        assert_eq!(Secret::read(&path).unwrap_err(), "is not text in UTF-8");
        assert_eq!(
            Secret::read(directory.path()).unwrap_err(),
            "is not a regular file"
        );
    }
}
