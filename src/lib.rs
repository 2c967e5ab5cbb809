//! ackline

pub mod core;
pub mod kafka;
pub mod record;
