//! What the corpora begin with: real encodings, and hostile ones that a person thought of.
//!
//! `ACKLINE_REGENERATE=1 cargo test --test fuzz seeds::` writes them anew when a format changes. Files with other names
//! were found by following coverage.

mod authority;
mod metadata;
mod requests;
mod settings;
mod zookeeper;

use std::collections::BTreeMap;

use crate::brief;

/// Inputs of one target, by name.
type Seeds = BTreeMap<&'static str, Vec<u8>>;

#[test]
fn corpora_begin_with_real_encodings_of_today() {
    let targets = [
        ("authority", authority::seeds()),
        ("metadata", metadata::seeds()),
        ("requests", requests::seeds()),
        ("settings", settings::seeds()),
        ("zookeeper", zookeeper::seeds()),
    ];
    let regenerate = std::env::var_os("ACKLINE_REGENERATE").is_some();
    for (target, seeds) in targets {
        let folder = brief::folder(target);
        if regenerate {
            std::fs::create_dir_all(&folder).unwrap();
            for (name, input) in &seeds {
                std::fs::write(folder.join(name), input).unwrap();
            }
        }
        for (name, input) in seeds {
            let committed = std::fs::read(folder.join(name)).unwrap_or_default();
            assert!(
                committed == input,
                "{target}/{name} is out of date; run `ACKLINE_REGENERATE=1 cargo test --test fuzz seeds::`"
            );
        }
    }
}
