//! Quantities as Kubernetes writes them, as far as memory and processors need them.

/// Bytes of an amount of memory such as `64Mi`, `1.5Gi` or `100M`; `None` for what Kubernetes would refuse, and
/// for amounts below a byte.
pub(super) fn memory_bytes(text: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("Ki", 1 << 10),
        ("Mi", 1 << 20),
        ("Gi", 1 << 30),
        ("Ti", 1 << 40),
        ("k", 1_000),
        ("M", 1_000_000),
        ("G", 1_000_000_000),
        ("T", 1_000_000_000_000),
    ];
    let (number, unit) = UNITS
        .iter()
        .find_map(|(suffix, unit)| Some((text.strip_suffix(suffix)?, *unit)))
        .unwrap_or((text, 1));
    scaled(number, unit)
}

/// Thousandths of a processor of an amount such as `50m`, `0.5` or `2`.
pub(super) fn cpu_milli(text: &str) -> Option<u64> {
    match text.strip_suffix('m') {
        Some(number) => scaled(number, 1),
        None => scaled(text, 1_000),
    }
}

/// A decimal number of units, whole in the end; not zero.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    if number.ends_with('.') {
        return None;
    }
    let whole = whole.parse::<u64>().ok()?.checked_mul(unit)?;
    let part = if fraction.is_empty() {
        0
    } else {
        let denominator = 10_u64.checked_pow(u32::try_from(fraction.len()).ok()?)?;
        let product = u128::from(fraction.parse::<u64>().ok()?) * u128::from(unit);
        u64::try_from(product / u128::from(denominator)).ok()?
    };
    whole.checked_add(part).filter(|amount| *amount > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_in_powers_of_two_and_of_ten() {
        for (text, bytes) in [
            ("1", 1),
            ("64Mi", 64 << 20),
            ("1.5Gi", 3 << 29),
            ("100M", 100_000_000),
            ("3k", 3_000),
        ] {
            assert_eq!(memory_bytes(text), Some(bytes), "{text}");
        }
        for text in [
            "",
            "Mi",
            "0",
            "-1Mi",
            "1 Gi",
            "1mi",
            "1.Gi",
            ".5Gi",
            "99999999999Ti",
            "1e3",
        ] {
            assert_eq!(memory_bytes(text), None, "{text}");
        }
    }

    #[test]
    fn processors_are_read_in_thousandths() {
        for (text, milli) in [("50m", 50), ("0.5", 500), ("2", 2_000)] {
            assert_eq!(cpu_milli(text), Some(milli), "{text}");
        }
        for text in ["", "m", "0", "1c", "0m"] {
            assert_eq!(cpu_milli(text), None, "{text}");
        }
    }
}
