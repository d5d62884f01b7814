//! Reading a request's head from a connection, within one deadline for all of it.

use std::pin::pin;

use crate::config::plan::Limits;
use crate::stream::{Buffer, IoFault, Stream, within};
use crate::wire::{HeadFault, HeadLimits, HeadScan, Request};

/// Empty lines forgiven before a request: some clients end a body with one that is not of it.
const LEADING_LINES_MAX: usize = 4;

/// How the wait for a head has ended.
#[derive(Debug)]
pub enum Incoming {
    /// It is parsed, and its bytes are used up.
    Whole,
    /// The client has left without asking anything, or has had enough time to ask.
    Left,
    /// The client has left, or its connection broke, in the middle of a head.
    Broken,
    /// It was not whole in time.
    TooSlow,
    /// It breaks a rule.
    Refused(HeadFault),
}

/// Reads a head into `request`. What the client has sent beyond it stays in `buffer`.
///
/// The time begins when this is called, which is when the first byte is there or is being waited for.
pub async fn read_head(
    stream: &Stream,
    buffer: &mut Buffer,
    request: &mut Request,
    limits: &Limits,
) -> Incoming {
    let head_limits = head_limits(limits);
    let mut scan = HeadScan::default();
    let read = {
        let reading = pin!(async {
            loop {
                match scan.advance(buffer.unread(), head_limits) {
                    Err(fault) => return Ok(Incoming::Refused(fault)),
                    Ok(Some((start, end))) => return Ok(take(buffer, request, start, end, head_limits)),
                    Ok(None) if buffer.is_full() => {
                        buffer.grow(limits.max_header_size.max(buffer.unread().len() * 2))
                    }
                    Ok(None) => {}
                }
                if buffer.fill(stream).await? == 0 {
                    let is_between = !scan.has_begun(buffer.unread());
                    return Ok(if is_between {
                        Incoming::Left
                    } else {
                        Incoming::Broken
                    });
                }
            }
        });
        within(limits.header_timeout, reading).await
    };
    match read {
        Ok(incoming) => incoming,
        Err(IoFault::TimedOut) if scan.has_begun(buffer.unread()) => Incoming::TooSlow,
        // An empty line after a body asks for nothing: an answer would be taken for that of the next request.
        Err(IoFault::TimedOut) => Incoming::Left,
        Err(IoFault::Broken(_)) => Incoming::Broken,
    }
}

fn take(
    buffer: &mut Buffer,
    request: &mut Request,
    start: usize,
    end: usize,
    limits: HeadLimits,
) -> Incoming {
    match request.parse(&buffer.unread()[start..end], limits) {
        Ok(()) => {
            buffer.consume(end);
            Incoming::Whole
        }
        Err(fault) => Incoming::Refused(fault),
    }
}

/// What a request's head may take.
pub fn head_limits(limits: &Limits) -> HeadLimits {
    HeadLimits {
        bytes_max: limits.max_header_size,
        fields_max: limits.max_headers,
        target_bytes_max: limits.max_uri,
        leading_lines_max: LEADING_LINES_MAX,
    }
}
