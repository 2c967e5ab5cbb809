//! Moments of the calendar as text: RFC 3339, UTC, milliseconds.
//!
//! Days are counted in the proleptic Gregorian calendar from 1970, in eras of 400 years, within which every year that starts
//! in March has the same months. Leap seconds do not exist in Unix time.

const MILLIS_OF_DAY: i64 = 86_400_000;
const DAYS_OF_ERA: i64 = 146_097;
const YEARS_OF_ERA: i64 = 400;
/// From the first of March of the year 0, where the eras start, to 1970.
const DAYS_TO_1970: i64 = 719_468;

/// The moment `ms` milliseconds after 1970, such as `2026-11-28T04:05:06.789Z`.
#[must_use]
pub fn date_text(ms: i64) -> String {
    let (year, month, day) = civil(ms.div_euclid(MILLIS_OF_DAY));
    let left = ms.rem_euclid(MILLIS_OF_DAY);
    let (seconds, millis) = (left / 1_000, left % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z")
}

/// Milliseconds since 1970 of a moment written as RFC 3339, or of the first moment of a day, in UTC.
#[must_use]
pub fn parse_date(text: &str) -> Option<i64> {
    let (date, rest) = text.split_at_checked(10)?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let days = days_of(year, month, day)?;
    let midnight = days * MILLIS_OF_DAY;
    if rest.is_empty() {
        return Some(midnight);
    }
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let (time, rest) = rest.split_at_checked(8)?;
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (millis, zone) = fraction(rest)?;
    let seconds = hour * 3_600 + minute * 60 + second - offset_seconds(zone)?;
    Some(midnight + seconds * 1_000 + millis)
}

/// Year, month and day of a day counted from 1970.
fn civil(days: i64) -> (i64, i64, i64) {
    let days = days + DAYS_TO_1970;
    let era = days.div_euclid(DAYS_OF_ERA);
    let of_era = days.rem_euclid(DAYS_OF_ERA);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months from March on come in runs of five with 153 days.
    let march_month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * YEARS_OF_ERA + i64::from(month <= 2);
    (year, month, day)
}

/// The day counted from 1970, if the calendar has it.
fn days_of(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || day < 1 {
        return None;
    }
    let march_year = year - i64::from(month <= 2);
    let era = march_year.div_euclid(YEARS_OF_ERA);
    let year_of_era = march_year.rem_euclid(YEARS_OF_ERA);
    let march_month = if month > 2 { month - 3 } else { month + 9 };
    let of_year = (153 * march_month + 2) / 5 + day - 1;
    let of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + of_year;
    let days = era * DAYS_OF_ERA + of_era - DAYS_TO_1970;
    // The thirty-first of February comes back as another day.
    (civil(days) == (year, month, day)).then_some(days)
}

/// Three numbers of so many digits, with `separator` in between.
fn numbers(text: &str, separator: char, digits: [usize; 3]) -> Option<[i64; 3]> {
    let mut parts = text.split(separator);
    let mut numbers = [0; 3];
    for (number, count) in numbers.iter_mut().zip(digits) {
        let part = parts.next()?;
        if part.len() != count || !part.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Milliseconds of what may follow the seconds, finer digits cut off, and the zone behind it.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else {
        return Some((0, text));
    };
    let end = rest.find(|c: char| !c.is_ascii_digit())?;
    let (digits, zone) = rest.split_at(end);
    if digits.is_empty() {
        return None;
    }
    let millis = digits.bytes().chain(*b"00").take(3);
    let millis = millis.fold(0, |sum, digit| sum * 10 + i64::from(digit - b'0'));
    Some((millis, zone))
}

/// How far a zone is ahead of UTC.
fn offset_seconds(zone: &str) -> Option<i64> {
    if matches!(zone, "Z" | "z") {
        return Some(0);
    }
    let sign = match zone.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hours, minutes, _] = numbers(&format!("{}:00", &zone[1..]), ':', [2, 2, 2])?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * 3_600 + minutes * 60))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_moments_are_written_and_read() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_700_000_000_123, "2023-11-14T22:13:20.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(date_text(ms), text);
            assert_eq!(parse_date(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn other_writings_of_a_moment_are_read() {
        let expected = parse_date("2026-11-28T04:05:06.700Z");
        assert!(expected.is_some());
        for text in [
            "2026-11-28T04:05:06.7Z",
            "2026-11-28t05:05:06.7009+01:00",
            "2026-11-27 23:35:06.70-04:30",
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
        assert_eq!(
            parse_date("2026-11-28"),
            parse_date("2026-11-28T00:00:00Z"),
            "a day begins at midnight"
        );
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "today",
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-01-00",
            "2026-1-01",
            "2026-01-01T",
            "2026-01-01T24:00:00Z",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00+1:00",
            "2026-01-01T00:00:00é",
            "+026-01-01",
            "20é6-01-01",
        ] {
            assert_eq!(parse_date(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_moment_of_four_digit_years_reads_back(ms in -62_167_219_200_000_i64..253_402_300_800_000) {
            prop_assert_eq!(parse_date(&date_text(ms)), Some(ms));
        }

        #[test]
        fn no_moment_and_no_text_panics(ms: i64, text in "\\PC{0,40}") {
            prop_assert!(date_text(ms).ends_with('Z'));
            prop_assert_eq!(parse_date(&text), parse_date(&text));
        }
    }
}
