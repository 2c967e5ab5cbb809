//! ackline

pub mod core;
pub mod grpc;
pub mod record;
