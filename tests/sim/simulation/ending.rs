//! The end of a history: is everything finished, and has everybody stopped?

use std::time::Duration;

use ackline::core::Moment;

use super::member::Member;
use super::world::{Happening, Stage, World};

/// After everything is healed, how long a history may take to finish all records.
const CONVERGENCE_MAX: Duration = Duration::from_secs(70);
/// How long the processes may take to stop after that.
const STOPPING_MAX: Duration = Duration::from_secs(15);

impl World {
    /// After the trouble: is everything finished, and then, has everybody stopped?
    pub(crate) fn look(&mut self) {
        let since = |at: Moment| self.now.since(at);
        match self.stage {
            Stage::Trouble | Stage::Over => return,
            Stage::Healed { at } => {
                let missing = self.missing();
                let late = since(at) > CONVERGENCE_MAX;
                match missing {
                    None => self.stop_everybody(),
                    Some(missing) => self.oracle.check(!late, || {
                        format!("I-L1: {missing} long after everything was healed")
                    }),
                }
            }
            Stage::Stopping { at } => {
                if self.members.iter().all(|member| member.process.is_none()) {
                    self.stage = Stage::Over;
                } else if since(at) > STOPPING_MAX {
                    self.oracle
                        .violate(|| "I-L4: a process does not stop".to_owned());
                }
            }
        }
        self.after(Duration::from_millis(200), Happening::Look);
    }

    /// What is not finished or committed yet, if anything.
    fn missing(&self) -> Option<String> {
        let stopping = |member: &Member| {
            member
                .process
                .as_ref()
                .is_some_and(|process| process.stopping)
        };
        let unsettled = |member: &Member| {
            let library = member.process.as_ref().map(|process| &process.library);
            library.is_some_and(|library| {
                let known = library.name.is_some_and(|name| self.group.knows(name));
                library.event.is_some() || (library.subscribed && (library.joining || !known))
            })
        };
        if self
            .members
            .iter()
            .any(|member| self.now < member.frozen_until)
        {
            return Some("a member is still frozen".to_owned());
        }
        if !self.group.is_settled() || self.members.iter().any(unsettled) {
            return Some("a member has not found its place in the group".to_owned());
        }
        if self.members.iter().any(stopping) {
            return Some("a process that was told to stop is still there".to_owned());
        }
        if let Some(member) = self.who_lacks_topics() {
            return Some(format!("B49: member {member} does not read all topics"));
        }
        let outstanding =
            (0..self.members.len()).find(|member| self.oracle.has_commit_out(*member));
        if let Some(member) = outstanding {
            return Some(format!("a commit of member {member} is not answered"));
        }
        let stopped = |partition| {
            (0..self.members.len()).any(|member| self.oracle.is_stopped(member, partition))
        };
        let owed = self
            .oracle
            .owed()
            .find(|(_, truth)| !stopped(truth.partition));
        if let Some((uid, truth)) = owed {
            return Some(format!(
                "I-S5: record {uid} ({:?} {}) is not finished",
                truth.partition, truth.offset
            ));
        }
        self.broker
            .partitions()
            .into_iter()
            .filter(|partition| !stopped(*partition))
            .find_map(|partition| {
                let end = self.broker.log(partition)?.readable_end();
                let committed = self
                    .broker
                    .committed
                    .get(&partition)
                    .map(|committed| committed.offset);
                let behind = end > 0 && committed.is_none_or(|committed| committed < end);
                let behind = behind && !self.oracle.rewound.contains(&partition);
                behind.then(|| {
                    format!(
                        "I-L2: {partition:?} is committed at {committed:?}, its log ends at {end}"
                    )
                })
            })
    }

    fn stop_everybody(&mut self) {
        self.stage = Stage::Stopping { at: self.now };
        for member in 0..self.members.len() {
            if self.members[member].process.is_some() {
                self.shut_down(member, Duration::from_secs(5));
            }
        }
    }

    /// I-L4: the end is bounded, whatever commits and the group do.
    pub(crate) fn check_end(&mut self, member: usize) {
        let (now, thawed_at) = (self.now, self.members[member].thawed_at);
        let Some((told, by)) = self.process(member).and_then(|process| process.end_by) else {
            return;
        };
        let stood_still = thawed_at >= told && thawed_at > Moment(0);
        self.oracle.check(now <= by || stood_still, || {
            format!("I-L4: the end took {:?}", now.since(told))
        });
    }
}
