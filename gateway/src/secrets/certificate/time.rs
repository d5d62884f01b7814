//! Times as certificates write them (RFC 5280 §4.1.2.5), in time since the Unix epoch.

use std::time::Duration;

use crate::secrets::der::{GENERALIZED_TIME, Reader, UTC_TIME};

const DAY_SECS: i64 = 86_400;

/// The next element, which must be a time. What lies before 1970 is 1970.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<Duration> {
    if reader.next_is(GENERALIZED_TIME) {
        return generalized(reader.content(GENERALIZED_TIME)?);
    }
    let text = reader.content(UTC_TIME)?;
    let (year, rest) = text.split_at_checked(2)?;
    let year = number(year)?;
    // RFC 5280 §4.1.2.5.1: "Where YY is greater than or equal to 50, the year SHALL be interpreted as 19YY".
    moment(if year >= 50 { 1_900 + year } else { 2_000 + year }, rest)
}

/// "20261121075556Z"
pub(super) fn generalized(text: &[u8]) -> Option<Duration> {
    let (year, rest) = text.split_at_checked(4)?;
    moment(number(year)?, rest)
}

/// "1121075556Z" of a year.
fn moment(year: i64, rest: &[u8]) -> Option<Duration> {
    // RFC 5280 §4.1.2.5.2: "MUST NOT include fractional seconds", and the zone is always Z.
    let digits = rest.strip_suffix(b"Z").filter(|digits| digits.len() == 10)?;
    let mut parts = [0; 5];
    for (part, pair) in parts.iter_mut().zip(digits.chunks(2)) {
        *part = number(pair)?;
    }
    let [month, day, hour, minute, second] = parts;
    let is_time =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !is_time {
        return None;
    }
    let secs = days(year, month, day) * DAY_SECS + hour * 3_600 + minute * 60 + second;
    Some(Duration::from_secs(u64::try_from(secs).unwrap_or(0)))
}

/// Days from 1 January 1970, in the Gregorian calendar. Years are counted from March, so that a leap day ends one.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - DAYS_BEFORE_1970
}

/// From 1 March of the year 0 to 1 January 1970.
const DAYS_BEFORE_1970: i64 = 719_468;

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |sum, digit| {
        digit.is_ascii_digit().then(|| sum * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::kit::http_date;

    #[test]
    fn both_forms_are_read_and_the_year_of_the_short_one_is_completed() {
        let read = |tag: u8, text: &[u8]| {
            let der = [&[tag, u8::try_from(text.len()).unwrap()], text].concat();
            read(&mut Reader::new(&der)).map(|time| time.as_secs())
        };
        assert_eq!(read(UTC_TIME, b"941106084937Z"), Some(784_111_777));
        assert_eq!(read(UTC_TIME, b"500101000000Z"), Some(0));
        assert_eq!(read(GENERALIZED_TIME, b"19941106084937Z"), Some(784_111_777));
        assert_eq!(read(GENERALIZED_TIME, b"99991231235959Z"), Some(253_402_300_799));
        for odd in [
            "19941306084937Z",
            "1994110608493Z",
            "19941106084937",
            "19941106084937.5Z",
            "1994-10608493Z",
            "",
        ] {
            assert_eq!(read(GENERALIZED_TIME, odd.as_bytes()), None, "{odd}");
        }
    }

    proptest! {
        #[test]
        fn it_is_the_calendar_of_http(secs in 0u64..253_402_300_799) {
            const MONTHS: [&str; 12] =
                ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
            // "Sun, 06 Nov 1994 08:49:37 GMT"
            let date = http_date::format(secs);
            let month = 1 + MONTHS.iter().position(|m| *m == &date[8..11]).unwrap();
            let time = date[17..25].replace(':', "");
            let text = format!("{}{month:02}{}{time}Z", &date[12..16], &date[5..7]);
            prop_assert_eq!(generalized(text.as_bytes()), Some(Duration::from_secs(secs)));
        }
    }
}
