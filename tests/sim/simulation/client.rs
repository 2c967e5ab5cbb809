//! The client of a member: it dies and is made anew, or is replaced because its certificates are.

use ackline::core::{AssignMode, Input};

use super::library::Library;
use super::world::{Happening, World};

impl World {
    /// Another client from now on, which knows nothing. What was asked of the old one is never answered.
    pub(crate) fn make_client(&mut self, member: usize) {
        let cooperative = self.plan.settings.assign_mode == AssignMode::Incremental;
        if let Some(process) = self.process(member) {
            process.client += 1;
            process.library = Library::new(cooperative);
            process.late_batch = None;
        }
    }

    /// The client library died and was made anew; the group still waits for the old one.
    pub(crate) fn restart_client(&mut self, member: usize) {
        if self.now < self.members[member].frozen_until {
            return;
        }
        let Some(process) = self.process(member) else {
            return;
        };
        let owned = std::mem::take(&mut process.library.owned);
        self.make_client(member);
        self.tell(member, Input::ClientRestarted);
        self.oracle.left(member, &owned);
    }

    /// New certificates: the client leaves the group, and the one that joins it again is another.
    pub(crate) fn certificates_change(&mut self) {
        if self.is_healed() {
            return;
        }
        let member = self.certificates.index(self.members.len());
        let is_frozen = self.now < self.members[member].frozen_until;
        if !is_frozen && let Some(process) = self.process(member) {
            process.replaces_client = true;
            self.tell(member, Input::Rejoin);
        }
        let wait = self.plan.faults.certificates_every;
        self.after(wait, Happening::CertificatesChange);
    }
}
