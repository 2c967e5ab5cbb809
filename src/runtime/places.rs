//! Where the sidecar listens, and on which terms.

use crate::config::Config;
use crate::core::Moment;
use crate::grpc::{self, Listen, Terms};
use crate::http;
use crate::observe::{Observer, ProcessEvent};

pub(super) fn listen(config: &Config) -> Listen {
    Listen {
        unix: config
            .listen
            .app
            .clone()
            .map(|path| grpc::server::ListenUnix {
                path,
                uids: config.listen.uids.clone(),
            }),
        tcp: config
            .listen
            .app_tcp
            .address
            .map(|address| grpc::server::ListenTcp {
                address,
                token_file: config.listen.app_tcp.token_file.clone(),
            }),
    }
}

pub(super) fn terms(config: &Config) -> Terms {
    Terms {
        in_flight_records: config.in_flight.per_stream_records,
        in_flight_records_max: config.in_flight.records,
        in_flight_bytes: config.in_flight.per_stream_bytes,
        in_flight_bytes_max: config.in_flight.bytes,
        batch_records: config.batch.records,
        batch_bytes: u32::try_from(config.batch.bytes).unwrap_or(u32::MAX),
        batch_linger: config.batch.linger,
        order: config.order,
        lane_depth: config.lane_depth,
        commit_mode: config.commit.mode,
        positions: config.positions(),
        deadline: config.delivery.deadline,
        dead_letters: config.has_dead_letters(),
        transactional: config.is_transactional(),
    }
}

pub(super) fn tell_places(
    observer: &Observer,
    now: Moment,
    config: &Config,
    grpc: &grpc::Server,
    http: Option<&http::Server>,
) {
    let listening =
        |purpose, place| observer.report_process(now, &ProcessEvent::Listening { purpose, place });
    if let Some(path) = &config.listen.app {
        listening("applications", format!("unix:{}", path.display()));
    }
    if let Some(address) = grpc.tcp_address() {
        listening("applications", address.to_string());
    }
    if let Some(http) = http {
        listening("probes and metrics", http.address().to_string());
    }
}
