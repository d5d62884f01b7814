//! What is known of a request once its head is read: what the rooms are given.

use std::io::Write;
use std::net::IpAddr;

use crate::kit::clock::Now;
use crate::kit::template::RequestVariable;
use crate::wire::Request;

/// The facts of one request. Nothing in here changes while it is served.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The head.
    pub request: &'a Request,
    /// Who asks, behind all trusted proxies; None over a Unix socket.
    pub client_ip: Option<IpAddr>,
    /// Who is connected; None over a Unix socket.
    pub peer_ip: Option<IpAddr>,
    /// Whether the peer is a trusted proxy, whose forwarding fields are believed.
    pub is_peer_trusted: bool,
    /// "http" or "https", as the client spoke.
    pub scheme: &'static str,
    /// Of the listener.
    pub port: u16,
    /// This request's name in every log.
    pub request_id: &'a str,
    /// Name of the route; empty while none is found.
    pub route: &'a str,
    /// When the head's first byte was read.
    pub began: Now,
    /// Fields by which an origin is told who asks, and nobody else may tell it.
    pub told_names: &'a [String],
    /// What it is told: names and values.
    pub told: &'a [(String, String)],
    /// Whole lines that every answer to this request carries: what limits and CORS say.
    pub guard_lines: &'a [u8],
}

impl Facts<'_> {
    /// Appends the value of a variable. What the request does not have is empty.
    pub fn write(&self, variable: &RequestVariable, out: &mut Vec<u8>) {
        let request = self.request;
        match variable {
            RequestVariable::ClientIp => write_ip(self.client_ip, out),
            RequestVariable::Cookie(name) => {
                out.extend_from_slice(request.fields.cookie(name).unwrap_or_default())
            }
            RequestVariable::Header(name) => {
                out.extend_from_slice(request.fields.first_of(name).unwrap_or_default())
            }
            RequestVariable::Host => out.extend_from_slice(request.host.as_bytes()),
            RequestVariable::Method => out.extend_from_slice(request.method_text.as_bytes()),
            RequestVariable::Path => out.extend_from_slice(request.path_to_send().as_bytes()),
            RequestVariable::Port => write_number(self.port.into(), out),
            RequestVariable::Query => self.write_query(out),
            RequestVariable::RequestId => out.extend_from_slice(self.request_id.as_bytes()),
            RequestVariable::Route => out.extend_from_slice(self.route.as_bytes()),
            RequestVariable::Scheme => out.extend_from_slice(self.scheme.as_bytes()),
            RequestVariable::TimeMs => write_number(self.began.unix_ms(), out),
            RequestVariable::Uri => {
                out.extend_from_slice(request.path_to_send().as_bytes());
                self.write_query(out);
            }
        }
    }

    fn write_query(&self, out: &mut Vec<u8>) {
        if let Some(query) = &self.request.query {
            out.push(b'?');
            out.extend_from_slice(query.as_bytes());
        }
    }
}

/// Appends an address, IPv4 without its mapping; nothing for a Unix socket.
pub fn write_ip(ip: Option<IpAddr>, out: &mut Vec<u8>) {
    match ip.map(|ip| ip.to_canonical()) {
        None => {}
        Some(IpAddr::V6(ip)) => write!(out, "{ip}").expect("a Vec takes every byte"),
        // Twice in each proxied request: the formatter would take ten times as long.
        Some(IpAddr::V4(ip)) => {
            for (at, part) in ip.octets().into_iter().enumerate() {
                if at > 0 {
                    out.push(b'.');
                }
                write_number(part.into(), out);
            }
        }
    }
}

/// Appends a number in decimal.
pub fn write_number(mut n: u64, out: &mut Vec<u8>) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (n % 10) as u8;
        n /= 10;
        if n == 0 {
            return out.extend_from_slice(&digits[at..]);
        }
    }
}
