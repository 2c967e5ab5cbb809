//! A broker inside this process: librdkafka's mock cluster.

use std::ffi::{CStr, CString};
use std::ptr::NonNull;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::bindings::{self as sys, rd_kafka_resp_err_t};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, Producer};

/// One broker on a local port, which forgets everything when it is dropped.
///
/// The wrapper of the `rdkafka` crate has no way to shorten the waits of consumer groups, which a person who
/// watches would have to sit through.
pub struct EmbeddedBroker {
    cluster: NonNull<sys::rd_kafka_mock_cluster_t>,
    brokers: String,
    /// The broker runs on threads of this client.
    _owner: BaseProducer,
}

impl EmbeddedBroker {
    /// Starts a broker with one topic. Groups wait for nobody when they form, and members of KIP-848
    /// groups hear of changes within `heartbeat`.
    ///
    /// # Errors
    ///
    /// If librdkafka refuses.
    pub fn start(topic: &str, partitions: i32, heartbeat: Duration) -> KafkaResult<Self> {
        let topic = CString::new(topic)?;
        let heartbeat = i32::try_from(heartbeat.as_millis()).unwrap_or(i32::MAX);
        let owner: BaseProducer = ClientConfig::new().set("log_level", "0").create()?;
        // SAFETY: the client is valid, and outlives the cluster, which `drop` destroys first.
        let cluster = unsafe { sys::rd_kafka_mock_cluster_new(owner.client().native_ptr(), 1) };
        let cluster =
            NonNull::new(cluster).ok_or(KafkaError::MockCluster(RDKafkaErrorCode::Fail))?;
        let mut broker = Self {
            cluster,
            brokers: String::new(),
            _owner: owner,
        };
        let cluster = broker.cluster.as_ptr();
        // SAFETY: the cluster is valid, the topic a C string that is copied, and the text returned is
        // copied before anything else happens to the cluster.
        unsafe {
            sys::rd_kafka_mock_group_initial_rebalance_delay_ms(cluster, 0);
            sys::rd_kafka_mock_set_group_consumer_heartbeat_interval_ms(cluster, heartbeat);
            // The cluster names broker 0 as its controller, and does not have it by itself.
            accept(sys::rd_kafka_mock_broker_add(cluster, 0))?;
            accept(sys::rd_kafka_mock_topic_create(
                cluster,
                topic.as_ptr(),
                partitions,
                1,
            ))?;
            let brokers = CStr::from_ptr(sys::rd_kafka_mock_cluster_bootstraps(cluster));
            broker.brokers = brokers.to_string_lossy().into_owned();
        }
        Ok(broker)
    }

    /// Its addresses, separated by commas.
    #[must_use]
    pub fn brokers(&self) -> &str {
        &self.brokers
    }
}

impl Drop for EmbeddedBroker {
    fn drop(&mut self) {
        // SAFETY: the cluster is valid and not used after this; its client is dropped later.
        unsafe { sys::rd_kafka_mock_cluster_destroy(self.cluster.as_ptr()) }
    }
}

fn accept(code: rd_kafka_resp_err_t) -> KafkaResult<()> {
    if code == rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Ok(());
    }
    Err(KafkaError::MockCluster(code.into()))
}
