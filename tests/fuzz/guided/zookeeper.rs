//! See `../main.rs`.
#![no_main]
#![allow(
    dead_code,
    unused_imports,
    clippy::unwrap_used,
    reason = "one target of several, which panics when something does not hold"
)]

#[path = "../targets/mod.rs"]
mod targets;

libfuzzer_sys::fuzz_target!(|input: &[u8]| targets::zookeeper(input));
