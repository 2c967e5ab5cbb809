//! ackline

pub mod cli;
pub mod config;
pub mod core;
pub mod grpc;
pub mod http;
pub mod kafka;
pub mod observe;
pub mod record;
pub mod runtime;
pub mod shutdown;
