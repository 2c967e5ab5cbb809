//! A store outside Kafka: it numbers the claims of each partition, and takes what is written under the newest alone.
//!
//! What it keeps is in [`super::broker`], whichever of the two keeps it. It is reached by another way than Kafka: a member
//! that the group has forgotten can still write, and only the number keeps it from that.

use std::collections::BTreeMap;

use ackline::core::{Assignment, CommitEntry, CommitError, PartitionId, ReadError};

use super::world::{Happening, What, World};

/// A claim on its way to the store.
#[derive(Debug)]
pub(crate) struct ClaimInFlight {
    member: usize,
    life: u32,
    asked: Vec<(Assignment, PartitionId)>,
    /// The member hears of it.
    answered: bool,
    /// It is done, heard of or not.
    done: bool,
}

/// The number of the newest claim of each partition.
#[derive(Debug, Default)]
pub(crate) struct Claims(BTreeMap<PartitionId, u64>);

impl Claims {
    pub(crate) fn take(&mut self, partition: PartitionId) -> u64 {
        let fence = self.0.entry(partition).or_default();
        *fence += 1;
        *fence
    }

    /// Whether somebody has claimed the partition since.
    pub(crate) fn refuses(
        &self,
        partition: PartitionId,
        fence: Option<u64>,
    ) -> Option<CommitError> {
        let newest = self.0.get(&partition).copied();
        (newest != fence).then(|| CommitError::Claimed("claimed since".to_owned()))
    }
}

impl World {
    /// A member claims partitions. It may take long, get lost, or be done without an answer.
    pub(crate) fn claim(&mut self, member: usize, asked: Vec<(Assignment, PartitionId)>) {
        let (healed, faults) = (self.is_healed(), self.plan.faults.clone());
        let answered = healed || !self.random.chance(faults.read_failed);
        let late = !healed && self.random.chance(faults.commit_late);
        let wait = if late {
            self.random.millis(100..7000)
        } else {
            self.latency()
        };
        let claim = ClaimInFlight {
            member,
            life: self.members[member].life,
            asked,
            answered,
            done: answered || self.random.chance(500),
        };
        self.after(wait, Happening::ClaimArrives(Box::new(claim)));
    }

    pub(crate) fn claim_arrives(&mut self, claim: ClaimInFlight) {
        let ClaimInFlight { member, life, .. } = claim;
        for (_, partition) in claim.asked.iter().filter(|_| claim.done) {
            let fence = self.claims.take(*partition);
            let of_member = &mut self.members[member];
            if claim.answered
                && of_member.life == life
                && let Some(process) = &mut of_member.process
            {
                process.claims.insert(*partition, fence);
            }
        }
        let error = (!claim.answered).then(|| ReadError::Transient("connection lost".to_owned()));
        let what = What::Answer(Box::new(self.committed_answer(&claim.asked, error)));
        let at = self.now.plus(self.latency());
        let client = None;
        self.at(
            at,
            Happening::Of {
                member,
                life,
                client,
                what,
            },
        );
    }

    /// The numbers under which a member writes.
    pub(crate) fn fences_of(&self, member: usize, entries: &[CommitEntry]) -> Vec<Option<u64>> {
        let process = self.members[member].process.as_ref();
        let fence = |entry: &CommitEntry| process?.claims.get(&entry.partition).copied();
        entries.iter().map(fence).collect()
    }
}
