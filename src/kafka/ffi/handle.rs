//! The client itself.

use std::ffi::{CStr, CString, c_char, c_int};
use std::ptr::{NonNull, null, null_mut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rdkafka::bindings::{self as sys, rd_kafka_conf_res_t, rd_kafka_resp_err_t, rd_kafka_type_t};
use zeroize::Zeroizing;

use super::{Code, Failure, Partitions, Queue};

/// How long a seek may wait for librdkafka's main thread, in milliseconds. It answers within
/// microseconds; the bound is for a machine in trouble.
const SEEK_WAIT_MS: c_int = 100;

/// Which events the client hands out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::kafka) struct Events(c_int);

impl Events {
    /// Those of a consumer that answers rebalances by itself.
    pub(in crate::kafka) const CONSUMER: Self = Self(
        sys::RD_KAFKA_EVENT_REBALANCE
            | sys::RD_KAFKA_EVENT_ERROR
            | sys::RD_KAFKA_EVENT_OFFSET_COMMIT,
    );

    /// Those of a producer.
    pub(super) const PRODUCER: Self = Self(sys::RD_KAFKA_EVENT_DR | sys::RD_KAFKA_EVENT_ERROR);
}

/// A client of librdkafka, consumer or producer, with its threads and connections.
pub(in crate::kafka) struct Handle {
    client: NonNull<sys::rd_kafka_t>,
    /// Set once the group was left in order, so that nothing is left to wait for.
    closed: AtomicBool,
}

// SAFETY: librdkafka's client functions may be called from any thread at any time.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Creates a consumer from properties, of which later ones override earlier ones.
    pub(in crate::kafka) fn new(
        properties: &[(String, Zeroizing<String>)],
        events: Events,
    ) -> Result<Self, Failure> {
        let handle = Self::create(rd_kafka_type_t::RD_KAFKA_CONSUMER, properties, events)?;
        // From here on the consumer queue carries what the main queue would.
        // SAFETY: the client is valid.
        Code::of(unsafe { sys::rd_kafka_poll_set_consumer(handle.as_ptr()) }).check()?;
        Ok(handle)
    }

    /// Creates a client whose log lines come by its main queue.
    pub(super) fn create(
        kind: rd_kafka_type_t,
        properties: &[(String, Zeroizing<String>)],
        events: Events,
    ) -> Result<Self, Failure> {
        let settings = Settings::new(properties)?;
        let mut error: [c_char; 512] = [0; 512];
        // SAFETY: the settings are valid. The client takes them over if it is created, and leaves
        // them to us if not. `error` is a buffer of the length said.
        let client = unsafe {
            sys::rd_kafka_conf_set_events(settings.conf.as_ptr(), events.0);
            sys::rd_kafka_new(
                kind,
                settings.conf.as_ptr(),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        let Some(client) = NonNull::new(client) else {
            let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG;
            return Err(Failure::from_buffer(code, &error));
        };
        std::mem::forget(settings);
        let handle = Self {
            client,
            closed: AtomicBool::new(false),
        };
        // SAFETY: the client is valid; null stands for its main queue.
        let logs = unsafe { sys::rd_kafka_set_log_queue(handle.as_ptr(), null_mut()) };
        Code::of(logs).check()?;
        Ok(handle)
    }

    /// Joins the group with these topics.
    pub(in crate::kafka) fn subscribe(&self, topics: &Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid; the list is copied.
        Code::of(unsafe { sys::rd_kafka_subscribe(self.as_ptr(), topics.as_ptr()) }).check()
    }

    /// Leaves the group, once its partitions were given back.
    pub(in crate::kafka) fn unsubscribe(&self) -> Result<(), Failure> {
        // SAFETY: the client is valid.
        Code::of(unsafe { sys::rd_kafka_unsubscribe(self.as_ptr()) }).check()
    }

    /// Sets the whole assignment; `None` takes everything away.
    pub(in crate::kafka) fn assign(&self, list: Option<&Partitions>) -> Result<(), Failure> {
        let list = list.map_or(null(), |list| list.as_ptr().cast_const());
        // SAFETY: the client is valid, and the list null or valid; it is copied.
        Code::of(unsafe { sys::rd_kafka_assign(self.as_ptr(), list) }).check()
    }

    /// Adds to the assignment.
    pub(in crate::kafka) fn incremental_assign(&self, list: &Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid, the list is copied, the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_incremental_assign(
                self.as_ptr(),
                list.as_ptr(),
            ))
        }
    }

    /// Takes from the assignment.
    pub(in crate::kafka) fn incremental_unassign(&self, list: &Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid, the list is copied, the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_incremental_unassign(
                self.as_ptr(),
                list.as_ptr(),
            ))
        }
    }

    /// Returns when librdkafka's main thread has done what was asked of it before.
    pub(in crate::kafka) fn wait_for_main_thread(&self) {
        // SAFETY: the client is valid. The question is answered by the main thread in its turn, with
        // a static string.
        unsafe { sys::rd_kafka_rebalance_protocol(self.as_ptr()) };
    }

    /// Stops fetching partitions and drops what was fetched of them.
    pub(in crate::kafka) fn pause(&self, list: &Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid.
        Code::of(unsafe { sys::rd_kafka_pause_partitions(self.as_ptr(), list.as_ptr()) }).check()
    }

    /// Fetches partitions again.
    pub(in crate::kafka) fn resume(&self, list: &Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid.
        Code::of(unsafe { sys::rd_kafka_resume_partitions(self.as_ptr(), list.as_ptr()) }).check()
    }

    /// Moves partitions to the offsets of the list, with validation of their leader epochs. Each
    /// partition's own answer is left in the list.
    pub(in crate::kafka) fn seek(&self, list: &mut Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid, the list is ours to change, the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_seek_partitions(
                self.as_ptr(),
                list.as_ptr(),
                SEEK_WAIT_MS,
            ))
        }
    }

    /// Writes into the list where each partition's consumer stands: the next offset to be popped.
    pub(in crate::kafka) fn position(&self, list: &mut Partitions) -> Result<(), Failure> {
        // SAFETY: client and list are valid, and the list is ours to change.
        Code::of(unsafe { sys::rd_kafka_position(self.as_ptr(), list.as_ptr()) }).check()
    }

    /// The end of a partition's log, as the last fetch response told it.
    pub(in crate::kafka) fn cached_end(&self, topic: &CStr, partition: i32) -> Option<i64> {
        let (mut low, mut high) = (-1, -1);
        // SAFETY: the client and the name are valid, and both offsets are ours to write to.
        let code = Code::of(unsafe {
            sys::rd_kafka_get_watermark_offsets(
                self.as_ptr(),
                topic.as_ptr(),
                partition,
                &raw mut low,
                &raw mut high,
            )
        });
        // Negative until the first response.
        (code.check().is_ok() && high >= 0).then_some(high)
    }

    /// Whether the assignment was lost rather than asked back.
    pub(in crate::kafka) fn assignment_lost(&self) -> bool {
        // SAFETY: the client is valid.
        unsafe { sys::rd_kafka_assignment_lost(self.as_ptr()) == 1 }
    }

    /// The name that the group gave to this member, if it is one. Asks the client's own main thread, no broker.
    pub(in crate::kafka) fn member_id(&self) -> Option<CString> {
        // SAFETY: the client is valid; the string returned is ours, copied, and freed by its maker.
        unsafe {
            let text = NonNull::new(sys::rd_kafka_memberid(self.as_ptr()))?;
            let id = CStr::from_ptr(text.as_ptr()).to_owned();
            sys::rd_kafka_mem_free(self.as_ptr(), text.as_ptr().cast());
            Some(id)
        }
    }

    /// Whether librdkafka holds us for a member: it has not begun to leave, or, if the broker shares out, has not heard that
    /// it left. Asks the client's own main thread, no broker.
    pub(in crate::kafka) fn is_member(&self, broker_shares_out: bool) -> bool {
        // SAFETY: the client is valid; what is returned is ours, read before it is destroyed.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata(self.as_ptr());
            if metadata.is_null() {
                return false;
            }
            // The name of a member is its own there, and stays.
            let is_member = if broker_shares_out {
                sys::rd_kafka_consumer_group_metadata_generation_id(metadata) > 0
            } else {
                let name = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
                !CStr::from_ptr(name).is_empty()
            };
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            is_member
        }
    }

    /// The cluster's id, once a broker has told it.
    pub(in crate::kafka) fn cluster_id(&self) -> Option<String> {
        // SAFETY: the client is valid; zero means not to wait. The string is ours: copied, then
        // given back to librdkafka's allocator.
        unsafe {
            let id = NonNull::new(sys::rd_kafka_clusterid(self.as_ptr(), 0))?;
            let text = CStr::from_ptr(id.as_ptr()).to_string_lossy().into_owned();
            sys::rd_kafka_mem_free(self.as_ptr(), id.as_ptr().cast());
            Some(text)
        }
    }

    /// Sends one commit; the result comes as an event on `results` with the number `request`.
    pub(in crate::kafka) fn commit(
        &self,
        offsets: &Partitions,
        results: &Queue,
        request: usize,
    ) -> Result<(), Failure> {
        let request = std::ptr::without_provenance_mut(request);
        // SAFETY: client, list and queue are valid; the list is copied. Without a callback the result
        // is an event on the queue, and the pointer is only handed back.
        let sent = unsafe {
            sys::rd_kafka_commit_queue(
                self.as_ptr(),
                offsets.as_ptr(),
                results.as_ptr(),
                None,
                request,
            )
        };
        Code::of(sent).check()
    }

    /// Replaces user name and password for connections made from now on.
    pub(in crate::kafka) fn set_credentials(
        &self,
        username: &CStr,
        password: &CStr,
    ) -> Result<(), Failure> {
        // SAFETY: the client is valid; both texts are copied; the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_sasl_set_credentials(
                self.as_ptr(),
                username.as_ptr(),
                password.as_ptr(),
            ))
        }
    }

    /// Starts to leave the group for good. Rebalances go on coming on the consumer queue.
    pub(in crate::kafka) fn close(&self, consumer: &Queue) -> Result<(), Failure> {
        // SAFETY: client and queue are valid; the error object is ours.
        unsafe {
            Failure::take(sys::rd_kafka_consumer_close_queue(
                self.as_ptr(),
                consumer.as_ptr(),
            ))
        }
    }

    /// Whether the group was left for good.
    pub(in crate::kafka) fn is_closed(&self) -> bool {
        // SAFETY: the client is valid.
        let closed = unsafe { sys::rd_kafka_consumer_closed(self.as_ptr()) == 1 };
        if closed {
            self.closed.store(true, Ordering::Relaxed);
        }
        closed
    }

    /// Makes librdkafka believe that it hit a fatal error.
    #[cfg(test)]
    pub(in crate::kafka) fn die_of(&self, code: rd_kafka_resp_err_t) {
        // SAFETY: the client is valid, and the text a C string.
        unsafe { sys::rd_kafka_test_fatal_error(self.as_ptr(), code, c"test".as_ptr()) };
    }

    pub(super) fn as_ptr(&self) -> *mut sys::rd_kafka_t {
        self.client.as_ptr()
    }
}

impl Drop for Handle {
    /// Never waits for a broker: a client that did not leave the group in order may have a commit
    /// out for as long as the session timeout, and librdkafka waits for it. That happens on a thread
    /// of its own, which the end of the process may cut off: nothing depends on it any more.
    fn drop(&mut self) {
        let client = Doomed(self.client);
        if self.closed.load(Ordering::Relaxed) {
            client.destroy();
            return;
        }
        let name = "kafka-destroy".to_owned();
        let spawned = thread::Builder::new()
            .name(name)
            .spawn(move || client.destroy());
        if let Err(error) = spawned {
            tracing::warn!(%error, "a closed kafka client stays in memory: no thread to free it");
        }
    }
}

/// A client that nobody uses any more.
struct Doomed(NonNull<sys::rd_kafka_t>);

// SAFETY: librdkafka's clients may be destroyed on any thread.
unsafe impl Send for Doomed {}

impl Doomed {
    fn destroy(self) {
        // SAFETY: `Handle` was the last owner (F1), and its `Drop` the only caller. The flag skips
        // the orderly leaving of the group, which was done or given up.
        unsafe {
            sys::rd_kafka_destroy_flags(self.0.as_ptr(), sys::RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
        }
    }
}

/// Settings on their way into a client.
struct Settings {
    conf: NonNull<sys::rd_kafka_conf_t>,
}

impl Settings {
    fn new(properties: &[(String, Zeroizing<String>)]) -> Result<Self, Failure> {
        // SAFETY: takes nothing; the settings returned are ours.
        let conf = NonNull::new(unsafe { sys::rd_kafka_conf_new() });
        let settings = Self {
            conf: conf.unwrap_or_else(|| unreachable!("out of memory")),
        };
        for (key, value) in properties {
            settings.set(key, value)?;
        }
        settings.set("log.queue", "true")?;
        Ok(settings)
    }

    /// Sets one property. The failure names it, without the value of one that holds a secret.
    fn set(&self, key: &str, value: &str) -> Result<(), Failure> {
        let invalid = |reason: &str| Failure {
            code: Code::of(rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG),
            text: format!("property `{key}`: {reason}"),
        };
        let name = CString::new(key).map_err(|_| invalid("its name contains a NUL byte"))?;
        let mut bytes = Zeroizing::new(Vec::with_capacity(value.len() + 1));
        bytes.extend_from_slice(value.as_bytes());
        bytes.push(0);
        let value = CStr::from_bytes_with_nul(&bytes)
            .map_err(|_| invalid("its value contains a NUL byte"))?;
        let mut error: [c_char; 512] = [0; 512];
        // SAFETY: the settings are valid, both texts C strings, which are copied; `error` is a buffer
        // of the length said.
        let answer = unsafe {
            sys::rd_kafka_conf_set(
                self.conf.as_ptr(),
                name.as_ptr(),
                value.as_ptr(),
                error.as_mut_ptr(),
                error.len(),
            )
        };
        let code = rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR__INVALID_ARG;
        match answer {
            rd_kafka_conf_res_t::RD_KAFKA_CONF_OK => Ok(()),
            rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID if holds_secret(key) => {
                Err(invalid("its value is not valid"))
            }
            rd_kafka_conf_res_t::RD_KAFKA_CONF_INVALID
            | rd_kafka_conf_res_t::RD_KAFKA_CONF_UNKNOWN => {
                Err(invalid(&Failure::from_buffer(code, &error).text))
            }
        }
    }
}

/// Whether librdkafka's words about a wrong value of this property could repeat a secret.
fn holds_secret(key: &str) -> bool {
    ["password", "passphrase", "secret", "pem", "jaas", "token"]
        .iter()
        .any(|part| key.contains(part))
}

impl Drop for Settings {
    fn drop(&mut self) {
        // SAFETY: ours, as a client that took them over made us forget them.
        unsafe { sys::rd_kafka_conf_destroy(self.conf.as_ptr()) }
    }
}
