//! Durations and sizes as people write them: `500ms`, `1m30s`, `16MiB`.
//!
//! What is written by [`duration_text`] and [`size_text`] reads back as the same value, so that the
//! output of `config print` is a settings file again.

use std::time::Duration;

/// Schema pattern of a duration.
pub(super) const DURATION_PATTERN: &str = "^([0-9]+(ms|s|m|h))+$";

/// Schema pattern of a size with a unit.
pub(super) const SIZE_PATTERN: &str = "^[0-9]+(B|Ki|Mi|Gi|KiB|MiB|GiB)?$";

const DURATION_UNITS: [(&str, u64); 4] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000)];

/// Kubernetes writes `16Mi`, everybody else `16MiB`; both mean the same here.
const SIZE_UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("Ki", 1 << 10),
    ("KiB", 1 << 10),
    ("Mi", 1 << 20),
    ("MiB", 1 << 20),
    ("Gi", 1 << 30),
    ("GiB", 1 << 30),
];

/// Reads numbers with units, one after the other without spaces. A number alone is refused: whoever
/// writes `5` may mean seconds or milliseconds.
pub(crate) fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut millis: u64 = 0;
    loop {
        let (number, after) = split_number(rest)?;
        let unit_end = after
            .find(|c: char| c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, tail) = after.split_at(unit_end);
        let factor = lookup(&DURATION_UNITS, unit)?;
        millis = millis.checked_add(number.checked_mul(factor)?)?;
        if tail.is_empty() {
            return Some(Duration::from_millis(millis));
        }
        rest = tail;
    }
}

/// Writes a duration of whole milliseconds; anything finer is cut off.
pub(super) fn duration_text(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    let mut text = String::new();
    for (unit, factor) in [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
        let count = millis / factor;
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
            millis %= factor;
        }
    }
    if text.is_empty() {
        text.push_str("0s");
    }
    text
}

/// Reads a count of bytes with an optional unit.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split_number(text)?;
    number.checked_mul(lookup(&SIZE_UNITS, unit)?)
}

/// Writes a size in the largest unit that divides it.
pub(crate) fn size_text(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor && bytes.is_multiple_of(factor) {
            return format!("{}{unit}", bytes / factor);
        }
    }
    format!("{bytes}B")
}

fn split_number(text: &str) -> Option<(u64, &str)> {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    Some((digits.parse().ok()?, rest))
}

fn lookup(units: &[(&str, u64)], unit: &str) -> Option<u64> {
    units
        .iter()
        .find(|(name, _)| *name == unit)
        .map(|(_, factor)| *factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for (text, millis) in [
            ("0s", 0),
            ("500ms", 500),
            ("5s", 5_000),
            ("1m30s", 90_000),
            ("6m", 360_000),
            ("2h", 7_200_000),
            ("1h1ms", 3_600_001),
        ] {
            let duration = Duration::from_millis(millis);
            assert_eq!(parse_duration(text), Some(duration), "{text}");
            assert_eq!(duration_text(duration), text);
        }
        assert_eq!(
            parse_duration("90s").map(duration_text).as_deref(),
            Some("1m30s")
        );
    }

    #[test]
    fn a_duration_without_unit_or_with_another_one_is_refused() {
        for text in [
            "",
            "5",
            "s",
            "5 s",
            "5sec",
            "1.5s",
            "-1s",
            "5s3",
            "1d",
            "99999999999999999999s",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
        assert_eq!(parse_duration("18446744073709551615h"), None, "overflow");
    }

    #[test]
    fn sizes_read_and_write() {
        for (text, bytes, written) in [
            ("0", 0, "0B"),
            ("1500", 1_500, "1500B"),
            ("64KiB", 65_536, "64KiB"),
            ("16Mi", 16 << 20, "16MiB"),
            ("2048MiB", 2 << 30, "2GiB"),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
            assert_eq!(size_text(bytes), written);
            assert_eq!(parse_size(written), Some(bytes));
        }
        for text in [
            "",
            "MiB",
            "16MB",
            "16 MiB",
            "1.5MiB",
            "-1",
            "99999999999GiB",
        ] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }
}
