//! ackline

pub mod cli;
pub mod config;
pub mod core;
pub mod grpc;
pub mod kafka;
pub mod record;
