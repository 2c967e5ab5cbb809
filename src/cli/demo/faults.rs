//! What goes wrong on purpose, and whether it was mended: the plot of the demonstration.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::application::Job;
use super::ledger::Place;
use super::news::{Kind, News};

/// When the first record fails after the first one arrived, and how long until another does.
const FIRST_FAILURE: Duration = Duration::from_millis(800);
const FAILURE_EVERY: Duration = Duration::from_secs(5);
/// Deliveries of such a record that fail.
const FAILURES: u32 = 2;
/// When the application crashes first, and how long until it does again.
const FIRST_CRASH: Duration = Duration::from_millis(2_200);
const CRASH_EVERY: Duration = Duration::from_secs(9);

/// Faults of one application.
pub(super) struct Faults {
    news: News,
    /// Absent before the first record: joining the group comes before any plot.
    plan: Option<Plan>,
    /// The record that fails, and how many more times.
    failing: Option<(Place, u32)>,
    /// Records that a crash left unfinished, and that did not come again yet.
    missing: BTreeSet<Place>,
    missing_at_first: usize,
}

struct Plan {
    failure_at: Instant,
    crash_at: Instant,
}

impl Faults {
    /// Nothing has failed yet.
    pub(super) fn new(news: &News) -> Self {
        Self {
            news: news.clone(),
            plan: None,
            failing: None,
            missing: BTreeSet::new(),
            missing_at_first: 0,
        }
    }

    /// When the application crashes next, if that is known.
    pub(super) fn crash_at(&self) -> Option<Instant> {
        Some(self.plan.as_ref()?.crash_at)
    }

    /// The application crashes with these records unfinished.
    pub(super) fn crash(&mut self, now: Instant, unfinished: BTreeSet<Place>) {
        let count = unfinished.len();
        self.news.tell(
            Kind::Fault,
            format!("the application crashes with {count} records in flight"),
        );
        self.missing_at_first = count;
        self.missing = unfinished;
        if let Some(plan) = &mut self.plan {
            plan.crash_at = now + CRASH_EVERY;
        }
    }

    /// A record arrived.
    pub(super) fn arrived(&mut self, now: Instant, place: Place) {
        self.plan.get_or_insert_with(|| Plan {
            failure_at: now + FIRST_FAILURE,
            crash_at: now + FIRST_CRASH,
        });
        if self.missing.remove(&place) && self.missing.is_empty() {
            let count = self.missing_at_first;
            self.news.tell(
                Kind::Good,
                format!("all {count} records of the crash were delivered again"),
            );
        }
    }

    /// Whether the work on a record fails. New failures begin only while they `may_begin`.
    pub(super) fn fails(&mut self, now: Instant, job: &Job, may_begin: bool) -> bool {
        let customer = job.order.customer;
        let attempt = job.attempt;
        match &mut self.failing {
            Some((place, 0)) if *place == job.place => {
                self.failing = None;
                self.news.tell(
                    Kind::Good,
                    format!(
                        "customer-{customer:02}'s record: attempt {attempt} works, acknowledged"
                    ),
                );
                false
            }
            Some((place, left)) if *place == job.place => {
                *left -= 1;
                self.news.tell(
                    Kind::Fault,
                    format!(
                        "customer-{customer:02}'s record: attempt {attempt} fails too, the back-off doubles"
                    ),
                );
                true
            }
            // The record before may be with another member by now.
            Some(_) | None => may_begin && attempt == 1 && self.begin(now, job),
        }
    }

    fn begin(&mut self, now: Instant, job: &Job) -> bool {
        let Some(plan) = self.plan.as_mut().filter(|plan| plan.failure_at <= now) else {
            return false;
        };
        plan.failure_at = now + FAILURE_EVERY;
        self.failing = Some((job.place, FAILURES - 1));
        let (partition, offset) = job.place;
        let customer = job.order.customer;
        self.news.tell(
            Kind::Fault,
            format!("customer-{customer:02}'s record fails (partition {partition}, offset {offset}): RETRY"),
        );
        self.news.tell(
            Kind::Good,
            format!("customer-{customer:02}'s later records wait for it, all others go on"),
        );
        true
    }
}
