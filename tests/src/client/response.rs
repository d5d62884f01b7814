//! A response that has passed every check, and what a play asks of it.

use std::fmt;

use crate::wire::{Head, Message};

/// A whole, well-formed response.
#[derive(Clone, Debug)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Its head.
    pub head: Head,
    /// Body, trailers, chunk sizes.
    pub message: Message,
    /// 1xx responses that came before it.
    pub interims: Vec<Head>,
}

impl Response {
    /// Fails unless it has this status.
    #[track_caller]
    pub fn expect(&self, status: u16) -> &Self {
        assert_eq!(self.status, status, "expected {status}, got:\n{self}");
        self
    }

    /// Fails unless the field stands once, with this value.
    #[track_caller]
    pub fn header(&self, name: &str, value: &str) -> &Self {
        assert_eq!(self.head.one(name), Some(value), "{name} in:\n{self}");
        self
    }

    /// Fails if the field is there.
    #[track_caller]
    pub fn no_header(&self, name: &str) -> &Self {
        assert_eq!(self.head.all(name).next(), None, "{name} in:\n{self}");
        self
    }

    /// Fails unless this is the body.
    #[track_caller]
    pub fn body(&self, body: impl AsRef<[u8]>) -> &Self {
        let expected = String::from_utf8_lossy(body.as_ref()).into_owned();
        assert_eq!(self.text(), expected, "the body of:\n{self}");
        self
    }

    /// Fails unless it is a problem document (RFC 9457) of its status.
    #[track_caller]
    pub fn problem(&self) -> &Self {
        self.header("content-type", "application/problem+json");
        let problem: serde_json::Value = serde_json::from_slice(&self.message.body.kept)
            .unwrap_or_else(|error| panic!("{error} in the problem document of:\n{self}"));
        assert_eq!(problem["status"], self.status, "{self}");
        assert!(problem["title"].is_string(), "{self}");
        self
    }

    /// The value of a field that may stand once.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.head.one(name)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        self.message.body.text().into_owned()
    }

    /// Whether the gateway has said that it closes the connection after this.
    pub fn closes(&self) -> bool {
        self.head.list("connection").iter().any(|o| o == "close")
    }
}

impl fmt::Display for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for interim in &self.interims {
            write!(f, "{interim}")?;
        }
        let body = self.text();
        let cut = body.char_indices().nth(2_000).map_or(body.len(), |(at, _)| at);
        write!(f, "{}{}", self.head, &body[..cut])
    }
}
