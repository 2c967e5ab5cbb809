//! The certificate of the HTTPS server, which the API server must trust.
//!
//! Either somebody else makes it, and it is read from files (`files.rs`); or the injector sees to it:
//!
//! ```text
//! lease.rs   who of the replicas may write? ──► plan.rs   what is to be done? ──► make.rs   a new one
//!                                        keeper.rs  asks, and carries it out
//! ```
//!
//! # Invariants
//!
//! - T1: nobody serves a certificate before the API server has been told, for a while, to trust it. A
//!   certificate is first staged, then trusted, then served.
//! - T2: what is still served somewhere is still trusted: the authority before the present one stays in the
//!   bundle until the next change.
//! - T3: each certificate has an authority of its own, whose key is forgotten at once: nothing that is stored
//!   can make another one.
//! - T4: one replica writes at a time, and every write says which state it is based on.

mod files;
mod keeper;
mod lease;
mod make;
mod plan;

pub use files::Files;
pub use keeper::{Keeper, Names};
pub use make::Identity;
#[cfg(test)]
pub(super) use make::make;

#[cfg(test)]
mod tests;
