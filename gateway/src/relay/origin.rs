//! A connection to an origin, and the answer's head on it.

use std::cell::Cell;
use std::rc::Rc;

use crate::stream::{Buffer, Stream};
use crate::upstream::h2::Fate;
use crate::wire::{Answer, HeadFault, HeadLimits, HeadScan};

/// What an answer's head may take: more than we allow clients, because origins are ours.
const ANSWER_LIMITS: HeadLimits = HeadLimits {
    bytes_max: 128 << 10,
    fields_max: 256,
    target_bytes_max: 8 << 10,
    leading_lines_max: 0,
};

/// Interim answers (1xx) before the final one. A flood of them would otherwise hold a client for ever.
pub const INTERIM_ANSWERS_MAX: u32 = 16;

/// A connection that a request is being sent on.
#[derive(Debug)]
pub struct Origin {
    stream: Stream,
    reader: Reader,
    /// Whether it has carried a request before: then its end may only mean that it had grown old.
    pub is_reused: bool,
    /// What becomes of a request over HTTP/2; None over HTTP/1.1, where nobody says.
    fate: Option<Rc<Cell<Fate>>>,
    /// Whether a request that was not touched may go to the same server again.
    pub is_first: bool,
    /// Whether other requests were running on the connection when this one began.
    pub is_shared: bool,
}

/// What has been read from a connection. Apart from the stream, because writing goes on while reading does.
#[derive(Debug)]
pub struct Reader {
    buffer: Buffer,
    scan: HeadScan,
    has_answered: bool,
}

/// Why there is no answer.
#[derive(Debug)]
pub enum AnswerFault {
    /// The connection has ended.
    Closed,
    /// What came is no HTTP, or ambiguous; the text says how, for the log.
    Invalid(&'static str),
}

impl Origin {
    /// For one request on this connection.
    pub fn new(stream: Stream, buffer: Buffer, is_reused: bool) -> Self {
        Self {
            stream,
            reader: Reader {
                buffer,
                scan: HeadScan::default(),
                has_answered: false,
            },
            is_reused,
            fate: None,
            is_first: false,
            is_shared: false,
        }
    }

    /// The same over HTTP/2, where a request that has come to nothing can have come to several things. `is_first`: it has not
    /// met a connection before that had ended; `is_shared`: it is not alone on this one.
    #[must_use]
    pub fn told_by(mut self, fate: Rc<Cell<Fate>>, is_first: bool, is_shared: bool) -> Self {
        self.is_shared = is_shared;
        self.fate = Some(fate);
        self.is_first = is_first;
        self
    }

    /// What has become of a request over HTTP/2; [`Fate::Gone`] over HTTP/1.1.
    pub fn fate(&self) -> Fate {
        self.fate.as_ref().map_or(Fate::Gone, |fate| fate.get())
    }

    /// The side that reads, and the connection for both.
    pub fn split(&mut self) -> (&mut Reader, &Stream) {
        (&mut self.reader, &self.stream)
    }

    /// Whether any byte of an answer has come.
    pub fn has_answered(&self) -> bool {
        self.reader.has_answered
    }

    /// Whether nothing was read beyond the answer. Bytes nobody asked for make a connection unfit for the next request.
    pub fn is_drained(&self) -> bool {
        self.reader.buffer.is_empty()
    }

    /// The bare connection, to wait for the next request.
    pub fn into_stream(self) -> Stream {
        self.stream
    }
}

impl Reader {
    /// What was read and not used.
    pub fn buffer(&mut self) -> &mut Buffer {
        &mut self.buffer
    }

    /// Reads the next head into `answer`. Dropping the future loses nothing: call again to go on.
    pub async fn read_head(&mut self, stream: &Stream, answer: &mut Answer) -> Result<(), AnswerFault> {
        loop {
            match self.scan.advance(self.buffer.unread(), ANSWER_LIMITS) {
                Err(fault) => return Err(invalid(fault)),
                Ok(Some((_, end))) => {
                    self.scan = HeadScan::default();
                    answer
                        .parse(&self.buffer.unread()[..end], ANSWER_LIMITS)
                        .map_err(invalid)?;
                    self.buffer.consume(end);
                    return Ok(());
                }
                // One byte more than allowed, so that what is too large is found to be so.
                Ok(None) if self.buffer.is_full() => self.buffer.grow(ANSWER_LIMITS.bytes_max + 1),
                Ok(None) => {}
            }
            match self.buffer.fill(stream).await {
                Ok(0) | Err(_) => return Err(AnswerFault::Closed),
                Ok(_) => self.has_answered = true,
            }
        }
    }
}

fn invalid(fault: HeadFault) -> AnswerFault {
    AnswerFault::Invalid(match fault {
        HeadFault::Malformed(what) => what,
        HeadFault::TooLarge => "a head beyond all measure",
        HeadFault::TooManyFields => "more fields than an answer may have",
        HeadFault::TargetTooLong => "a status line beyond all measure",
        HeadFault::Version => "a version that is not spoken here",
    })
}
