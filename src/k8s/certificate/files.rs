//! A certificate that somebody else makes: cert-manager, or a person.

use std::path::PathBuf;
use std::{fs, io};

use super::make::Identity;

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// PEM, the chain if there is one.
    pub certificate: PathBuf,
    /// PEM.
    pub key: PathBuf,
}

impl Files {
    /// Reads both. They may be replaced between the two reads: whoever uses them finds that they do not fit, and
    /// reads again later.
    ///
    /// # Errors
    ///
    /// If one cannot be read.
    pub fn read(&self) -> io::Result<Identity> {
        Ok(Identity {
            certificate: fs::read_to_string(&self.certificate)?,
            key: fs::read_to_string(&self.key)?,
            authority: String::new(),
        })
    }
}
