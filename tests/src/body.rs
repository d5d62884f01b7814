//! Bodies as both ends see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use xxhash_rust::xxh3::Xxh3Default;

/// Bodies are kept up to here; beyond it length and hash must do.
const KEPT_BYTES: usize = 1 << 20;

/// Size of the blocks a [`Pattern`] is made of.
const BLOCK_BYTES: usize = 64 << 10;

/// What has been seen of a body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Body {
    /// Its first MiB.
    pub kept: Vec<u8>,
    /// Its length in bytes.
    pub length: u64,
    /// XXH3 of all of it.
    pub hash: u64,
}

/// Takes a body piece by piece.
#[derive(Default)]
pub struct Collector {
    kept: Vec<u8>,
    length: Arc<AtomicU64>,
    hash: Xxh3Default,
}

impl Collector {
    /// A collector that says how far it is while it collects.
    pub fn counting(length: &Arc<AtomicU64>) -> Self {
        Self {
            length: Arc::clone(length),
            ..Self::default()
        }
    }

    /// Takes the next piece.
    pub fn push(&mut self, piece: &[u8]) {
        let room = KEPT_BYTES - self.kept.len();
        self.kept.extend_from_slice(&piece[..piece.len().min(room)]);
        self.hash.update(piece);
        self.length.fetch_add(piece.len() as u64, Ordering::AcqRel);
    }

    /// What was taken.
    pub fn finish(&self) -> Body {
        Body {
            kept: self.kept.clone(),
            length: self.length.load(Ordering::Acquire),
            hash: self.hash.digest(),
        }
    }
}

impl Body {
    /// A body from its bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let mut collector = Collector::default();
        collector.push(bytes);
        collector.finish()
    }

    /// The kept bytes, as text.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.kept)
    }
}

/// A long body that is made while it is sent, and in which no two blocks are equal.
pub struct Pattern {
    left: u64,
    index: u64,
    block: Vec<u8>,
}

impl Pattern {
    /// A pattern of so many bytes; the same length gives the same bytes.
    pub fn new(length: u64) -> Self {
        let mut word = 0x9e37_79b9_7f4a_7c15_u64;
        let block = std::iter::repeat_with(|| {
            word ^= word << 13;
            word ^= word >> 7;
            word ^= word << 17;
            word.to_le_bytes()
        });
        Self {
            left: length,
            index: 0,
            block: block.take(BLOCK_BYTES / 8).flatten().collect(),
        }
    }

    /// The next bytes, or None at the end.
    pub fn block(&mut self) -> Option<&[u8]> {
        if self.left == 0 {
            return None;
        }
        self.block[..8].copy_from_slice(&self.index.to_le_bytes());
        self.index += 1;
        let length = usize::try_from(self.left).map_or(BLOCK_BYTES, |left| left.min(BLOCK_BYTES));
        self.left -= length as u64;
        Some(&self.block[..length])
    }

    /// What a reader of the whole pattern must have seen.
    pub fn whole(length: u64) -> Body {
        let mut pattern = Self::new(length);
        let mut collector = Collector::default();
        while let Some(block) = pattern.block() {
            collector.push(block);
        }
        collector.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_its_length_and_no_repetition() {
        let mut pattern = Pattern::new(BLOCK_BYTES as u64 + 3);
        let first = pattern.block().unwrap().to_vec();
        let second = pattern.block().unwrap().to_vec();
        assert_eq!((first.len(), second.len()), (BLOCK_BYTES, 3));
        assert_ne!(first[..3], second[..]);
        assert_eq!(pattern.block(), None);
        assert_eq!(Pattern::whole(7).length, 7);
    }

    #[test]
    fn a_body_is_the_same_in_whatever_pieces_it_came() {
        let mut collector = Collector::default();
        collector.push(b"ab");
        collector.push(b"");
        collector.push(b"c");
        assert_eq!(collector.finish(), Body::of(b"abc"));
    }
}
