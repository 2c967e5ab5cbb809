//! Checks of the repository itself. Nothing needs to run.

use std::path::{Path, PathBuf};

use crate::harness::repository;

mod failure_table;
mod length;
mod monitoring;
mod operations;
mod purity;
mod readme;

/// A source file of the repository.
struct Source {
    path: PathBuf,
    text: String,
}

impl Source {
    /// Its path within the repository.
    fn name(&self) -> String {
        self.path
            .strip_prefix(repository())
            .unwrap_or(&self.path)
            .display()
            .to_string()
    }
}

/// Every Rust file below these folders of the repository, sorted.
fn rust_files(folders: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    for folder in folders {
        collect(&repository().join(folder), &mut found);
    }
    found.sort();
    let read = |path: PathBuf| Source {
        text: std::fs::read_to_string(&path).unwrap(),
        path,
    };
    found.into_iter().map(read).collect()
}

fn collect(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Caches hold other people's files.
        let ours = !path.ends_with("tests/cache") && !path.ends_with("tests/state");
        if path.is_dir() && ours {
            collect(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}
