//! The alphabet of RFC 9110: which bytes may stand in tokens and field values.

/// RFC 9110 §5.6.2: `tchar`, what a method or field name is made of.
pub const fn is_token_byte(b: u8) -> bool {
    matches!(
        b,
        b'!' | b'#'
            | b'$'
            | b'%'
            | b'&'
            | b'\''
            | b'*'
            | b'+'
            | b'-'
            | b'.'
            | b'^'
            | b'_'
            | b'`'
            | b'|'
            | b'~'
    ) || b.is_ascii_alphanumeric()
}

/// RFC 9110 §5.5: VCHAR, obs-text, space and tab. Everything else is CR, LF, NUL or another control.
pub const fn is_value_byte(b: u8) -> bool {
    b >= 0x20 && b != 0x7f || b == b'\t'
}

/// Whether it is a non-empty token.
pub fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|b| is_token_byte(*b))
}

/// Whether every byte may stand in a field value.
pub fn is_value(text: &[u8]) -> bool {
    text.iter().all(|b| is_value_byte(*b))
}

/// The text without spaces and tabs around it (RFC 9110 §5.6.3: OWS).
pub fn trim(text: &[u8]) -> &[u8] {
    let is_space = |b: &u8| *b == b' ' || *b == b'\t';
    let start = text.iter().position(|b| !is_space(b)).unwrap_or(text.len());
    let end = text.iter().rposition(|b| !is_space(b)).map_or(start, |at| at + 1);
    &text[start..end]
}

/// The elements of a list of tokens or addresses, trimmed, empty ones left out.
///
/// Their grammars have no quoted strings, and a quote that hid commas here would hide what others have appended.
pub fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value
        .split(|b| *b == b',')
        .map(trim)
        .filter(|element| !element.is_empty())
}

/// The elements of a comma-separated list, trimmed, empty ones left out (RFC 9110 §5.6.1.2).
///
/// A comma inside a quoted string does not separate.
pub fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(value);
    std::iter::from_fn(move || {
        let text = rest?;
        let end = unquoted_comma(text);
        rest = end.map(|at| &text[at + 1..]);
        Some(trim(&text[..end.unwrap_or(text.len())]))
    })
    .filter(|element| !element.is_empty())
}

fn unquoted_comma(text: &[u8]) -> Option<usize> {
    let mut quoted = false;
    let mut escaped = false;
    text.iter().position(|b| {
        match b {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_split_outside_of_quotes_only() {
        let items: Vec<_> = list(b" a, \"b,\\\",c\" ,, d ").collect();
        assert_eq!(items, [&b"a"[..], b"\"b,\\\",c\"", b"d"]);
        assert_eq!(list(b"").count(), 0);
        assert_eq!(list(b" , ,").count(), 0);
    }

    #[test]
    fn a_quote_hides_nothing_where_there_are_no_quoted_strings() {
        let items: Vec<_> = tokens(b"\"a, b ,, c\"").collect();
        assert_eq!(items, [&b"\"a"[..], b"b", b"c\""]);
    }

    #[test]
    fn values_hold_no_controls_but_tab() {
        assert!(is_value(b"a\tb \xff"));
        for bad in [&b"a\rb"[..], b"a\nb", b"a\0b", b"\x7f", b"\x1b"] {
            assert!(!is_value(bad));
        }
    }

    #[test]
    fn trimming_takes_spaces_and_tabs_only() {
        assert_eq!(trim(b" \t a b \t"), b"a b");
        assert_eq!(trim(b"  "), b"");
        assert_eq!(trim(b"\x0ba"), b"\x0ba");
    }
}
