//! What the scripts that start clusters write down about them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Lines of `NAME=VALUE`.
pub(crate) struct Environment {
    file: PathBuf,
    lines: BTreeMap<String, String>,
}

impl Environment {
    /// Reads the file, which is there as long as the cluster is.
    pub(crate) fn read(file: &Path) -> Self {
        let text = std::fs::read_to_string(file)
            .unwrap_or_else(|error| panic!("no cluster runs: {}: {error}", file.display()));
        let lines = text.lines().filter_map(|line| line.split_once('='));
        Self {
            file: file.to_owned(),
            lines: lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        }
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.lines
            .get(name)
            .unwrap_or_else(|| panic!("{} has no {name}", self.file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_all_that_follows_the_first_sign() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "A=1\n# B\nURL=https://host?a=b c\nEMPTY=\n").unwrap();
        let environment = Environment::read(file.path());
        assert_eq!(environment.get("A"), "1");
        assert_eq!(environment.get("URL"), "https://host?a=b c");
        assert_eq!(environment.get("EMPTY"), "");
    }
}
