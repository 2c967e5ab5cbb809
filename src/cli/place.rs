//! Topics, partitions and records, as people name them: `orders`, `orders/3`, `orders/3/17`.

use std::str::FromStr;

use crate::grpc::admin_proto as proto;

/// A topic, or a partition of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) topic: String,
    pub(super) partition: Option<i32>,
}

/// A record, or all of a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Which {
    pub(super) place: Place,
    pub(super) offset: Option<i64>,
}

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RecordPlace {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
}

impl Place {
    pub(super) fn into_scope(self) -> proto::Scope {
        proto::Scope {
            topic: self.topic,
            partition: self.partition,
        }
    }
}

impl RecordPlace {
    /// `None` if the text names no record.
    pub(super) fn read(text: &str) -> Option<Self> {
        let Which { place, offset } = read(text)?;
        Some(Self {
            topic: place.topic,
            partition: place.partition?,
            offset: offset?,
        })
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match read(text) {
            Some(Which {
                place,
                offset: None,
            }) => Ok(place),
            Some(_) | None => Err("write TOPIC or TOPIC/PARTITION, such as orders/3".to_owned()),
        }
    }
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        read(text).ok_or_else(|| {
            "write TOPIC, TOPIC/PARTITION or TOPIC/PARTITION/OFFSET, such as orders/3/17".to_owned()
        })
    }
}

/// A topic and, as far as they are there, a partition and an offset. No name of a topic holds a slash.
fn read(text: &str) -> Option<Which> {
    let mut parts = text.split('/');
    let topic = parts.next().filter(|topic| !topic.is_empty())?.to_owned();
    let partition = match parts.next() {
        Some(number) => Some(number.parse().ok().filter(|number| *number >= 0)?),
        None => None,
    };
    let offset = match parts.next() {
        Some(number) => Some(number.parse().ok().filter(|number| *number >= 0)?),
        None => None,
    };
    let place = Place { topic, partition };
    parts.next().is_none().then_some(Which { place, offset })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_topic_or_a_partition() {
        let place = |text: &str| text.parse::<Place>().map(|at| (at.topic, at.partition));
        assert_eq!(place("orders"), Ok(("orders".to_owned(), None)));
        assert_eq!(place("orders/3"), Ok(("orders".to_owned(), Some(3))));
        for wrong in ["", "/3", "orders/", "orders/-1", "orders/x", "orders/3/17"] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
        assert!(place("orders/2147483648").is_err(), "no partition is that");
    }

    #[test]
    fn what_is_acted_upon_is_a_topic_a_partition_or_a_record() {
        let which = |text: &str| text.parse::<Which>();
        assert_eq!(which("orders").map(|which| which.offset), Ok(None));
        assert_eq!(which("orders/3").map(|which| which.offset), Ok(None));
        assert_eq!(which("orders/3/17").map(|which| which.offset), Ok(Some(17)));
        for wrong in [
            "",
            "orders/",
            "orders/3/",
            "orders/3/-1",
            "orders/x/1",
            "a/1/2/3",
        ] {
            assert!(which(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_record_has_all_three() {
        let record = RecordPlace::read("orders.dlq/0/17").unwrap();
        assert_eq!((record.topic.as_str(), record.partition), ("orders.dlq", 0));
        assert_eq!(record.offset, 17);
        for wrong in ["orders.dlq", "orders.dlq/0", "/0/1", "orders.dlq/0/17/1"] {
            assert_eq!(RecordPlace::read(wrong), None, "{wrong}");
        }
    }
}
