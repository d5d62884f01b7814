//! What is asked: a method, a URL, headers, and by which listener from where.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use super::Entrance;
use crate::config::plan::{Limits, SocketSpec};
use crate::kit::host;
use crate::listen::head_limits;
use crate::wire::{HeadFault, HeadScan, Request};

/// A request that is not sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// As in a request line.
    pub method: String,
    /// `http://host:port/path?query`; or a path alone, and the host in a header.
    pub url: String,
    /// Names and values, sent as they are.
    pub headers: Vec<(String, String)>,
    /// Who is connected, or named by a PROXY header; None is this machine.
    pub from: Option<IpAddr>,
    /// The listener it comes in by; None is the one that the URL leads to.
    pub listener: Option<String>,
}

/// Why a question makes no request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuestionFault {
    /// It has a line break in it, which would end a line of the head.
    LineBreak,
    /// It is no URL of http or https, and no path.
    Url,
    /// There is no listener of that name; these there are.
    Listener(Vec<String>),
    /// There is none at all, or none that speaks the URL's scheme.
    NoListener,
}

impl fmt::Display for QuestionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineBreak => f.write_str("A method, URL or header has a line break in it."),
            Self::Url => f.write_str(
                "The URL begins with http:// or https://; or with a slash, and the host stands in a header Host.",
            ),
            Self::Listener(names) if names.is_empty() => {
                f.write_str("There is no listener of that name; none of them has one.")
            }
            Self::Listener(names) => {
                write!(f, "There is no listener of that name; there are {}.", names.join(", "))
            }
            Self::NoListener => {
                f.write_str("No listener speaks the scheme of this URL; name one (--listener), or ask by the other.")
            }
        }
    }
}

/// A URL taken apart.
struct Parts<'a> {
    /// https; None where only a path was given.
    is_https: Option<bool>,
    authority: &'a str,
    target: String,
}

impl Question {
    /// The bytes that a client would send.
    pub(super) fn head(&self) -> Result<Vec<u8>, QuestionFault> {
        let parts = self.parts()?;
        let names_host = self
            .headers
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"));
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, parts.target);
        if !names_host && parts.is_https.is_some() {
            head.push_str(&format!("Host: {}\r\n", parts.authority));
        }
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        let texts = [&self.method, &parts.target]
            .into_iter()
            .chain(self.headers.iter().flat_map(|(name, value)| [name, value]));
        let has_break = |text: &String| text.contains(['\r', '\n']);
        if texts.into_iter().any(has_break) || parts.authority.contains(['\r', '\n']) {
            return Err(QuestionFault::LineBreak);
        }
        head.push_str("\r\n");
        Ok(head.into_bytes())
    }

    fn parts(&self) -> Result<Parts<'_>, QuestionFault> {
        // A fragment is the client's own, and never sent.
        let url = self.url.split('#').next().unwrap_or_default();
        if url.starts_with('/') || url == "*" {
            return Ok(Parts {
                is_https: None,
                authority: "",
                target: url.to_owned(),
            });
        }
        let (scheme, rest) = url.split_once("://").ok_or(QuestionFault::Url)?;
        let is_https = match scheme.to_ascii_lowercase().as_str() {
            "http" => false,
            "https" => true,
            _ => return Err(QuestionFault::Url),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, target) = rest.split_at(end);
        let slash = if target.starts_with('/') { "" } else { "/" };
        Ok(Parts {
            is_https: Some(is_https),
            authority,
            target: format!("{slash}{target}"),
        })
    }

    /// The listener it comes in by, and why.
    pub(super) fn entrance(
        &self,
        mut entrances: Vec<Entrance>,
    ) -> Result<(Entrance, &'static str), QuestionFault> {
        let (at, why) = match (&self.listener, self.parts()?) {
            (Some(name), _) => (named(&entrances, name)?, "as asked"),
            (None, parts) => parts.entrance(&entrances).ok_or(QuestionFault::NoListener)?,
        };
        Ok((entrances.swap_remove(at), why))
    }

    /// Who is connected. A Unix socket's peer has no address.
    pub(super) fn peer(&self, address: &SocketSpec) -> Option<IpAddr> {
        match address {
            SocketSpec::Unix(_) => self.from,
            SocketSpec::Tcp(_) => Some(self.from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))),
        }
        .map(|ip| ip.to_canonical())
    }
}

impl Parts<'_> {
    fn entrance(&self, entrances: &[Entrance]) -> Option<(usize, &'static str)> {
        let Some(is_https) = self.is_https else {
            return (!entrances.is_empty()).then_some((0, "the first"));
        };
        let port = host::split_port(self.authority).and_then(|(_, port)| port);
        let port = port.unwrap_or(if is_https { 443 } else { 80 });
        let speaks = |(_, tls): &Entrance| tls.is_some() == is_https;
        let is_at = |(listener, _): &Entrance| match &listener.address {
            SocketSpec::Tcp(address) => address.port() == port,
            SocketSpec::Unix(_) => false,
        };
        let exact = entrances.iter().position(|e| speaks(e) && is_at(e));
        let first = || entrances.iter().position(speaks);
        exact
            .map(|at| (at, "by scheme and port"))
            .or_else(|| first().map(|at| (at, "the first of this scheme")))
    }
}

fn named(entrances: &[Entrance], name: &str) -> Result<usize, QuestionFault> {
    let names = || entrances.iter().filter_map(|(listener, _)| listener.name.clone());
    let at = entrances
        .iter()
        .position(|(listener, _)| listener.name.as_deref() == Some(name));
    at.ok_or_else(|| QuestionFault::Listener(names().collect()))
}

/// Reads a head by the rules of one that comes from a client.
pub(super) fn read(head: &[u8], limits: &Limits, request: &mut Request) -> Result<(), HeadFault> {
    let limits = head_limits(limits);
    let end = HeadScan::default().advance(head, limits)?;
    match end {
        Some((start, end)) if end == head.len() => request.parse(&head[start..end], limits),
        Some(_) | None => Err(HeadFault::Malformed("an empty line within the head")),
    }
}

/// A fault for people.
pub(super) fn told(fault: HeadFault) -> String {
    match fault {
        HeadFault::Malformed(rule) => rule.to_owned(),
        HeadFault::TooLarge => "it is larger than max_header_size".to_owned(),
        HeadFault::TooManyFields => "it has more fields than max_headers".to_owned(),
        HeadFault::TargetTooLong => "its target is longer than max_uri".to_owned(),
        HeadFault::Version => "its version".to_owned(),
    }
}

#[cfg(test)]
mod tests;
