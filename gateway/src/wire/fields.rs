//! The fields of one head: their bytes in one piece, and where each of them lies.

use super::name::Name;
use super::syntax;

/// Field lines in the order they came. Reusable: [`Fields::clear`] keeps the allocations.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    known: Name,
    name: (u32, u32),
    value: (u32, u32),
}

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which of the known names it is.
    pub known: Name,
    /// The name as it came.
    pub name: &'a [u8],
    /// The value without white space around it.
    pub value: &'a [u8],
}

impl Fields {
    /// Forgets the lines and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
    }

    /// Adds a line. The caller vouches that the name is a token and the value has no forbidden byte.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name_at = self.append(name);
        let value_at = self.append(value);
        self.lines.push(Line {
            known: Name::of(name),
            name: name_at,
            value: value_at,
        });
    }

    /// Drops every line of that name.
    pub fn remove(&mut self, name: &str) {
        let Self { bytes, lines } = self;
        lines.retain(|l| !slice(bytes, l.name).eq_ignore_ascii_case(name.as_bytes()));
    }

    /// Bytes of memory held for names and values, used or not.
    pub fn bytes_held(&self) -> usize {
        self.bytes.capacity()
    }

    /// How many lines there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// All lines in order.
    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.lines.iter().map(|l| Field {
            known: l.known,
            name: slice(&self.bytes, l.name),
            value: slice(&self.bytes, l.value),
        })
    }

    /// The value of the first line of a known name.
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all lines of a known name, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.lines
            .iter()
            .filter(move |l| l.known == name)
            .map(|l| slice(&self.bytes, l.value))
    }

    /// The values of all lines of any name (given in any case), in order.
    pub fn values_of<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.iter()
            .filter(|f| f.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|f| f.value)
    }

    /// The value of the first line of any name.
    pub fn first_of(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|f| f.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|f| f.value)
    }

    /// The list elements of all lines of a known name (RFC 9110 §5.3: they are one list).
    pub fn elements(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(syntax::list)
    }

    /// The same for a field whose elements have no quoted strings: see [`syntax::tokens`].
    pub fn tokens(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        self.values(name).flat_map(syntax::tokens)
    }

    /// Whether the Connection field has this option; options have no case (RFC 9110 §7.6.1).
    pub fn has_option(&self, option: &str) -> bool {
        self.tokens(Name::Connection)
            .any(|o| o.eq_ignore_ascii_case(option.as_bytes()))
    }

    /// The value of the first cookie of this name, quotes kept.
    pub fn cookie(&self, name: &str) -> Option<&[u8]> {
        self.cookies(name).next()
    }

    /// The values of all cookies of this name, in order (RFC 6265 §4.2.1), quotes kept.
    pub fn cookies<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.values(Name::Cookie)
            .flat_map(|v| v.split(|b| *b == b';'))
            .filter_map(move |pair| {
                let pair = syntax::trim(pair);
                let at = memchr::memchr(b'=', pair)?;
                (&pair[..at] == name.as_bytes()).then_some(&pair[at + 1..])
            })
    }

    fn append(&mut self, text: &[u8]) -> (u32, u32) {
        let start = index(self.bytes.len());
        self.bytes.extend_from_slice(text);
        (start, index(self.bytes.len()))
    }
}

fn slice(bytes: &[u8], (start, end): (u32, u32)) -> &[u8] {
    &bytes[start as usize..end as usize]
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("a head is limited to less than 4 GiB before it is parsed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(lines: &[(&str, &str)]) -> Fields {
        let mut fields = Fields::default();
        for (name, value) in lines {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        fields
    }

    #[test]
    fn lines_are_found_by_name_in_any_case_and_keep_their_order() {
        let f = fields(&[
            ("Accept", "a"),
            ("X-One", "1"),
            ("accept", "b, c"),
            ("x-one", "2"),
        ]);
        assert_eq!(f.values(Name::Accept).collect::<Vec<_>>(), [&b"a"[..], b"b, c"]);
        assert_eq!(f.elements(Name::Accept).count(), 3);
        assert_eq!(f.values_of("x-ONE").collect::<Vec<_>>(), [&b"1"[..], b"2"]);
        assert_eq!(f.first_of("nope"), None);
    }

    #[test]
    fn a_cookie_is_found_among_several_lines() {
        let f = fields(&[("cookie", "a=1; b=2"), ("Cookie", " c=3=4;d")]);
        assert_eq!(f.cookie("b"), Some(&b"2"[..]));
        assert_eq!(f.cookie("c"), Some(&b"3=4"[..]));
        assert_eq!(f.cookie("d"), None);
    }

    #[test]
    fn removal_takes_every_line_of_the_name() {
        let mut f = fields(&[("a", "1"), ("A", "2"), ("b", "3")]);
        f.remove("a");
        assert_eq!(f.len(), 1);
        f.clear();
        assert!(f.is_empty());
    }
}
