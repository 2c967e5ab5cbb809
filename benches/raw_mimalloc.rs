//! The raw client with mimalloc in place of malloc, as ackline has it.
#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a program that measures reads the clock and prints"
)]

#[path = "raw/mod.rs"]
mod raw;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    raw::main();
}
