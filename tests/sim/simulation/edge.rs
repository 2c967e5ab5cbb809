//! Popping, pulling, and the applications: what the real edges do between the core and the outside.

use std::time::Duration;

use ackline::core::{FramePlan, Input, Refusal, SettleRequest, StreamId};

use super::application::{Act, State};
use super::library::Popped;
use super::store::Payload;
use super::world::{What, World};

/// Messages that a stream takes before others get their turn.
const MESSAGES_AT_ONCE: usize = 4;

impl World {
    /// The library prefetches; what arrives in an empty queue wakes the streams that hope for it.
    pub(crate) fn fetch(&mut self, member: usize) {
        let quiet = super::plan::Faults {
            fetch_failed: 0,
            ..self.plan.faults.clone()
        };
        let faults = if self.is_healed() {
            &quiet
        } else {
            &self.plan.faults
        };
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let arrived = process
            .library
            .fetch(&self.broker, &mut self.random, faults);
        let busy = process.library.has_queued();
        if arrived {
            self.feed_starving(member);
        }
        let wait = if busy {
            self.random.millis(5..50)
        } else {
            self.random.millis(20..120)
        };
        self.later(member, wait, What::Fetch);
    }

    /// Asks again for the streams that found the client's queue empty.
    pub(crate) fn feed_starving(&mut self, member: usize) {
        let Some(process) = self.process(member) else {
            return;
        };
        for stream in std::mem::take(&mut process.starving) {
            self.later(member, Duration::from_micros(20), What::Pump(stream));
        }
    }

    /// A stream can take messages.
    pub(crate) fn pump(&mut self, member: usize, stream: StreamId) {
        let reads = self.members[member]
            .slot_of(stream)
            .is_some_and(|slot| slot.reads && slot.state == State::Open(stream));
        if !reads {
            return;
        }
        for _ in 0..MESSAGES_AT_ONCE {
            self.top_up(member, stream);
            if self.pull(member, stream) {
                self.end_turn(member);
                continue;
            }
            if !self.pop_for(member, stream) {
                return self.end_turn(member);
            }
        }
        self.later(member, Duration::from_micros(100), What::Pump(stream));
    }

    /// Pops what makes the next message full, as an edge may or may not do.
    fn top_up(&mut self, member: usize, stream: StreamId) {
        let now = self.now;
        let wanted = self.random.chance(500);
        let Some(process) = self.members[member].process.as_mut().filter(|_| wanted) else {
            return;
        };
        let wanted = process.core.top_up(now, stream);
        if wanted == 0 || process.late_batch.is_some() {
            return;
        }
        let popped = process.library.pop(wanted.min(40));
        self.take_in(member, popped, None);
    }

    /// Hands one message to a stream. Returns whether there was one.
    fn pull(&mut self, member: usize, stream: StreamId) -> bool {
        let now = self.now;
        self.oracle.pass_time(now, member);
        let mut plan = FramePlan::default();
        let mut effects = std::mem::take(&mut self.effects);
        let Some(process) = self.members[member].process.as_mut() else {
            return false;
        };
        let planned = process.core.pull(now, stream, &mut plan, &mut effects);
        if planned {
            self.note(|| format!("member {member} {stream:?} gets {plan:?}"));
            self.deliver(member, stream, &plan);
        }
        self.carry_out(member, effects);
        planned
    }

    fn deliver(&mut self, member: usize, stream: StreamId, plan: &FramePlan) {
        let Some(process) = self.members[member].process.as_mut() else {
            return;
        };
        let mut records = Vec::new();
        for planned in &plan.records {
            match process.store.take(plan.assignment, planned.number) {
                Some(payload) => records.push((planned.number, payload)),
                None => {
                    let (assignment, number) = (plan.assignment, planned.number);
                    return self.oracle.violate(|| {
                        format!("{assignment:?} {number:?} is dispatched, but its bytes are gone")
                    });
                }
            }
        }
        let payloads: Vec<Payload> = records.iter().map(|(_, payload)| *payload).collect();
        if plan.keep {
            process
                .store
                .keep_frame(plan.first_id, plan.assignment, records);
        }
        self.oracle
            .dispatched(self.now, member, stream, plan, &payloads);
        if let Some(slot) = self.members[member].slot_of(stream) {
            slot.held
                .extend((0..plan.records.len() as u64).map(|index| plan.first_id.0 + index));
        }
    }

    /// Pops for a stream that got nothing. Returns whether anything came.
    fn pop_for(&mut self, member: usize, stream: StreamId) -> bool {
        let now = self.now;
        let batch_max = self.random.index(40) + 1;
        let late = !self.is_healed() && self.random.chance(self.plan.faults.batch_late);
        let Some(process) = self.members[member].process.as_mut() else {
            return false;
        };
        let allowance = process.core.pop_allowance(now, stream);
        if allowance == 0 || process.late_batch.is_some() {
            return false;
        }
        let asked = allowance.min(batch_max);
        let popped = process.library.pop(asked);
        let empty = popped.records() < asked;
        if empty || late {
            process.starving.insert(stream);
        }
        if late && !popped.runs.is_empty() {
            process.late_batch = Some(popped);
            return false;
        }
        self.take_in(member, popped, Some(stream));
        if empty {
            self.sample_positions(member);
        }
        !empty
    }

    /// A batch that was popped before something else happened is told after it.
    pub(crate) fn tell_late_batch(&mut self, member: usize) {
        if let Some(popped) = self
            .process(member)
            .and_then(|process| process.late_batch.take())
        {
            self.take_in(member, popped, None);
        }
    }

    /// One turn: the batch, perhaps a message made from it at once, and copies of what must wait.
    fn take_in(&mut self, member: usize, popped: Popped, stream: Option<StreamId>) {
        if !popped.runs.is_empty() {
            self.tell_popped(member, &popped);
            if let Some(stream) = stream {
                self.pull(member, stream);
            }
            if let Some(process) = self.members[member].process.as_mut() {
                let core = &process.core;
                let stored = process
                    .store
                    .end_turn(|assignment, number| core.is_waiting(assignment, number));
                self.oracle.try_hold(stored);
            }
            self.end_turn(member);
        }
        for (partition, fetch, error) in popped.failures {
            self.tell(
                member,
                Input::FetchFailed {
                    partition,
                    fetch,
                    error,
                },
            );
        }
    }

    /// After a pop that found nothing, once per commit interval: a tail of markers moves the position without
    /// a record.
    fn sample_positions(&mut self, member: usize) {
        let now = self.now;
        let interval = self.plan.settings.commit_interval;
        let Some(process) = self.process(member) else {
            return;
        };
        if now.since(process.sampled_at) < interval {
            return;
        }
        process.sampled_at = now;
        let positions: Vec<_> = process
            .library
            .fetchers
            .iter()
            .map(|(partition, fetcher)| (*partition, fetcher.fetch, fetcher.position))
            .collect();
        for (partition, fetch, offset) in positions {
            self.tell(
                member,
                Input::PositionSampled {
                    partition,
                    fetch,
                    offset,
                },
            );
            if let Some(end) = self.broker.log(partition).map(|log| log.end) {
                self.tell(
                    member,
                    Input::EndSampled {
                        partition,
                        fetch,
                        end,
                    },
                );
            }
        }
    }

    /// An application does something.
    pub(crate) fn application(&mut self, member: usize, index: usize) {
        let now = self.now;
        let of_member = &mut self.members[member];
        let slot = &mut of_member.slots[index];
        let pause = slot.pause(&mut self.random);
        self.answer_questions(member, index);
        let of_member = &mut self.members[member];
        let slot = &mut of_member.slots[index];
        let Some(process) = of_member.process.as_mut() else {
            return;
        };
        // While membership is in doubt the edge answers nothing, so nothing is asked either.
        if process.core.confirms() {
            let act = slot.act(now, &self.plan, &mut self.random, &mut process.next_wait);
            self.act(member, index, act);
        }
        self.later(member, pause, What::Application(index));
    }

    fn act(&mut self, member: usize, index: usize, act: Act) {
        match act {
            Act::Nothing => {}
            Act::Open(open) => {
                // A stream is refused if it asks for a topic that the process does not know.
                let mut topics = open.topics.iter().flatten();
                if !topics.all(|topic| self.knows_topic(member, *topic)) {
                    return;
                }
                let entropy = self.random.next();
                let Some(process) = self.process(member) else {
                    return;
                };
                let stream = StreamId(process.next_stream);
                process.next_stream += 1;
                self.members[member].slots[index].state = State::Open(stream);
                self.tell(
                    member,
                    Input::StreamOpened {
                        stream,
                        entropy,
                        open,
                    },
                );
            }
            Act::Settle(mut request) => {
                self.return_outputs(member, &mut request);
                let refusals = self.settle(member, &request);
                self.members[member].slots[index].refused(&request, &refusals);
            }
            Act::Flow(stream, flow) => self.tell(member, Input::StreamFlow { stream, flow }),
            Act::HalfClose(stream) => {
                self.members[member].slots[index].half_closed(stream);
                self.tell(member, Input::StreamClosing { stream });
            }
            Act::Crash(stream) => {
                self.crash(member, index, stream);
            }
            Act::ReadAgain(stream) => {
                self.later(member, Duration::from_micros(10), What::Pump(stream))
            }
        }
    }

    /// An application drops its stream.
    pub(crate) fn crash(&mut self, member: usize, index: usize, stream: StreamId) {
        self.members[member].slots[index].disconnected();
        self.tell(member, Input::StreamClosed { stream });
        // Some only cancelled their call.
        if self.random.chance(500) {
            let wait = self.random.pick(&[0, 0, 300, 900]);
            self.later(member, Duration::from_millis(wait), What::Died(stream));
        }
    }

    fn settle(&mut self, member: usize, request: &SettleRequest) -> Vec<Refusal> {
        let now = self.now;
        self.let_time_pass(member);
        self.note(|| format!("member {member} <- {request:?}"));
        self.oracle.pass_time(now, member);
        let mut effects = std::mem::take(&mut self.effects);
        let Some(process) = self.members[member].process.as_mut() else {
            return Vec::new();
        };
        let refusals = process.core.settle(now, request, &mut effects);
        self.note(|| format!("member {member}    refuses {refusals:?}"));
        self.oracle.settled(now, member, request, &refusals);
        self.carry_out(member, effects);
        self.end_turn(member);
        refusals
    }
}
