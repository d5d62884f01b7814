//! Quantities as people write them: "5s", "10MiB", "10/s".

use std::num::NonZeroU32;
use std::time::Duration;

/// Why a text is not a quantity, worded so that it can stand in a problem's help line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotAQuantity(pub &'static str);

/// Reads a duration: a number and one of ms, s, m, h, d. Several may follow each other: "1h30m".
pub fn parse_duration(text: &str) -> Result<Duration, NotAQuantity> {
    const HELP: NotAQuantity =
        NotAQuantity("write a number and a unit: \"500ms\", \"5s\", \"2m\", \"1h\" or \"7d\"");
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(HELP);
    }
    let mut total_ns: u128 = 0;
    while !rest.is_empty() {
        let (number, unit, after) = split_quantity(rest).ok_or(HELP)?;
        let unit_ns: u128 = match unit {
            "ms" => 1_000_000,
            "s" => 1_000_000_000,
            "m" | "min" => 60_000_000_000,
            "h" => 3_600_000_000_000,
            "d" => 86_400_000_000_000,
            _ => return Err(HELP),
        };
        total_ns = number
            .scaled(unit_ns)
            .and_then(|ns| total_ns.checked_add(ns))
            .ok_or(HELP)?;
        rest = after;
    }
    u64::try_from(total_ns)
        .map(Duration::from_nanos)
        .map_err(|_| NotAQuantity("that is longer than 500 years"))
}

/// Reads a size in bytes: a number and one of B, KiB, MiB, GiB, TiB or KB, MB, GB, TB. "0" needs no unit.
pub fn parse_bytes(text: &str) -> Result<u64, NotAQuantity> {
    const HELP: NotAQuantity = NotAQuantity("write a number and a unit: \"64KiB\", \"10MiB\" or \"2GiB\"");
    let text = text.trim();
    if text == "0" {
        return Ok(0);
    }
    let (number, unit, after) = split_quantity(text).ok_or(HELP)?;
    if !after.is_empty() {
        return Err(HELP);
    }
    let factor: u128 = match unit {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "KB" | "kB" => 1_000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return Err(HELP),
    };
    let bytes = number.scaled(factor).ok_or(HELP)?;
    u64::try_from(bytes).map_err(|_| NotAQuantity("that is more bytes than there are"))
}

/// Reads a rate: a number, a slash, and a unit or a duration. "10/s", "100/10s".
pub fn parse_rate(text: &str) -> Result<(NonZeroU32, Duration), NotAQuantity> {
    const HELP: NotAQuantity =
        NotAQuantity("write a number and a time: \"10/s\", \"600/m\", \"1000/h\" or \"100/10s\"");
    let (count, period) = text.split_once('/').ok_or(HELP)?;
    let is_number = !count.is_empty() && count.bytes().all(|b| b.is_ascii_digit());
    let is_plain = !period.contains(char::is_whitespace);
    let count = count.parse().ok().filter(|_| is_number && is_plain).ok_or(HELP)?;
    let count = NonZeroU32::new(count).ok_or(NotAQuantity("a rate is at least one: \"1/s\""))?;
    // "1" before a bare unit makes it a duration; "h30m" is none of either kind.
    let is_unit = period.bytes().all(|b| b.is_ascii_alphabetic());
    let period = parse_duration(&if is_unit {
        format!("1{period}")
    } else {
        period.to_owned()
    });
    match period {
        Ok(period) if !period.is_zero() => Ok((count, period)),
        Ok(_) | Err(_) => Err(HELP),
    }
}

/// Writes a rate the way [`parse_rate`] reads it.
pub fn format_rate(count: NonZeroU32, period: Duration) -> String {
    let period = format_duration(period);
    let unit = period
        .strip_prefix('1')
        .filter(|rest| rest.bytes().all(|b| b.is_ascii_alphabetic()));
    format!("{count}/{}", unit.unwrap_or(&period))
}

/// Writes a duration the way [`parse_duration`] reads it, in the largest unit that keeps it whole.
pub fn format_duration(d: Duration) -> String {
    let (ms, rest_ns) = (d.as_millis(), d.subsec_nanos() % 1_000_000);
    if rest_ns > 0 {
        // Whole seconds apart: a number has so many digits at most.
        let seconds = match d.as_secs() {
            0 => String::new(),
            secs => format!("{secs}s"),
        };
        let digits = format!("{rest_ns:06}");
        return format!("{seconds}{}.{}ms", ms % 1_000, digits.trim_end_matches('0'));
    }
    for (unit_ms, unit) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1_000, "s")] {
        if ms >= unit_ms && ms.is_multiple_of(unit_ms) {
            return format!("{}{unit}", ms / unit_ms);
        }
    }
    format!("{ms}ms")
}

/// Writes a size the way [`parse_bytes`] reads it, in the largest binary unit that keeps it whole.
pub fn format_bytes(bytes: u64) -> String {
    if bytes == 0 {
        return "0".to_owned();
    }
    for (shift, unit) in [(40, "TiB"), (30, "GiB"), (20, "MiB"), (10, "KiB")] {
        if bytes.trailing_zeros() >= shift {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    format!("{bytes}B")
}

/// A decimal number as written: digits and how many of them are behind the point.
struct Decimal {
    digits: u128,
    behind_point: u32,
}

impl Decimal {
    fn scaled(&self, unit: u128) -> Option<u128> {
        self.digits
            .checked_mul(unit)
            .map(|n| n / 10u128.pow(self.behind_point))
    }
}

/// "1.5h30m" → (1.5, "h", "30m").
fn split_quantity(text: &str) -> Option<(Decimal, &str, &str)> {
    // As many as the largest number of bytes has, which is written without a larger unit if it is odd.
    const DIGITS_MAX: usize = 20;
    let number_end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, rest) = text.split_at(number_end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let digits = format!("{whole}{fraction}");
    if whole.is_empty() || digits.len() > DIGITS_MAX || fraction.contains('.') {
        return None;
    }
    let unit_end = rest
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(rest.len());
    let (unit, after) = rest.split_at(unit_end);
    let behind_point = u32::try_from(fraction.len()).ok()?;
    Some((
        Decimal {
            digits: digits.parse().ok()?,
            behind_point,
        },
        unit,
        after,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, ms) in [
            ("5s", 5_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1.5s", 1_500),
            ("7d", 604_800_000),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for bad in [
            "",
            "5",
            "s",
            "5 s",
            "-5s",
            "5x",
            "1..5s",
            "99999999999999999999s",
            "999999999999d",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_duration_with_a_fraction_of_a_millisecond_is_written_with_it() {
        for (text, told) in [
            ("1.5ms", "1.5ms"),
            ("1.0005s", "1s0.5ms"),
            ("0.000001ms", "0.000001ms"),
            ("1.50ms", "1.5ms"),
        ] {
            assert_eq!(parse_duration(text).map(format_duration).unwrap(), told);
        }
    }

    #[test]
    fn sizes_are_read_as_people_write_them() {
        for (text, bytes) in [
            ("64KiB", 65_536),
            ("10MB", 10_000_000),
            ("0", 0),
            ("1.5KiB", 1_536),
            ("1B", 1),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for bad in ["", "64", "64kib", "KiB", "1KiB1B", "-1B"] {
            assert!(parse_bytes(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, count, ms) in [
            ("10/s", 10, 1_000),
            ("1/m", 1, 60_000),
            ("1000/h", 1_000, 3_600_000),
            ("5/d", 5, 86_400_000),
            ("100/10s", 100, 10_000),
            ("3/1h30m", 3, 5_400_000),
            ("2/500ms", 2, 500),
        ] {
            let expected = (NonZeroU32::new(count).unwrap(), Duration::from_millis(ms));
            assert_eq!(parse_rate(text), Ok(expected), "{text}");
        }
        for bad in [
            "",
            "10",
            "/s",
            "10/",
            "10 /s",
            "10/ s",
            "10/ 1s",
            "+1/s",
            "-1/s",
            "1.5/s",
            "0/s",
            "1/0s",
            "1/x",
            "1/h30m",
            "1/s/s",
            "99999999999/s",
        ] {
            assert!(parse_rate(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_rate_that_is_written_is_read_back(count in 1u32.., ms in prop_oneof![1u64..10_000, Just(60_000), Just(86_400_000)]) {
            let (count, period) = (NonZeroU32::new(count).unwrap(), Duration::from_millis(ms));
            prop_assert_eq!(parse_rate(&format_rate(count, period)), Ok((count, period)));
        }

        #[test]
        fn what_is_written_is_read_back(ms in 0u64..10_000_000_000, bytes: u64) {
            let d = Duration::from_millis(ms);
            prop_assert_eq!(parse_duration(&format_duration(d)), Ok(d));
            prop_assert_eq!(parse_bytes(&format_bytes(bytes)), Ok(bytes));
        }
    }
}
