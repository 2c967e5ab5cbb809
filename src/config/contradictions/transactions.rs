//! Settings of exactly once.

use super::super::load::Loading;
use super::super::model::{Processing, StoreKind};
use super::super::problem::Fault;
use super::super::table;
use crate::core::CommitMode;

/// Reports every contradiction.
pub(super) fn check(loading: &mut Loading) {
    match loading.config.processing {
        Processing::AtLeastOnce => without(loading),
        Processing::Transactional => with(loading),
    }
}

fn without(loading: &mut Loading) {
    let keys = table::settings().map(|setting| setting.key);
    let given: Vec<&str> = keys
        .filter(|key| key.starts_with("transactions."))
        .filter(|key| loading.is_changed(key))
        .collect();
    for key in given {
        let fault = Fault::new(
            "has no effect, because processing is at_least_once",
            "write `processing: transactional`, or remove it",
        );
        loading.report(key, &["processing"], fault);
    }
}

fn with(loading: &mut Loading) {
    let commit = loading.config.commit.clone();
    if commit.mode != CommitMode::OnAck {
        let fault = Fault::new(
            "commits what was handed over, before there could be outputs of it",
            "write on_ack, or `processing: at_least_once`",
        );
        loading.report("commit.mode", &["processing"], fault);
    }
    if !commit.metadata {
        let fault = Fault::new(
            "leaves out what is finished above the committed offset, whose outputs would be written again",
            "write true, or `processing: at_least_once`",
        );
        loading.report("commit.metadata", &["processing"], fault);
    }
    if loading.config.offset_store.kind != StoreKind::Kafka {
        let fault = Fault::new(
            "keeps positions where no transaction of Kafka reaches them",
            "write kafka, or `processing: at_least_once`",
        );
        loading.report("offset_store.kind", &["processing"], fault);
    }
    if loading.is_changed("commit.interval") {
        let fault = Fault::new(
            "has no effect, because processing is transactional",
            "write transactions.interval in its place",
        );
        loading.report("commit.interval", &["processing"], fault);
    }
}
