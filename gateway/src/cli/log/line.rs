//! One line of an access log in JSON, of which only what is asked for is read.
//!
//! A log of many gigabytes is read line by line, and most lines are not wanted. So nothing is decoded and nothing
//! allocated here: a walk over the members of the object notes where the wanted values stand, and ends with the last
//! of them.

use std::borrow::Cow;

use memchr::memchr2;

use super::field::{COUNT, Field, Fields};

/// Where the values of a line stand.
#[derive(Clone, Copy, Debug)]
pub struct Line<'l> {
    text: &'l [u8],
    spans: [Span; COUNT],
}

/// From and up to; a value never begins at 0, where the brace is.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    end: u32,
}

/// A value as it stands in the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'l> {
    /// What is between the quotes, escapes and all.
    Text(&'l [u8]),
    /// A number, `true`, `false`, `null`, or something nested.
    Bare(&'l [u8]),
}

impl<'l> Line<'l> {
    /// Finds the wanted members; None if the line is no JSON object as far as it had to be read, or does not end as
    /// one. Of members with one name the first counts. A line is shorter than 4 GiB.
    pub fn read(line: &'l [u8], wanted: Fields) -> Option<Self> {
        let text = line.trim_ascii();
        let spans = [Span::default(); COUNT];
        let mut found = Self { text, spans };
        if text.len() < 2 || text[0] != b'{' || text[text.len() - 1] != b'}' {
            return None;
        }
        let mut cursor = Cursor { text, at: 1 };
        if cursor.token()? == b'}' {
            return Some(found);
        }
        let mut left = wanted;
        while !left.is_empty() {
            let name = cursor.string()?;
            if cursor.token()? != b':' {
                return None;
            }
            cursor.at += 1;
            let span = cursor.value()?;
            if let Some(field) = Field::of(&text[name.start as usize..name.end as usize])
                && left.has(field)
            {
                found.spans[field as usize] = span;
                left = left.without(field);
            }
            match cursor.token()? {
                b',' => cursor.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        Some(found)
    }

    /// A member's value; None if the line lacks it, or it was not asked for.
    pub fn value(&self, field: Field) -> Option<Value<'l>> {
        let span = self.spans[field as usize];
        if span.start == 0 {
            return None;
        }
        let (start, end) = (span.start as usize, span.end as usize);
        let text = &self.text[start..end];
        Some(if self.text[start - 1] == b'"' {
            Value::Text(text)
        } else {
            Value::Bare(text)
        })
    }

    /// A member's text, decoded; a number as it is written.
    pub fn text(&self, field: Field) -> Option<Cow<'l, str>> {
        Some(match self.value(field)? {
            Value::Text(raw) => decoded(raw),
            Value::Bare(raw) => String::from_utf8_lossy(raw),
        })
    }

    /// A member's number.
    pub fn number(&self, field: Field) -> Option<f64> {
        match self.value(field)? {
            Value::Bare(raw) => std::str::from_utf8(raw).ok()?.parse().ok(),
            Value::Text(_) => None,
        }
    }

    /// A member's whole number.
    pub fn whole(&self, field: Field) -> Option<u64> {
        match self.value(field)? {
            Value::Bare(raw) => std::str::from_utf8(raw).ok()?.parse().ok(),
            Value::Text(_) => None,
        }
    }
}

/// What stands between the quotes of a JSON string.
pub fn decoded(raw: &[u8]) -> Cow<'_, str> {
    if memchr::memchr(b'\\', raw).is_none() {
        return String::from_utf8_lossy(raw);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(text) => Cow::Owned(text),
        // An escape that is none: shown as it stands.
        Err(_) => String::from_utf8_lossy(raw),
    }
}

struct Cursor<'l> {
    text: &'l [u8],
    at: usize,
}

impl Cursor<'_> {
    /// The next byte that is no space; stays on it.
    fn token(&mut self) -> Option<u8> {
        while self.text.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        Some(self.text[self.at])
    }

    /// What is between two quotes; stays behind the second.
    fn string(&mut self) -> Option<Span> {
        if self.token()? != b'"' {
            return None;
        }
        let start = self.at + 1;
        let mut end = start;
        loop {
            end += memchr2(b'"', b'\\', self.text.get(end..)?)?;
            if self.text[end] == b'"' {
                break;
            }
            end += 2;
        }
        self.at = end + 1;
        Some(span(start, end))
    }

    fn value(&mut self) -> Option<Span> {
        match self.token()? {
            b'"' => self.string(),
            b'{' | b'[' => self.nested(),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                let start = self.at;
                let is_end = |b: &u8| matches!(b, b',' | b'}' | b']') || b.is_ascii_whitespace();
                self.at += self.text[start..].iter().position(is_end)?;
                Some(span(start, self.at))
            }
            _ => None,
        }
    }

    /// Passes over an object or a list, whatever is in it; a gateway writes none.
    fn nested(&mut self) -> Option<Span> {
        let start = self.at;
        let mut depth = 0_u32;
        loop {
            match self.token()? {
                b'"' => {
                    self.string()?;
                    continue;
                }
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            self.at += 1;
            if depth == 0 {
                return Some(span(start, self.at));
            }
        }
    }
}

fn span(start: usize, end: usize) -> Span {
    Span {
        start: start as u32,
        end: end as u32,
    }
}

#[cfg(test)]
mod tests;
