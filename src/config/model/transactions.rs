//! Exactly once.

use std::time::Duration;

/// Whether outputs go with commits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Processing {
    /// No.
    #[default]
    AtLeastOnce,
    /// In one transaction.
    Transactional,
}

/// Outputs and positions in one transaction.
#[derive(Debug, Clone, Default)]
pub struct Transactions {
    /// Transactional id; empty for one made of the group's and the machine's name.
    pub id: String,
    /// Shortest time between two that nothing hurries.
    pub interval: Duration,
    /// As many outputs hurry one.
    pub records_max: u32,
    /// As many bytes of outputs do.
    pub bytes_max: u64,
    /// How long one may be open.
    pub timeout: Duration,
}
