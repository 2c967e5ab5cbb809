//! Rebalances of one member: what the library tells, and how it is answered.

use std::collections::BTreeSet;
use std::time::Duration;

use ackline::core::{Drained, FetchStart, Input, Moment, PartitionId};

use super::group::MemberName;
use super::library::{Rebalance, Step};
use super::world::{What, World};

/// How long the last commit of a revocation is waited for.
const LAST_COMMIT_MAX: Duration = Duration::from_secs(3);
/// What the answer to a revocation may take beside the drain (I-L3).
const ANSWER_MAX: Duration = Duration::from_millis(3050);

impl World {
    pub(crate) fn assign(&mut self, member: usize, starts: &[FetchStart], answers: bool) {
        let whole = self.plan.settings.assign_mode == ackline::core::AssignMode::Whole;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let waits = matches!(process.library.event, Some(Rebalance::Assign(_)));
        self.oracle
            .check(answers == process.library.event.is_some(), || {
                format!(
                    "assign answers: {answers}, but {:?} waits for its answer",
                    process.library.event
                )
            });
        self.oracle.check(!answers || waits, || {
            "a revocation is answered by assigning".to_owned()
        });
        let result = process.library.assign(starts, whole);
        self.oracle.try_hold(result);
        for start in starts {
            self.oracle.fetch_started(member, start, &process.library);
            self.oracle
                .check_is_read(member, start, &process.library, &self.plan);
        }
        if answers {
            process.library.answer();
        }
    }

    pub(crate) fn unassign(&mut self, member: usize, partitions: &[PartitionId], answers: bool) {
        let whole = self.plan.settings.assign_mode == ackline::core::AssignMode::Whole;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let event = process.library.event.clone();
        self.oracle.check(answers == event.is_some(), || {
            format!("unassign answers: {answers}, but {event:?} waits")
        });
        let present: Vec<PartitionId> = partitions
            .iter()
            .filter(|partition| process.library.fetchers.contains_key(partition))
            .copied()
            .collect();
        // The edge leaves out what the client was never given: a partition may go before its start is known.
        let result = process
            .library
            .unassign(if answers { &present } else { partitions }, whole);
        self.oracle.try_hold(result);
        if !answers {
            return;
        }
        self.revocation_answered(member, event);
    }

    /// A rebalance event that takes partitions away was answered.
    fn revocation_answered(&mut self, member: usize, event: Option<Rebalance>) {
        let now = self.now;
        let longest = self.plan.settings.drain_revoke + ANSWER_MAX;
        let thawed_at = self.members[member].thawed_at;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let gone = match event.clone() {
            Some(Rebalance::Revoke(gone) | Rebalance::Lost(gone)) => gone,
            Some(Rebalance::Assign(_)) | None => BTreeSet::new(),
        };
        let is_taken = matches!(event, Some(Rebalance::Revoke(_) | Rebalance::Lost(_)));
        self.oracle.check(is_taken, || {
            "an assignment is answered by unassigning".to_owned()
        });
        let left = process
            .library
            .fetchers
            .keys()
            .any(|partition| gone.contains(partition));
        self.oracle.check(!left, || {
            format!("the answer to {gone:?} leaves some of it in the client")
        });
        let took = now.since(process.asked_at);
        let excused = thawed_at >= process.asked_at && thawed_at > Moment(0);
        self.oracle.check(took <= longest || excused, || {
            format!("I-L3: the answer to a revocation took {took:?}")
        });
        process.library.answer();
        // It says so when the end came before the last commit.
        let excused = excused || process.finished == Some(Drained::Uncommitted);
        if matches!(event, Some(Rebalance::Revoke(_))) && took < LAST_COMMIT_MAX && !excused {
            self.oracle.given_back(member, &gone, &self.broker);
        }
        self.oracle.left(member, &gone);
    }

    /// Lets the library go on, now that nothing may wait for an answer.
    pub(crate) fn run_library(&mut self, member: usize) {
        let now = self.now;
        while let Some(process) = self.process(member)
            && let Some(step) = process.library.next_step()
        {
            match step {
                Step::Raise(event) => {
                    process.asked_at = now;
                    self.raise(member, event);
                }
                Step::Resubscribe => process.library.give_back_and_join(),
                Step::Join => {
                    process.library.joining = true;
                    process.library.joins += 1;
                    let wait = self.latency();
                    self.later_of_client(member, wait, What::JoinArrives);
                }
                Step::Left => {
                    let wait = self.latency();
                    self.later_of_client(member, wait, What::Left);
                }
            }
        }
    }

    pub(crate) fn raise(&mut self, member: usize, event: Rebalance) {
        let known = self
            .process(member)
            .map_or(0, |process| process.topics_known);
        // The edge tells of no topic that the core does not know.
        let list = |partitions: &BTreeSet<PartitionId>| {
            let partitions = partitions.iter().copied();
            partitions
                .filter(|partition| usize::from(partition.topic.0) < known)
                .collect::<Vec<_>>()
        };
        match &event {
            Rebalance::Assign(given) => {
                let partitions = list(given);
                let unread = given.len() - partitions.len();
                self.tell(member, Input::GroupAssigned { partitions });
                let answered = self
                    .process(member)
                    .is_none_or(|process| process.library.event.as_ref() != Some(&event));
                self.oracle.check(answered, || {
                    "an assignment is not answered at once".to_owned()
                });
                if unread > 0 {
                    self.tell(member, Input::UnreadAssigned { partitions: unread });
                }
            }
            Rebalance::Revoke(partitions) => {
                self.oracle.revoking(member, partitions);
                self.tell(
                    member,
                    Input::GroupRevoked {
                        partitions: list(partitions),
                    },
                );
            }
            Rebalance::Lost(partitions) => {
                let quiet = self.plan.faults.member_every.is_zero();
                self.oracle.check(!quiet, || {
                    "M20, I-L5: partitions are lost though nothing happened".to_owned()
                });
                self.tell(
                    member,
                    Input::GroupLost {
                        partitions: list(partitions),
                    },
                );
                let answered = self
                    .process(member)
                    .is_none_or(|process| process.library.event.as_ref() != Some(&event));
                self.oracle
                    .check(answered, || "a loss is not answered at once".to_owned());
            }
        }
    }

    /// The running process that the group knows under `name`.
    pub(crate) fn member_named(&self, name: MemberName) -> Option<usize> {
        self.members.iter().position(|member| {
            member
                .process
                .as_ref()
                .is_some_and(|process| process.library.name == Some(name))
        })
    }
}
