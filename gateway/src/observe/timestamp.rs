//! The time of day as logs write it, with the slow part kept for a second.

use std::time::Duration;

use super::number::{decimal, padded};

/// The date and time of the second written last, as text; each worker has its own.
///
/// Lines of one second share it, so that calendar arithmetic is done once a second and not once a line.
#[derive(Clone, Debug)]
pub struct TimeCache {
    second: u64,
    rfc3339: Vec<u8>,
    combined: Vec<u8>,
}

impl TimeCache {
    /// Appends a moment since the Unix epoch as RFC 3339 has it: UTC, milliseconds.
    pub fn rfc3339(&mut self, out: &mut Vec<u8>, wall: Duration) {
        self.seek(wall);
        out.extend_from_slice(&self.rfc3339);
        out.extend_from_slice(&padded::<3>(u64::from(wall.subsec_millis())));
        out.push(b'Z');
    }

    /// Appends a moment as the combined log format has it, always in UTC: `20/Nov/2026:12:34:56 +0000`.
    ///
    /// nginx writes the machine's zone here. The offset is part of the text, so readers agree on the moment.
    pub fn combined(&mut self, out: &mut Vec<u8>, wall: Duration) {
        self.seek(wall);
        out.extend_from_slice(&self.combined);
    }

    fn seek(&mut self, wall: Duration) {
        let second = wall.as_secs().min(LAST_SECOND);
        if second == self.second {
            return;
        }
        self.second = second;
        let (year, month, day) = date(second / DAY_S);
        let time = second % DAY_S;
        let [hour, minute, second] = [time / 3600, time / 60 % 60, time % 60].map(padded::<2>);
        self.rfc3339.clear();
        for (digits, end) in [
            (&padded::<4>(year)[..], b'-'),
            (&padded::<2>(month), b'-'),
            (&padded::<2>(day), b'T'),
            (&hour, b':'),
            (&minute, b':'),
            (&second, b'.'),
        ] {
            self.rfc3339.extend_from_slice(digits);
            self.rfc3339.push(end);
        }
        self.combined.clear();
        self.combined.extend_from_slice(&padded::<2>(day));
        self.combined.push(b'/');
        self.combined
            .extend_from_slice(MONTHS[month as usize - 1].as_bytes());
        self.combined.push(b'/');
        decimal(&mut self.combined, year);
        for digits in [&hour, &minute, &second] {
            self.combined.push(b':');
            self.combined.extend_from_slice(digits);
        }
        self.combined.extend_from_slice(b" +0000");
    }
}

impl Default for TimeCache {
    fn default() -> Self {
        Self {
            second: u64::MAX, // past LAST_SECOND, so the first look is always a miss
            rfc3339: Vec::with_capacity(20),
            combined: Vec::with_capacity(26),
        }
    }
}

/// Year, month (1 to 12) and day (1 to 31) of a day counted from 1 January 1970.
///
/// Counted in years that begin in March, so that the leap day comes last and needs no case of its own.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + DAYS_TO_EPOCH;
    let era = day / DAYS_PER_ERA;
    let of_era = day % DAYS_PER_ERA;
    // Days that the leap rule has added so far: one in 4 years, none in 100, one in 400.
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // March to January: 31 30 31 30 31 repeats every 153 days.
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let (month, into_next) = if from_march < 10 {
        (from_march + 3, 0)
    } else {
        (from_march - 9, 1)
    };
    (era * 400 + year_of_era + into_next, month, day)
}

const DAY_S: u64 = 86_400;
/// From 1 March of the year 0 to 1 January 1970.
const DAYS_TO_EPOCH: u64 = 719_468;
/// 400 years, after which the calendar repeats.
const DAYS_PER_ERA: u64 = 146_097;
/// The end of 9999: RFC 3339 has four digits for a year.
const LAST_SECOND: u64 = 253_402_300_799;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use proptest::prelude::*;

    use super::*;

    fn both(times: &mut TimeCache, ms: u64) -> (String, String) {
        let (mut rfc3339, mut combined) = (Vec::new(), Vec::new());
        times.rfc3339(&mut rfc3339, Duration::from_millis(ms));
        times.combined(&mut combined, Duration::from_millis(ms));
        (
            String::from_utf8(rfc3339).unwrap(),
            String::from_utf8(combined).unwrap(),
        )
    }

    #[test]
    fn known_moments_read_as_they_should() {
        let mut times = TimeCache::default();
        for (ms, rfc3339, combined) in [
            (0, "1970-01-01T00:00:00.000Z", "01/Jan/1970:00:00:00 +0000"),
            (
                951_782_400_007,
                "2000-02-29T00:00:00.007Z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                951_782_400_999,
                "2000-02-29T00:00:00.999Z",
                "29/Feb/2000:00:00:00 +0000",
            ),
            (
                1_795_178_096_123,
                "2026-11-20T12:34:56.123Z",
                "20/Nov/2026:12:34:56 +0000",
            ),
            (
                253_402_300_799_000,
                "9999-12-31T23:59:59.000Z",
                "31/Dec/9999:23:59:59 +0000",
            ),
            (u64::MAX, "9999-12-31T23:59:59.615Z", "31/Dec/9999:23:59:59 +0000"),
        ] {
            assert_eq!(both(&mut times, ms), (rfc3339.to_owned(), combined.to_owned()));
        }
    }

    proptest! {
        #[test]
        fn every_date_is_the_one_httpdate_writes(second in 0u64..LAST_SECOND) {
            let (_, combined) = both(&mut TimeCache::default(), second * 1000);
            let http = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(second));
            // Fri, 20 Nov 2026 12:34:56 GMT
            let expected = format!("{}/{}/{}:{} +0000", &http[5..7], &http[8..11], &http[12..16], &http[17..25]);
            prop_assert_eq!(combined, expected);
        }
    }
}
