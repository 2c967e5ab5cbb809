//! Partitions come and go, one rebalance at a time (X3).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::cluster::State;
use super::line::What;
use crate::core::{Input, Moment, PartitionId};

/// How long a partition that was taken away stays away, unless the script says otherwise.
const AWAY_FOR: Duration = Duration::from_millis(100);

/// The group as far as this member is concerned.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) joined_at: Option<Moment>,
    pub(super) leaving: bool,
    /// What the group gave and has not taken back.
    pub(super) owned: BTreeSet<PartitionId>,
    /// What was taken away and is to come back, and since when it is away.
    pub(super) away: BTreeMap<PartitionId, Moment>,
    /// What is to happen next.
    events: VecDeque<Rebalance>,
    /// What has happened and was not answered.
    unanswered: Option<Rebalance>,
}

/// A change of what this member owns.
#[derive(Debug, Clone)]
enum Rebalance {
    Give(Vec<PartitionId>),
    Take(Vec<PartitionId>),
    Lose(Vec<PartitionId>),
}

impl Group {
    /// Whether something is under way.
    pub(super) fn is_moving(&self) -> bool {
        let moves = self.unanswered.is_some() || !self.events.is_empty() || !self.away.is_empty();
        self.joined_at.is_some() && moves
    }

    /// Nothing of a partition is committed any more (X4).
    pub(super) fn fence(&mut self, partition: PartitionId) {
        self.owned.remove(&partition);
    }

    fn is_about_to_move(&self, partition: PartitionId) -> bool {
        let names = |rebalance: &Rebalance| match rebalance {
            Rebalance::Give(of) | Rebalance::Take(of) | Rebalance::Lose(of) => {
                of.contains(&partition)
            }
        };
        self.unanswered.as_ref().is_some_and(names) || self.events.iter().any(names)
    }
}

impl State {
    /// The member joins: everything is given to it.
    pub(super) fn join(&mut self) {
        self.group.leaving = false;
        self.group.joined_at = Some(self.now);
        let all = self.logs.keys().copied().collect();
        self.group.events.push_back(Rebalance::Give(all));
        self.wake();
    }

    /// The member leaves: first everything is taken from it.
    pub(super) fn leave(&mut self) {
        self.group.leaving = true;
        self.group.away.clear();
        self.group.events.clear();
        if !self.group.owned.is_empty() {
            let all = self.group.owned.iter().copied().collect();
            self.group.events.push_back(Rebalance::Take(all));
        }
        self.wake();
    }

    /// Takes a partition away, or loses it; false if that cannot be done now.
    pub(super) fn take_away(&mut self, partition: PartitionId, lost: bool) -> bool {
        let group = &mut self.group;
        if !group.owned.contains(&partition) || group.is_about_to_move(partition) || group.leaving {
            return false;
        }
        group.events.push_back(if lost {
            Rebalance::Lose(vec![partition])
        } else {
            Rebalance::Take(vec![partition])
        });
        true
    }

    /// Gives a partition back that was taken away; false if it was not.
    pub(super) fn give_back(&mut self, partition: PartitionId) -> bool {
        let away = self.group.away.remove(&partition).is_some();
        if away {
            let event = Rebalance::Give(vec![partition]);
            self.group.events.push_back(event);
        }
        away
    }

    /// Gives everything back that was away for long enough and that no step of the script gives back.
    pub(super) fn give_back_by_itself(&mut self) {
        let due = |(of, since): (&PartitionId, &Moment)| {
            (since.plus(AWAY_FOR) <= self.now && !self.is_given_by_script(*of)).then_some(*of)
        };
        let due: Vec<PartitionId> = self.group.away.iter().filter_map(due).collect();
        for partition in due {
            self.give_back(partition);
        }
    }

    /// When the next partition comes back by itself.
    pub(super) fn next_back_at(&self) -> Option<Moment> {
        let away = self.group.away.iter();
        let by_itself = away.filter(|(of, _)| !self.is_given_by_script(**of));
        by_itself.map(|(_, since)| since.plus(AWAY_FOR)).min()
    }

    fn is_given_by_script(&self, partition: PartitionId) -> bool {
        let mut steps = self.script.steps.iter();
        steps.any(|step| step.what == What::Assign && step.of == Some(partition))
    }

    /// Tells the next rebalance, if the last one was answered.
    pub(super) fn next_rebalance(&mut self, inputs: &mut Vec<Input<'static>>) {
        let group = &mut self.group;
        if group.unanswered.is_some() {
            return;
        }
        let Some(event) = group.events.pop_front() else {
            if group.leaving && group.owned.is_empty() {
                group.leaving = false;
                group.joined_at = None;
                inputs.push(Input::GroupLeft);
            }
            return;
        };
        group.unanswered = Some(event.clone());
        inputs.push(match event {
            Rebalance::Give(partitions) => {
                group.owned.extend(&partitions);
                Input::GroupAssigned { partitions }
            }
            Rebalance::Take(partitions) => Input::GroupRevoked { partitions },
            Rebalance::Lose(partitions) => {
                partitions.iter().for_each(|of| group.fence(*of));
                Input::GroupLost { partitions }
            }
        });
    }

    /// The core has answered.
    pub(super) fn rebalance_answered(&mut self) {
        match self.group.unanswered.take() {
            Some(Rebalance::Take(partitions) | Rebalance::Lose(partitions)) => {
                for partition in partitions {
                    self.group.fence(partition);
                    if !self.group.leaving {
                        self.group.away.insert(partition, self.now);
                    }
                }
            }
            Some(Rebalance::Give(_)) | None => {}
        }
        self.wake();
    }
}
