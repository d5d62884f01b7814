//! What the gateway itself says to a client: replies of its own, refusals, edits of heads.

pub mod head;
pub mod page;
pub mod refusal;

use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;

use crate::wire::Fields;

pub use refusal::Refusal;

/// An answer made here. The lane adds Date, Content-Length, Connection and what the route's edits say.
#[derive(Debug)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// The status it stands for in logs and counts, where a protocol within HTTP says it otherwise; None = its own.
    pub stands_for: Option<u16>,
    /// Fields in order; never Date, Content-Length, Transfer-Encoding or Connection.
    pub fields: Vec<(&'static str, String)>,
    /// Fields of somebody else's answer that this one passes on, without those of framing and connection.
    pub relayed: Option<Box<Fields>>,
    /// What follows the head. For HEAD the lane sends the length and leaves the bytes out.
    pub body: Body,
}

/// A body whose length is known before its first byte is sent.
#[derive(Debug, Default)]
pub struct Body {
    /// Sent one after the other.
    pub segments: Vec<Segment>,
}

/// A piece of a body.
#[derive(Debug)]
pub enum Segment {
    /// In memory.
    Bytes(Bytes),
    /// A stretch of an open file, streamed.
    File {
        /// Open for reading.
        file: Arc<File>,
        /// First byte.
        offset: u64,
        /// How many bytes.
        length: u64,
    },
}

impl Reply {
    /// An answer without body. `fields` can be added with [`Reply::with`].
    pub fn empty(status: u16) -> Self {
        Self {
            status,
            stands_for: None,
            fields: Vec::new(),
            relayed: None,
            body: Body::default(),
        }
    }

    /// An answer with a body of one piece.
    pub fn of(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let body = Body {
            segments: vec![Segment::Bytes(body.into())],
        };
        Self {
            status,
            stands_for: None,
            fields: vec![("Content-Type", content_type.to_owned())],
            relayed: None,
            body,
        }
    }

    /// The same answer with one more field.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}

impl Body {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.segments.iter().map(Segment::length).sum()
    }
}

impl Segment {
    /// Length in bytes.
    pub fn length(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }
}
