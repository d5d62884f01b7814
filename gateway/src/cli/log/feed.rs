//! Lines out of a stream of bytes, without a copy of each.

use std::io::{self, Read};

/// Bytes read at once.
const BLOCK_BYTES: usize = 256 << 10;
/// A longer line is none of an access log: a head has 32 KiB, and each of its bytes is at most six here.
const LINE_BYTES_MAX: usize = 1 << 20;

/// What has been read and not yet handed out.
pub struct Feed {
    buffer: Vec<u8>,
    /// Up to where there is something in it.
    filled: usize,
    /// Within a line that is too long.
    is_overlong: bool,
}

/// A line, or what stands in place of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Piece<'b> {
    /// Without its end.
    Line(&'b [u8]),
    /// There was a line that is too long.
    Overlong,
}

impl Default for Feed {
    fn default() -> Self {
        Self {
            buffer: vec![0; BLOCK_BYTES],
            filled: 0,
            is_overlong: false,
        }
    }
}

impl Feed {
    /// Reads once and hands out every line that is whole. The bytes read; 0 at the end.
    ///
    /// # Errors
    /// Those of the reader, and those of whoever takes the lines.
    pub fn pump(
        &mut self,
        from: &mut dyn Read,
        take: &mut dyn FnMut(Piece<'_>) -> io::Result<()>,
    ) -> io::Result<usize> {
        if self.filled == self.buffer.len() {
            self.buffer.resize(self.filled * 2, 0);
        }
        let n = loop {
            match from.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        let searched = self.filled;
        self.filled += n;
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', &self.buffer[searched..self.filled]) {
            let end = searched + end;
            let line = &self.buffer[start..end];
            start = end + 1;
            if std::mem::take(&mut self.is_overlong) {
                take(Piece::Overlong)?;
            } else if !line.trim_ascii().is_empty() {
                take(Piece::Line(line))?;
            }
        }
        self.buffer.copy_within(start..self.filled, 0);
        self.filled -= start;
        if self.filled > LINE_BYTES_MAX {
            self.is_overlong = true;
            self.filled = 0;
        }
        Ok(n)
    }

    /// Hands out what has no end of line, where no more will come.
    ///
    /// # Errors
    /// Those of whoever takes it.
    pub fn finish(&mut self, take: &mut dyn FnMut(Piece<'_>) -> io::Result<()>) -> io::Result<()> {
        let line = &self.buffer[..std::mem::take(&mut self.filled)];
        if std::mem::take(&mut self.is_overlong) {
            take(Piece::Overlong)
        } else if line.trim_ascii().is_empty() {
            Ok(())
        } else {
            take(Piece::Line(line))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Gives its bytes in pieces of these lengths.
    struct Dribble<'b> {
        bytes: &'b [u8],
        lengths: Vec<usize>,
    }

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let n = self
                .lengths
                .pop()
                .unwrap_or(7)
                .min(self.bytes.len())
                .min(into.len());
            let (now, later) = self.bytes.split_at(n);
            into[..n].copy_from_slice(now);
            self.bytes = later;
            Ok(n)
        }
    }

    fn pieces(bytes: &[u8], lengths: Vec<usize>) -> Vec<Option<Vec<u8>>> {
        let mut out = Vec::new();
        let mut take = |piece: Piece<'_>| {
            out.push(match piece {
                Piece::Line(line) => Some(line.to_vec()),
                Piece::Overlong => None,
            });
            Ok(())
        };
        let mut feed = Feed::default();
        let mut from = Dribble { bytes, lengths };
        while feed.pump(&mut from, &mut take).unwrap() > 0 {}
        feed.finish(&mut take).unwrap();
        out
    }

    proptest! {
        #[test]
        fn lines_come_whole_however_they_are_read(
            text in "[ab\n ]{0,60}",
            lengths in prop::collection::vec(1_usize..20, 0..40),
        ) {
            let expected: Vec<_> = text.split('\n').filter(|line| !line.trim().is_empty())
                .map(|line| Some(line.as_bytes().to_vec())).collect();
            prop_assert_eq!(pieces(text.as_bytes(), lengths), expected);
        }
    }

    #[test]
    fn a_line_without_end_costs_no_memory_without_end() {
        let text = [b"a\n".as_slice(), &vec![b'x'; 3 * LINE_BYTES_MAX], b"\nb\n"].concat();
        let lengths = vec![BLOCK_BYTES; 64];
        assert_eq!(
            pieces(&text, lengths.clone()),
            [Some(b"a".to_vec()), None, Some(b"b".to_vec())]
        );
        assert_eq!(pieces(&vec![b'x'; 3 * LINE_BYTES_MAX], lengths), [None]);
    }
}
