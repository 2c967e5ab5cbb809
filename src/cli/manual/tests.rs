use std::process::{Command as Program, Stdio};

use clap::{CommandFactory, ValueEnum};

use super::*;
use crate::cli::Cli;

/// Every command of the tree with the words that lead to it, below the program itself.
fn commands(tree: &Command) -> Vec<(Vec<String>, Command)> {
    let mut found = Vec::new();
    let mut left = vec![(Vec::new(), tree.clone())];
    while let Some((words, command)) = left.pop() {
        for below in command.get_subcommands() {
            let mut words = words.clone();
            words.push(below.get_name().to_owned());
            left.push((words, below.clone()));
        }
        found.push((words, command));
    }
    found
}

fn long_flags(command: &Command) -> Vec<&str> {
    let flags = command.get_arguments().filter(|flag| !flag.is_hide_set());
    flags.filter_map(clap::Arg::get_long).collect()
}

/// The tree as it is asked about: with `help` and the flags that clap adds.
fn tree() -> Command {
    let mut tree = Cli::command();
    tree.build();
    tree
}

#[test]
fn every_shell_completes_every_command_and_flag() {
    let tree = tree();
    for shell in Shell::value_variants() {
        let script = completions(&Cli::command(), *shell);
        for (words, command) in commands(&tree) {
            if let Some(name) = words.last() {
                assert!(script.contains(name.as_str()), "{shell}: {words:?}");
            }
            for flag in long_flags(&command) {
                // fish names flags without their hyphens.
                let named =
                    script.contains(&format!("--{flag}")) || script.contains(&format!("-l {flag}"));
                assert!(named, "{shell}: {words:?} --{flag}");
            }
        }
    }
}

#[test]
fn bash_takes_the_script_and_completes_by_it() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ackline.bash");
    std::fs::write(&path, completions(&Cli::command(), Shell::Bash)).unwrap();
    let checked = Program::new("bash").arg("-n").arg(&path).output().unwrap();
    assert!(
        checked.status.success() && checked.stderr.is_empty(),
        "{checked:?}"
    );
    let asked = "source \"$1\"; COMP_WORDS=(ackline config \"\"); COMP_CWORD=2; \
                 _ackline ackline \"\" config; echo \"${COMPREPLY[*]}\"";
    let answered = Program::new("bash")
        .args(["-c", asked, "bash"])
        .arg(&path)
        .output()
        .unwrap();
    let offered = String::from_utf8(answered.stdout).unwrap();
    for command in ["check", "print", "schema"] {
        assert!(offered.contains(command), "{offered}");
    }
}

#[test]
fn every_command_has_a_page_that_names_its_flags_and_formats_without_warnings() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("man/man1");
    write_pages(&Cli::command(), &folder).unwrap();
    for (words, command) in commands(&Cli::command()) {
        let name = [&["ackline".to_owned()], words.as_slice()]
            .concat()
            .join("-");
        let text = std::fs::read_to_string(folder.join(format!("{name}.1"))).unwrap();
        // A hyphen that is to be copied is `\-` in roff.
        let plain = text.replace("\\-", "-");
        for flag in long_flags(&command) {
            assert!(plain.contains(&format!("--{flag}")), "{name}: --{flag}");
        }
        for below in command.get_subcommands() {
            assert!(
                plain.contains(&format!("{name}-{}", below.get_name())),
                "{name}"
            );
        }
        formats(&name, &folder.join(format!("{name}.1")));
    }
    assert!(page(&Cli::command()).unwrap().contains("ackline\\-run"));
}

/// Where groff is installed, as it is wherever pages are read.
fn formats(name: &str, page: &Path) {
    let formatted = Program::new("groff")
        .args(["-ww", "-man", "-Kutf8", "-Tutf8"])
        .arg(page)
        .stdin(Stdio::null())
        .output();
    let Ok(formatted) = formatted else {
        println!("{name}: not formatted, groff is not installed");
        return;
    };
    let warnings = String::from_utf8_lossy(&formatted.stderr);
    assert!(
        formatted.status.success() && warnings.is_empty(),
        "{name}: {warnings}"
    );
    assert!(!formatted.stdout.is_empty());
}
