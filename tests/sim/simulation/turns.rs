//! One member takes an input, and its effects are carried out, in order, all of them.

use std::time::Duration;

use ackline::core::{Core, Drained, Effect, Input, Moment, PoppedRun};

use super::library::Popped;
use super::member::Process;
use super::store::Payload;
use super::world::{Happening, Stage, What, World};

/// The edge ticks at least this often, whatever the core asks for.
const TICK_MAX: Duration = Duration::from_secs(1);
/// What an end may take beside the drain: the last commit and leaving the group, and a turn.
const END_MAX: Duration = Duration::from_millis(6050);

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
        let mut settings = self.plan.settings_of_a_process();
        settings.seed = self.random.next();
        let cooperative = settings.assign_mode == ackline::core::AssignMode::Incremental;
        let named = self.plan.named();
        self.members[member].process = Some(Process::new(
            Core::new(settings),
            cooperative,
            named,
            self.now,
        ));
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
        self.later(member, Duration::from_millis(400), What::LookAtParked);
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
            Input::StreamClosed { .. }
                | Input::StreamClosing { .. }
                | Input::DeadLetterDone { .. }
                | Input::DeadLetterHeld { .. }
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
                let now = self.now;
                self.oracle
                    .stream_opened(now, member, *stream, open.clone())
            }
            Input::StreamFlow { stream, flow } => self.oracle.stream_flow(member, *stream, *flow),
            Input::StreamClosing { stream } => self.oracle.stream_closing(member, *stream),
            Input::StreamClosed { stream } => {
                let now = self.now;
                if let Some(process) = &self.members[member].process {
                    let (stopping, known) = (process.stopping, process.topics_known);
                    self.oracle
                        .stream_closed(now, member, *stream, stopping, known);
                }
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
            Input::StreamDied { stream } => self.oracle.died(self.now, member, *stream),
            Input::DeadLetterDone {
                assignment,
                number,
                result,
            } => {
                if result.is_ok() {
                    self.oracle.confirmed(member, *assignment, *number);
                }
            }
            Input::GroupLeft => self.oracle.commit_given_up(member),
            Input::ClientRestarted => {
                self.oracle.commit_given_up(member);
                self.oracle.client_restarted(member);
            }
            Input::Shutdown { .. } => self.oracle.shutting_down(member),
            Input::Operate(operation) => self.oracle.operated(member, operation),
            Input::TopicsFound { answer } => self.oracle.topics_found(member, answer, &self.plan),
            Input::Tick
            | Input::ClusterKnown { .. }
            | Input::GroupAssigned { .. }
            | Input::UnreadAssigned { .. }
            | Input::GroupDescribed { .. }
            | Input::GroupRevoked { .. }
            | Input::GroupLost { .. }
            | Input::CommittedRead { .. }
            | Input::OffsetsListed { .. }
            | Input::OffsetFound { .. }
            | Input::TopicDescribed { .. }
            | Input::Popped { .. }
            | Input::EndSampled { .. }
            | Input::CommitDone { .. }
            | Input::TransactionDone { .. }
            | Input::ProducerMade { .. }
            | Input::DeadLetterHeld { .. }
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
            Effect::Join => self.join(member),
            Effect::Subscribe => self.subscribe(member),
            Effect::FindTopics => self.find_topics(member),
            Effect::TopicAdded { topic, name } => self.topic_added(member, topic, &name),
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
            Effect::FindOffset {
                assignment,
                partition,
                timestamp,
            } => self.find_offset(member, assignment, partition, timestamp),
            Effect::Sought { ask, answer } => {
                self.oracle.sought(member, ask, &answer, &self.broker);
            }
            Effect::DescribeGroup(ask) => self.describe_group(member, ask),
            Effect::DescribeTopics(topics) => self.describe_topics(member, topics),
            Effect::Commit { request, entries } => self.commit(member, request, entries),
            Effect::Transact {
                request,
                entries,
                outputs,
            } => self.transact(member, request, entries, &outputs),
            Effect::DropOutputs(outputs) => self.outputs_dropped(member, &outputs),
            Effect::MakeProducer(ask) => self.make_producer(member, ask),
            Effect::DeadLetter(letter) => self.send_dead_letter(member, *letter),
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
            Effect::Notify { stream, notice } => self.notified(member, stream, notice),
            Effect::EndStream { stream, .. } => {
                self.oracle.stream_ended(member, stream);
                if let Some(slot) = self.members[member].slot_of(stream) {
                    slot.disconnected();
                }
                self.later(member, Duration::from_millis(1), What::StreamGone(stream));
            }
            Effect::CommitAwaited {
                wait,
                committed,
                offered,
            } => self.commit_awaited(member, wait, committed, &offered),
            Effect::CopyOut { .. }
            | Effect::FreeFrame(_)
            | Effect::FreeRecords { .. }
            | Effect::FreeAssignment(_) => self.move_bytes(member, &effect),
            Effect::Finished { drained } => {
                self.check_end(member);
                self.with_process(member, |process| {
                    process.finished = Some(drained);
                    Ok(())
                });
            }
            Effect::Report(event) => self.oracle.reported(member, &event, &self.broker),
        }
    }

    /// Copies and frees, as the real store must.
    fn move_bytes(&mut self, member: usize, effect: &Effect) {
        self.with_process(member, |process| {
            let store = &mut process.store;
            if let Effect::CopyOut {
                frame,
                assignment,
                records,
            } = effect
            {
                store.copy_out(*frame, *assignment, records)
            } else if let Effect::FreeFrame(frame) = effect {
                store.free_frame(*frame)
            } else if let Effect::FreeRecords {
                assignment,
                numbers,
            } = effect
            {
                store.free_records(*assignment, numbers)
            } else if let Effect::FreeAssignment(assignment) = effect {
                store.free_assignment(*assignment)
            } else {
                Ok(())
            }
        });
        if let Effect::FreeAssignment(assignment) = effect {
            self.oracle.assignment_freed(member, *assignment);
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

    /// Everything that follows a turn: checks, the next tick, the library's next step, the end.
    pub(crate) fn end_turn(&mut self, member: usize) {
        let now = self.now;
        self.oracle.check_lanes(member);
        let thawed_at = self.members[member].thawed_at;
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let read = process.core.topics_read();
        self.oracle.check_topics(member, read, &self.plan);
        let in_group = process.library.subscribed;
        self.oracle
            .check_loneliness(now, member, in_group, thawed_at);
        if process.store.turn.is_empty() {
            let (held, counted) = (process.store.bytes, process.core.held_bytes());
            self.oracle.check(held == counted, || {
                format!("I-B1: {held} bytes are held, the core counts {counted}")
            });
            let twice = process.store.bytes_held_twice();
            self.oracle.check_bytes(member, held, twice);
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
                    client: None,
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
        self.oracle.check_deadlines(now, member);
        self.feed_starving(member);
    }

    /// The core said that it is finished: the process exits.
    fn end_process(&mut self, member: usize) {
        let Some(drained) = self.process(member).and_then(|process| process.finished) else {
            return;
        };
        self.oracle.finished(member, drained, &self.broker);
        if matches!(self.stage, Stage::Stopping { .. }) {
            let Some(process) = self.members[member].process.as_ref() else {
                return;
            };
            let empty = process.store.is_empty();
            let waits = self.oracle.unanswered_waits(member);
            let seeks = self.oracle.unanswered_seeks(member);
            self.oracle.check(seeks == 0, || {
                format!("K1: {seeks} seeks were never answered")
            });
            // Deliveries of a topic that was made again are taken back whenever that is noticed.
            let made_again = self.broker.topics.iter().any(|topic| topic.incarnation > 0);
            // That somebody took the producer's name, or a partition's claim, is noticed when that is used next.
            let overtaken = !self.plan.impostor_every.is_zero() || self.oracle.lacks_claims(member);
            self.oracle
                .check(drained == Drained::Whole || made_again || overtaken, || {
                    "I-S6: a stop without any trouble is not clean".to_owned()
                });
            self.oracle.check(process.outputs.is_empty(), || {
                "O3: outputs are held after everything".to_owned()
            });
            self.oracle.check(empty, || {
                format!("bytes are held after everything: {:?}", process.store)
            });
            self.oracle.check(waits == 0, || {
                format!("I-S8: {waits} callers still wait for a commit")
            });
        }
        self.note(|| format!("member {member} exits, drained: {drained:?}"));
        self.kill(member);
        if !matches!(self.stage, Stage::Stopping { .. }) {
            self.start_again(member);
        }
    }

    pub(crate) fn shut_down(&mut self, member: usize, drain_within: Duration) {
        let (now, by) = (self.now, self.now.plus(drain_within + END_MAX));
        if let Some(process) = self.process(member) {
            process.stopping = true;
            let sooner = |(told, old): (Moment, Moment)| (told, old.min(by));
            process.end_by = Some(process.end_by.map_or((now, by), sooner));
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
