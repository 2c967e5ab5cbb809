//! Which streams died with their connection?
//!
//! A call that the application cancels ends its stream, and the connection lives on. An application that dies takes
//! both along. Which of the two is seen first is up to HTTP/2, so each is remembered until the other cannot follow any
//! more.

use std::time::Duration;

use crate::core::{Moment, StreamId};

/// How far apart the ends of a stream and of its connection may be.
const TOGETHER_WITHIN: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Deaths {
    /// Streams that closed without a word, by connection.
    streams: Vec<(u64, StreamId, Moment)>,
    connections: Vec<(u64, Moment)>,
}

impl Deaths {
    /// A stream closed without a word. Returns whether its connection was gone already.
    pub(super) fn stream_closed(&mut self, connection: u64, stream: StreamId, now: Moment) -> bool {
        self.forget(now);
        let gone = self.connections.iter().any(|(of, _)| *of == connection);
        if !gone {
            self.streams.push((connection, stream, now));
        }
        gone
    }

    /// A connection is gone. Returns the streams of it that closed a moment ago.
    pub(super) fn connection_gone(&mut self, connection: u64, now: Moment) -> Vec<StreamId> {
        self.forget(now);
        self.connections.push((connection, now));
        let mut died = Vec::new();
        self.streams.retain(|(of, stream, _)| {
            if *of == connection {
                died.push(*stream);
            }
            *of != connection
        });
        died
    }

    fn forget(&mut self, now: Moment) {
        let fresh = |at: Moment| now.since(at) <= TOGETHER_WITHIN;
        self.streams.retain(|(_, _, at)| fresh(*at));
        self.connections.retain(|(_, at)| fresh(*at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Moment {
        Moment::default().plus(Duration::from_millis(millis))
    }

    #[test]
    fn stream_and_connection_that_end_together_are_a_death_whichever_is_first() {
        let mut deaths = Deaths::default();
        assert!(!deaths.stream_closed(1, StreamId(1), at(0)));
        assert!(!deaths.stream_closed(2, StreamId(2), at(0)));
        assert_eq!(deaths.connection_gone(1, at(900)), [StreamId(1)]);
        assert!(deaths.stream_closed(1, StreamId(3), at(901)));
        assert!(deaths.connection_gone(1, at(902)).is_empty(), "told once");
    }

    #[test]
    fn connection_that_lived_on_killed_nothing() {
        let mut deaths = Deaths::default();
        assert!(!deaths.stream_closed(1, StreamId(1), at(0)));
        assert!(deaths.connection_gone(1, at(1001)).is_empty());
        assert!(
            !deaths.stream_closed(1, StreamId(2), at(2002)),
            "another connection"
        );
        assert!(
            deaths.streams.len() + deaths.connections.len() <= 1,
            "nothing is kept"
        );
    }
}
