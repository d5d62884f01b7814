//! Keys of limits, algorithms and policies as people write them.

use std::fmt;

use super::guard::{LimitKey, OnRedisError, Redis};
use crate::wire::syntax;

impl LimitKey {
    /// Reads `client_ip`, `header:NAME`, `cookie:NAME`, `jwt:CLAIM`, `route` or `global`.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match (kind, syntax::is_token(name.as_bytes())) {
            ("client_ip", _) if text == "client_ip" => Some(Self::ClientIp),
            ("global", _) if text == "global" => Some(Self::Global),
            ("route", _) if text == "route" => Some(Self::Route),
            ("header", true) => Some(Self::Header(name.to_ascii_lowercase())),
            ("cookie", true) => Some(Self::Cookie(name.to_owned())),
            ("jwt", _) if is_claim(name) => Some(Self::JwtClaim(name.to_owned())),
            _ => None,
        }
    }
}

/// Whether a claim can have this name. Issuers call theirs by URLs, so it is not a token.
pub fn is_claim(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(char::is_control)
}

impl fmt::Display for LimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientIp => f.write_str("client_ip"),
            Self::Cookie(name) => write!(f, "cookie:{name}"),
            Self::Global => f.write_str("global"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::JwtClaim(claim) => write!(f, "jwt:{claim}"),
            Self::Route => f.write_str("route"),
        }
    }
}

impl OnRedisError {
    /// As the configuration names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Local => "local",
            Self::Open => "open",
        }
    }
}

impl Redis {
    /// The URL with `***` for its password: what may be printed, logged and answered.
    pub fn shown(&self) -> String {
        let Some((scheme, rest)) = self.url.split_once("://") else {
            return "***".to_owned();
        };
        let authority_end = rest.find('/').unwrap_or(rest.len());
        let (authority, database) = rest.split_at(authority_end);
        match authority.rsplit_once('@') {
            Some((user, host)) => match user.split_once(':') {
                Some((user, password)) if !password.is_empty() => {
                    format!("{scheme}://{user}:***@{host}{database}")
                }
                _ => self.url.clone(),
            },
            None => self.url.clone(),
        }
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("Redis");
        shown.field("url", &self.shown()).field("timeout", &self.timeout);
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    #[test]
    fn keys_are_read_as_people_write_them() {
        let header = LimitKey::Header("x-api-key".into());
        assert_eq!(LimitKey::parse("header:X-Api-Key"), Some(header));
        let claim = LimitKey::JwtClaim("https://example.com/plan".into());
        assert_eq!(LimitKey::parse("jwt:https://example.com/plan"), Some(claim));
        for bad in [
            "",
            "ip",
            "client_ip:",
            "route:a",
            "global:",
            "header:",
            "header:a b",
            "cookie",
            "jwt:",
            "jwt:a\n",
        ] {
            assert_eq!(LimitKey::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_key_that_is_written_is_read_back(
            kind in prop_oneof![Just("client_ip"), Just("route"), Just("global"), Just("header:"), Just("cookie:"), Just("jwt:")],
            name in "[a-z-]{1,8}",
        ) {
            let text = if kind.ends_with(':') { format!("{kind}{name}") } else { kind.to_owned() };
            prop_assert_eq!(LimitKey::parse(&text).unwrap().to_string(), text);
        }

        #[test]
        fn a_password_is_never_shown(password in "[a-z0-9%:]{6,12}", user in "[A-Z]{0,3}", database in "(/[0-9])?") {
            let url = format!("redis://{user}:{password}@HOST:6379{database}");
            let redis = Redis { url, timeout: Duration::ZERO };
            let shown = format!("redis://{user}:***@HOST:6379{database}");
            prop_assert_eq!(redis.shown(), shown.as_str());
            prop_assert_eq!(format!("{redis:?}"), format!("Redis {{ url: {shown:?}, timeout: 0ns }}"));
        }
    }

    #[test]
    fn a_url_without_a_password_is_shown_as_it_is() {
        for url in [
            "redis://127.0.0.1:6379",
            "redis://[::1]/0",
            "redis://user@host",
            "redis://user:@host",
        ] {
            let redis = Redis {
                url: url.to_owned(),
                timeout: Duration::ZERO,
            };
            assert_eq!(redis.shown(), url);
        }
    }
}
