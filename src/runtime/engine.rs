//! The engine: the core, the source of records, the bytes, and what streams are to be told.
//!
//! Everything runs on one thread. An input goes into the core, its effects are carried out, and only then
//! comes the next input. Nothing here waits: the client's calls return at once, and their answers come as
//! later inputs.
//!
//! # Invariants
//!
//! - Effects are carried out in order, all of them, before the next input is given.
//! - Bytes are kept exactly as long as the core says ([`super::store`]).
//! - A stream is polled only for what fits it; what nobody asks for stays in the client's queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;

use super::admin::{Asks, Identity};
use super::client::REMAKE_MIN;
use super::clock::Clock;
use super::dead_letters::DeadLetters;
use super::deaths::Deaths;
use super::feed::Feed;
use super::mirror::Mirror;
use super::outputs::Outputs;
use super::parts::Parts;
use super::positions::Keeping;
use super::source::{Origin, Source};
use super::store::Store;
use super::streams::StreamSlot;
use super::telling;
use crate::core::{Core, Drained, Effect, Input, Moment, ReadError, StreamId, TransactionEnd};
use crate::grpc::admin::Taps;
use crate::grpc::{CommitAnswer, CommitWaits};
use crate::kafka::{self, ClientSettings, Disposition, Fatal};
use crate::observe::{Observer, ProcessEvent};

/// How often the ends of the logs are read.
const ENDS_EVERY: Duration = Duration::from_millis(500);

/// How long buffers may wait for a frame.
const TRIM_EVERY: Duration = Duration::from_secs(1);

/// How the engine ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// As asked.
    Shutdown(Drained),
    /// Another member with our instance id took over.
    Fenced,
}

/// See the module.
pub(super) struct Engine {
    pub(super) clock: Clock,
    pub(super) core: Core,
    /// Absent while the client is being replaced.
    pub(super) client: Option<Source>,
    pub(super) origin: Origin,
    /// Who keeps positions.
    pub(super) positions: Keeping,
    /// Copies of them in Kafka, if there are to be any.
    pub(super) mirror: Option<Mirror>,
    pub(super) wake: kafka::Wake,
    pub(super) topics: Arc<[String]>,
    pub(super) store: Store,
    pub(super) feed: Feed,
    pub(super) dead_letters: DeadLetters,
    pub(super) outputs: Outputs,
    pub(super) deaths: Deaths,
    pub(super) streams: BTreeMap<StreamId, StreamSlot>,
    pub(super) next_stream: u64,
    pub(super) streams_max: u32,
    pub(super) waits: CommitWaits,
    pub(super) asks: Asks,
    /// Operators who look at records as they are handed out.
    pub(super) taps: Taps,
    pub(super) identity: Identity,
    pub(super) observer: Observer,
    effects: Vec<Effect>,
    pub(super) inputs: VecDeque<Input<'static>>,
    pub(super) polled: Vec<Input<'static>>,
    pub(super) ended: Option<Ended>,
    fenced: bool,
    pub(super) shutting_down: bool,
    /// The core wants to be in the group.
    pub(super) joined: bool,
    /// The client refused to do what it was told in a way that only a new one can mend.
    client_broken: bool,
    pub(super) client_made: Moment,
    pub(super) remake_at: Moment,
    pub(super) remake_after: Duration,
    /// A client with other settings waits to be made when the group was left.
    pub(super) replacement: Option<ClientSettings>,
    /// Clients that are no longer used; whoever runs the engine drops them.
    pub(super) discarded: Vec<Source>,
    pub(super) last_turn: Moment,
    ends_sampled: Moment,
    /// When to look whether the held batch is too old.
    release_at: Option<Moment>,
    trimmed: Moment,
    /// What the client last complained about, and when; cleared by a success.
    pub(super) trouble: Option<(kafka::Trouble, Moment)>,
    /// Wakes tasks that wait until settlements may be answered.
    pub(super) unconfirmed: Vec<Waker>,
    /// Wakes those that wait until there is room for outputs.
    pub(super) without_room: Vec<Waker>,
}

impl Engine {
    /// Creates the client, which contacts brokers but joins nothing yet.
    pub(super) fn new(parts: Parts) -> Result<Self, kafka::Error> {
        let topics: Arc<[String]> = parts.settings.topics.as_slice().into();
        let client = parts.origin.open(&topics, parts.wake.clone())?;
        let (topic_of, wake) = (parts.dead_letter_topic_of, parts.wake.clone());
        let dead_letters = match &parts.origin {
            Origin::Kafka(settings) => DeadLetters::new(settings, topic_of, wake),
            Origin::Fake(_) => DeadLetters::taken(),
        };
        let outputs = Outputs::start(&parts.origin, parts.transactions, &parts.wake)?;
        Ok(Self {
            last_turn: parts.clock.now(),
            ends_sampled: Moment::default(),
            release_at: None,
            trimmed: Moment::default(),
            clock: parts.clock,
            feed: Feed::new(&parts.settings),
            core: Core::new(parts.settings),
            client: Some(client),
            origin: parts.origin,
            positions: parts.positions,
            mirror: parts.mirror_to_kafka.then(Mirror::default),
            wake: parts.wake,
            topics,
            store: Store::default(),
            dead_letters,
            outputs,
            deaths: Deaths::default(),
            streams: BTreeMap::new(),
            next_stream: 0,
            streams_max: parts.streams_max,
            waits: CommitWaits::default(),
            asks: Asks::default(),
            taps: Taps::default(),
            identity: parts.identity,
            observer: parts.observer,
            effects: Vec::new(),
            inputs: VecDeque::new(),
            polled: Vec::new(),
            ended: None,
            fenced: false,
            shutting_down: false,
            joined: false,
            client_broken: false,
            client_made: parts.clock.now(),
            remake_at: Moment::default(),
            remake_after: REMAKE_MIN,
            replacement: None,
            discarded: Vec::new(),
            trouble: None,
            unconfirmed: Vec::new(),
            without_room: Vec::new(),
        })
    }

    /// Serves the client's events and lets time pass. Returns when the next turn is due at the latest.
    pub(super) fn turn(&mut self) -> Option<Moment> {
        self.last_turn = self.clock.now();
        self.remake_client();
        self.poll_client();
        self.poll_positions();
        self.poll_dead_letters();
        self.poll_transactions();
        self.sample_ends();
        self.tidy();
        self.input(Input::Tick);
        // New records come without an event of their own.
        for slot in self.streams.values_mut() {
            if slot.starving
                && let Some(waker) = slot.waker.take()
            {
                slot.starving = false;
                waker.wake();
            }
        }
        self.next_turn()
    }

    /// When the next turn is due at the latest, if anything says so.
    pub(super) fn next_turn(&self) -> Option<Moment> {
        let wakeup = self.core.next_wakeup();
        let source = self.client.as_ref().and_then(Source::due);
        wakeup
            .into_iter()
            .chain(self.release_at)
            .chain(source)
            .min()
    }

    /// Frees memory that is not needed for long.
    fn tidy(&mut self) {
        let now = self.last_turn;
        let (held, store) = (&mut self.feed.held, &mut self.store);
        held.release_old(now, &self.core, store);
        // Asked for once per batch, it would be a turn per batch.
        self.release_at = self.feed.held.due();
        if now.since(self.trimmed) >= TRIM_EVERY {
            self.trimmed = now;
            self.feed.buffers.trim();
        }
    }

    fn poll_client(&mut self) {
        let Some(client) = &mut self.client else {
            return;
        };
        let polled = client.poll(self.last_turn, &mut self.polled);
        if polled.more {
            (self.wake)();
        }
        if self.core.is_rebalancing() && client.assignment_lost() {
            // The group did not wait for our answer: nothing may be committed any more.
            self.inputs.push_back(Input::GroupLost {
                partitions: self.core.owned(),
            });
        }
        if self.polled.iter().any(shows_that_brokers_answer) {
            self.trouble = None;
        }
        self.take_mirrored();
        self.inputs.extend(self.polled.drain(..));
        for trouble in polled.troubles {
            self.tell_person(&telling::trouble(&trouble));
            // Refused by all brokers counts as all brokers down; the refusal is the reason.
            let follows = trouble.kind == kafka::TroubleKind::BrokersDown
                && self
                    .trouble
                    .as_ref()
                    .is_some_and(|(before, _)| before.kind == kafka::TroubleKind::Authentication);
            if !follows {
                self.trouble = Some((trouble, self.clock.now()));
            }
        }
        self.run();
        self.take_streams_down();
        match polled.fatal {
            None if std::mem::take(&mut self.client_broken) => self.give_client_up(),
            None => {}
            Some(Fatal::FencedInstance) => {
                self.fenced = true;
                self.input(Input::Fenced);
            }
            Some(Fatal::Rebuild(reason)) => {
                self.tell_person(&ProcessEvent::ClientRebuilt {
                    error: reason.clone(),
                });
                let trouble = kafka::Trouble {
                    kind: kafka::TroubleKind::ClientFailed,
                    text: reason,
                };
                self.trouble = Some((trouble, self.clock.now()));
                self.give_client_up();
            }
        }
    }

    /// Tells how far the logs go, for the backlog and for having caught up.
    fn sample_ends(&mut self) {
        if self.last_turn.since(self.ends_sampled) < ENDS_EVERY {
            return;
        }
        self.ends_sampled = self.last_turn;
        if let Some(client) = &mut self.client {
            client.sample_ends(&mut self.polled);
            self.inputs.extend(self.polled.drain(..));
        }
    }

    /// Takes one input and everything that follows from it.
    pub(super) fn input(&mut self, input: Input<'static>) {
        self.inputs.push_back(input);
        self.run();
    }

    /// Takes every input that waits.
    pub(super) fn run(&mut self) {
        while let Some(input) = self.inputs.pop_front() {
            if matches!(input, Input::GroupLeft) {
                self.tell_person(&ProcessEvent::Left);
            }
            let now = self.clock.now();
            let mut effects = std::mem::take(&mut self.effects);
            self.core.handle(now, input, &mut effects);
            self.carry_out(&mut effects);
            self.effects = effects;
        }
        self.show_status();
    }

    /// Carries effects out, in order.
    pub(super) fn carry_out(&mut self, effects: &mut Vec<Effect>) {
        for effect in effects.drain(..) {
            self.carry_out_one(effect);
        }
        self.wake_unconfirmed();
    }

    fn carry_out_one(&mut self, effect: Effect) {
        match effect {
            Effect::Join => self.join(),
            Effect::Subscribe => self.subscribe(),
            Effect::TopicAdded { topic, name } => self.add_topic(topic, name),
            Effect::Leave
            | Effect::Assign { .. }
            | Effect::Unassign { .. }
            | Effect::Pause(_)
            | Effect::Resume(_)
            | Effect::ListOffsets(_)
            | Effect::FindOffset { .. }
            | Effect::DescribeTopics(_)
            | Effect::FindTopics
            | Effect::DescribeGroup(_) => {
                self.joined &= effect != Effect::Leave;
                self.ask_client(&effect);
            }
            Effect::ReadCommitted(_) | Effect::Commit { .. } => self.ask_for_positions(&effect),
            Effect::Transact {
                request,
                entries,
                outputs,
            } => self.transact(request, &entries, &outputs),
            Effect::DropOutputs(ids) => self.outputs.forget(&ids),
            Effect::MakeProducer(ask) => self.make_producer(ask),
            Effect::DeadLetter(letter) => self.send_dead_letter(&letter),
            Effect::Wake(stream) => self.wake_stream(stream),
            Effect::Withdrawn {
                stream,
                ids,
                reason,
            } => {
                self.tell(stream, |outbox| outbox.withdraw(&ids, reason));
            }
            Effect::Notify { stream, notice } => self.tell(stream, |outbox| outbox.notify(&notice)),
            Effect::EndStream { stream, end } => self.end_stream(stream, end),
            Effect::CommitAwaited {
                wait,
                committed,
                offered,
            } => self.waits.answer(wait, CommitAnswer { committed, offered }),
            Effect::Sought { ask, answer } => self.sought(ask, answer),
            Effect::CopyOut {
                frame,
                assignment,
                records,
            } => self.store.copy_out(frame, assignment, &records),
            Effect::FreeFrame(frame) => self.store.free_frame(frame),
            Effect::FreeRecords {
                assignment,
                numbers,
            } => self.store.free_records(assignment, &numbers),
            Effect::FreeAssignment(assignment) => {
                self.feed.held.forget(assignment);
                self.store.free_assignment(assignment);
            }
            Effect::Finished { drained } => {
                let shutdown = Ended::Shutdown(drained);
                self.ended
                    .get_or_insert(if self.fenced { Ended::Fenced } else { shutdown });
            }
            Effect::Report(event) => self.observer.report(self.clock.now(), &event),
        }
    }

    fn join(&mut self) {
        self.joined = true;
        self.tell_person(&ProcessEvent::Joining);
        if let Some(settings) = self.replacement.take() {
            self.origin = Origin::Kafka(Box::new(settings));
            self.release_held();
            self.discarded.extend(self.client.take());
            self.remake_at = Moment::default();
            return self.remake_client();
        }
        self.subscribe();
    }

    /// Passes an effect on to the client.
    pub(super) fn ask_client(&mut self, effect: &Effect) {
        let Some(client) = &mut self.client else {
            // Whoever waits for a client that is gone, to leave the group or to tell what there is, would wait for ever.
            if *effect == Effect::Leave {
                self.inputs.push_back(Input::GroupLeft);
            } else if *effect == Effect::FindTopics {
                let why = "the kafka client is made anew".to_owned();
                let answer = Err(ReadError::Transient(why));
                self.inputs.push_back(Input::TopicsFound { answer });
            }
            return;
        };
        let asked = client.ask(effect);
        self.judge(asked);
    }

    /// What the client refused may mean that it is beyond use.
    pub(super) fn judge(&mut self, asked: Result<(), kafka::Error>) {
        let Err(error) = asked else { return };
        self.tell_person(&telling::client_refused(&error));
        if error.disposition() == Disposition::Rebuild {
            // Not within the effects of a turn: the core must not be asked while they are carried out.
            self.client_broken = true;
        }
    }

    /// What the next message of a stream is, if records can make one.
    pub(super) fn next_frame(&mut self, id: StreamId, cx: &mut Context<'_>) -> Option<Bytes> {
        let mut effects = std::mem::take(&mut self.effects);
        let frame = super::feed::next_frame(self, id, cx, &mut effects);
        if self.release_at.is_none() {
            self.release_at = self.feed.held.due();
        }
        self.carry_out(&mut effects);
        self.effects = effects;
        self.run();
        frame
    }

    /// Gives the core facts that came with a pop, after those of the pop itself.
    pub(super) fn queue_inputs(&mut self, inputs: impl IntoIterator<Item = Input<'static>>) {
        self.inputs.extend(inputs);
    }

    pub(super) fn begin_shutdown(&mut self, drain_within: Duration, reason: &'static str) {
        self.shutting_down = true;
        self.input(Input::Shutdown {
            drain_within,
            reason,
        });
    }

    pub(super) fn tell_person(&self, event: &ProcessEvent) {
        self.observer.report_process(self.clock.now(), event);
    }

    pub(super) fn is_shutting_down(&self) -> bool {
        self.shutting_down
    }
}

/// Whether an input proves that the brokers take us for who we are.
fn shows_that_brokers_answer(input: &Input<'static>) -> bool {
    match input {
        Input::GroupAssigned { .. } => true,
        Input::TransactionDone { end, .. } => *end == TransactionEnd::Committed,
        Input::CommitDone { results, .. } => results.iter().any(|(_, result)| result.is_ok()),
        Input::CommittedRead { answers, .. } => answers.iter().any(|answer| answer.answer.is_ok()),
        Input::Tick
        | Input::ClusterKnown { .. }
        | Input::GroupRevoked { .. }
        | Input::GroupLost { .. }
        | Input::UnreadAssigned { .. }
        | Input::GroupLeft
        | Input::Rejoin
        | Input::OffsetsListed { .. }
        | Input::TopicDescribed { .. }
        | Input::TopicsFound { .. }
        | Input::GroupDescribed { .. }
        | Input::Popped { .. }
        | Input::PositionSampled { .. }
        | Input::EndSampled { .. }
        | Input::FetchFailed { .. }
        | Input::StreamOpened { .. }
        | Input::StreamFlow { .. }
        | Input::StreamClosing { .. }
        | Input::StreamClosed { .. }
        | Input::StreamDied { .. }
        | Input::DeadLetterDone { .. }
        | Input::DeadLetterHeld { .. }
        | Input::ProducerMade { .. }
        | Input::Shutdown { .. }
        | Input::Operate(_)
        | Input::OffsetFound { .. }
        | Input::Fenced
        | Input::ClientRestarted => false,
    }
}
