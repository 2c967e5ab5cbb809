//! The committed stubs are what the `.proto` generates, so that building needs no protobuf compiler.
//!
//! `ACKLINE_REGENERATE=1 cargo test --test proto` writes them anew.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// Where the generated code is kept.
const GENERATED: &str = "src/grpc/generated/ackline.v1.rs";

#[test]
fn committed_stubs_are_what_the_proto_generates() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir()?;
    let descriptors = protox::compile(
        ["ackline/v1/consumer.proto"],
        [root.join("proto").as_path()],
    )?;
    tonic_prost_build::configure()
        .build_server(false)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(scratch.path())
        .compile_fds(descriptors)?;
    let fresh = fs::read_to_string(scratch.path().join("ackline.v1.rs"))?;
    if env::var_os("ACKLINE_REGENERATE").is_some() {
        fs::write(root.join(GENERATED), &fresh)?;
    }
    let committed = fs::read_to_string(root.join(GENERATED))?;
    assert!(
        committed == fresh,
        "{GENERATED} is not what proto/ generates; run `ACKLINE_REGENERATE=1 cargo test --test proto`"
    );
    Ok(())
}
