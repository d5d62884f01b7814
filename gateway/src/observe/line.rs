//! One finished request, as the access log sees it.

use std::net::IpAddr;
use std::time::Duration;

use crate::kit::clock::Now;
use crate::wire::fields::Fields;

/// The facts of one finished request, borrowed for as long as it takes to write them down.
///
/// Bytes are as the client sent them: a [`Format`](super::Format) makes them harmless. A request whose head
/// was never understood has empty `method`, `host`, `path` and `protocol`.
#[derive(Clone, Copy)]
pub struct Line<'a> {
    /// When the head's first byte was read.
    pub start: Now,
    /// From then to the last byte sent.
    pub duration: Duration,
    /// None where the client has no address: a Unix socket.
    pub client_ip: Option<IpAddr>,
    /// Method.
    pub method: &'a [u8],
    /// Without port.
    pub host: &'a [u8],
    /// Without query.
    pub path: &'a [u8],
    /// Without its `?`; None when there was none.
    pub query: Option<&'a [u8]>,
    /// http or https.
    pub scheme: &'static str,
    /// Of the listener.
    pub port: u16,
    /// HTTP/1.0 or HTTP/1.1.
    pub protocol: &'static str,
    /// What was answered; 0 when the client was gone before there was an answer.
    pub status: u16,
    /// Body bytes to the client.
    pub bytes_sent: u64,
    /// Body bytes from the client.
    pub bytes_received: u64,
    /// Who asked, by the route's authority; None where nobody was asked to say.
    pub user: Option<&'a [u8]>,
    /// Name of the route; None when none matched.
    pub route: Option<&'a str>,
    /// Name of the upstream; None when none was asked.
    pub upstream: Option<&'a str>,
    /// Address of the last server tried.
    pub server: Option<&'a str>,
    /// Servers tried.
    pub tries: u32,
    /// From the first try to the origin's head.
    pub upstream_time: Option<Duration>,
    /// What the cache did; None on routes without one.
    pub cache: Option<&'static str>,
    /// The word of the refusal.
    pub refusal: Option<&'static str>,
    /// Ours, or a trusted proxy's.
    pub request_id: &'a [u8],
    /// The request's fields.
    pub request: &'a Fields,
    /// The response's fields as sent; `&()` when there was no response.
    pub response: &'a dyn ResponseFields,
    /// Present when the request took `slow_threshold` or longer.
    pub slow: Option<Timings>,
}

/// Where a slow request's time went; None for what did not happen or was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// From the head's first byte to its last: a slow client.
    pub head: Option<Duration>,
    /// Waited for: places, answers to who it is, counts of all gateways together.
    pub guard: Option<Duration>,
    /// Spent by the cache until it answered or asked an origin: looking on disk, waiting for another request's answer.
    pub cache: Option<Duration>,
    /// Waited for room at an upstream that is asked for no more than it can do.
    pub queue: Option<Duration>,
    /// Spent on getting connections, all tries together: a slow network or a full backlog.
    pub connect: Option<Duration>,
    /// From the head's first byte to the first byte of the answer.
    pub first_byte: Option<Duration>,
    /// From there to the last byte: a large body, or a slow reader.
    pub body: Option<Duration>,
}

/// The fields of a response, whichever way its lane holds them.
pub trait ResponseFields {
    /// The value of the first field of that name, which is given in lower case.
    fn first_value(&self, name: &str) -> Option<&[u8]>;
}

impl ResponseFields for Fields {
    fn first_value(&self, name: &str) -> Option<&[u8]> {
        self.first_of(name)
    }
}

/// The fields of a reply the gateway made itself.
impl ResponseFields for Vec<(&'static str, String)> {
    fn first_value(&self, name: &str) -> Option<&[u8]> {
        let field = self.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        Some(field.1.as_bytes())
    }
}

impl ResponseFields for () {
    fn first_value(&self, _name: &str) -> Option<&[u8]> {
        None
    }
}
