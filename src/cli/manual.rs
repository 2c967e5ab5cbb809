//! What shells and `man` are told of the command line, made from the tree of commands itself.
//!
//! # Deliberately absent
//!
//! Any list of commands or flags: a command that is in the tree is in every page and script.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

/// A script by which a shell completes commands and flags.
pub(super) fn completions(tree: &Command, shell: Shell) -> String {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut tree.clone(), tree.get_name(), &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

/// The manual page of the program.
pub(super) fn page(tree: &Command) -> io::Result<String> {
    let mut page = Vec::new();
    Man::new(tree.clone()).render(&mut page)?;
    Ok(String::from_utf8_lossy(&page).into_owned())
}

/// Writes a manual page for the program and for each of its commands, `ackline-config-check.1` and such.
pub(super) fn write_pages(tree: &Command, folder: &Path) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    clap_mangen::generate_to(tree.clone(), folder)
}

#[cfg(test)]
mod tests;
