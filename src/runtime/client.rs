//! The life of the Kafka client: made, given up, made again, replaced, closed.
//!
//! # Invariants
//!
//! - Popped messages are gone before the client that they came from: it would wait for them.
//! - A client is never dropped in the middle of a turn, because that may wait: it is put aside
//!   ([`Engine::discarded`]), and whoever turns the engine drops it.

use std::time::Duration;

use super::engine::Engine;
use super::source::{Origin, Source};
use super::telling;
use crate::core::Input;
use crate::kafka::{self, ClientSettings};

/// How long after the death of a client the next one is made; doubles while they die young.
pub(super) const REMAKE_MIN: Duration = Duration::from_millis(500);
const REMAKE_MAX: Duration = Duration::from_secs(30);

impl Engine {
    /// A client that died is given up, and its assignments are lost; another one is made a little later. What
    /// killed it may kill the next one at once: a member that still has our instance id, for example.
    pub(super) fn give_client_up(&mut self) {
        // Its messages must be gone before it goes.
        self.release_held();
        if let Some(dead) = self.client.take() {
            self.discarded.push(dead);
        }
        if let Some(mirror) = &mut self.mirror {
            mirror.client_is_gone();
        }
        let now = self.clock.now();
        let lived = now.since(self.client_made);
        self.remake_after = if lived > REMAKE_MAX {
            REMAKE_MIN
        } else {
            (self.remake_after * 2).min(REMAKE_MAX)
        };
        self.remake_at = now.plus(self.remake_after);
        self.input(Input::ClientRestarted);
    }

    /// The client, to be closed for good. Its messages go before it does.
    pub(super) fn take_client(&mut self) -> Option<Source> {
        self.release_held();
        self.client.take()
    }

    /// Makes the client that is missing, if it is time, and lets it do what the core asked for meanwhile.
    pub(super) fn remake_client(&mut self) {
        if self.client.is_some() || self.clock.now() < self.remake_at {
            return;
        }
        self.client_made = self.clock.now();
        match self.origin.open(&self.topics, self.wake.clone()) {
            Ok(client) => self.client = Some(client),
            // The same settings made a client before; files may be half-written just now.
            Err(error) => {
                self.remake_at = self.client_made.plus(self.remake_after);
                return self.tell_person(&telling::client_refused(&error));
            }
        }
        if self.joined {
            self.subscribe();
        }
    }

    /// New certificates: leave cleanly, and join again with a new client.
    pub(super) fn replace_client(&mut self, settings: ClientSettings) {
        self.dead_letters.change_settings(&settings);
        self.outputs.change_settings(&settings);
        self.replacement = Some(settings);
        self.input(Input::Rejoin);
    }

    /// New user name or password, used for connections from now on.
    pub(super) fn change_credentials(&mut self, sasl: kafka::Sasl) {
        if let Some(Source::Kafka(client)) = &mut self.client
            && let Err(error) = client.set_sasl_credentials(&sasl.username, sasl.password.expose())
        {
            let event = telling::client_refused(&error);
            self.tell_person(&event);
        }
        if let Origin::Kafka(settings) = &mut self.origin {
            settings.sasl = Some(sasl);
            self.dead_letters.change_settings(settings);
            self.outputs.change_settings(settings);
        }
    }
}
