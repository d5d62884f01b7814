//! Days and seconds without a time zone: a log's date is the one on the athlete's own calendar.

use std::fmt;
use std::str::FromStr;

use rusqlite::types::{FromSql, FromSqlError, FromSqlResult, ToSql, ToSqlOutput, ValueRef};
use serde::{Serialize, Serializer};

const SECONDS_PER_DAY: i64 = 86_400;

/// A day of the proleptic Gregorian calendar, as days since 1970-01-01; written `2026-11-21`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(i32);

impl Date {
    /// The day `days` after 1970-01-01.
    pub const fn from_days(days: i32) -> Date {
        Date(days)
    }

    /// Days since 1970-01-01.
    pub const fn days(self) -> i32 {
        self.0
    }

    /// The Monday that starts this day's week (ISO 8601).
    pub const fn monday(self) -> Date {
        Date(self.week() * 7 - DAYS_FROM_MONDAY_TO_EPOCH)
    }

    /// A running number of this day's week: consecutive weeks have consecutive numbers.
    pub const fn week(self) -> i32 {
        (self.0 + DAYS_FROM_MONDAY_TO_EPOCH).div_euclid(7)
    }

    fn from_civil(year: i32, month: i32, day: i32) -> Option<Date> {
        let date = Date(days_from_civil(year, month, day));
        (date.civil() == (year, month, day)).then_some(date)
    }

    /// Year, month and day. The calendar repeats every 400 years (an "era" of 146,097 days); a year is
    /// counted from March so that the leap day is its last.
    fn civil(self) -> (i32, i32, i32) {
        let days = self.0 + DAYS_FROM_YEAR_ZERO;
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let month = if month_from_march < 10 {
            month_from_march + 3
        } else {
            month_from_march - 9
        };
        (era * 400 + year_of_era + i32::from(month <= 2), month, day)
    }
}

/// 1970-01-01 was a Thursday.
const DAYS_FROM_MONDAY_TO_EPOCH: i32 = 3;
/// From 0000-03-01, where the eras start, to 1970-01-01.
const DAYS_FROM_YEAR_ZERO: i32 = 719_468;

/// The inverse of [`Date::civil`]; a day that does not exist (30 February) lands on one that does.
fn days_from_civil(year: i32, month: i32, day: i32) -> i32 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let (era, year_of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year
        - DAYS_FROM_YEAR_ZERO
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.civil();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl FromStr for Date {
    type Err = NotADate;

    fn from_str(text: &str) -> Result<Date, NotADate> {
        let digits = |from: usize, to: usize| -> Option<i32> {
            let part = text.get(from..to)?;
            part.bytes()
                .all(|b| b.is_ascii_digit())
                .then(|| part.parse().ok())?
        };
        let dashes = text.len() == 10 && text.get(4..5) == Some("-") && text.get(7..8) == Some("-");
        let civil = || Date::from_civil(digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        dashes.then(civil).flatten().ok_or(NotADate)
    }
}

/// The text is not a day that exists, written `YYYY-MM-DD`.
#[derive(Debug, PartialEq, Eq)]
pub struct NotADate;

impl Serialize for Date {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for Date {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.to_string().into())
    }
}

impl FromSql for Date {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Date> {
        value
            .as_str()?
            .parse()
            .map_err(|NotADate| FromSqlError::InvalidType)
    }
}

/// A moment, in whole seconds since 1970-01-01T00:00:00Z; written as RFC 3339 in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment `seconds` after the epoch.
    pub const fn from_unix(seconds: i64) -> Timestamp {
        Timestamp(seconds)
    }

    /// Seconds since the epoch.
    pub const fn unix(self) -> i64 {
        self.0
    }

    /// The UTC day of this moment.
    pub fn date(self) -> Date {
        Date(i32::try_from(self.0.div_euclid(SECONDS_PER_DAY)).unwrap_or(i32::MAX))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let second = self.0.rem_euclid(SECONDS_PER_DAY);
        write!(
            f,
            "{}T{:02}:{:02}:{:02}Z",
            self.date(),
            second / 3600,
            second / 60 % 60,
            second % 60
        )
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ToSql for Timestamp {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(self.0.into())
    }
}

impl FromSql for Timestamp {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Timestamp> {
        value.as_i64().map(Timestamp)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn well_known_days_have_their_numbers() {
        for (text, days) in [
            ("1970-01-01", 0),
            ("2000-02-29", 11_016),
            ("1969-12-31", -1),
            ("2026-11-21", 20_778),
        ] {
            assert_eq!(text.parse(), Ok(Date(days)), "{text}");
            assert_eq!(Date(days).to_string(), text);
        }
        assert_eq!(Timestamp(1_795_219_199).to_string(), "2026-11-20T23:59:59Z");
    }

    #[test]
    fn what_is_not_a_day_is_refused() {
        for text in [
            "2026-02-29",
            "2026-13-01",
            "2026-00-10",
            "2026-1-01",
            "+026-01-01",
            "2026-01-01 ",
            "",
            "2026-01-é",
        ] {
            assert_eq!(text.parse::<Date>(), Err(NotADate), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn every_day_is_read_back_as_it_was_written(days in -719_000..2_900_000) {
            prop_assert_eq!(Date(days).to_string().parse(), Ok(Date(days)));
        }

        #[test]
        fn a_week_is_seven_days_from_its_monday(days in -719_000..2_900_000) {
            let monday = Date(days).monday();
            prop_assert!((0..7).contains(&(days - monday.0)));
            prop_assert_eq!(monday.week(), Date(days).week());
            prop_assert_eq!(Date(monday.0 - 1).week(), monday.week() - 1);
        }
    }
}
