//! The part of a body that is in memory.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Bytes below which a chunk is copied and merged with its neighbours.
///
/// A larger one is kept as it came: what describes it is small beside it, and copying it is not.
pub const SMALL_CHUNK_BYTES: usize = 4 * 1024;

/// One run of a body in order, cut into segments: bytes come at the end and are let go at the beginning.
///
/// Offsets are those of the body. Invariant: the segments follow each other without a gap from `base` to `end`, and none
/// of them is empty.
#[derive(Debug, Default)]
pub struct Window {
    base: u64,
    end: u64,
    segments: VecDeque<Segment>,
}

#[derive(Debug)]
struct Segment {
    start: u64,
    bytes: Bytes,
}

impl Segment {
    fn end(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }

    fn is_small(&self) -> bool {
        self.bytes.len() < SMALL_CHUNK_BYTES
    }
}

impl Window {
    /// Offset of the first byte that is here.
    pub fn base(&self) -> u64 {
        self.base
    }

    /// Offset behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Bytes that are here.
    pub fn length(&self) -> usize {
        // What is here was pushed in pieces of at most usize::MAX and is in memory.
        usize::try_from(self.end - self.base).unwrap_or(usize::MAX)
    }

    /// Takes the next bytes of the body.
    ///
    /// Small segments are merged by size, as a binary counter carries: a body that comes one byte at a time is copied a
    /// dozen times and leaves no more than a dozen small segments behind, whoever reads in between.
    pub fn append(&mut self, bytes: Bytes) {
        if bytes.is_empty() {
            return;
        }
        let start = self.end;
        self.end += bytes.len() as u64;
        // A short slice may hold on to the whole buffer that it was read into.
        let bytes = match bytes.len() < SMALL_CHUNK_BYTES {
            true => Bytes::copy_from_slice(&bytes),
            false => bytes,
        };
        self.segments.push_back(Segment { start, bytes });
        while self.carry() {}
    }

    /// Merges the last two segments if the last has outgrown the one before it and both are small.
    fn carry(&mut self) -> bool {
        let count = self.segments.len();
        let Some(before) = count.checked_sub(2) else {
            return false;
        };
        let (left, right) = (&self.segments[before], &self.segments[count - 1]);
        let grown = right.bytes.len() >= left.bytes.len();
        if !(grown && left.is_small() && right.is_small()) {
            return false;
        }
        let merged = Segment {
            start: left.start,
            bytes: joined([&left.bytes, &right.bytes].into_iter()),
        };
        self.segments.truncate(before);
        self.segments.push_back(merged);
        true
    }

    /// Up to `length_max` bytes from `offset` on, shared and not copied; None if the byte at `offset` is not here.
    pub fn slice(&self, offset: u64, length_max: usize) -> Option<Bytes> {
        if offset < self.base || offset >= self.end {
            return None;
        }
        let index = self.segments.partition_point(|s| s.end() <= offset);
        let segment = self.segments.get(index)?;
        let from = usize::try_from(offset - segment.start).ok()?;
        let to = segment.bytes.len().min(from.saturating_add(length_max));
        Some(segment.bytes.slice(from..to))
    }

    /// Everything from `offset` on, in order, shared and not copied.
    pub fn pieces_from(&self, offset: u64) -> Vec<Bytes> {
        let first = self.segments.partition_point(|s| s.end() <= offset);
        let pieces = self.segments.range(first..).map(|segment| {
            let skipped = offset.saturating_sub(segment.start);
            segment.bytes.slice(usize::try_from(skipped).unwrap_or(0)..)
        });
        pieces.collect()
    }

    /// Lets go of all before `offset`, or of everything if that is beyond the end.
    pub fn free_below(&mut self, offset: u64) {
        let offset = offset.min(self.end);
        if offset <= self.base {
            return;
        }
        self.base = offset;
        while self.segments.front().is_some_and(|s| s.end() <= offset) {
            self.segments.pop_front();
        }
        if let Some(front) = self.segments.front_mut().filter(|s| s.start < offset) {
            // Within this segment, whose length is a usize.
            let cut = usize::try_from(offset - front.start).unwrap_or(0);
            front.bytes.advance(cut);
            front.start = offset;
        }
    }

    /// Puts `whole` in the place of all segments; it has to be the same bytes in one piece.
    pub fn flatten(&mut self, whole: Bytes) {
        debug_assert_eq!(whole.len(), self.length(), "the same bytes in one piece");
        let start = self.base;
        self.segments.clear();
        if !whole.is_empty() {
            self.segments.push_back(Segment { start, bytes: whole });
        }
    }

    /// How many segments it takes, for tests of what they cost.
    #[cfg(test)]
    pub fn segments(&self) -> usize {
        self.segments.len()
    }
}

/// Pieces in one: a copy unless there is just one.
pub fn one_piece(pieces: &[Bytes]) -> Bytes {
    match pieces {
        [] => Bytes::new(),
        [only] => only.clone(),
        several => joined(several.iter()),
    }
}

fn joined<'a>(pieces: impl Iterator<Item = &'a Bytes> + Clone) -> Bytes {
    let length = pieces.clone().map(Bytes::len).sum();
    let mut whole = BytesMut::with_capacity(length);
    for piece in pieces {
        whole.extend_from_slice(piece);
    }
    whole.freeze()
}
