//! ackline

pub mod core;
pub mod record;
