//! Why a request is not served: one closed list, with everything that follows from each reason.

/// A reason to refuse. Status, log word, metric label and text follow from it in one `match` each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The request breaks a rule of HTTP in a way that could be read two ways.
    BadRequest,
    /// The client was slower with a body than `body_timeout`.
    BodyTimeout,
    /// The body is larger than `max_body`.
    BodyTooLarge,
    /// No server took the connection.
    ConnectFailed,
    /// No server took the connection in time.
    ConnectTimeout,
    /// CONNECT, or another method this gateway never passes on.
    MethodNotImplemented,
    /// An expectation other than 100-continue.
    ExpectationFailed,
    /// The gateway may not read the file.
    Forbidden,
    /// The head is larger than `max_header_size` or has more than `max_headers` fields.
    HeadTooLarge,
    /// The head was not complete within `header_timeout`.
    HeaderTimeout,
    /// Something of ours failed; never the client's fault.
    Internal,
    /// The origin's answer was no HTTP, or ambiguous.
    InvalidAnswer,
    /// The route is for other methods.
    MethodNotAllowed,
    /// No route matches, or no such file.
    NotFound,
    /// No server can take the request: all are down, ejected, full or being drained.
    NoServer,
    /// The connection broke before there was an answer.
    OriginReset,
    /// The origin did not answer in time.
    OriginTimeout,
    /// A condition of the request does not hold for the file.
    PreconditionFailed,
    /// No byte of the file is in the range asked for.
    RangeNotSatisfiable,
    /// The status that the route's `try_files` ends with.
    Configured(u16),
    /// The route's `timeout` has run out.
    RequestTimeout,
    /// This machine is out of something: descriptors, memory.
    Exhausted,
    /// A transfer coding this gateway does not know.
    UnknownCoding,
    /// The target is longer than `max_uri`.
    UriTooLong,
    /// Neither HTTP/1.0 nor HTTP/1.1.
    VersionNotSupported,
}

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

impl Refusal {
    /// Every reason, for metrics and documentation.
    pub const ALL: &[Self] = &[
        Self::BadRequest,
        Self::BodyTimeout,
        Self::BodyTooLarge,
        Self::ConnectFailed,
        Self::ConnectTimeout,
        Self::MethodNotImplemented,
        Self::ExpectationFailed,
        Self::Forbidden,
        Self::HeadTooLarge,
        Self::HeaderTimeout,
        Self::Internal,
        Self::InvalidAnswer,
        Self::MethodNotAllowed,
        Self::NotFound,
        Self::NoServer,
        Self::OriginReset,
        Self::OriginTimeout,
        Self::PreconditionFailed,
        Self::RangeNotSatisfiable,
        Self::Configured(404),
        Self::RequestTimeout,
        Self::Exhausted,
        Self::UnknownCoding,
        Self::UriTooLong,
        Self::VersionNotSupported,
    ];

    /// What follows from it.
    pub const fn facts(self) -> Facts {
        let (status, word, title, detail) = match self {
            Self::BadRequest => (
                400,
                "bad_request",
                "Bad Request",
                "The request is malformed or ambiguous.",
            ),
            Self::BodyTimeout => (
                408,
                "body_timeout",
                "Request Timeout",
                "The request body arrived too slowly.",
            ),
            Self::BodyTooLarge => (
                413,
                "body_too_large",
                "Content Too Large",
                "The request body is too large.",
            ),
            Self::ConnectFailed => (
                502,
                "connect_failed",
                "Bad Gateway",
                "The service could not be reached.",
            ),
            Self::ConnectTimeout => (
                504,
                "connect_timeout",
                "Gateway Timeout",
                "The service could not be reached in time.",
            ),
            Self::MethodNotImplemented => (
                501,
                "method_not_implemented",
                "Not Implemented",
                "This method is not served here.",
            ),
            Self::ExpectationFailed => (
                417,
                "expectation_failed",
                "Expectation Failed",
                "The only expectation known here is 100-continue.",
            ),
            Self::Forbidden => (403, "forbidden", "Forbidden", "This may not be read."),
            Self::PreconditionFailed => (
                412,
                "precondition_failed",
                "Precondition Failed",
                "A condition of the request does not hold.",
            ),
            Self::RangeNotSatisfiable => (
                416,
                "range_not_satisfiable",
                "Range Not Satisfiable",
                "There is nothing in the range asked for.",
            ),
            Self::Configured(status) => (
                status,
                "configured",
                "Refused",
                "There is nothing to be had at this address.",
            ),
            Self::Exhausted => (
                503,
                "exhausted",
                "Service Unavailable",
                "The gateway is out of a resource right now.",
            ),
            Self::HeadTooLarge => (
                431,
                "head_too_large",
                "Request Header Fields Too Large",
                "The request's header fields are too large.",
            ),
            Self::HeaderTimeout => (
                408,
                "header_timeout",
                "Request Timeout",
                "The request's head arrived too slowly.",
            ),
            Self::Internal => (
                500,
                "internal",
                "Internal Server Error",
                "The gateway failed to handle the request.",
            ),
            Self::InvalidAnswer => (
                502,
                "invalid_answer",
                "Bad Gateway",
                "The service gave an answer that is not valid HTTP.",
            ),
            Self::MethodNotAllowed => (
                405,
                "method_not_allowed",
                "Method Not Allowed",
                "This resource is not served for this method.",
            ),
            Self::NotFound => (404, "not_found", "Not Found", "There is nothing at this address."),
            Self::NoServer => (
                503,
                "no_server",
                "Service Unavailable",
                "The service has no server available right now.",
            ),
            Self::OriginReset => (
                502,
                "origin_reset",
                "Bad Gateway",
                "The service broke the connection.",
            ),
            Self::OriginTimeout => (
                504,
                "origin_timeout",
                "Gateway Timeout",
                "The service did not answer in time.",
            ),
            Self::RequestTimeout => (
                504,
                "request_timeout",
                "Gateway Timeout",
                "The request took longer than it may.",
            ),
            Self::UnknownCoding => (
                501,
                "unknown_coding",
                "Not Implemented",
                "This transfer coding is not known here.",
            ),
            Self::UriTooLong => (
                414,
                "uri_too_long",
                "URI Too Long",
                "The request's target is too long.",
            ),
            Self::VersionNotSupported => (
                505,
                "version_not_supported",
                "HTTP Version Not Supported",
                "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
            ),
        };
        Facts {
            status,
            word,
            title,
            detail,
        }
    }
}
