//! `[redis]`

use std::time::Duration;

use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::Redis;
use crate::config::raw;
use crate::config::raw::leaf::At;
use crate::kit::host::{self, HostPattern};

/// Ten times what a Redis in the same network takes; a client does not notice it.
const TIMEOUT: Duration = Duration::from_millis(10);

/// `[redis]`; None without the section, or with a problem told.
pub fn redis(raw: Option<&At<raw::Redis>>, findings: &mut Findings<'_>) -> Option<Redis> {
    let section = raw?;
    let raw = &section.value;
    let timeout = values::duration(
        &raw.timeout,
        "redis.timeout",
        Zero::Means("`on_redis_error` of a limit says what holds while Redis is silent; \"10ms\" is patient"),
        TIMEOUT,
        findings,
    );
    let Some(written) = &raw.url else {
        if findings.is_whole(&section.span) {
            let problem = findings.error(&section.span, "redis.url", "[redis] does not say where it is");
            problem.help("add url = \"redis://127.0.0.1:6379\"");
        }
        return None;
    };
    // What is written may hold a password: no message repeats it.
    if let Err(help) = address(&written.value) {
        let problem = findings.error(&written.span, "redis.url", "`url` is not the address of a Redis");
        problem.help(help);
        return None;
    }
    Some(Redis {
        url: written.value.clone(),
        timeout,
    })
}

/// Whether it is "redis://user:password@host:port/database"; if not, what to write.
fn address(url: &str) -> Result<(), &'static str> {
    const HELP: &str = "write \"redis://HOST:6379\", or \"redis://USER:PASSWORD@HOST:6379/0\"";
    if url.starts_with("rediss://") {
        return Err("this build speaks to Redis in clear text only: write \"redis://HOST:6379\"");
    }
    let rest = url.strip_prefix("redis://").ok_or(HELP)?;
    if !rest.bytes().all(|b| b.is_ascii_graphic()) || rest.contains(['?', '#']) {
        return Err(
            "percent-encode what is not a letter or a digit of a password; nothing follows the database",
        );
    }
    let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let (name, port) = host::split_port(host).ok_or(HELP)?;
    let is_name = matches!(HostPattern::parse(name), Some(HostPattern::Exact(_)));
    let is_database =
        database.is_empty() || database.bytes().all(|b| b.is_ascii_digit()) && database.len() < 6;
    match is_name && port != Some(0) && is_database {
        true => Ok(()),
        false => Err(HELP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_of_a_redis_is_told_from_what_is_none() {
        for good in [
            "redis://127.0.0.1",
            "redis://cache.internal:6379",
            "redis://[::1]:6379/15",
            "redis://:secret@host/",
            "redis://user:p%40ss@host:1/0",
        ] {
            assert_eq!(address(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            "redis://",
            "127.0.0.1:6379",
            "http://a",
            "rediss://a",
            "redis+unix:///a",
            "redis://a:0",
            "redis://a:99999",
            "redis://a/b",
            "redis://a/0/1",
            "redis://a?protocol=resp3",
            "redis://a b",
            "redis://:pa/ss@host",
            "redis://*.a",
            "redis://user@",
        ] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
