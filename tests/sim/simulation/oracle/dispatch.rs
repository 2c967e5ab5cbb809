//! What is taken in, and what is delivered to whom in which order.

use ackline::core::{
    Assignment, CommitMode, FramePlan, Moment, Order, PartitionId, PoppedRecord, Positions,
    StreamId,
};

use super::super::library::Run;
use super::super::log::Uid;
use super::super::store::Payload;
use super::{Book, Delivery, Life, Oracle, Standing, Taken, Truth, is_marked, retried_at};

/// Bytes of a message beside its records that a limit on messages must leave room for.
const MESSAGE_OVERHEAD_MIN: u64 = 100;

impl Oracle {
    /// A run was popped and taken in as `assignment`, from record number `first` on. `waits` is what the core
    /// says of each record: whether it must be delivered.
    pub(crate) fn taken_in(
        &mut self,
        member: usize,
        assignment: Assignment,
        first: u64,
        run: &Run,
        waits: &[bool],
    ) {
        let Some(book) = self.members[member].books.get_mut(&assignment) else {
            return self
                .violate(|| format!("{assignment:?} was never heard of, but takes records in"));
        };
        let mut wrong = None;
        if book.partition != run.partition || book.fetch != Some(run.fetch) {
            wrong = Some(format!(
                "records of {:?} {:?} were taken in by {assignment:?}",
                run.partition, run.fetch
            ));
        }
        if first != book.taken.len() as u64 {
            wrong = Some(format!(
                "{assignment:?}: record number {first}, expected {}",
                book.taken.len()
            ));
        }
        book.span_before_batch = book.marks_span();
        for ((record, uid), waits) in run.records.iter().zip(&run.uids).zip(waits) {
            wrong = wrong.or(take_in(book, record, *uid, *waits));
        }
        let limit = self.settings.window_records_max as usize + self.batch_records_max;
        if book.unfinished > limit {
            let unfinished = book.unfinished;
            wrong = Some(format!(
                "I-B5: {unfinished} unfinished records of {:?}, allowed are {limit}",
                run.partition
            ));
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
        if let Some(position) = run.position {
            self.position_told(member, run.partition, run.fetch, position);
        }
    }

    pub(crate) fn batch_popped(&mut self, records: usize, bytes: u64) {
        self.batch_records_max = self.batch_records_max.max(records);
        self.batch_bytes_max = self.batch_bytes_max.max(bytes);
    }

    /// A message was handed to a stream.
    pub(crate) fn dispatched(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        plan: &FramePlan,
        payloads: &[Payload],
    ) {
        self.check_stream(member, stream, plan, payloads);
        self.check_alone(member, stream, plan);
        self.check_home(member, stream, plan);
        self.check_trial(now, member, stream);
        let of_member = &self.members[member];
        let of_stale = of_member
            .books
            .get(&plan.assignment)
            .is_some_and(|book| book.stale);
        let allowed = !of_member.doubtful && !of_stale && of_member.at_shutdown.is_none();
        self.check(allowed, || {
            "B15, B26: delivered although nothing may be delivered".to_owned()
        });
        let allowed = self.members[member].wishes.allow(plan.partition);
        self.check(allowed, || {
            format!(
                "P2, N1: delivered of {:?}, which an operator forbids",
                plan.partition
            )
        });
        let revoking = self.members[member].revoking.contains(&plan.partition);
        self.check(!revoking, || {
            format!("delivered of {:?}, which is being revoked", plan.partition)
        });
        for (index, planned) in plan.records.iter().enumerate() {
            let id = plan.first_id.0 + index as u64;
            let number = usize::try_from(planned.number.0).unwrap_or(usize::MAX);
            self.deliver(
                now,
                member,
                stream,
                (plan.assignment, plan.partition),
                (id, number, planned.attempt),
                payloads[index],
            );
        }
        let live = self.members[member].live;
        let limit = self.settings.in_flight_records_max;
        self.check(live <= limit, || {
            format!("I-B1: {live} records in flight, allowed are {limit}")
        });
    }

    fn check_stream(
        &mut self,
        member: usize,
        id: StreamId,
        plan: &FramePlan,
        payloads: &[Payload],
    ) {
        let bytes: u64 = payloads.iter().map(|payload| u64::from(payload.size)).sum();
        let count = u32::try_from(plan.records.len()).unwrap_or(u32::MAX);
        let on_ack = self.settings.commit_mode == CommitMode::OnAck;
        let Some(stream) = self.members[member].streams.get_mut(&id) else {
            return self.violate(|| format!("{id:?} is not open, but gets records"));
        };
        let mut wrong = None;
        let first = plan.first_id.0;
        if stream.next_id.unwrap_or(first) != first || !(1 << 40..1 << 53).contains(&first) {
            wrong = Some(format!(
                "{id:?}: first id {first}, expected {:?}",
                stream.next_id
            ));
        }
        stream.next_id = Some(first + u64::from(count));
        let idle = stream.live == 0;
        if on_ack {
            stream.live += count;
            stream.live_bytes += bytes;
        }
        let open = &stream.open;
        if !stream.receiving || stream.paused {
            wrong = Some(format!("{id:?} gets records though it is paused or closed"));
        }
        if open
            .topics
            .as_ref()
            .is_some_and(|topics| !topics.contains(&plan.partition.topic))
        {
            wrong = Some(format!(
                "{id:?} gets records of a topic that it does not want"
            ));
        }
        if stream.live > open.in_flight_records_max {
            wrong = Some(format!(
                "I-B1: {id:?} holds {} records, allowed are {}",
                stream.live, open.in_flight_records_max
            ));
        }
        if stream.live_bytes > open.in_flight_bytes_max && !(idle && count == 1) {
            wrong = Some(format!(
                "I-B1: {id:?} holds {} bytes, allowed are {}",
                stream.live_bytes, open.in_flight_bytes_max
            ));
        }
        if bytes + MESSAGE_OVERHEAD_MIN > open.message_bytes_max {
            wrong = Some(format!(
                "B28: a message of {bytes} bytes for {id:?}, it can receive {}",
                open.message_bytes_max
            ));
        }
        if count == 0
            || count > open.batch_records_max
            || (count > 1 && bytes > open.batch_bytes_max)
        {
            wrong = Some(format!(
                "{id:?}: a message of {count} records and {bytes} bytes"
            ));
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    fn deliver(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        (assignment, partition): (Assignment, PartitionId),
        (id, number, attempt): (u64, usize, u32),
        payload: Payload,
    ) {
        let policy = *self.settings.policy(partition.topic);
        let (order, depth) = (self.order_of(partition), policy.lane_depth);
        let on_ack = self.settings.commit_mode == CommitMode::OnAck;
        let of_member = &mut self.members[member];
        let Some(book) = of_member.books.get_mut(&assignment) else {
            return self.violate(|| format!("{assignment:?} was never heard of, but delivers"));
        };
        if self.settings.positions == Positions::Application {
            let truth = self.truths.get(payload.uid);
            super::homes::believe(book, number, truth, attempt);
        }
        let Some(taken) = book.taken.get(number) else {
            return self.violate(|| {
                format!("{assignment:?} delivers record {number}, which it never took in")
            });
        };
        let (uid, again, alone) = (taken.uid, taken.attempts > 0, taken.suspect);
        let is_here = |id: u64| {
            of_member
                .deliveries
                .get(&id)
                .is_some_and(|delivery| delivery.stream == stream)
        };
        let mut wrong = record_is_wrong(book, taken, &self.truths[uid], (attempt, payload))
            .or_else(|| is_too_early(taken, now, stream))
            .or_else(|| lane_is_wrong(book, order, depth, number, is_here));
        book.hand_out(number, attempt, order, stream, on_ack.then_some(id));
        let life = if on_ack {
            Life::Live
        } else {
            Life::Settled(super::Kind::Ack)
        };
        of_member.live += u32::from(on_ack);
        let deadline = (on_ack && !policy.deadline.is_zero()).then(|| now.plus(policy.deadline));
        let delivery = Delivery {
            stream,
            assignment,
            number,
            life,
            deadline,
            alone,
        };
        if of_member.deliveries.insert(id, delivery).is_some() {
            wrong = Some(format!("id {id} is used twice"));
        }
        self.deliveries += 1;
        self.redeliveries += u64::from(again);
        self.truths[uid].terminal |= !on_ack;
        self.check_not_kept(uid);
        if let Some(wrong) = wrong {
            self.violate(|| format!("record {number} of {assignment:?}: {wrong}"));
        }
    }

    /// Handing over finishes with `on_delivery`: nothing is ever live that order could be kept among.
    fn order_of(&self, partition: PartitionId) -> Order {
        match self.settings.commit_mode {
            CommitMode::OnAck => self.settings.policy(partition.topic).order,
            CommitMode::OnDelivery => Order::None,
        }
    }

    /// After every turn: what is live in a lane comes before everything that waits in it (I-O1, I-O2).
    pub(crate) fn check_lanes(&mut self, member: usize) {
        let mut wrong = None;
        let (settings, members) = (&self.settings, &mut self.members);
        let on_ack = settings.commit_mode == CommitMode::OnAck;
        for (id, book) in &mut members[member].books {
            let order = if on_ack {
                settings.policy(book.partition.topic).order
            } else {
                Order::None
            };
            if !std::mem::take(&mut book.lane_dirty) || !book.alive {
                continue;
            }
            while book
                .taken
                .get(book.low)
                .is_some_and(|taken| taken.standing == Standing::Finished)
            {
                book.low += 1;
            }
            let mut waiting = std::collections::BTreeSet::new();
            for (number, taken) in book.taken.iter().enumerate().skip(book.low) {
                let Some(lane) = lane_of(order, taken) else {
                    continue;
                };
                match taken.standing {
                    // What is set aside may have later ones live behind it: their turn had come.
                    Standing::Waiting if taken.aside => {}
                    Standing::Waiting => {
                        waiting.insert(lane);
                    }
                    Standing::Live(_) if waiting.contains(&lane) => {
                        wrong = Some(format!(
                            "I-O1, I-O2: record {number} of {id:?} is live while an earlier one waits"
                        ));
                    }
                    Standing::Live(_) | Standing::Finished => {}
                }
            }
        }
        if let Some(wrong) = wrong {
            self.violate(|| wrong);
        }
    }

    /// I-B1: bytes held stay within the budget, one record and one popped batch, but for those that a copy was made of out of
    /// a message whose other records are still in flight.
    pub(crate) fn check_bytes(&mut self, member: usize, held: u64, twice: u64) {
        self.members[member].held_bytes = held;
        let budget = self.settings.in_flight_bytes_max;
        let limit = budget + self.record_bytes_max + self.batch_bytes_max + twice;
        self.check(held <= limit, || {
            format!("I-B1: {held} bytes are held, allowed are {limit}")
        });
    }
}

impl Book {
    /// A record becomes live under an id, or is finished by being handed over.
    fn hand_out(
        &mut self,
        number: usize,
        attempt: u32,
        order: Order,
        stream: StreamId,
        id: Option<u64>,
    ) {
        let lane = lane_of(order, &self.taken[number]);
        let taken = &mut self.taken[number];
        taken.attempts = attempt;
        taken.attempts_unsure = false;
        taken.avoid = None;
        taken.standing = id.map_or(Standing::Finished, Standing::Live);
        // A lane that went to another stream may come back.
        for other in &mut self.taken[self.low..] {
            if lane.is_some() && lane_of(order, other) == lane {
                other.avoid = other.avoid.filter(|(avoided, _)| *avoided == stream);
            }
        }
        self.unfinished -= usize::from(id.is_none());
        self.lane_dirty = true;
    }
}

/// Notes a record that was taken in. Returns what is wrong with it.
fn take_in(book: &mut Book, record: &PoppedRecord, uid: Uid, waits: bool) -> Option<String> {
    let (partition, offset) = (book.partition, record.offset);
    let marks = book.restored.as_ref();
    let marked = marks.is_some_and(|marks| is_marked(marks, offset, record.leader_epoch));
    let wrong = if !waits && !marked {
        Some(format!(
            "I-S5: offset {offset} of {partition:?} is passed over without a mark"
        ))
    } else if waits && marked {
        Some(format!(
            "I-B3: offset {offset} of {partition:?} is marked, but waits"
        ))
    } else if book.taken.last().is_some_and(|last| last.offset >= offset) {
        Some(format!(
            "offset {offset} of {partition:?} was taken in before"
        ))
    } else {
        None
    };
    let tried = marks.and_then(|marks| retried_at(marks, offset, record.leader_epoch));
    let from_home = book.from_home.remove(&uid);
    let carried = book.carried.remove(&offset);
    let attempts = tried.map_or(0, |retried| retried.attempts);
    let failures = tried.map_or(0, |retried| retried.failures);
    let carry = carried.as_ref();
    let known = from_home.unwrap_or_else(|| super::homes::Known {
        attempts: Some(attempts.max(carry.map_or(0, |carry| carry.attempts_max))),
        failures: carry.map_or(failures, |carry| carry.failures),
        not_before: carry.map_or(Moment(0), |carry| carry.not_before),
        aside: carry.is_some_and(|carry| carry.aside),
        vague: false,
    });
    book.unfinished += usize::from(waits);
    book.taken.push(Taken {
        uid,
        offset,
        key: record.key_hash,
        size: u64::from(record.size),
        standing: if waits {
            Standing::Waiting
        } else {
            Standing::Finished
        },
        attempts: known.attempts.unwrap_or(attempts),
        attempts_unsure: carry.is_some(),
        failures: known.failures,
        deaths: carry.map_or(0, |carry| carry.deaths),
        deaths_among: 0,
        suspect: false,
        aside: known.aside,
        vague: known.vague,
        sent: false,
        not_before: known.not_before,
        avoid: None,
        output: None,
        proven: false,
    });
    book.frontier = book.frontier.max(Some(offset + 1));
    wrong
}

fn record_is_wrong(
    book: &Book,
    taken: &Taken,
    truth: &Truth,
    (attempt, payload): (u32, Payload),
) -> Option<String> {
    let committed = match &book.read {
        Some(Some(read)) if !book.moved => Some(read.offset),
        Some(_) | None => None,
    };
    if !book.alive {
        Some("I-S3: its assignment is dead".to_owned())
    } else if taken.uid != payload.uid {
        Some(format!(
            "I-S7: bytes of record {} are delivered as {}",
            payload.uid, taken.uid
        ))
    } else if (truth.partition, truth.offset, truth.key)
        != (book.partition, taken.offset, taken.key)
    {
        Some(format!(
            "I-S7: {truth:?} is delivered as offset {}",
            taken.offset
        ))
    } else if taken.aside {
        Some("A2: it is delivered, but was set aside".to_owned())
    } else if taken.standing != Standing::Waiting {
        Some(format!("I-O3: it is delivered while {:?}", taken.standing))
    } else if attempt > taken.attempts + 1 || (attempt <= taken.attempts && !taken.attempts_unsure)
    {
        Some(format!("attempt {attempt} after {}", taken.attempts))
    } else if committed.is_some_and(|committed| taken.offset < committed) {
        Some(format!(
            "I-B3: offset {} is delivered, committed was {committed:?}",
            taken.offset
        ))
    } else {
        None
    }
}

fn is_too_early(taken: &Taken, now: Moment, stream: StreamId) -> Option<String> {
    let avoided = taken
        .avoid
        .is_some_and(|(avoided, until)| avoided == stream && now < until);
    (avoided || now < taken.not_before)
        .then(|| "it is delivered before its back-off ended".to_owned())
}

/// The lane that a record keeps its order in; `None` if it has no order.
fn lane_of(order: Order, taken: &Taken) -> Option<Option<u64>> {
    match order {
        Order::Partition => Some(None),
        Order::Key => taken.key.map(Some),
        Order::None => None,
    }
}

/// Everything unfinished before `number` in its lane must be live on the same stream, and not too much.
fn lane_is_wrong(
    book: &Book,
    order: Order,
    depth: u32,
    number: usize,
    is_here: impl Fn(u64) -> bool,
) -> Option<String> {
    let lane = lane_of(order, book.taken.get(number)?)?;
    let mut live = 1;
    for (at, other) in book.taken.iter().enumerate().skip(book.low) {
        if at == number || lane_of(order, other) != Some(lane) {
            continue;
        }
        match other.standing {
            Standing::Waiting if at < number => {
                return Some(format!(
                    "I-O1, I-O2: record {number} is delivered while record {at} of its lane waits"
                ));
            }
            Standing::Live(id) => {
                live += 1;
                if !is_here(id) {
                    return Some(format!(
                        "I-O1: record {number} goes to another stream than record {at}, which is live"
                    ));
                }
            }
            Standing::Waiting | Standing::Finished => {}
        }
    }
    (live > depth).then(|| format!("I-O2: {live} records of a lane are live, allowed are {depth}"))
}
