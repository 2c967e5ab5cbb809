//! ackline

pub mod cli;
pub mod config;
pub mod core;
pub mod http;
pub mod observe;
pub mod record;
pub mod shutdown;
