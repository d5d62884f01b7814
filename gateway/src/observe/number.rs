//! Decimal digits without the formatting machinery, which costs more than the rest of a line.

use std::time::Duration;

/// Appends a number.
pub(super) fn decimal(out: &mut Vec<u8>, mut n: u64) {
    if n < 10 {
        return out.push(b'0' + n as u8);
    }
    let mut digits = [0; 20]; // u64::MAX has twenty
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = digit(n);
        n /= 10;
        if n == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}

/// Appends a number of milliseconds, with microseconds behind the point.
pub(super) fn millis(out: &mut Vec<u8>, duration: Duration) {
    let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    decimal(out, us / 1000);
    out.push(b'.');
    out.extend_from_slice(&padded::<3>(us % 1000));
}

/// The last N digits of a number, zeros in front.
pub(super) fn padded<const N: usize>(mut n: u64) -> [u8; N] {
    let mut digits = [b'0'; N];
    for at in digits.iter_mut().rev() {
        *at = digit(n);
        n /= 10;
    }
    digits
}

fn digit(n: u64) -> u8 {
    b'0' + (n % 10) as u8
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_number_reads_as_the_standard_library_writes_it(n: u64) {
            let mut out = Vec::new();
            decimal(&mut out, n);
            prop_assert_eq!(out, n.to_string().into_bytes());
        }
    }

    #[test]
    fn milliseconds_keep_their_microseconds() {
        for (us, text) in [
            (0, "0.000"),
            (7, "0.007"),
            (1_000, "1.000"),
            (12_345_678, "12345.678"),
        ] {
            let mut out = Vec::new();
            millis(&mut out, Duration::from_micros(us));
            assert_eq!(out, text.as_bytes());
        }
        let mut out = Vec::new();
        millis(&mut out, Duration::MAX);
        assert_eq!(out, b"18446744073709551.615");
    }
}
