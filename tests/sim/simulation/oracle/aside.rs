//! What is given up, and whether it was time; who died, and of what.

use ackline::core::{
    Assignment, Cause, DeadLetter, Event, FramePlan, Moment, Outcome, PartitionId, Policy,
    RecordNumber, StreamId, WhenSpent,
};

use std::time::Duration;

use super::{Life, Oracle, Standing, StreamBook, Taken};

/// A connection that ends so soon after its stream died with it.
const DEATH_WITHIN: Duration = Duration::from_secs(1);
/// Streams opened so soon after a death are on trial, for so long.
const TRIAL_AFTER_DEATH: Duration = Duration::from_secs(600);
const TRIAL: Duration = Duration::from_secs(10);

impl Oracle {
    fn taken_of(&mut self, member: usize, id: u64) -> Option<&mut Taken> {
        let of_member = &mut self.members[member];
        let delivery = of_member.deliveries.get(&id)?;
        let book = of_member.books.get_mut(&delivery.assignment)?;
        book.taken.get_mut(delivery.number)
    }

    /// The application failed at it.
    pub(super) fn failed(&mut self, member: usize, id: u64) {
        if let Some(taken) = self.taken_of(member, id) {
            taken.failures += 1;
        }
    }

    /// The application sends it to the dead-letter topic: it is not delivered again.
    pub(super) fn asked_to_set_aside(&mut self, member: usize, id: u64) {
        if let Some(taken) = self.taken_of(member, id) {
            taken.aside = true;
        }
    }

    /// The application said something of it, and so has survived it.
    pub(super) fn heard_of(&mut self, member: usize, id: u64, outcome: Outcome) {
        let of_member = &mut self.members[member];
        let delivery = of_member.deliveries.get(&id);
        let stream = delivery.and_then(|delivery| of_member.streams.get_mut(&delivery.stream));
        if let Some(stream) = stream
            && outcome != Outcome::Release
        {
            stream.trial_until = None;
        }
        if let Some(taken) = self.taken_of(member, id)
            && outcome != Outcome::Release
        {
            taken.suspect = false;
            taken.deaths_among = 0;
        }
    }

    /// Until when a stream that is opened now is on trial.
    pub(super) fn trial_from(&self, now: Moment, member: usize) -> Option<Moment> {
        let death = self.members[member].last_death?;
        (now.since(death) <= TRIAL_AFTER_DEATH).then(|| now.plus(TRIAL))
    }

    /// S6: a stream that is to show yet that it works holds one record.
    pub(super) fn check_trial(&mut self, now: Moment, member: usize, stream: StreamId) {
        let book = self.members[member].streams.get(&stream);
        let on_trial = |book: &&StreamBook| book.trial_until.is_some_and(|until| until > now);
        let held = book.filter(on_trial).map_or(0, |book| book.live);
        self.check(held <= 1, || {
            format!("S6: {stream:?} is on trial, and holds {held}")
        });
    }

    /// S1: a suspect travels alone, to a stream that holds nothing else, and nothing follows it.
    pub(super) fn check_alone(&mut self, member: usize, stream: StreamId, plan: &FramePlan) {
        let of_member = &self.members[member];
        let is_suspect = |assignment: Assignment, number: usize| {
            let book = of_member.books.get(&assignment);
            let taken = book.and_then(|book| book.taken.get(number));
            taken.is_some_and(|taken| taken.suspect)
        };
        let suspects = plan
            .records
            .iter()
            .filter(|planned| {
                let number = usize::try_from(planned.number.0).unwrap_or(usize::MAX);
                is_suspect(plan.assignment, number)
            })
            .count();
        // The books of the stream count this message already.
        let held = of_member
            .streams
            .get(&stream)
            .map_or(0, |stream| stream.live as usize);
        // What became suspect while it was live elsewhere is not alone there.
        let alone = suspects == 0 || held == 1;
        let followed = of_member.deliveries.values().any(|delivery| {
            let here = delivery.stream == stream && delivery.life == Life::Live;
            here && delivery.alone && is_suspect(delivery.assignment, delivery.number)
        });
        self.check(alone && !followed, || {
            format!("S1: {stream:?} gets {plan:?} and holds {held}, with a suspect")
        });
    }

    /// What a stream holds that closes without a word.
    pub(super) fn note_held_at_close(
        &mut self,
        now: Moment,
        member: usize,
        stream: StreamId,
        topics_known: usize,
    ) {
        let counts = |policy: &Policy| policy.deaths_max > 0;
        let mut policies = self.settings.policies.iter().take(topics_known);
        if !policies.any(counts) {
            return; // deaths are nobody's concern
        }
        let of_member = &mut self.members[member];
        let held = of_member
            .deliveries
            .values()
            .filter(|delivery| delivery.stream == stream && delivery.life == Life::Live)
            .map(|delivery| (delivery.assignment, delivery.number))
            .collect();
        if let Some(book) = of_member.streams.get_mut(&stream) {
            book.held_at_close = Some((now, held));
        }
    }

    /// The application behind a stream died.
    pub(crate) fn died(&mut self, now: Moment, member: usize, stream: StreamId) {
        let of_member = &mut self.members[member];
        let Some(book) = of_member.streams.get_mut(&stream) else {
            return;
        };
        let held = book.held_at_close.take();
        let Some((_, held)) = held.filter(|(at, _)| now.since(*at) <= DEATH_WITHIN) else {
            return;
        };
        of_member.last_death = Some(now);
        let alone = held.len() == 1;
        for (assignment, number) in held {
            let Some(book) = of_member.books.get_mut(&assignment) else {
                continue;
            };
            let counts = self.settings.policy(book.partition.topic).deaths_max > 0;
            let stays = counts && book.alive && !of_member.revoking.contains(&book.partition);
            let taken = &mut book.taken[number];
            if stays && taken.standing != Standing::Finished && !taken.aside {
                taken.deaths_among += 1;
                taken.suspect |= alone || taken.deaths_among >= 2;
                taken.deaths += u32::from(alone);
            }
        }
    }

    /// A dead letter is handed out.
    pub(crate) fn sent(&mut self, member: usize, letter: &DeadLetter) {
        let policy = *self.settings.policy(letter.partition.topic);
        self.check(policy.has_dead_letters, || {
            format!("{letter:?} is sent, but there is no dead-letter topic")
        });
        let right = letter.cause != Cause::Failures || policy.then == WhenSpent::DeadLetter;
        self.check(right, || {
            format!("{letter:?} is sent, which nobody asked for")
        });
        self.set_aside(member, letter.partition, letter.offset, letter.cause);
        if let Some(taken) = self.taken_at(member, letter.partition, letter.offset) {
            taken.sent = true;
        }
    }

    /// The dead-letter topic has it, whether the process hears of it or not.
    pub(crate) fn written(&mut self, member: usize, assignment: Assignment, number: RecordNumber) {
        let book = self.members[member].books.get(&assignment);
        let number = usize::try_from(number.0).unwrap_or(usize::MAX);
        let uid = book
            .and_then(|book| book.taken.get(number))
            .map(|taken| taken.uid);
        if let Some(uid) = uid {
            self.truths[uid].terminal = true;
        }
    }

    /// The process hears that the dead-letter topic has it.
    pub(crate) fn confirmed(
        &mut self,
        member: usize,
        assignment: Assignment,
        number: RecordNumber,
    ) {
        let of_member = &mut self.members[member];
        let number = usize::try_from(number.0).unwrap_or(usize::MAX);
        if let Some(book) = of_member.books.get_mut(&assignment)
            && book.alive
            && let Some(taken) = book.taken.get_mut(number)
            && taken.standing == Standing::Waiting
        {
            taken.standing = Standing::Finished;
            book.unfinished -= 1;
            book.lane_dirty = true;
        }
    }

    /// What the core says of records that it gives up.
    pub(super) fn given_up(&mut self, member: usize, event: &Event) {
        if let Event::Parked {
            partition,
            offset,
            cause,
            ..
        } = event
        {
            self.set_aside(member, *partition, *offset, *cause);
            if let Some(taken) = self.taken_at(member, *partition, *offset) {
                taken.sent = false;
            }
        } else if let Event::Discarded {
            partition,
            offset,
            cause,
            ..
        } = event
        {
            self.discarded(member, *partition, *offset, *cause);
        } else if let Event::Unparked {
            partition, offset, ..
        } = event
            && let Some(taken) = self.taken_at(member, *partition, *offset)
        {
            taken.aside = false;
            taken.failures = 0;
            taken.deaths = 0;
            taken.not_before = Moment(0);
        }
    }

    pub(super) fn taken_at(
        &mut self,
        member: usize,
        partition: PartitionId,
        offset: i64,
    ) -> Option<&mut Taken> {
        let book = self.newest_book(member, partition)?;
        let at = book
            .taken
            .binary_search_by_key(&offset, |taken| taken.offset)
            .ok()?;
        book.taken.get_mut(at)
    }

    fn is_time(policy: &Policy, taken: &Taken, cause: Cause) -> bool {
        match cause {
            Cause::Failures => policy.failures_max > 0 && taken.failures >= policy.failures_max,
            Cause::Crashes => policy.deaths_max > 0 && taken.deaths >= policy.deaths_max,
            Cause::Oversize | Cause::Application | Cause::Operator => true,
        }
    }

    fn set_aside(&mut self, member: usize, partition: PartitionId, offset: i64, cause: Cause) {
        let policy = *self.settings.policy(partition.topic);
        let Some(taken) = self.taken_at(member, partition, offset) else {
            return self
                .violate(|| format!("{partition:?} {offset} was never taken in, but parked"));
        };
        let is_time = Self::is_time(&policy, taken, cause) || taken.vague;
        let waits = taken.standing != Standing::Finished;
        taken.aside = true;
        taken.suspect = false;
        taken.deaths_among = 0;
        let (failures, deaths) = (taken.failures, taken.deaths);
        self.check(waits && is_time, || {
            format!("{partition:?} {offset} is given up ({cause:?}) after {failures} failures, {deaths} deaths")
        });
    }

    fn discarded(&mut self, member: usize, partition: PartitionId, offset: i64, cause: Cause) {
        let policy = *self.settings.policy(partition.topic);
        let Some(taken) = self.taken_at(member, partition, offset) else {
            return self
                .violate(|| format!("{partition:?} {offset} was never taken in, but dropped"));
        };
        let by_rule = matches!(cause, Cause::Failures | Cause::Crashes);
        let asked = !by_rule || policy.then == WhenSpent::Discard;
        let is_time = Self::is_time(&policy, taken, cause) && asked;
        let uid = taken.uid;
        // What the application discarded is finished already.
        if taken.standing == Standing::Waiting {
            taken.standing = Standing::Finished;
            if let Some(book) = self.newest_book(member, partition) {
                book.unfinished -= 1;
                book.lane_dirty = true;
            }
        }
        self.truths[uid].terminal |= !self.is_transactional();
        self.check(is_time, || {
            format!("G6: {partition:?} {offset} is dropped ({cause:?}) before its time")
        });
    }
}
