//! The value of Cache-Status (RFC 9211): what became of a request, and why.

use crate::facts::write_number;

/// How this cache calls itself.
const NAME: &[u8] = b"sluice";

/// Why a request went to the origin (§2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forward {
    /// The rule lets it pass by.
    Bypass,
    /// Its method is not answered from a cache.
    Method,
    /// Nothing is stored for the URL.
    UriMiss,
    /// What is stored for the URL was chosen by other field values.
    VaryMiss,
    /// Nothing is stored that would do.
    Miss,
    /// What is stored is fresh, and the request wants it validated.
    Request,
    /// What is stored is stale.
    Stale,
    /// A part is stored.
    Partial,
}

impl Forward {
    /// RFC 9211 §2.2's word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Bypass => "bypass",
            Self::Method => "method",
            Self::UriMiss => "uri-miss",
            Self::VaryMiss => "vary-miss",
            Self::Miss => "miss",
            Self::Request => "request",
            Self::Stale => "stale",
            Self::Partial => "partial",
        }
    }
}

/// What is said of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Why the origin was asked; None for a hit.
    pub forward: Option<Forward>,
    /// What the origin answered, where it is not what the client gets (§2.3).
    pub forward_status: Option<u16>,
    /// Seconds for which the answer will be fresh; negative when it is stale (§2.4).
    pub ttl_secs: Option<i64>,
    /// The answer has been stored (§2.5).
    pub is_stored: bool,
    /// One request to the origin served several clients (§2.6).
    pub is_collapsed: bool,
    /// A token with more (§2.8).
    pub detail: Option<&'static str>,
}

impl CacheStatus {
    /// A fresh or stale hit.
    pub fn hit(ttl_secs: i64) -> Self {
        Self {
            ttl_secs: Some(ttl_secs),
            ..Self::default()
        }
    }

    /// A request that went to the origin.
    pub fn forwarded(why: Forward) -> Self {
        Self {
            forward: Some(why),
            ..Self::default()
        }
    }

    /// Appends the member of the list. Into a buffer that is large enough nothing is allocated.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(NAME);
        match self.forward {
            None => out.extend_from_slice(b"; hit"),
            Some(why) => self.write_forward(why, out),
        }
        if let Some(ttl) = self.ttl_secs {
            out.extend_from_slice(b"; ttl=");
            write_signed(ttl, out);
        }
        if let Some(detail) = self.detail {
            out.extend_from_slice(b"; detail=");
            out.extend_from_slice(detail.as_bytes());
        }
    }

    fn write_forward(&self, why: Forward, out: &mut Vec<u8>) {
        out.extend_from_slice(b"; fwd=");
        out.extend_from_slice(why.word().as_bytes());
        if let Some(status) = self.forward_status {
            out.extend_from_slice(b"; fwd-status=");
            write_number(status.into(), out);
        }
        if self.is_stored {
            out.extend_from_slice(b"; stored");
        }
        if self.is_collapsed {
            out.extend_from_slice(b"; collapsed");
        }
    }
}

fn write_signed(n: i64, out: &mut Vec<u8>) {
    if n < 0 {
        out.push(b'-');
    }
    write_number(n.unsigned_abs(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(status: &CacheStatus) -> String {
        let mut out = Vec::new();
        status.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn hits_say_how_long_they_will_last() {
        assert_eq!(text(&CacheStatus::hit(376)), "sluice; hit; ttl=376");
        assert_eq!(text(&CacheStatus::hit(0)), "sluice; hit; ttl=0");
        assert_eq!(text(&CacheStatus::hit(-412)), "sluice; hit; ttl=-412");
        let stale = CacheStatus {
            detail: Some("stale-if-error"),
            ..CacheStatus::hit(i64::MIN)
        };
        assert_eq!(
            text(&stale),
            "sluice; hit; ttl=-9223372036854775808; detail=stale-if-error"
        );
    }

    #[test]
    fn what_was_forwarded_says_why_and_what_came_of_it() {
        let miss = CacheStatus {
            is_stored: true,
            is_collapsed: true,
            ..CacheStatus::forwarded(Forward::UriMiss)
        };
        assert_eq!(text(&miss), "sluice; fwd=uri-miss; stored; collapsed");
        let stale = CacheStatus {
            forward_status: Some(304),
            ttl_secs: Some(60),
            ..CacheStatus::forwarded(Forward::Stale)
        };
        assert_eq!(text(&stale), "sluice; fwd=stale; fwd-status=304; ttl=60");
        let refused = CacheStatus {
            detail: Some("set-cookie"),
            ..CacheStatus::forwarded(Forward::Miss)
        };
        assert_eq!(text(&refused), "sluice; fwd=miss; detail=set-cookie");
    }

    #[test]
    fn every_reason_is_a_word_of_the_rfc() {
        let all = [
            Forward::Bypass,
            Forward::Method,
            Forward::UriMiss,
            Forward::VaryMiss,
            Forward::Miss,
            Forward::Request,
            Forward::Stale,
            Forward::Partial,
        ];
        let words = all.map(|f| text(&CacheStatus::forwarded(f)));
        let expected = [
            "bypass",
            "method",
            "uri-miss",
            "vary-miss",
            "miss",
            "request",
            "stale",
            "partial",
        ];
        assert_eq!(words, expected.map(|w| format!("sluice; fwd={w}")));
    }
}
