//! The raw client with the allocator of glibc: nothing here may name ackline, which brings mimalloc.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures reads the clock and prints"
)]

#[path = "raw/mod.rs"]
mod raw;

fn main() {
    raw::main();
}
