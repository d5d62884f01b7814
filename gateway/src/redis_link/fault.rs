//! Why there is no link, by who is to blame.

use std::fmt;

use redis::{ErrorKind, RedisError};

use crate::guard::shared::SharedFault;

/// Longest piece of somebody else's text in a line of ours, in characters.
const SHOWN_MAX: usize = 200;

/// Why there is no link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkFault {
    /// Who was there has hung up, or the network has.
    Closed,
    /// Whoever answers there is no Redis.
    NotRedis(String),
    /// Redis does not let us count.
    Refused(String),
    /// Somebody takes what we send, and says nothing.
    Silent,
    /// It is there, but too slow.
    Slow(String),
    /// No connection came about.
    Unreachable(String),
    /// The URL cannot be read.
    Url(String),
}

impl LinkFault {
    /// What an error of the client library means.
    pub fn of(error: &RedisError) -> Self {
        // Redis's own words, as its manual has them.
        if let Some(code) = error.code() {
            return Self::Refused(shown(&format!("{code} {}", error.detail().unwrap_or_default())));
        }
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Refused("wrong user or password".to_owned()),
            ErrorKind::Io => Self::Closed,
            _ => Self::NotRedis(shown(error)),
        }
    }

    /// What the request is told whose question has met with it.
    pub fn to_request(&self) -> SharedFault {
        match self {
            Self::Closed | Self::Silent | Self::Slow(_) | Self::Unreachable(_) | Self::Url(_) => {
                SharedFault::Unavailable
            }
            Self::NotRedis(_) => SharedFault::Garbled,
            Self::Refused(_) => SharedFault::Failed,
        }
    }
}

impl fmt::Display for LinkFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the connection was closed"),
            Self::NotRedis(what) => write!(f, "that is no redis, see url in [redis]: {what}"),
            Self::Refused(what) => write!(
                f,
                "it refuses; mend it there, or url in [redis] (a single node that may be written to): {what}"
            ),
            Self::Silent => f.write_str("it takes connections and answers nothing; see whether it is busy"),
            Self::Slow(what) => write!(f, "too slow for timeout in [redis]: {what}"),
            Self::Unreachable(what) => {
                write!(f, "no connection, see that it runs, and url in [redis]: {what}")
            }
            Self::Url(what) => write!(f, "url in [redis] cannot be read: {what}"),
        }
    }
}

/// Somebody else's words, made fit for a line.
pub fn shown(error: &impl fmt::Display) -> String {
    let text = error.to_string();
    text.chars()
        .take(SHOWN_MAX)
        .flat_map(char::escape_debug)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn somebody_else_s_words_are_one_short_line() {
        let text = format!("a\r\nb\u{1b}{}", "x".repeat(10_000));
        let line = shown(&text);
        assert!(line.starts_with("a\\r\\nb\\u{1b}xxx"), "{line}");
        assert!(line.len() < 2 * SHOWN_MAX, "{line}");
    }

    #[test]
    fn a_line_breaks_off_when_it_is_closed_and_the_address_when_it_is_not_redis() {
        let closed = RedisError::from(std::io::Error::from(std::io::ErrorKind::BrokenPipe));
        assert_eq!(LinkFault::of(&closed), LinkFault::Closed);
        let parse = RedisError::from((ErrorKind::Parse, "unexpected byte"));
        assert!(matches!(LinkFault::of(&parse), LinkFault::NotRedis(_)));
    }
}
