//! How many records of a topic may be given up without a person.
//!
//! An application that is down fails everything, and each record looks like poison. So giving a record up costs a token.
//! Acknowledgements earn some, and so does time. Without a token the record is tried on, at the longest back-off.

use super::ids::Moment;
use super::settings::TokenRate;

/// The tokens of one topic.
#[derive(Debug)]
pub(crate) struct Bucket {
    tokens: f64,
    /// When time was last paid for.
    at: Moment,
    /// It was found empty, and has not been full enough since.
    empty: bool,
}

impl Bucket {
    /// A bucket as it is at the start: full.
    pub(crate) fn full(rate: &TokenRate) -> Self {
        Self {
            tokens: f64::from(rate.burst),
            at: Moment::default(),
            empty: false,
        }
    }

    /// Records were acknowledged.
    pub(crate) fn earn(&mut self, rate: &TokenRate, acknowledged: u32) {
        let most = f64::from(rate.burst);
        if self.tokens < most {
            self.tokens = (self.tokens + rate.per_success * f64::from(acknowledged)).min(most);
        }
    }

    /// Takes a token, if there is one.
    pub(crate) fn take(&mut self, rate: &TokenRate, now: Moment) -> bool {
        let minutes = now.since(self.at).as_secs_f64() / 60.0;
        self.at = now;
        self.tokens = (self.tokens + rate.per_minute * minutes).min(f64::from(rate.burst));
        let taken = self.tokens >= 1.0;
        if taken {
            self.tokens -= 1.0;
        }
        taken
    }

    /// Whether a refusal is the first one in a row.
    pub(crate) fn is_first_refusal(&mut self, refused: bool) -> bool {
        let first = refused && !self.empty;
        self.empty = refused;
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: TokenRate = TokenRate {
        burst: 3,
        per_success: 0.5,
        per_minute: 2.0,
    };

    fn emptied(now: Moment) -> Bucket {
        let mut bucket = Bucket::full(&RATE);
        for _ in 0..3 {
            assert!(bucket.take(&RATE, now));
        }
        assert!(!bucket.take(&RATE, now));
        bucket
    }

    fn minute(count: u64) -> Moment {
        Moment::default().plus(std::time::Duration::from_secs(60 * count))
    }

    #[test]
    fn tokens_are_earned_by_acknowledgements() {
        let mut bucket = emptied(minute(1));
        bucket.earn(&RATE, 1);
        assert!(!bucket.take(&RATE, minute(1)));
        bucket.earn(&RATE, 1);
        assert!(bucket.take(&RATE, minute(1)));
        bucket.earn(&RATE, u32::MAX);
        assert!(bucket.tokens <= 3.0, "there is no saving above the burst");
    }

    #[test]
    fn tokens_are_earned_by_time() {
        let mut bucket = emptied(minute(1));
        assert!(bucket.take(&RATE, minute(2)) && bucket.take(&RATE, minute(2)));
        assert!(!bucket.take(&RATE, minute(2)));
        bucket.take(&RATE, minute(1000));
        assert!(bucket.tokens <= 2.0, "nor by waiting");
    }

    #[test]
    fn only_the_first_of_refusals_in_a_row_is_told() {
        let mut bucket = Bucket::full(&RATE);
        let told: Vec<bool> = [false, true, true, false, true]
            .map(|refused| bucket.is_first_refusal(refused))
            .into();
        assert_eq!(told, [false, true, false, false, true]);
    }
}
