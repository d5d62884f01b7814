//! The fields of one head: their bytes in one piece, and where each of them lies.

use std::ops::Range;

use super::name::Name;
use super::syntax;

/// Field lines in the order they came. Reusable: [`Fields::clear`] keeps the allocations.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    lines: Vec<Line>,
    /// A bit for each name that one of the lines has: a request is asked for dozens of names, and has few of them.
    names: u64,
}

#[derive(Clone, Copy, Debug)]
struct Line {
    known: Name,
    name: (u32, u32),
    value: (u32, u32),
    /// Behind its line end, if the line came as we would write it; 0 otherwise.
    end: u32,
}

/// Where a text lies that was taken over.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextAt(u32);

/// One field line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Which of the known names it is.
    pub known: Name,
    /// The name as it came.
    pub name: &'a [u8],
    /// The value without white space around it.
    pub value: &'a [u8],
    /// The whole line with its end, if it came just as we would write it; empty otherwise.
    pub line: &'a [u8],
}

impl Fields {
    /// Forgets the lines and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.lines.clear();
        self.names = 0;
    }

    /// Adds a line. The caller vouches that the name is a token and the value has no forbidden byte.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let name_at = self.append(name);
        let value_at = self.append(value);
        let known = Name::of(name);
        self.names |= known.bit();
        self.lines.push(Line {
            known,
            name: name_at,
            value: value_at,
            end: 0,
        });
    }

    /// Takes over the text of many lines at once, to be told by [`Fields::push_at`] where they lie: one copy instead of two
    /// for each line.
    pub(super) fn take_text(&mut self, text: &[u8]) -> TextAt {
        TextAt(self.append(text).0)
    }

    /// Adds a line of that text. `name` and `value` are where they lie in it, and followed by more of it; as with
    /// [`Fields::push`].
    pub(super) fn push_at(&mut self, text: TextAt, name: Range<usize>, value: Range<usize>) {
        let at = |range: &Range<usize>| (text.0 + index(range.start), text.0 + index(range.end));
        let (name, value) = (at(&name), at(&value));
        let known = Name::of(slice(&self.bytes, name));
        self.names |= known.bit();
        let has = |from: u32, to: u32, bytes: &[u8]| slice(&self.bytes, (from, to)) == bytes;
        let is_as_written = has(name.1, value.0, b": ") && has(value.1, value.1 + 2, b"\r\n");
        self.lines.push(Line {
            known,
            name,
            value,
            end: if is_as_written { value.1 + 2 } else { 0 },
        });
    }

    /// Drops every line of that name.
    pub fn remove(&mut self, name: &str) {
        let Self { bytes, lines, names } = self;
        lines.retain(|l| !slice(bytes, l.name).eq_ignore_ascii_case(name.as_bytes()));
        *names = lines.iter().fold(0, |names, l| names | l.known.bit());
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
            line: match l.end {
                0 => &[],
                end => slice(&self.bytes, (l.name.0, end)),
            },
        })
    }

    /// The value of the first line of a known name.
    pub fn first(&self, name: Name) -> Option<&[u8]> {
        self.values(name).next()
    }

    /// The values of all lines of a known name, in order.
    pub fn values(&self, name: Name) -> impl Iterator<Item = &[u8]> {
        let lines = match self.names & name.bit() {
            0 => &[][..],
            _ => &self.lines,
        };
        lines
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

    const SOME: [&str; 7] = ["Accept", "cookie", "VARY", "x-one", "if-range", "Via", "Cookie"];

    proptest::proptest! {
        #[test]
        fn a_name_is_found_where_a_line_has_it_and_nowhere_else(
            pushed in proptest::collection::vec(0..SOME.len(), 0..12),
            removed in proptest::collection::vec(0..SOME.len(), 0..3),
            again in proptest::collection::vec(0..SOME.len(), 0..3),
        ) {
            let mut f = Fields::default();
            let mut model: Vec<(&str, Vec<u8>)> = Vec::new();
            let push = |f: &mut Fields, model: &mut Vec<_>, name: &'static str| {
                let value = model.len().to_string().into_bytes();
                f.push(name.as_bytes(), &value);
                model.push((name, value));
            };
            pushed.iter().for_each(|at| push(&mut f, &mut model, SOME[*at]));
            for at in removed {
                f.remove(SOME[at]);
                model.retain(|(name, _)| !name.eq_ignore_ascii_case(SOME[at]));
            }
            again.iter().for_each(|at| push(&mut f, &mut model, SOME[*at]));
            for name in Name::ALL {
                let of_name = model.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name.text()));
                let found: Vec<_> = f.values(*name).collect();
                proptest::prop_assert_eq!(found, of_name.map(|(_, value)| &value[..]).collect::<Vec<_>>());
            }
        }
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
