//! Kubernetes: a real API server, and real nodes with real Kafka (Linux and root).
//!
//! What is said to the API server goes through `kubectl`, as people do it.

mod api;
mod cluster;
mod nodes;
