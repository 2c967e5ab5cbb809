//! When does a member without a stream leave?
//!
//! `leave_after` its last stream has ended. Streams may come and go all the time; one timer runs whatever they do.

use super::super::Core;
use super::super::ids::Moment;
use super::super::timers::Timer;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Alone {
    /// When it leaves, if no stream opens before.
    leave_at: Option<Moment>,
    /// A timer runs that ends then or before.
    looking: bool,
}

impl Alone {
    /// Whether the last stream has ended, and the time until it leaves runs.
    pub(super) fn is_timed(&self) -> bool {
        self.leave_at.is_some()
    }
}

impl Core {
    /// Starts the time after which a group without a stream is left, or not joined again.
    pub(in crate::core) fn leave_later_if_alone(&mut self) {
        let stays = self.is_member() || self.group.rejoin || self.joins_by_itself();
        if self.open_streams().next().is_none() && stays {
            let at = self.now.plus(self.settings.leave_after);
            self.group.alone.leave_at = Some(at);
            self.look_whether_alone_at(at);
        }
    }

    /// A stream opens.
    pub(in crate::core) fn not_alone(&mut self) {
        self.group.alone.leave_at = None;
    }

    pub(in crate::core) fn leave_if_alone(&mut self) {
        self.group.alone.looking = false;
        let Some(at) = self.group.alone.leave_at else {
            return;
        };
        if at > self.now {
            return self.look_whether_alone_at(at);
        }
        self.group.alone.leave_at = None;
        // It stays out until a stream opens, whatever made it leave for a while.
        self.group.rejoin = false;
        self.group.joined_at_start = true;
        self.leave();
    }

    fn look_whether_alone_at(&mut self, at: Moment) {
        if !std::mem::replace(&mut self.group.alone.looking, true) {
            self.timers.at(at, Timer::Leave);
        }
    }
}
