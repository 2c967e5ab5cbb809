//! What is known of a record that comes again because a transaction had no effect.
//!
//! It is kept by offset until the record is taken in again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::aside::{Aside, AsideStep};
use super::assignment::AssignmentState;
use super::effect::Cause;
use super::history::{History, Hold};
use super::ids::Moment;
use super::input::PoppedRecord;
use super::lane::LaneKey;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Carried {
    pub(crate) attempts: u32,
    pub(crate) failures: u32,
    pub(crate) deaths: u32,
    pub(crate) hold: CarriedHold,
}

/// What keeps it from being delivered.
#[derive(Debug, Clone)]
pub(crate) enum CarriedHold {
    /// Nothing.
    None,
    /// It has failed just now: what follows is to be decided.
    Failed { reason: Arc<str> },
    /// It backs off.
    Until(Moment),
    /// It has failed as often as it may.
    GiveUp { reason: Arc<str> },
    /// It is to be parked.
    Park { cause: Cause, reason: Arc<str> },
    /// It was parked before.
    Parked(Aside),
}

impl Carried {
    /// A record that was delivered as often, and of which nothing else is known.
    pub(crate) fn tried(attempts: u32) -> Self {
        Self {
            attempts,
            failures: 0,
            deaths: 0,
            hold: CarriedHold::None,
        }
    }

    pub(crate) fn of(history: &History, hold: CarriedHold) -> Self {
        Self {
            attempts: history.attempts,
            failures: history.failures,
            deaths: history.deaths,
            hold,
        }
    }
}

impl CarriedHold {
    /// A record that is set aside. One on its way to the dead-letter topic because it failed goes there again at once;
    /// others have their chance.
    pub(crate) fn of_aside(aside: &Aside) -> Self {
        match aside.step {
            AsideStep::Parked(_) => Self::Parked(aside.clone()),
            AsideStep::Sending | AsideStep::SendAgain(_) => {
                Self::of_letter(aside.cause, &aside.reason)
            }
        }
    }

    /// The same of a record whose dead letter is not known to be written.
    pub(crate) fn of_letter(cause: Cause, reason: &Arc<str>) -> Self {
        match cause {
            Cause::Failures => Self::GiveUp {
                reason: Arc::clone(reason),
            },
            Cause::Crashes | Cause::Oversize | Cause::Application | Cause::Operator => Self::None,
        }
    }
}

/// Records that are finished and not known to be committed, by offset, if they were tried before they were.
#[derive(Debug, Default)]
pub(crate) struct Unproven {
    since: BTreeMap<i64, Carried>,
    /// In the transaction that is out.
    sent: BTreeMap<i64, Carried>,
}

impl Unproven {
    pub(crate) fn add(&mut self, offset: i64, carried: Carried) {
        self.since.insert(offset, carried);
    }

    /// What follows for one of them if it comes again.
    pub(crate) fn hold(&mut self, offset: i64, hold: CarriedHold) {
        if let Some(carried) = self.since.get_mut(&offset) {
            carried.hold = hold;
        }
    }

    /// A transaction goes out that commits them.
    pub(crate) fn go_out(&mut self) {
        self.sent.append(&mut self.since);
    }

    /// It has.
    pub(crate) fn proven(&mut self) {
        self.sent.clear();
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (i64, Carried)> + '_ {
        let all = self.sent.iter().chain(&self.since);
        all.map(|(offset, carried)| (*offset, carried.clone()))
    }
}

impl AssignmentState {
    /// Lines a record up that came again. Returns its lane and number if something keeps it.
    pub(crate) fn line_up_held(
        &mut self,
        number: u64,
        record: &PoppedRecord,
        hold: CarriedHold,
    ) -> Option<(LaneKey, u64)> {
        // One without order that must wait has a lane of its own, as when it is handed back.
        let lane = self.lane_for_new(record);
        let free = matches!(hold, CarriedHold::None);
        self.waiting_records += 1;
        let Some(key) = lane.or((!free).then_some(LaneKey::Single(number))) else {
            self.pool.insert(number);
            return None;
        };
        let held = match hold {
            CarriedHold::None | CarriedHold::Failed { .. } => Hold::None,
            CarriedHold::Until(due) => Hold::Until(due),
            CarriedHold::Parked(aside) => {
                self.aside.insert(number, aside);
                Hold::Aside
            }
            CarriedHold::GiveUp { .. } | CarriedHold::Park { .. } => {
                self.arrived.insert(number, hold);
                Hold::Aside
            }
        };
        self.history.entry(number).hold = held;
        self.line_up(key, number..number + 1);
        Some((key, number))
    }

    /// Records are about to be finished, `more` deliveries after the last one that is counted: what is known of those that
    /// were tried before is kept until that is committed.
    pub(crate) fn note_unproven(&mut self, numbers: &[u64], more: u32) {
        if !self.keeps_unproven || self.history.is_empty() {
            return;
        }
        for number in numbers {
            let known = self.history.of(*number);
            if let Some(offset) = self.window.offset(*number)
                && known.attempts > 0
            {
                let mut carried = Carried::of(&known, CarriedHold::None);
                carried.attempts = carried.attempts.saturating_add(more);
                self.unproven.add(offset, carried);
            }
        }
    }
}
