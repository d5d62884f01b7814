//! What a client wrote, made harmless: it can neither end a line, nor a value, nor steer a terminal.

/// Appends text to stand between the quotes of a JSON string (RFC 8259 §7).
///
/// Bytes that are no UTF-8 become U+FFFD. Beyond what JSON asks, DEL, the C1 controls and the line separators
/// are escaped: a terminal or a line reader may act on them.
pub(super) fn json(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    for chunk in text.utf8_chunks() {
        chunk.valid().chars().for_each(|c| json_char(out, c));
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

fn json_char(out: &mut Vec<u8>, c: char) {
    match c {
        '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
        '\n' => out.extend_from_slice(b"\\n"),
        '\r' => out.extend_from_slice(b"\\r"),
        '\t' => out.extend_from_slice(b"\\t"),
        '\u{2028}' | '\u{2029}' => unicode_escape(out, c),
        _ if c.is_control() => unicode_escape(out, c),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Only for characters of the basic plane, as those above are.
fn unicode_escape(out: &mut Vec<u8>, c: char) {
    let code = c as u32;
    out.extend_from_slice(b"\\u");
    out.extend([12, 8, 4, 0].map(|shift| HEX[(code >> shift) as usize & 15]));
}

/// Appends text as nginx and Apache escape it: quote, backslash, controls and bytes outside ASCII as `\xHH`.
pub(super) fn plain(out: &mut Vec<u8>, text: &[u8]) {
    if is_plain(text) {
        return out.extend_from_slice(text);
    }
    for &b in text {
        if is_plain_byte(b) {
            out.push(b);
        } else {
            out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(b >> 4)], HEX[usize::from(b & 15)]]);
        }
    }
}

/// Whether the text needs no escape in either form: eight bytes at a time.
fn is_plain(text: &[u8]) -> bool {
    let (words, rest) = text.as_chunks::<8>();
    words.iter().all(|word| is_plain_word(u64::from_le_bytes(*word)))
        && rest.iter().all(|b| is_plain_byte(*b))
}

/// The same for eight bytes. A byte is zero where taking one away borrows from it although its own top bit is clear; as
/// long as all bytes are below 0x80 no borrow of a neighbour makes it seem so unless the neighbour is one itself.
const fn is_plain_word(word: u64) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = 0x8080_8080_8080_8080;
    const fn has_zero(word: u64) -> u64 {
        word.wrapping_sub(ONES) & !word & TOPS
    }
    let is_low = word.wrapping_sub(ONES * 0x20) & !word & TOPS;
    let is_special = has_zero(word ^ (ONES * b'"' as u64))
        | has_zero(word ^ (ONES * b'\\' as u64))
        | has_zero(word ^ (ONES * 0x7f));
    (word & TOPS) | is_low | is_special == 0
}

const fn is_plain_byte(b: u8) -> bool {
    (b >= 0x20) & (b < 0x7f) & (b != b'"') & (b != b'\\')
}

const HEX: [u8; 16] = *b"0123456789ABCDEF";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn eight_bytes_are_plain_if_each_is(bytes: [u8; 8], usual in "[ -~]{8}", at in 0usize..8) {
            let mut mixed: [u8; 8] = usual.as_bytes().try_into().unwrap();
            for word in [bytes, mixed, { mixed[at] = bytes[at]; mixed }] {
                let each = word.iter().all(|b| is_plain_byte(*b));
                prop_assert_eq!(is_plain_word(u64::from_le_bytes(word)), each, "{:?}", word);
            }
        }
    }

    fn written(escape: fn(&mut Vec<u8>, &[u8]), text: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, text);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_could_end_a_value_or_a_line_is_escaped() {
        for (text, in_json, in_plain) in [
            (&b"a\"b"[..], r#"a\"b"#, r"a\x22b"),
            (b"a\\b", r"a\\b", r"a\x5Cb"),
            (b"a\r\nb\tc", r"a\r\nb\tc", r"a\x0D\x0Ab\x09c"),
            (b"\0\x1b[31m", r"\u0000\u001B[31m", r"\x00\x1B[31m"),
            (b"\x7f", r"\u007F", r"\x7F"),
            ("\u{9b}".as_bytes(), r"\u009B", r"\xC2\x9B"),
            ("a\u{2028}b".as_bytes(), r"a\u2028b", r"a\xE2\x80\xA8b"),
            ("é🦀".as_bytes(), "é🦀", r"\xC3\xA9\xF0\x9F\xA6\x80"),
            (b"a\xffb\xf0\x9f", "a\u{fffd}b\u{fffd}", r"a\xFFb\xF0\x9F"),
            (b"plain / text?", "plain / text?", "plain / text?"),
        ] {
            assert_eq!(written(json, text), in_json);
            assert_eq!(written(plain, text), in_plain);
        }
    }

    proptest! {
        #[test]
        fn json_reads_back_as_the_text_with_bad_bytes_replaced(text: Vec<u8>) {
            let quoted = format!("\"{}\"", written(json, &text));
            let back: String = serde_json::from_str(&quoted).unwrap();
            prop_assert_eq!(back, String::from_utf8_lossy(&text));
            prop_assert!(!quoted.chars().any(char::is_control));
        }

        #[test]
        fn plain_text_is_printable_ascii_without_quotes(text: Vec<u8>) {
            let out = written(plain, &text);
            prop_assert!(out.bytes().all(|b| (0x20..0x7f).contains(&b) && b != b'"'));
            prop_assert_eq!(unescaped(&out), text);
        }
    }

    fn unescaped(text: &str) -> Vec<u8> {
        let mut parts = text.split("\\x");
        let mut out = parts.next().unwrap().as_bytes().to_vec();
        for part in parts {
            out.push(u8::from_str_radix(&part[..2], 16).unwrap());
            out.extend_from_slice(&part.as_bytes()[2..]);
        }
        out
    }
}
