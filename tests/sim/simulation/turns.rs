//! One member takes an input, and its effects are carried out, in order, all of them.

use std::collections::BTreeSet;
use std::time::Duration;

use ackline::core::{Core, Effect, FetchStart, Input, Moment, PartitionId, PoppedRun};

use super::group::MemberName;
use super::library::{Popped, Rebalance, Step};
use super::member::Process;
use super::store::Payload;
use super::world::{Happening, Stage, What, World};

/// The edge ticks at least this often, whatever the core asks for.
const TICK_MAX: Duration = Duration::from_secs(1);
/// How long the last commit of a revocation is waited for.
const LAST_COMMIT_MAX: Duration = Duration::from_secs(3);
/// What the answer to a revocation may take beside the drain (I-L3).
const ANSWER_MAX: Duration = Duration::from_millis(3050);

impl World {
    pub(crate) fn process(&mut self, member: usize) -> Option<&mut Process> {
        self.members[member].process.as_mut()
    }

    /// Starts the process of a member.
    pub(crate) fn start(&mut self, member: usize) {
        if self.members[member].process.is_some()
            || matches!(self.stage, Stage::Stopping { .. } | Stage::Over)
        {
            return;
        }
        self.note(|| format!("member {member} starts"));
        let mut settings = self.plan.settings.clone();
        settings.seed = self.random.next();
        let cooperative = settings.assign_mode == ackline::core::AssignMode::Incremental;
        self.members[member].process =
            Some(Process::new(Core::new(settings), cooperative, self.now));
        if self.plan.cluster_id {
            self.tell(
                member,
                Input::ClusterKnown {
                    id: super::broker::CLUSTER.to_owned(),
                },
            );
            if let Some(process) = self.process(member) {
                process.knows_cluster = true;
            }
        }
        self.tell(member, Input::Tick);
        self.later(member, Duration::from_millis(1), What::Heartbeat);
        self.later(member, Duration::from_millis(2), What::Fetch);
        for slot in 0..self.members[member].slots.len() {
            let wait = self.random.millis(1..100);
            self.later(member, wait, What::Application(slot));
        }
    }

    /// The process is gone without a word.
    pub(crate) fn kill(&mut self, member: usize) {
        self.members[member].life += 1;
        self.members[member].process = None;
        self.oracle.forget_member(member);
        for slot in &mut self.members[member].slots {
            slot.disconnected();
        }
    }

    pub(crate) fn start_again(&mut self, member: usize) {
        let wait = self.random.millis(50..2000);
        self.after(wait, Happening::Start(member));
    }

    /// Tells the core one fact and carries out what it wants.
    pub(crate) fn tell(&mut self, member: usize, input: Input<'_>) {
        if self.members[member].process.is_none() {
            return;
        }
        if matches!(
            input,
            Input::StreamClosed { .. } | Input::StreamClosing { .. }
        ) {
            self.let_time_pass(member);
        }
        self.note(|| format!("member {member} <- {input:?}"));
        // A loss overtakes what has become due.
        if !matches!(input, Input::GroupLost { .. }) {
            self.oracle.pass_time(self.now, member);
        }
        self.tell_oracle(member, &input);
        let now = self.now;
        let mut effects = std::mem::take(&mut self.effects);
        if let Some(process) = self.process(member) {
            process.core.handle(now, input, &mut effects);
        }
        self.carry_out(member, effects);
        self.end_turn(member);
    }

    /// What an application does and a deadline that passed before it may end the same deliveries. The edge
    /// lets time pass first, so that it is clear which of the two did.
    pub(crate) fn let_time_pass(&mut self, member: usize) {
        let now = self.now;
        let wakeup = self
            .process(member)
            .and_then(|process| process.core.next_wakeup());
        if wakeup.is_some_and(|at| at <= now) {
            self.tell(member, Input::Tick);
        }
    }

    /// What the oracle must know before the core does.
    fn tell_oracle(&mut self, member: usize, input: &Input<'_>) {
        match input {
            Input::StreamOpened { stream, open, .. } => {
                self.oracle.stream_opened(member, *stream, open.clone())
            }
            Input::StreamFlow { stream, flow } => self.oracle.stream_flow(member, *stream, *flow),
            Input::StreamClosing { stream } => self.oracle.stream_closing(member, *stream),
            Input::StreamClosed { stream } => {
                let stopping = self.process(member).is_some_and(|process| process.stopping);
                self.oracle
                    .stream_closed(self.now, member, *stream, stopping);
            }
            Input::PositionSampled {
                partition,
                fetch,
                offset,
            } => {
                self.oracle
                    .position_told(member, *partition, *fetch, *offset);
            }
            Input::FetchFailed {
                partition, fetch, ..
            } => self.oracle.fetch_failed(member, *partition, *fetch),
            Input::GroupLeft | Input::ClientRestarted => self.oracle.commit_given_up(member),
            Input::Shutdown { .. } => self.oracle.shutting_down(member),
            Input::Tick
            | Input::ClusterKnown { .. }
            | Input::GroupAssigned { .. }
            | Input::GroupRevoked { .. }
            | Input::GroupLost { .. }
            | Input::CommittedRead { .. }
            | Input::OffsetsListed { .. }
            | Input::TopicDescribed { .. }
            | Input::Popped { .. }
            | Input::EndSampled { .. }
            | Input::CommitDone { .. }
            | Input::Fenced
            | Input::Rejoin => {}
        }
    }

    /// Tells the core what was popped, and keeps the bytes at hand until the turn ends.
    pub(crate) fn tell_popped(&mut self, member: usize, popped: &Popped) {
        let now = self.now;
        self.note(|| format!("member {member} <- {:?}", popped.runs));
        self.oracle.pass_time(now, member);
        self.oracle.batch_popped(popped.records(), popped.bytes());
        let mut effects = std::mem::take(&mut self.effects);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let runs: Vec<PoppedRun<'_>> = popped
            .runs
            .iter()
            .map(|run| PoppedRun {
                partition: run.partition,
                fetch: run.fetch,
                position: run.position,
                records: &run.records,
            })
            .collect();
        process
            .core
            .handle(now, Input::Popped { runs: &runs }, &mut effects);
        let numbering = process.core.numbering().to_vec();
        for (run, first) in popped.runs.iter().zip(numbering) {
            let Some((assignment, first)) = first else {
                continue;
            };
            let number = |index: usize| ackline::core::RecordNumber(first.0 + index as u64);
            let waits: Vec<bool> = (0..run.records.len())
                .map(|index| process.core.is_waiting(assignment, number(index)))
                .collect();
            for (index, (record, uid)) in run.records.iter().zip(&run.uids).enumerate() {
                let payload = Payload {
                    uid: *uid,
                    size: record.size,
                };
                process
                    .store
                    .turn
                    .insert((assignment, number(index)), payload);
            }
            self.oracle
                .taken_in(member, assignment, first.0, run, &waits);
        }
        self.carry_out(member, effects);
    }

    pub(crate) fn carry_out(&mut self, member: usize, mut effects: Vec<Effect>) {
        for effect in effects.drain(..) {
            self.note(|| format!("member {member}    -> {effect:?}"));
            self.carry_out_one(member, effect);
        }
        self.effects = effects;
    }

    fn carry_out_one(&mut self, member: usize, effect: Effect) {
        match effect {
            Effect::Join => self.with_library(member, |library| {
                library.subscribe();
                Ok(())
            }),
            Effect::Leave => self.with_library(member, |library| {
                library.unsubscribe();
                Ok(())
            }),
            Effect::Assign {
                partitions,
                answers_rebalance,
            } => self.assign(member, &partitions, answers_rebalance),
            Effect::Unassign {
                partitions,
                answers_rebalance,
            } => self.unassign(member, &partitions, answers_rebalance),
            Effect::Pause(partitions) => {
                self.with_library(member, |library| library.set_paused(&partitions, true))
            }
            Effect::Resume(partitions) => {
                self.with_library(member, |library| library.set_paused(&partitions, false))
            }
            Effect::ReadCommitted(asked) => self.read_committed(member, asked),
            Effect::ListOffsets(asked) => self.list_offsets(member, asked),
            Effect::DescribeTopics(topics) => self.describe_topics(member, topics),
            Effect::Commit { request, entries } => self.commit(member, request, entries),
            Effect::Wake(stream) => {
                self.later(member, Duration::from_micros(50), What::Pump(stream))
            }
            Effect::Withdrawn {
                stream,
                ids,
                reason,
            } => {
                self.oracle
                    .withdrawn(self.now, member, stream, &ids, reason);
                let random = &mut self.random;
                if let Some(slot) = self.members[member].slot_of(stream) {
                    slot.withdrawn(&ids, random);
                }
            }
            Effect::Notify { .. } => {}
            Effect::EndStream { stream, .. } => {
                self.oracle.stream_ended(member, stream);
                if let Some(slot) = self.members[member].slot_of(stream) {
                    slot.disconnected();
                }
                self.later(member, Duration::from_millis(1), What::StreamGone(stream));
            }
            Effect::CommitAwaited { wait, committed } => {
                self.oracle
                    .commit_awaited(member, wait, committed, &self.broker)
            }
            Effect::CopyOut {
                frame,
                assignment,
                records,
            } => {
                self.with_process(member, |process| {
                    process.store.copy_out(frame, assignment, &records)
                });
            }
            Effect::FreeFrame(frame) => {
                self.with_process(member, |process| process.store.free_frame(frame))
            }
            Effect::FreeRecords {
                assignment,
                numbers,
            } => {
                self.with_process(member, |process| {
                    process.store.free_records(assignment, &numbers)
                });
            }
            Effect::FreeAssignment(assignment) => {
                self.with_process(member, |process| process.store.free_assignment(assignment));
                self.oracle.assignment_freed(member, assignment);
            }
            Effect::Finished { clean } => self.with_process(member, |process| {
                process.finished = Some(clean);
                Ok(())
            }),
            Effect::Report(event) => self.oracle.reported(member, &event, &self.broker),
        }
    }

    fn with_process(
        &mut self,
        member: usize,
        act: impl FnOnce(&mut Process) -> Result<(), String>,
    ) {
        let result = self.process(member).map_or(Ok(()), act);
        self.oracle.try_hold(result);
    }

    fn with_library(
        &mut self,
        member: usize,
        act: impl FnOnce(&mut super::library::Library) -> Result<(), String>,
    ) {
        self.with_process(member, |process| act(&mut process.library));
    }

    fn assign(&mut self, member: usize, starts: &[FetchStart], answers: bool) {
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
        }
        if answers {
            process.library.answer();
        }
    }

    fn unassign(&mut self, member: usize, partitions: &[PartitionId], answers: bool) {
        let whole = self.plan.settings.assign_mode == ackline::core::AssignMode::Whole;
        let now = self.now;
        let longest = self.plan.settings.drain_revoke + ANSWER_MAX;
        let thawed_at = self.members[member].thawed_at;
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
        let gone = match event.clone() {
            Some(Rebalance::Revoke(gone) | Rebalance::Lost(gone)) => gone,
            Some(Rebalance::Assign(_)) | None => BTreeSet::new(),
        };
        self.oracle.check(!gone.is_empty(), || {
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
        if matches!(event, Some(Rebalance::Revoke(_))) && took < LAST_COMMIT_MAX && !excused {
            self.oracle.given_back(member, &gone, &self.broker);
        }
        self.oracle.left(member, &gone);
    }

    /// Everything that follows a turn: checks, the next tick, the library's next step, the end.
    pub(crate) fn end_turn(&mut self, member: usize) {
        let now = self.now;
        self.oracle.check_lanes(member);
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        if process.store.turn.is_empty() {
            let (held, counted) = (process.store.bytes, process.core.held_bytes());
            self.oracle.check(held == counted, || {
                format!("I-B1: {held} bytes are held, the core counts {counted}")
            });
            self.oracle.check_bytes(member, held);
        }
        let tick_at = process
            .core
            .next_wakeup()
            .unwrap_or(now.plus(TICK_MAX))
            .min(now.plus(TICK_MAX))
            .max(now);
        if process.tick_at.is_none_or(|at| tick_at < at || at < now) {
            process.tick_at = Some(tick_at);
            let life = self.members[member].life;
            self.at(
                tick_at,
                Happening::Of {
                    member,
                    life,
                    what: What::Tick,
                },
            );
        }
        self.run_library(member);
        self.end_process(member);
    }

    pub(crate) fn tick(&mut self, member: usize) {
        let now = self.now;
        let Some(process) = self.process(member) else {
            return;
        };
        if process.tick_at.is_some_and(|at| at > now) {
            return; // an older request for a tick; a newer one asks for later
        }
        process.tick_at = None;
        let (at, count) = process.ticks_at_once;
        process.ticks_at_once = if at == now {
            (now, count + 1)
        } else {
            (now, 0)
        };
        let spins = process.ticks_at_once.1 > 20;
        self.oracle
            .check(!spins, || "the core asks for ticks without end".to_owned());
        self.tell(member, Input::Tick);
        self.feed_starving(member);
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
                Step::Join => {
                    process.library.joining = true;
                    let wait = self.latency();
                    self.later(member, wait, What::JoinArrives);
                }
                Step::Left => {
                    let wait = self.latency();
                    self.later(member, wait, What::Left);
                }
            }
        }
    }

    pub(crate) fn raise(&mut self, member: usize, event: Rebalance) {
        let list =
            |partitions: &BTreeSet<PartitionId>| partitions.iter().copied().collect::<Vec<_>>();
        match &event {
            Rebalance::Assign(partitions) => {
                self.tell(
                    member,
                    Input::GroupAssigned {
                        partitions: list(partitions),
                    },
                );
                let answered = self
                    .process(member)
                    .is_none_or(|process| process.library.event.as_ref() != Some(&event));
                self.oracle.check(answered, || {
                    "an assignment is not answered at once".to_owned()
                });
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

    /// The core said that it is finished: the process exits.
    fn end_process(&mut self, member: usize) {
        let Some(clean) = self.process(member).and_then(|process| process.finished) else {
            return;
        };
        self.oracle.finished(member, clean, &self.broker);
        if matches!(self.stage, Stage::Stopping { .. }) {
            let Some(process) = self.members[member].process.as_ref() else {
                return;
            };
            let empty = process.store.is_empty();
            let waits = self.oracle.unanswered_waits(member);
            // Deliveries of a topic that was made again are taken back whenever that is noticed.
            let made_again = self.broker.topics.iter().any(|topic| topic.incarnation > 0);
            self.oracle.check(clean || made_again, || {
                "I-S6: a stop without any trouble is not clean".to_owned()
            });
            self.oracle.check(empty, || {
                format!("bytes are held after everything: {:?}", process.store)
            });
            self.oracle.check(waits == 0, || {
                format!("I-S8: {waits} callers still wait for a commit")
            });
        }
        self.note(|| format!("member {member} exits, clean: {clean}"));
        self.kill(member);
        if !matches!(self.stage, Stage::Stopping { .. }) {
            self.start_again(member);
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

    pub(crate) fn shut_down(&mut self, member: usize, drain_within: Duration) {
        if let Some(process) = self.process(member) {
            process.stopping = true;
        }
        self.tell(
            member,
            Input::Shutdown {
                drain_within,
                reason: "the simulation says so",
            },
        );
    }
}
