//! Requests to brokers whose results come as events.

use std::ffi::{CStr, c_char, c_int};
use std::ptr::{NonNull, null, null_mut};

use rdkafka::bindings::{self as sys, rd_kafka_IsolationLevel_t, rd_kafka_admin_op_t};

use super::{Failure, Handle, Partitions, Queue};

/// How long a request may take, in milliseconds.
const REQUEST_TIMEOUT_MS: c_int = 10_000;

/// Which records count as part of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum Isolation {
    /// Those of transactions that were committed.
    ReadCommitted,
    /// All.
    ReadUncommitted,
}

/// Which end of a log is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) enum LogEnd {
    /// The oldest offset kept.
    Earliest,
    /// One past the newest offset that may be read.
    Latest,
}

impl Handle {
    /// Asks what `group` committed for these partitions, or for all that it committed anything for.
    /// Offsets under an unfinished transaction are an error, not an old answer.
    pub(in crate::kafka) fn read_committed(
        &self,
        group: &CStr,
        partitions: Option<&Partitions>,
        results: &Queue,
        request: usize,
    ) -> Result<(), Failure> {
        let options = Options::new(
            self,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS,
            request,
        )?;
        let list = partitions.map_or(null(), |list| list.as_ptr().cast_const());
        // SAFETY: client, options, group and queue are valid, and the list null or valid. Everything
        // is copied, so the question is freed at once; the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_AdminOptions_set_require_stable_offsets(
                options.as_ptr(),
                1,
            ))?;
            let mut question = sys::rd_kafka_ListConsumerGroupOffsets_new(group.as_ptr(), list);
            sys::rd_kafka_ListConsumerGroupOffsets(
                self.as_ptr(),
                &raw mut question,
                1,
                options.as_ptr(),
                results.as_ptr(),
            );
            sys::rd_kafka_ListConsumerGroupOffsets_destroy(question);
        }
        Ok(())
    }

    /// Asks where the logs of these partitions end, or where their records reach a time; `partitions` carries
    /// [`LogEnd::as_offset`], or milliseconds since 1970.
    pub(in crate::kafka) fn list_offsets(
        &self,
        partitions: &Partitions,
        isolation: Isolation,
        results: &Queue,
        request: usize,
    ) -> Result<(), Failure> {
        let options = Options::new(
            self,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS,
            request,
        )?;
        let level = match isolation {
            Isolation::ReadCommitted => {
                rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED
            }
            Isolation::ReadUncommitted => {
                rd_kafka_IsolationLevel_t::RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED
            }
        };
        // SAFETY: client, list, options and queue are valid; the list is copied; the error object is
        // ours.
        unsafe {
            Failure::take(sys::rd_kafka_AdminOptions_set_isolation_level(
                options.as_ptr(),
                level,
            ))?;
            sys::rd_kafka_ListOffsets(
                self.as_ptr(),
                partitions.as_ptr(),
                options.as_ptr(),
                results.as_ptr(),
            );
        }
        Ok(())
    }

    /// Asks who owns what in `group`.
    pub(in crate::kafka) fn describe_group(
        &self,
        group: &CStr,
        results: &Queue,
        request: usize,
    ) -> Result<(), Failure> {
        let options = Options::new(
            self,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS,
            request,
        )?;
        let mut names = [group.as_ptr()];
        // SAFETY: client, options and queue are valid; the array holds one C string, and both are copied.
        unsafe {
            sys::rd_kafka_DescribeConsumerGroups(
                self.as_ptr(),
                names.as_mut_ptr(),
                names.len(),
                options.as_ptr(),
                results.as_ptr(),
            );
        }
        Ok(())
    }

    /// Asks for ids and partition counts of these topics.
    pub(in crate::kafka) fn describe_topics<'a>(
        &self,
        topics: impl Iterator<Item = &'a CStr>,
        results: &Queue,
        request: usize,
    ) -> Result<(), Failure> {
        let options = Options::new(
            self,
            rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
            request,
        )?;
        let mut names: Vec<*const c_char> = topics.map(CStr::as_ptr).collect();
        // SAFETY: `names` holds C strings that live through these calls and are copied by the first;
        // client, options and queue are valid; the collection is ours.
        unsafe {
            let collection =
                sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
            sys::rd_kafka_DescribeTopics(
                self.as_ptr(),
                collection,
                options.as_ptr(),
                results.as_ptr(),
            );
            sys::rd_kafka_TopicCollection_destroy(collection);
        }
        Ok(())
    }
}

impl LogEnd {
    /// How the question is put in the offset of a list.
    pub(in crate::kafka) fn as_offset(self) -> i64 {
        i64::from(match self {
            Self::Earliest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_EARLIEST as i32,
            Self::Latest => sys::rd_kafka_OffsetSpec_t::RD_KAFKA_OFFSET_SPEC_LATEST as i32,
        })
    }
}

/// Options of one request.
struct Options {
    options: NonNull<sys::rd_kafka_AdminOptions_t>,
}

impl Options {
    fn new(
        handle: &Handle,
        operation: rd_kafka_admin_op_t,
        request: usize,
    ) -> Result<Self, Failure> {
        // SAFETY: the client is valid; the options returned are ours. Null would mean an operation
        // that librdkafka does not know, and ours are from its own list.
        let options = unsafe { sys::rd_kafka_AdminOptions_new(handle.as_ptr(), operation) };
        let options = NonNull::new(options).unwrap_or_else(|| unreachable!("a known operation"));
        let options = Self { options };
        // SAFETY: the options are valid, the number is within the range that librdkafka allows (so no
        // error text is written), and the pointer is only handed back.
        unsafe {
            let set = sys::rd_kafka_AdminOptions_set_request_timeout(
                options.as_ptr(),
                REQUEST_TIMEOUT_MS,
                null_mut(),
                0,
            );
            super::Code::of(set).check()?;
            let request = std::ptr::without_provenance_mut(request);
            sys::rd_kafka_AdminOptions_set_opaque(options.as_ptr(), request);
        }
        Ok(options)
    }

    fn as_ptr(&self) -> *mut sys::rd_kafka_AdminOptions_t {
        self.options.as_ptr()
    }
}

impl Drop for Options {
    fn drop(&mut self) {
        // SAFETY: ours, and not used after this.
        unsafe { sys::rd_kafka_AdminOptions_destroy(self.options.as_ptr()) }
    }
}
