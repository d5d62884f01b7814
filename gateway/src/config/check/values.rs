//! Leaves that occur all over: durations, sizes, names, paths of sockets and files.

use std::ops::RangeInclusive;
use std::path::Path;
use std::time::Duration;

use ipnet::IpNet;

use crate::config::findings::Findings;
use crate::config::plan::SocketSpec;
use crate::config::raw::leaf::{self, At, Maybe, Span};
use crate::kit::{networks, units};

/// Longer than anybody waits; within it, sums of moments cannot overflow.
pub const DURATION_MAX: Duration = Duration::from_secs(366 * 86_400);

/// Longest name of a route, upstream or listener: it stands in every log line and metric.
const NAME_BYTES_MAX: usize = 64;

/// `sun_path` of Linux holds 108 bytes, the last of them zero.
const UNIX_PATH_BYTES_MAX: usize = 107;

/// What a zero means, where it does not go without saying.
#[derive(Clone, Copy, Debug)]
pub enum Zero {
    /// It has a meaning.
    Allowed,
    /// It has none; this is what whoever writes it may want.
    Means(&'static str),
}

/// A duration, or the default where none is written or it is wrong.
pub fn duration(
    raw: &Maybe<leaf::Duration>,
    path: &str,
    zero: Zero,
    default: Duration,
    findings: &mut Findings<'_>,
) -> Duration {
    let Some(raw) = raw else { return default };
    duration_of(&raw.value.0, &raw.span, path, zero, findings).unwrap_or(default)
}

/// A duration that is written; None if it is wrong.
pub fn duration_of(
    text: &str,
    span: &Span,
    path: &str,
    zero: Zero,
    findings: &mut Findings<'_>,
) -> Option<Duration> {
    let parsed = match units::parse_duration(text) {
        Ok(d) => d,
        Err(not) => {
            let message = format!("\"{text}\" is not a duration");
            findings.error(span, path, message).help(not.0);
            return None;
        }
    };
    if parsed.is_zero() {
        return match zero {
            Zero::Allowed => Some(parsed),
            Zero::Means(help) => {
                let message = format!("`{}` cannot be zero", last(path));
                findings.error(span, path, message).help(help);
                None
            }
        };
    }
    if parsed > DURATION_MAX {
        let message = format!("\"{text}\" is longer than a year");
        findings.error(span, path, message).help("write at most \"366d\"");
        return None;
    }
    if parsed.subsec_nanos() % 1_000_000 != 0 {
        let message = format!("\"{text}\" is finer than a millisecond");
        findings
            .error(span, path, message)
            .help("timers are exact to 1ms");
        return None;
    }
    Some(parsed)
}

/// A size within bounds, or the default where none is written or it is wrong.
pub fn size(
    raw: &Maybe<leaf::Size>,
    path: &str,
    bounds: RangeInclusive<u64>,
    default: u64,
    findings: &mut Findings<'_>,
) -> u64 {
    let Some(raw) = raw else { return default };
    let text = &raw.value.0;
    match units::parse_bytes(text) {
        Ok(bytes) if bounds.contains(&bytes) => bytes,
        Ok(_) => {
            let message = format!("`{}` cannot be \"{text}\"", last(path));
            let (min, max) = (
                units::format_bytes(*bounds.start()),
                units::format_bytes(*bounds.end()),
            );
            let help = format!("write a size from \"{min}\" to \"{max}\"");
            findings.error(&raw.span, path, message).help(help);
            default
        }
        Err(not) => {
            let message = format!("\"{text}\" is not a size");
            findings.error(&raw.span, path, message).help(not.0);
            default
        }
    }
}

/// Bounds of `max_body`: 0 would be read as "no limit" by some and as "no body" by others.
pub const BODY_BYTES: RangeInclusive<u64> = 1..=1 << 50;

/// A name that may stand in logs, metrics and paths of problems; false if it may not.
pub fn name(name: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    let text = &name.value;
    let is_fine = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_fine) {
        return true;
    }
    let message = format!("\"{text}\" cannot be a name");
    let help = format!("write 1 to {NAME_BYTES_MAX} letters, digits, \"_\", \"-\" or \".\"");
    findings.error(&name.span, path, message).help(help);
    false
}

/// Networks, without those that are none.
pub fn networks(list: &[At<String>], path: &str, findings: &mut Findings<'_>) -> Vec<IpNet> {
    let mut found = Vec::with_capacity(list.len());
    for item in list {
        let text = &item.value;
        let Some(network) = networks::parse(text) else {
            let message = format!("\"{text}\" is not a network");
            let problem = findings.error(&item.span, path, message);
            problem.help("write \"10.0.0.0/8\", \"fd00::/8\" or one address; names are not looked up");
            continue;
        };
        if network.addr() != network.network() {
            let message = format!("\"{text}\" names one address, but means {}", network.trunc());
            let problem = findings.warning(&item.span, path, message);
            problem.help(format!(
                "write \"{}\", or \"{}\" for one address",
                network.trunc(),
                network.addr()
            ));
        }
        found.push(network);
    }
    found
}

/// Where a socket is bound; None if it cannot be.
pub fn socket(raw: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<SocketSpec> {
    let text = &raw.value;
    let Some(spec) = SocketSpec::parse(text) else {
        let message = format!("\"{text}\" is not an address to listen on");
        findings.error(&raw.span, path, message).help(socket_help(text));
        return None;
    };
    if let SocketSpec::Unix(socket) = &spec {
        unix_path(socket, &raw.span, path, findings).then_some(())?;
    }
    Some(spec)
}

fn socket_help(text: &str) -> String {
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return format!("write \"0.0.0.0:{text}\" for every address, \"127.0.0.1:{text}\" for this machine");
    }
    if text.starts_with("unix:") {
        return "write \"unix:\" and a path that begins with a slash".to_owned();
    }
    if text.contains("://") {
        return "write the address and port without a scheme".to_owned();
    }
    if text.parse::<std::net::IpAddr>().is_ok() {
        return format!("add a port: \"{}\"", with_port(text));
    }
    "write \"0.0.0.0:80\", \"[::]:80\", \":80\", \"localhost:80\" or \"unix:/path\"; names are not looked up"
        .to_owned()
}

/// The address with a port that many would mean.
pub fn with_port(host: &str) -> String {
    if host.contains(':') {
        format!("[{host}]:80")
    } else {
        format!("{host}:80")
    }
}

/// Whether a socket can have this path.
pub fn unix_path(socket: &Path, span: &Span, path: &str, findings: &mut Findings<'_>) -> bool {
    let bytes = socket.as_os_str().len();
    if bytes > UNIX_PATH_BYTES_MAX {
        let message =
            format!("a path of {bytes} bytes is too long for a socket, which takes {UNIX_PATH_BYTES_MAX}");
        findings.error(span, path, message);
    }
    if bytes <= 1 {
        findings.error(span, path, "\"/\" is no socket");
    }
    (2..=UNIX_PATH_BYTES_MAX).contains(&bytes)
}

/// The key at the end of a path.
pub fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}
