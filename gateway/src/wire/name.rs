//! The field names the gateway has an opinion on, so that it compares one byte instead of a string.

macro_rules! names {
    ($($(#[$doc:meta])* $variant:ident = $text:literal,)*) => {
        /// A field name the gateway acts upon; every other one is `Other`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Name {
            $(#[doc = $text] $variant,)*
            /// Any other name.
            Other,
        }

        impl Name {
            /// The name in lower case; empty for `Other`.
            pub const fn text(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other => "",
                }
            }

            pub(super) const ALL: &[Self] = &[$(Self::$variant,)*];

            /// One bit of 64 that no other name has.
            pub(super) const fn bit(self) -> u64 {
                const { assert!((Self::Other as u32) < u64::BITS, "a name for each bit and no more") };
                1 << self as u32
            }
        }
    };
}

names! {
    Accept = "accept",
    AcceptEncoding = "accept-encoding",
    AcceptRanges = "accept-ranges",
    Age = "age",
    Allow = "allow",
    Authorization = "authorization",
    CacheControl = "cache-control",
    CacheGroupInvalidation = "cache-group-invalidation",
    CacheGroups = "cache-groups",
    CacheStatus = "cache-status",
    CacheTag = "cache-tag",
    CdnCacheControl = "cdn-cache-control",
    Connection = "connection",
    ContentEncoding = "content-encoding",
    ContentLength = "content-length",
    ContentLocation = "content-location",
    ContentRange = "content-range",
    ContentType = "content-type",
    Cookie = "cookie",
    Date = "date",
    Etag = "etag",
    Expect = "expect",
    Expires = "expires",
    Host = "host",
    IfMatch = "if-match",
    IfModifiedSince = "if-modified-since",
    IfNoneMatch = "if-none-match",
    IfRange = "if-range",
    IfUnmodifiedSince = "if-unmodified-since",
    KeepAlive = "keep-alive",
    LastModified = "last-modified",
    Location = "location",
    MaxForwards = "max-forwards",
    Origin = "origin",
    Pragma = "pragma",
    ProxyAuthenticate = "proxy-authenticate",
    ProxyAuthorization = "proxy-authorization",
    ProxyConnection = "proxy-connection",
    Range = "range",
    Referer = "referer",
    RetryAfter = "retry-after",
    Server = "server",
    SetCookie = "set-cookie",
    SurrogateControl = "surrogate-control",
    SurrogateKey = "surrogate-key",
    Te = "te",
    Traceparent = "traceparent",
    Tracestate = "tracestate",
    Trailer = "trailer",
    TransferEncoding = "transfer-encoding",
    Upgrade = "upgrade",
    UserAgent = "user-agent",
    Vary = "vary",
    Via = "via",
    XForwardedFor = "x-forwarded-for",
    XForwardedHost = "x-forwarded-host",
    XForwardedProto = "x-forwarded-proto",
    XRealIp = "x-real-ip",
    XRequestId = "x-request-id",
}

/// Longest text in the table, so that longer names are not even looked up.
const LONGEST: usize = 32;

/// For each length, the names of that length: at most a handful of comparisons a field.
static BY_LENGTH: [&[Name]; LONGEST] = {
    const fn count(length: usize) -> usize {
        let (mut i, mut n) = (0, 0);
        while i < Name::ALL.len() {
            if Name::ALL[i].text().len() == length {
                n += 1;
            }
            i += 1;
        }
        n
    }
    const fn fill<const N: usize>(length: usize) -> [Name; N] {
        let mut out = [Name::Other; N];
        let (mut i, mut n) = (0, 0);
        while i < Name::ALL.len() {
            if Name::ALL[i].text().len() == length {
                out[n] = Name::ALL[i];
                n += 1;
            }
            i += 1;
        }
        out
    }
    macro_rules! table {
        ($($length:literal)*) => { [$({ const N: usize = count($length); const ROW: [Name; N] = fill::<N>($length); &ROW }),*] };
    }
    table!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31)
};

impl Name {
    /// The known name equal to `text` in any case.
    pub fn of(text: &[u8]) -> Self {
        let row = BY_LENGTH.get(text.len()).copied().unwrap_or_default();
        row.iter()
            .copied()
            .find(|n| n.text().as_bytes().eq_ignore_ascii_case(text))
            .unwrap_or(Self::Other)
    }

    /// RFC 9110 §7.6.1: fields that are about one connection and never pass, nominated or not.
    ///
    /// `Trailer` announces the trailers of a message and is judged with the framing, not here.
    pub const fn is_hop_by_hop(self) -> bool {
        matches!(
            self,
            Self::Connection
                | Self::KeepAlive
                | Self::ProxyAuthenticate
                | Self::ProxyAuthorization
                | Self::ProxyConnection
                | Self::Te
                | Self::TransferEncoding
                | Self::Upgrade
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_in_any_case_and_no_other_is() {
        for name in Name::ALL {
            assert!(name.text().len() < LONGEST);
            assert_eq!(Name::of(name.text().as_bytes()), *name);
            assert_eq!(Name::of(name.text().to_uppercase().as_bytes()), *name);
        }
        for other in [
            "",
            "x",
            "hosts",
            "content_length",
            "a-name-much-longer-than-any-we-know-of",
        ] {
            assert_eq!(Name::of(other.as_bytes()), Name::Other);
        }
    }
}
