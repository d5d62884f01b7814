//! Dates as HTTP writes them (RFC 9110 §5.6.7), in whole seconds since the Unix epoch.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use httpdate::HttpDate;

/// 31 December 9999, 23:59:59: the format has four digits for the year.
const LATEST: u64 = 253_402_300_799;

/// The seconds since the epoch a date stands for; None where it is no date, or one before 1970.
///
/// RFC 9110 §5.6.7: "A recipient that parses a timestamp value in an HTTP field MUST accept all three HTTP-date
/// formats." The day of the week must fit the date: a date that contradicts itself says nothing.
pub fn parse(text: &[u8]) -> Option<u64> {
    let date: HttpDate = std::str::from_utf8(text).ok()?.parse().ok()?;
    let since = SystemTime::from(date).duration_since(UNIX_EPOCH).ok()?;
    Some(since.as_secs())
}

/// The date in the one format that may be sent, such as "Sun, 06 Nov 1994 08:49:37 GMT".
///
/// What lies after the year 9999 is written as the last second of it.
pub fn format(unix_secs: u64) -> String {
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(unix_secs.min(LATEST)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn all_three_formats_of_the_rfc_are_read() {
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(parse(text.as_bytes()), Some(784_111_777), "{text}");
        }
        assert_eq!(format(784_111_777), "Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn what_is_no_date_says_nothing() {
        for text in [
            "",
            "0",
            "yesterday",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Fri, 06 Nov 1931 08:49:37 GMT",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse(b"Sun, 06 Nov 1994 08:49:37 \xff"), None);
    }

    #[test]
    fn a_time_beyond_four_digits_is_the_last_one_that_can_be_written() {
        assert_eq!(format(u64::MAX), "Fri, 31 Dec 9999 23:59:59 GMT");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(secs in 0..=LATEST) {
            prop_assert_eq!(parse(format(secs).as_bytes()), Some(secs));
        }

        #[test]
        fn no_input_makes_it_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&text);
        }
    }
}
