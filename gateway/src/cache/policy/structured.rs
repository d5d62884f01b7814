//! Structured fields (RFC 9651): as much of them as the fields of caches need, read as strictly as they ask for.
//!
//! §4.2: a field that fails to parse is ignored as a whole, so that everything here returns all or nothing.

use crate::wire::syntax::is_token_byte;

/// A value without its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Bare {
    /// `-7`
    Integer(i64),
    /// `?1`, and a key without a value
    Boolean(bool),
    /// `"text"`, without quotes and escapes
    Text(String),
    /// `word`
    Token,
    /// Any other type, and inner lists: well formed and of no meaning here.
    Other,
}

/// Digits of an integer; §3.3.1.
const INTEGER_DIGITS_MAX: usize = 15;
/// Digits of a decimal before the point; §3.3.2.
const DECIMAL_DIGITS_MAX: usize = 12;
/// Digits of a decimal behind the point; §3.3.2.
const FRACTION_DIGITS_MAX: usize = 3;

/// The lines of one field as the one value they stand for (§4.2: they are joined by commas).
pub fn joined<'v>(mut lines: impl Iterator<Item = &'v [u8]>) -> Option<Vec<u8>> {
    let mut value = lines.next()?.to_vec();
    for line in lines {
        value.extend_from_slice(b", ");
        value.extend_from_slice(line);
    }
    Some(value)
}

/// The members of a dictionary in order; None where it does not parse. Of a key said twice the last one counts (§3.2).
pub fn dictionary(value: &[u8]) -> Option<Vec<(&[u8], Bare)>> {
    members(value, |reader| {
        let key = reader.key()?;
        let bare = match reader.take(b'=') {
            true => reader.member()?,
            false => reader.parameters().map(|()| Bare::Boolean(true))?,
        };
        Some((key, bare))
    })
}

/// The strings of a list; None where it does not parse or has a member that is no string.
pub fn strings(value: &[u8]) -> Option<Vec<String>> {
    members(value, |reader| match reader.member()? {
        Bare::Text(text) => Some(text),
        Bare::Integer(_) | Bare::Boolean(_) | Bare::Token | Bare::Other => None,
    })
}

fn members<'a, T>(value: &'a [u8], mut read: impl FnMut(&mut Reader<'a>) -> Option<T>) -> Option<Vec<T>> {
    let mut reader = Reader(value);
    reader.skip(b" ");
    let mut found = Vec::new();
    while !reader.0.is_empty() {
        found.push(read(&mut reader)?);
        reader.skip(b" \t");
        if reader.0.is_empty() {
            break;
        }
        reader.expect(b',')?;
        reader.skip(b" \t");
        // A comma with nothing behind it.
        if reader.0.is_empty() {
            return None;
        }
    }
    Some(found)
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn skip(&mut self, spaces: &[u8]) {
        let n = self.0.iter().take_while(|b| spaces.contains(b)).count();
        self.0 = &self.0[n..];
    }

    fn take(&mut self, byte: u8) -> bool {
        let is_there = self.0.first() == Some(&byte);
        self.0 = &self.0[usize::from(is_there)..];
        is_there
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    fn run(&mut self, is_part: impl Fn(u8) -> bool) -> &'a [u8] {
        let n = self.0.iter().take_while(|b| is_part(**b)).count();
        let (run, rest) = self.0.split_at(n);
        self.0 = rest;
        run
    }

    fn key(&mut self) -> Option<&'a [u8]> {
        let first = *self.0.first()?;
        if !first.is_ascii_lowercase() && first != b'*' {
            return None;
        }
        Some(
            self.run(|b| {
                b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-' | b'.' | b'*')
            }),
        )
    }

    /// An item or an inner list, with its parameters.
    fn member(&mut self) -> Option<Bare> {
        if !self.take(b'(') {
            return self.item();
        }
        loop {
            self.skip(b" ");
            if self.take(b')') {
                return self.parameters().map(|()| Bare::Other);
            }
            self.item()?;
            if !matches!(self.0.first(), Some(b' ' | b')')) {
                return None;
            }
        }
    }

    fn item(&mut self) -> Option<Bare> {
        let bare = self.bare()?;
        self.parameters().map(|()| bare)
    }

    /// RFC 9213 §2.1 and RFC 9875 §2: parameters nobody knows are ignored, and none is known.
    fn parameters(&mut self) -> Option<()> {
        while self.take(b';') {
            self.skip(b" ");
            self.key()?;
            if self.take(b'=') {
                self.bare()?;
            }
        }
        Some(())
    }

    fn bare(&mut self) -> Option<Bare> {
        match *self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.text(),
            b'*' | b'a'..=b'z' | b'A'..=b'Z' => {
                self.run(|b| is_token_byte(b) || matches!(b, b':' | b'/'));
                Some(Bare::Token)
            }
            b':' => self.bytes(),
            b'?' => self.boolean(),
            b'@' => {
                self.expect(b'@')?;
                matches!(self.number()?, Bare::Integer(_)).then_some(Bare::Other)
            }
            b'%' => self.display_text(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let is_negative = self.take(b'-');
        let digits = self.run(|b| b.is_ascii_digit());
        if digits.is_empty() {
            return None;
        }
        if self.take(b'.') {
            let fraction = self.run(|b| b.is_ascii_digit()).len();
            let fits = digits.len() <= DECIMAL_DIGITS_MAX && (1..=FRACTION_DIGITS_MAX).contains(&fraction);
            return fits.then_some(Bare::Other);
        }
        if digits.len() > INTEGER_DIGITS_MAX {
            return None;
        }
        let n = digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0'));
        Some(Bare::Integer(if is_negative { -n } else { n }))
    }

    fn text(&mut self) -> Option<Bare> {
        self.expect(b'"')?;
        let mut text = String::new();
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            match byte {
                b'"' => return Some(Bare::Text(text)),
                b'\\' => {
                    let (escaped, rest) = self.0.split_first()?;
                    self.0 = rest;
                    matches!(escaped, b'"' | b'\\').then(|| text.push(char::from(*escaped)))?;
                }
                0x20..=0x7e => text.push(char::from(*byte)),
                _ => return None,
            }
        }
    }

    fn bytes(&mut self) -> Option<Bare> {
        self.expect(b':')?;
        self.run(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'='));
        self.expect(b':').map(|()| Bare::Other)
    }

    fn boolean(&mut self) -> Option<Bare> {
        self.expect(b'?')?;
        match (self.take(b'1'), self.take(b'0')) {
            (true, false) => Some(Bare::Boolean(true)),
            (false, true) => Some(Bare::Boolean(false)),
            (true, true) | (false, false) => None,
        }
    }

    /// §3.3.8; what its bytes spell is of no interest.
    fn display_text(&mut self) -> Option<Bare> {
        self.expect(b'%')?;
        self.expect(b'"')?;
        self.run(|b| matches!(b, 0x20..=0x7e) && b != b'"');
        self.expect(b'"').map(|()| Bare::Other)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_dictionary_is_read_with_parameters_and_every_type() {
        let text = b"max-age=60;x=1, no-store , a=\"b\\\"c\", t=word, d=1.5, i=(1 \"a\";q=2);z, n=-7, b=?0, y=:YQ==:, w=@1, s=%\"f%c3%bc\"";
        let members = dictionary(text).unwrap();
        let of = |key: &str| {
            members
                .iter()
                .find(|(k, _)| *k == key.as_bytes())
                .map(|(_, b)| b.clone())
        };
        assert_eq!(of("max-age"), Some(Bare::Integer(60)));
        assert_eq!(of("no-store"), Some(Bare::Boolean(true)));
        assert_eq!(of("a"), Some(Bare::Text("b\"c".to_owned())));
        assert_eq!(
            (of("t"), of("n"), of("b")),
            (
                Some(Bare::Token),
                Some(Bare::Integer(-7)),
                Some(Bare::Boolean(false))
            )
        );
        for other in ["d", "i", "y", "w", "s"] {
            assert_eq!(of(other), Some(Bare::Other), "{other}");
        }
        assert_eq!(members.len(), 11);
    }

    // RFC 9651 §3.3.1: "a range of -999,999,999,999,999 to 999,999,999,999,999 inclusive".
    #[test]
    fn an_integer_has_up_to_fifteen_digits() {
        let of = |text: &str| dictionary(text.as_bytes()).map(|mut members| members.remove(0).1);
        assert_eq!(of("a=999999999999999"), Some(Bare::Integer(999_999_999_999_999)));
        assert_eq!(
            of("a=-999999999999999"),
            Some(Bare::Integer(-999_999_999_999_999))
        );
        assert_eq!(of("a=1000000000000000"), None);
    }

    #[test]
    fn one_fault_makes_the_whole_field_worthless() {
        for bad in [
            "Max-Age=60",
            "max-age=",
            "max-age =60",
            "a,",
            "a,,b",
            ",a",
            "a=1 b=2",
            "a=\"b",
            "a=\"\\n\"",
            "a=\"\u{fc}\"",
            "a=1234567890123456",
            "a=1.",
            "a=1.2345",
            "a=--1",
            "a=?2",
            "a=?",
            "a=(1 2",
            "a=(1\"x\")",
            "a=:*:",
            "a;=1",
            "a=1;",
            "a=@1.5",
        ] {
            assert_eq!(dictionary(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(dictionary(b""), Some(Vec::new()));
    }

    #[test]
    fn a_list_of_strings_has_nothing_but_strings() {
        assert_eq!(
            strings(b" \"a\";x, \"b c\" "),
            Some(vec!["a".to_owned(), "b c".to_owned()])
        );
        assert_eq!(strings(b"\"a\", b"), None);
        assert_eq!(strings(b"\"a\", (\"b\")"), None);
        assert_eq!(strings(b"\"a\" \"b\""), None);
    }

    #[test]
    fn lines_are_one_value() {
        assert_eq!(joined([&b"a"[..], b"b=1"].into_iter()), Some(b"a, b=1".to_vec()));
        assert_eq!(joined(std::iter::empty()), None);
    }

    proptest! {
        #[test]
        fn no_input_makes_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), text in "[a-c=;,\"?:@%()\\\\ 01.-]{0,30}") {
            let _ = (dictionary(&bytes), strings(&bytes), dictionary(text.as_bytes()), strings(text.as_bytes()));
        }

        #[test]
        fn any_string_comes_back(texts in proptest::collection::vec("[ -~]{0,12}", 0..6)) {
            let quoted = |t: &String| format!("\"{}\"", t.replace('\\', "\\\\").replace('"', "\\\""));
            let value: Vec<_> = texts.iter().map(quoted).collect();
            prop_assert_eq!(strings(value.join(",").as_bytes()), Some(texts));
        }
    }
}
