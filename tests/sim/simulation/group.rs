//! The group coordinator: members, generations, sessions, rebalances.
//!
//! A rebalance collects every member's join (for as long as the rebalance timeout allows), raises the
//! generation and hands out partitions. An eager member has given everything up before it joins; a
//! cooperative one keeps what it owns, and a partition that must move is first taken from its owner and
//! handed out by the rebalance after. Members that joined for other topics get partitions of those alone.
//!
//! A static member that comes back before its session is over takes the place of its former self: under a new name,
//! with what that one was given last, in the same generation and without a rebalance. The former name is nobody's from
//! then on.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use ackline::core::{GroupDescription, Moment, PartitionId, TopicIndex};

use super::plan::Plan;
use super::random::Random;

/// Names a member for the coordinator; a process that joins again gets a new one.
pub(crate) type MemberName = u64;

/// `group.instance.id` of a static member.
pub(crate) type Instance = usize;

const REBALANCE_TIMEOUT: Duration = Duration::from_secs(12);

#[derive(Debug)]
struct Joined {
    session_until: Moment,
    /// What it owned when it joined; cooperative only.
    owned: BTreeSet<PartitionId>,
    /// The topics that it joined for.
    topics: BTreeSet<TopicIndex>,
    instance: Option<Instance>,
    /// Which of its joins it is here by.
    join: u64,
    /// What the last rebalance gave to it.
    given: BTreeSet<PartitionId>,
}

/// What a heartbeat is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heartbeat {
    Fine,
    RebalanceInProgress,
    UnknownMember,
}

/// What a member says when it joins.
#[derive(Debug)]
pub(crate) struct Join {
    /// Counts the joins of the member.
    pub(crate) number: u64,
    pub(crate) name: Option<MemberName>,
    pub(crate) owned: BTreeSet<PartitionId>,
    pub(crate) topics: BTreeSet<TopicIndex>,
    pub(crate) instance: Option<Instance>,
}

/// What a rebalance gives to one member.
#[derive(Debug)]
pub(crate) struct Grant {
    pub(crate) member: MemberName,
    /// The join that it answers.
    pub(crate) join: u64,
    pub(crate) generation: i32,
    pub(crate) partitions: BTreeSet<PartitionId>,
}

#[derive(Debug)]
pub(crate) struct Group {
    cooperative: bool,
    session: Duration,
    members: BTreeMap<MemberName, Joined>,
    next_name: MemberName,
    pub(crate) generation: i32,
    /// Set while joins are collected: when that ends.
    joining_until: Option<Moment>,
    joined: BTreeSet<MemberName>,
    /// Who was given what last, so that assignments stick.
    target: BTreeMap<PartitionId, MemberName>,
}

impl Group {
    pub(crate) fn new(plan: &Plan, cooperative: bool) -> Self {
        Self {
            cooperative,
            session: plan.settings.session_timeout,
            members: BTreeMap::new(),
            next_name: 1,
            generation: 0,
            joining_until: None,
            joined: BTreeSet::new(),
            target: BTreeMap::new(),
        }
    }

    pub(crate) fn describe(&self, name: Option<MemberName>) -> GroupDescription {
        let members = self.members.values();
        let own = name.and_then(|name| self.members.get(&name));
        let ours = own.into_iter().flat_map(|member| &member.given);
        GroupDescription {
            rests: self.is_settled(),
            owned: members.flat_map(|member| member.given.clone()).collect(),
            ours: ours.copied().collect(),
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.joining_until.is_none()
    }

    pub(crate) fn knows(&self, name: MemberName) -> bool {
        self.members.contains_key(&name)
    }

    /// A member joins, under a name it has or gets one. Whether the rebalance may end is asked separately. A static
    /// member that takes its own place again is answered at once.
    pub(crate) fn join(&mut self, now: Moment, join: Join) -> (MemberName, Option<Grant>) {
        let known = join.name.filter(|name| self.members.contains_key(name));
        let name = known.unwrap_or_else(|| {
            self.next_name += 1;
            self.next_name - 1
        });
        let former = known
            .is_none()
            .then(|| self.former(join.instance))
            .flatten();
        let given = former.map(|former| self.replace(former, name));
        let session_until = now.plus(self.session);
        let member = Joined {
            session_until,
            owned: join.owned,
            topics: join.topics,
            instance: join.instance,
            join: join.number,
            given: given.clone().unwrap_or_default(),
        };
        self.members.insert(name, member);
        if let Some(partitions) = given
            && self.joining_until.is_none()
        {
            let grant = self.grant(name, partitions);
            return (name, grant);
        }
        self.begin_rebalance(now);
        self.joined.insert(name);
        (name, None)
    }

    /// Who has the place of this static member.
    fn former(&self, instance: Option<Instance>) -> Option<MemberName> {
        let instance = instance?;
        let mut members = self.members.iter();
        members
            .find(|(_, member)| member.instance == Some(instance))
            .map(|(name, _)| *name)
    }

    /// Gives the place of one name to another. Returns what the former was given last.
    fn replace(&mut self, former: MemberName, name: MemberName) -> BTreeSet<PartitionId> {
        for target in self.target.values_mut().filter(|target| **target == former) {
            *target = name;
        }
        self.joined.remove(&former);
        self.members
            .remove(&former)
            .map_or_else(BTreeSet::new, |member| member.given)
    }

    fn grant(&self, name: MemberName, partitions: BTreeSet<PartitionId>) -> Option<Grant> {
        let member = self.members.get(&name)?;
        Some(Grant {
            member: name,
            join: member.join,
            generation: self.generation,
            partitions,
        })
    }

    pub(crate) fn leave(&mut self, now: Moment, name: MemberName) {
        if self.members.remove(&name).is_some() {
            self.joined.remove(&name);
            if !self.members.is_empty() {
                self.begin_rebalance(now);
            }
        }
    }

    pub(crate) fn begin_rebalance(&mut self, now: Moment) {
        if self.joining_until.is_none() && !self.members.is_empty() {
            self.joining_until = Some(now.plus(REBALANCE_TIMEOUT));
            self.joined.clear();
        }
    }

    pub(crate) fn heartbeat(&mut self, now: Moment, name: MemberName) -> Heartbeat {
        let Some(member) = self.members.get_mut(&name) else {
            return Heartbeat::UnknownMember;
        };
        member.session_until = now.plus(self.session);
        if self.joining_until.is_some() && !self.joined.contains(&name) {
            Heartbeat::RebalanceInProgress
        } else {
            Heartbeat::Fine
        }
    }

    /// Whether a grant is still what the group agreed on, and its member waits for it.
    pub(crate) fn is_current(&self, grant: &Grant) -> bool {
        grant.generation == self.generation
            && self.members.contains_key(&grant.member)
            && !(self.joining_until.is_some() && self.joined.contains(&grant.member))
    }

    /// Whether a commit of this member and generation is taken.
    pub(crate) fn accepts(&self, name: Option<MemberName>, generation: i32) -> bool {
        name.is_some_and(|name| self.members.contains_key(&name)) && generation == self.generation
    }

    /// Throws out members that were silent for too long. Returns whether somebody went.
    pub(crate) fn expire(&mut self, now: Moment) -> bool {
        let before = self.members.len();
        let joined = &self.joined;
        let joining = self.joining_until.is_some();
        // Who has joined waits for the others, and is not asked for heartbeats.
        self.members.retain(|name, member| {
            now < member.session_until || (joining && joined.contains(name))
        });
        let went = self.members.len() < before;
        if went {
            self.begin_rebalance(now);
        }
        went
    }

    /// Ends the rebalance if everybody has joined or its time is over. Returns what each member gets.
    pub(crate) fn complete(
        &mut self,
        now: Moment,
        partitions: &[PartitionId],
        random: &mut Random,
    ) -> Vec<Grant> {
        let Some(until) = self.joining_until else {
            return Vec::new();
        };
        let all = self.members.keys().all(|name| self.joined.contains(name));
        if !all && now < until {
            return Vec::new();
        }
        self.members.retain(|name, _| self.joined.contains(name));
        self.joining_until = None;
        self.joined.clear();
        if self.members.is_empty() {
            return Vec::new();
        }
        self.generation += 1;
        for member in self.members.values_mut() {
            member.session_until = now.plus(self.session);
        }
        self.share_out(partitions, random);
        self.grants()
    }

    /// Spreads partitions evenly among those who joined for their topics, leaving them where they are as far as that
    /// goes; sometimes not.
    fn share_out(&mut self, partitions: &[PartitionId], random: &mut Random) {
        let names: Vec<MemberName> = self.members.keys().copied().collect();
        let most = partitions.len().div_ceil(names.len());
        let mut load: BTreeMap<MemberName, usize> = names.iter().map(|name| (*name, 0)).collect();
        let shuffle = random.chance(150);
        let mut homeless = Vec::new();
        let before = std::mem::take(&mut self.target);
        let joined_for = |name: &MemberName, partition: &PartitionId| {
            self.members[name].topics.contains(&partition.topic)
        };
        for partition in partitions {
            let stays = before
                .get(partition)
                .filter(|name| !shuffle && load.contains_key(name) && joined_for(name, partition))
                .and_then(|name| load.get_mut(name).map(|load| (*name, load)));
            match stays {
                Some((name, load)) if *load < most => {
                    *load += 1;
                    self.target.insert(*partition, name);
                }
                Some(_) | None => homeless.push(*partition),
            }
        }
        for partition in homeless {
            let may = |name: &MemberName| joined_for(name, &partition);
            let loads = load.iter().filter(|(name, _)| may(name));
            let Some(least) = loads.map(|(_, load)| *load).min() else {
                continue;
            };
            let free: Vec<MemberName> = load
                .iter()
                .filter(|(name, load)| **load == least && may(name))
                .map(|(name, _)| *name)
                .collect();
            let name = random.pick(&free);
            *load.entry(name).or_default() += 1;
            self.target.insert(partition, name);
        }
    }

    fn grants(&mut self) -> Vec<Grant> {
        let mut owners: BTreeMap<PartitionId, MemberName> = BTreeMap::new();
        if self.cooperative {
            for (name, member) in &self.members {
                owners.extend(member.owned.iter().map(|partition| (*partition, *name)));
            }
        }
        for (name, member) in &mut self.members {
            // What somebody else still owns is handed out by the next rebalance.
            let given = self.target.iter().filter(|(partition, target)| {
                *target == name && owners.get(partition).is_none_or(|owner| owner == name)
            });
            member.given = given.map(|(partition, _)| *partition).collect();
        }
        let members = self.members.iter();
        members
            .filter_map(|(name, member)| self.grant(*name, member.given.clone()))
            .collect()
    }
}
