//! Why a request is not served: one closed list, with everything that follows from each reason.

/// What follows from a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Status code.
    pub status: u16,
    /// The word in the access log and the metric's label: lower case, underscores.
    pub word: &'static str,
    /// The status' name, for people.
    pub title: &'static str,
    /// One sentence for the client. It says nothing of what is behind the gateway.
    pub detail: &'static str,
}

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $reason:ident: $status:literal, $word:literal, $title:literal, $detail:literal;)*) => {
        /// A reason to refuse. Status, log word, metric label and text stand beside each.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Refusal {
            $($(#[doc = $doc])* $reason,)*
            /// The status that the route's `try_files` ends with.
            Configured(u16),
        }

        impl Refusal {
            /// Every reason, for metrics and documentation.
            pub const ALL: &[Self] = &[$(Self::$reason,)* Self::Configured(404)];

            /// What follows from it.
            pub const fn facts(self) -> Facts {
                match self {
                    $(Self::$reason => Facts { status: $status, word: $word, title: $title, detail: $detail },)*
                    Self::Configured(status) => Facts {
                        status,
                        word: "configured",
                        title: "Refused",
                        detail: "There is nothing to be had at this address.",
                    },
                }
            }
        }
    };
}

refusals! {
    // The client's.
    /// The request breaks a rule of HTTP in a way that could be read two ways.
    BadRequest: 400, "bad_request", "Bad Request", "The request is malformed or ambiguous.";
    /// The route asks who it is, and the request does not say.
    CredentialsMissing: 401, "credentials_missing", "Unauthorized", "This asks for credentials.";
    /// The credentials are not good, or no longer.
    CredentialsInvalid: 401, "credentials_invalid", "Unauthorized", "These credentials are not accepted.";
    /// The client's address is denied, or not among those that are allowed.
    Denied: 403, "denied", "Forbidden", "This address may not come in here.";
    /// The gateway may not read the file.
    Forbidden: 403, "forbidden", "Forbidden", "This may not be read.";
    /// No route matches, or no such file.
    NotFound: 404, "not_found", "Not Found", "There is nothing at this address.";
    /// The route, or the gateway, is for other methods.
    MethodNotAllowed: 405, "method_not_allowed", "Method Not Allowed", "This resource is not served for this method.";
    /// The client was slower with a body than `body_timeout`.
    BodyTimeout: 408, "body_timeout", "Request Timeout", "The request body arrived too slowly.";
    /// The head was not complete within `header_timeout`.
    HeaderTimeout: 408, "header_timeout", "Request Timeout", "The request's head arrived too slowly.";
    /// The client took nothing of its answer for `body_timeout`: it was cut off in the middle, and this is for our log alone.
    ReaderTimeout: 408, "reader_timeout", "Request Timeout", "The answer was taken too slowly.";
    /// A condition of the request does not hold for the file.
    PreconditionFailed: 412, "precondition_failed", "Precondition Failed", "A condition of the request does not hold.";
    /// The body is larger than `max_body`.
    BodyTooLarge: 413, "body_too_large", "Content Too Large", "The request body is too large.";
    /// The target is longer than `max_uri`.
    UriTooLong: 414, "uri_too_long", "URI Too Long", "The request's target is too long.";
    /// No byte of the file is in the range asked for.
    RangeNotSatisfiable: 416, "range_not_satisfiable", "Range Not Satisfiable", "There is nothing in the range asked for.";
    /// An expectation other than 100-continue.
    ExpectationFailed: 417, "expectation_failed", "Expectation Failed", "The only expectation known here is 100-continue.";
    /// More requests than a rate limit admits.
    RateLimited: 429, "rate_limited", "Too Many Requests", "There were too many requests in too short a time.";
    /// The head is larger than `max_header_size` or has more than `max_headers` fields.
    HeadTooLarge: 431, "head_too_large", "Request Header Fields Too Large", "The request's header fields are too large.";
    /// CONNECT, which this gateway never passes on.
    MethodNotImplemented: 501, "method_not_implemented", "Not Implemented", "This method is not served here.";
    /// A transfer coding this gateway does not know.
    UnknownCoding: 501, "unknown_coding", "Not Implemented", "This transfer coding is not known here.";
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported: 505, "version_not_supported", "HTTP Version Not Supported", "Only HTTP/1.0 and HTTP/1.1 are spoken here.";

    // The origin's.
    /// No server took the connection.
    ConnectFailed: 502, "connect_failed", "Bad Gateway", "The service could not be reached.";
    /// The origin's answer was no HTTP, or ambiguous.
    InvalidAnswer: 502, "invalid_answer", "Bad Gateway", "The service gave an answer that is not valid HTTP.";
    /// The connection broke before there was an answer.
    OriginReset: 502, "origin_reset", "Bad Gateway", "The service broke the connection.";
    /// A WebSocket is asked for, and the service is asked over HTTP/2, by which none is passed on.
    WebsocketUnsupported: 502, "websocket_unsupported", "Bad Gateway", "The service takes no WebSocket.";
    /// No server can take the request: all are down, ejected, full or being drained.
    NoServer: 503, "no_server", "Service Unavailable", "The service has no server available right now.";
    /// Where its servers are is to be discovered, and nobody has said so far.
    NotDiscovered: 503, "not_discovered", "Service Unavailable", "The servers of the service are not known yet.";
    /// No server took the connection in time.
    ConnectTimeout: 504, "connect_timeout", "Gateway Timeout", "The service could not be reached in time.";
    /// The client wants a stored answer or none, and none is stored.
    NotStored: 504, "not_stored", "Gateway Timeout", "There is no stored answer, and the request allows no other.";
    /// The origin did not answer in time.
    OriginTimeout: 504, "origin_timeout", "Gateway Timeout", "The service did not answer in time.";
    /// The route's `timeout` has run out.
    RequestTimeout: 504, "request_timeout", "Gateway Timeout", "The request took longer than it may.";

    // Too much at once.
    /// As many requests run and wait as a concurrency limit admits.
    ConcurrencyLimited: 503, "concurrency_limited", "Service Unavailable", "Too many requests are being served at once.";
    /// The upstream has as much to do as it can do.
    Overloaded: 503, "overloaded", "Service Unavailable", "The service has more to do than it can do right now.";
    /// A place that was waited for did not become free within `queue_timeout`.
    QueueTimeout: 503, "queue_timeout", "Service Unavailable", "The service was too busy for too long.";

    // Ours.
    /// Whoever decides on credentials cannot be asked right now.
    AuthUnavailable: 503, "auth_unavailable", "Service Unavailable", "Credentials cannot be checked right now.";
    /// A limit that is counted elsewhere cannot be asked right now, and is to be closed then.
    LimitUnavailable: 503, "limit_unavailable", "Service Unavailable", "The gateway cannot count requests right now.";
    /// Something of ours failed; never the client's fault.
    Internal: 500, "internal", "Internal Server Error", "The gateway failed to handle the request.";
    /// This machine is out of something: descriptors, memory.
    Exhausted: 503, "exhausted", "Service Unavailable", "The gateway is out of a resource right now.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_in_the_table_of_the_manual_with_its_status() {
        let manual = include_str!("../../../README.md");
        let rows: Vec<_> = manual.lines().filter(|line| line.starts_with("| ")).collect();
        let is_there = |facts: &Facts| {
            let (word, status) = (format!("`{}`", facts.word), facts.status.to_string());
            let has_both = |row: &&str| {
                let mut cells = row.split('|').skip(1);
                let statuses = cells.next().is_some_and(|cell| cell.contains(&status));
                statuses && cells.next().is_some_and(|cell| cell.contains(&word))
            };
            rows.iter().any(has_both)
        };
        let all = Refusal::ALL.iter().map(|refusal| refusal.facts());
        let missing: Vec<_> = all.filter(|facts| !is_there(facts)).map(|f| f.word).collect();
        // Of the first no client hears; what a route's own `try_files` ends with has the status that is written there.
        assert_eq!(missing, ["reader_timeout", "configured"]);
    }
}
