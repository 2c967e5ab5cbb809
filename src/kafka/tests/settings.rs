//! Properties: what is set, what is refused, what stays secret.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::bed::Bed;
use crate::kafka::GroupProtocol::{ClassicCooperative, ClassicEager, Consumer};
use crate::kafka::poll::redact;
use crate::kafka::properties::{DEFAULTS, GUARANTEES};
use crate::kafka::{
    Client, ClientSettings, Disposition, Error, Sasl, SaslMechanism, Secret, Tls, refused_property,
};

fn properties(settings: &ClientSettings) -> BTreeMap<String, String> {
    // As librdkafka reads them: the last one counts.
    let all = settings.to_properties();
    all.into_iter()
        .map(|(key, value)| (key, value.as_str().to_owned()))
        .collect()
}

fn create(settings: &ClientSettings) -> Result<Client, Error> {
    Client::new(settings, &["t".to_owned()], Arc::new(|| {}))
}

fn settings(bed: &Bed) -> ClientSettings {
    bed.settings("g", ClassicCooperative)
}

#[test]
fn guarantees_are_refused_by_name_and_set_last() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = settings(&bed);
    for (key, value) in GUARANTEES {
        assert!(refused_property(key).is_some(), "{key}");
        settings
            .properties
            .insert((*key).to_owned(), "user".to_owned());
        assert_eq!(properties(&settings)[*key], *value, "{key}");
    }
    for key in [
        "auto.commit.enable",
        "group.id",
        "bootstrap.servers",
        "metadata.broker.list",
    ] {
        assert!(refused_property(key).is_some(), "{key}");
    }
}

/// C-12.
#[test]
fn properties_that_run_or_load_code_are_refused() {
    for key in [
        "plugin.library.paths",
        "ssl.engine.location",
        "ssl.providers",
        "sasl.kerberos.kinit.cmd",
        "rebalance_cb",
        "test.mock.num.brokers",
        " plugin.library.paths ",
    ] {
        assert!(refused_property(key).is_some(), "{key}");
    }
}

#[test]
fn everything_we_set_beyond_defaults_is_refused() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = settings(&bed);
    settings.properties.clear();
    settings.instance_id = Some("pod-0".to_owned());
    settings.client_rack = Some("zone-a".to_owned());
    settings.tls = Some(Tls {
        ca_file: Some(PathBuf::from("/ca")),
        cert_file: Some(PathBuf::from("/cert")),
        key_file: Some(PathBuf::from("/key")),
    });
    settings.sasl = Some(sasl("alice", "secret"));
    for key in properties(&settings).keys() {
        // Of a consumer it says nothing; of the producers of letters and outputs it is the user's.
        let means_nothing = key == "message.max.bytes";
        let ours = !means_nothing && !DEFAULTS.iter().any(|(default, _)| default == key);
        assert_eq!(refused_property(key).is_some(), ours, "{key}");
    }
}

/// librdkafka refuses responses that are smaller than `message.max.bytes`, which a user may set for the sake of producers.
#[test]
fn responses_are_as_small_as_they_are_set() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = settings(&bed);
    let large = ("message.max.bytes".to_owned(), "5000000".to_owned());
    settings.properties.extend([large]);
    for bytes in [1 << 14, 1 << 17, 1 << 26] {
        settings.fetch_max_bytes = bytes;
        let set = properties(&settings);
        assert_eq!(set["fetch.max.bytes"], bytes.to_string());
        assert_eq!(set["fetch.message.max.bytes"], bytes.to_string());
        create(&settings).unwrap();
    }
}

#[test]
fn ordinary_properties_are_allowed_and_override_our_defaults() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = settings(&bed);
    for (key, value) in [
        ("fetch.wait.max.ms", "20"),
        ("client.id", "mine"),
        ("isolation.level", "read_uncommitted"),
        ("debug", "consumer"),
    ] {
        assert_eq!(refused_property(key), None, "{key}");
        settings.properties.insert(key.to_owned(), value.to_owned());
        assert_eq!(properties(&settings)[key], value);
    }
    create(&settings).unwrap();
}

#[test]
fn every_protocol_makes_a_client() {
    let bed = Bed::new(&["t"], 1);
    for protocol in [ClassicCooperative, ClassicEager, Consumer] {
        let settings = bed.settings("g", protocol);
        create(&settings).unwrap();
        let set = properties(&settings);
        let session = set.contains_key("session.timeout.ms");
        assert_eq!(
            session,
            protocol != Consumer,
            "librdkafka refuses it under KIP-848"
        );
    }
}

#[test]
fn wrong_properties_are_named_and_need_a_person() {
    let bed = Bed::new(&["t"], 1);
    for (key, value, words) in [
        ("fetch.max.bites", "1", "fetch.max.bites"),
        ("fetch.wait.max.ms", "soon", "fetch.wait.max.ms"),
    ] {
        let mut settings = settings(&bed);
        settings.properties.insert(key.to_owned(), value.to_owned());
        let error = create(&settings).err().unwrap();
        assert_eq!(error.disposition(), Disposition::Fatal);
        let source = std::error::Error::source(&error).unwrap().to_string();
        assert!(source.contains(words), "{source}");
    }
    let mut settings = settings(&bed);
    settings.tls = Some(Tls {
        ca_file: Some(PathBuf::from("/does/not/exist")),
        ..Tls::default()
    });
    let error = create(&settings).err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("ssl.ca.location"), "{source}");
}

/// C-10.
#[test]
fn secrets_do_not_show_up_in_errors_and_debug_output() {
    let bed = Bed::new(&["t"], 1);
    let mut settings = settings(&bed);
    settings.sasl = Some(sasl("alice", "canary\0one"));
    let error = create(&settings).err().unwrap();
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("sasl.password"), "{source}");
    for text in [format!("{settings:?}"), format!("{error:?}"), source] {
        assert!(!text.contains("canary"), "{text}");
    }
    settings.sasl = Some(sasl("alice", "canary"));
    let mut client = create(&settings).unwrap();
    client.set_sasl_credentials("bob", "canary-two").unwrap();
    let error = client
        .set_sasl_credentials("bob", "canary\0two")
        .unwrap_err();
    assert!(!format!("{error:?}{error}").contains("canary"));
}

#[test]
fn secrets_are_cut_out_of_log_lines() {
    let mut line = "user canary says canary-two, canary".to_owned();
    redact(&mut line, ["", "canary-two", "canary"].into_iter());
    assert_eq!(line, "user *** says ***, ***");
}

fn sasl(username: &str, password: &str) -> Sasl {
    Sasl {
        mechanism: SaslMechanism::ScramSha512,
        username: username.to_owned(),
        password: Secret::new(password.to_owned()),
    }
}
