//! The committed stubs are what the `.proto` generates, so that building needs no protobuf compiler.
//!
//! `ACKLINE_REGENERATE=1 cargo test --test proto` writes them anew.

use std::error::Error;
use std::path::Path;
use std::{env, fs};

/// Where the generated code of the application's contract is kept, and of the operator's. The one has no server: it is
/// written by hand.
const CONSUMER: &str = "src/grpc/generated/ackline.v1.rs";
const ADMIN: &str = "src/grpc/generated/ackline.v1.admin.rs";

#[test]
fn committed_stubs_are_what_the_proto_generates() -> Result<(), Box<dyn Error>> {
    compare("ackline/v1/consumer.proto", false, CONSUMER)
}

#[test]
fn committed_admin_stubs_are_what_the_proto_generates() -> Result<(), Box<dyn Error>> {
    compare("ackline/v1/admin.proto", true, ADMIN)
}

fn compare(proto: &str, server: bool, generated: &str) -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = tempfile::tempdir()?;
    let descriptors = protox::compile([proto], [root.join("proto").as_path()])?;
    tonic_prost_build::configure()
        .build_server(server)
        .bytes(".")
        .emit_rerun_if_changed(false)
        .out_dir(scratch.path())
        .compile_fds(descriptors)?;
    let fresh = fs::read_to_string(scratch.path().join("ackline.v1.rs"))?;
    if env::var_os("ACKLINE_REGENERATE").is_some() {
        fs::write(root.join(generated), &fresh)?;
    }
    let committed = fs::read_to_string(root.join(generated))?;
    assert!(
        committed == fresh,
        "{generated} is not what proto/ generates; run `ACKLINE_REGENERATE=1 cargo test --test proto`"
    );
    Ok(())
}
