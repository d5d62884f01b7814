//! Single values of fields and of configurations: times, sizes, rates, traces.

use std::time::Duration;

use gateway::kit::trace_context::TraceParent;
use gateway::kit::{grpc, http_date, units};

/// The bytes as each of them.
pub fn target(data: &[u8]) {
    if let Some(parent) = TraceParent::parse(data) {
        let text = parent.text();
        assert_eq!(TraceParent::parse(&text), Some(parent));
        assert_eq!(data[3..53], text[3..53]);
        assert!(data.len() == text.len() || !data.starts_with(b"00"));
    }
    assert_eq!(grpc::timeout(data), grpc_plainly(data));
    _ = grpc::is_grpc(data);
    if let Some(secs) = http_date::parse(data) {
        assert_eq!(http_date::parse(http_date::format(secs).as_bytes()), Some(secs));
    }
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    assert!(grpc::message(text).bytes().all(|b| (b' '..=b'~').contains(&b)));
    if let Ok(duration) = units::parse_duration(text) {
        assert_eq!(
            units::parse_duration(&units::format_duration(duration)),
            Ok(duration)
        );
    }
    if let Ok(bytes) = units::parse_bytes(text) {
        assert_eq!(units::parse_bytes(&units::format_bytes(bytes)), Ok(bytes));
    }
    if let Ok((count, period)) = units::parse_rate(text) {
        assert_eq!(
            units::parse_rate(&units::format_rate(count, period)),
            Ok((count, period))
        );
    }
}

/// gRPC over HTTP/2: "TimeoutValue TimeoutUnit", one to eight digits.
fn grpc_plainly(data: &[u8]) -> Option<Duration> {
    let (unit, digits) = data.split_last()?;
    let is_number = (1..=8).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    let number: u64 = std::str::from_utf8(digits)
        .ok()
        .filter(|_| is_number)?
        .parse()
        .ok()?;
    Some(match unit {
        b'H' => Duration::from_secs(number * 3600),
        b'M' => Duration::from_secs(number * 60),
        b'S' => Duration::from_secs(number),
        b'm' => Duration::from_millis(number),
        b'u' => Duration::from_micros(number),
        b'n' => Duration::from_nanos(number),
        _ => return None,
    })
}
