//! As much of DER (ITU-T X.690 §10) as keys and certificates need: definite lengths in their shortest form, low tags.

pub const BOOLEAN: u8 = 0x01;
pub const INTEGER: u8 = 0x02;
pub const BIT_STRING: u8 = 0x03;
pub const OCTET_STRING: u8 = 0x04;
pub const NULL: u8 = 0x05;
pub const OBJECT: u8 = 0x06;
pub const ENUMERATED: u8 = 0x0a;
pub const UTC_TIME: u8 = 0x17;
pub const GENERALIZED_TIME: u8 = 0x18;
pub const SEQUENCE: u8 = 0x30;
pub const SET: u8 = 0x31;
/// `[0] EXPLICIT`
pub const EXPLICIT_0: u8 = 0xa0;

/// What has not been read yet.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// All of these bytes are to be read.
    pub fn new(der: &'a [u8]) -> Self {
        Self(der)
    }

    /// What is left, as it is.
    pub fn rest(&self) -> &'a [u8] {
        self.0
    }

    /// Whether the next element has this tag.
    pub fn next_is(&self, tag: u8) -> bool {
        self.0.first() == Some(&tag)
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next element: its tag, its content, and all of it.
    pub fn element(&mut self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        if tag & 0x1f == 0x1f {
            return None;
        }
        let (&first, rest) = rest.split_first()?;
        let bytes = match first {
            0..=0x7f => 0,
            // Two bytes of length are more than a file may have.
            0x81 | 0x82 => usize::from(first & 0x7f),
            _ => return None,
        };
        let (long, rest) = rest.split_at_checked(bytes)?;
        let length = match long {
            [] => usize::from(first),
            _ => long.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte)),
        };
        let least = [0, 0x80, 0x100][bytes];
        if length < least {
            return None;
        }
        let (content, after) = rest.split_at_checked(length)?;
        let whole = &self.0[..self.0.len() - after.len()];
        self.0 = after;
        Some((tag, content, whole))
    }

    /// The content of the next element, if that has the tag expected.
    pub fn content(&mut self, expected: u8) -> Option<&'a [u8]> {
        let (tag, content, _) = self.element()?;
        (tag == expected).then_some(content)
    }

    /// The content of the next element if it has this tag; where it has another, nothing is read.
    pub fn optional(&mut self, tag: u8) -> Option<&'a [u8]> {
        if self.next_is(tag) {
            self.content(tag)
        } else {
            None
        }
    }

    /// An INTEGER that is not negative, without the byte that keeps it from being so.
    pub fn natural(&mut self) -> Option<&'a [u8]> {
        match self.content(INTEGER)? {
            [] => None,
            [0, rest @ ..] if rest.first().is_some_and(|byte| *byte >= 0x80) => Some(rest),
            [first, ..] if *first == 0 || *first >= 0x80 => None,
            number => Some(number),
        }
    }
}
