//! Transactions of a producer. Unlike everything else here these calls wait for brokers, for as long as they are told:
//! they are for a thread of their own.

use std::ffi::c_int;
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::bindings as sys;

use super::{Failure, Handle, Partitions};

/// Why a step of a transaction failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct TransactionFailure {
    pub(in crate::kafka) failure: Failure,
    /// The producer can do nothing more.
    pub(in crate::kafka) fatal: bool,
    /// The transaction can be aborted, and must be.
    pub(in crate::kafka) must_abort: bool,
}

impl TransactionFailure {
    /// Takes an error object over; null is no error.
    ///
    /// # Safety
    ///
    /// `error` is null or an error object that nobody else frees.
    unsafe fn take(error: *mut sys::rd_kafka_error_t) -> Result<(), Self> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: not null, so valid by the contract, until `Failure::take` frees it.
        let (fatal, must_abort) = unsafe {
            (
                sys::rd_kafka_error_is_fatal(error) != 0,
                sys::rd_kafka_error_txn_requires_abort(error) != 0,
            )
        };
        // SAFETY: ours to free by the contract.
        match unsafe { Failure::take(error) } {
            Ok(()) => Ok(()),
            Err(failure) => Err(Self {
                failure,
                fatal,
                must_abort,
            }),
        }
    }
}

/// Who a consumer is in its group, at one moment (KIP-447).
pub(in crate::kafka) struct GroupMetadata {
    metadata: NonNull<sys::rd_kafka_consumer_group_metadata_t>,
}

// SAFETY: plain memory without ties to a thread or a client.
unsafe impl Send for GroupMetadata {}

impl Drop for GroupMetadata {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { sys::rd_kafka_consumer_group_metadata_destroy(self.metadata.as_ptr()) }
    }
}

fn millis(time: Duration) -> c_int {
    c_int::try_from(time.as_millis()).unwrap_or(c_int::MAX)
}

impl Handle {
    /// Who this consumer is in its group now.
    pub(in crate::kafka) fn group_metadata(&self) -> Option<GroupMetadata> {
        // SAFETY: the client is valid; what is returned is ours.
        let metadata = unsafe { sys::rd_kafka_consumer_group_metadata(self.as_ptr()) };
        NonNull::new(metadata).map(|metadata| GroupMetadata { metadata })
    }

    /// Settles what an earlier producer of the same name left open.
    pub(in crate::kafka) fn init_transactions(
        &self,
        within: Duration,
    ) -> Result<(), TransactionFailure> {
        // SAFETY: the client is valid, the error object ours.
        unsafe {
            TransactionFailure::take(sys::rd_kafka_init_transactions(
                self.as_ptr(),
                millis(within),
            ))
        }
    }

    pub(in crate::kafka) fn begin_transaction(&self) -> Result<(), TransactionFailure> {
        // SAFETY: the client is valid, the error object ours.
        unsafe { TransactionFailure::take(sys::rd_kafka_begin_transaction(self.as_ptr())) }
    }

    /// Commits these positions with the transaction.
    pub(in crate::kafka) fn send_offsets(
        &self,
        offsets: &Partitions,
        group: &GroupMetadata,
        within: Duration,
    ) -> Result<(), TransactionFailure> {
        // SAFETY: client, list and metadata are valid and copied; the error object is ours.
        unsafe {
            TransactionFailure::take(sys::rd_kafka_send_offsets_to_transaction(
                self.as_ptr(),
                offsets.as_ptr(),
                group.metadata.as_ptr(),
                millis(within),
            ))
        }
    }

    pub(in crate::kafka) fn commit_transaction(
        &self,
        within: Duration,
    ) -> Result<(), TransactionFailure> {
        // SAFETY: the client is valid, the error object ours.
        unsafe {
            TransactionFailure::take(sys::rd_kafka_commit_transaction(
                self.as_ptr(),
                millis(within),
            ))
        }
    }

    pub(in crate::kafka) fn abort_transaction(
        &self,
        within: Duration,
    ) -> Result<(), TransactionFailure> {
        // SAFETY: the client is valid, the error object ours.
        unsafe {
            TransactionFailure::take(sys::rd_kafka_abort_transaction(
                self.as_ptr(),
                millis(within),
            ))
        }
    }
}
