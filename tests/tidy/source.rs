//! Rust source as the rules look at it: code without comments and texts, and where its functions are.

/// A function with a body.
#[derive(Debug, PartialEq, Eq)]
pub struct Function {
    /// Its name.
    pub name: String,
    /// Where it begins, counted from 1.
    pub line: usize,
    /// How many lines of it hold code, from `fn` to its closing brace.
    pub length: usize,
}

/// The source with every comment, text and character literal blanked out; lines and columns stay.
pub fn blank(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = skip_text(bytes, at).unwrap_or(at);
        for byte in &mut out[at..end] {
            if *byte != b'\n' {
                *byte = b' ';
            }
        }
        at = end.max(at + 1);
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Where the comment, text or character literal that begins here ends; None if none begins here.
fn skip_text(bytes: &[u8], at: usize) -> Option<usize> {
    let rest = &bytes[at..];
    let follows_word = at > 0 && is_word(bytes[at - 1]);
    match rest[0] {
        b'/' if rest.starts_with(b"//") => Some(at + position(rest, b"\n").unwrap_or(rest.len())),
        b'/' if rest.starts_with(b"/*") => Some(at + block_comment(rest)),
        b'"' => Some(at + 1 + quoted(&rest[1..])),
        b'r' | b'b' | b'c' if !follows_word => prefixed(rest).map(|length| at + length),
        b'\'' => character(rest).map(|length| at + length),
        _ => None,
    }
}

fn block_comment(rest: &[u8]) -> usize {
    let (mut depth, mut i) = (0_usize, 0);
    while i < rest.len() {
        match &rest[i..] {
            [b'/', b'*', ..] => (depth, i) = (depth + 1, i + 2),
            [b'*', b'/', ..] => (depth, i) = (depth - 1, i + 2),
            _ => i += 1,
        }
        if depth == 0 {
            break;
        }
    }
    i
}

/// The length of what follows an opening quote, closing quote included.
fn quoted(inside: &[u8]) -> usize {
    let mut i = 0;
    while i < inside.len() && inside[i] != b'"' {
        i += if inside[i] == b'\\' { 2 } else { 1 };
    }
    (i + 1).min(inside.len())
}

/// r"…", r#"…"#, b"…", br"…", c"…", b'…'
fn prefixed(rest: &[u8]) -> Option<usize> {
    let letters = rest.iter().take_while(|b| b"rbc".contains(b)).count();
    let raw = rest[..letters].contains(&b'r');
    let hashes = rest[letters..].iter().take_while(|b| **b == b'#').count();
    let open = letters + hashes;
    match rest.get(open)? {
        b'\'' if letters == 1 && hashes == 0 => character(&rest[1..]).map(|n| n + 1),
        b'"' if raw => {
            let close = [b"\"".as_slice(), &b"#".repeat(hashes)].concat();
            let inside = &rest[open + 1..];
            let end = position(inside, &close).map_or(inside.len(), |n| n + close.len());
            Some(open + 1 + end)
        }
        b'"' if hashes == 0 => Some(open + 1 + quoted(&rest[open + 1..])),
        _ => None,
    }
}

/// A character literal; None for a lifetime.
fn character(rest: &[u8]) -> Option<usize> {
    match rest.get(1)? {
        b'\\' => position(&rest[3..], b"'").map(|n| n + 4),
        first => {
            let width = match first {
                0xf0.. => 4,
                0xe0.. => 3,
                0xc0.. => 2,
                _ => 1,
            };
            (rest.get(1 + width) == Some(&b'\'')).then_some(width + 2)
        }
    }
}

/// The functions with a body in blanked code.
pub fn functions(code: &str) -> Vec<Function> {
    let bytes = code.as_bytes();
    let starts = words(code, "fn").filter_map(|at| {
        let name: String = code[at + 2..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        (!name.is_empty()).then_some((at, name))
    });
    starts
        .filter_map(|(at, name)| {
            let end = closing_brace(bytes, opening_brace(bytes, at)?);
            Some(Function {
                name,
                line: line_at(code, at),
                length: lines_of_code(&code[at..end]),
            })
        })
        .collect()
}

/// Where blanked code has this word.
pub fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> {
    let bytes = code.as_bytes();
    code.match_indices(word).map(|(at, _)| at).filter(move |at| {
        let before = at.checked_sub(1).map(|i| bytes[i]);
        let after = bytes.get(at + word.len());
        !before.is_some_and(is_word) && !after.copied().is_some_and(is_word)
    })
}

/// The line a byte is on, counted from 1.
pub fn line_at(text: &str, at: usize) -> usize {
    1 + text[..at].matches('\n').count()
}

/// The text between the braces that open at or after `at`.
pub fn braces(code: &str, at: usize) -> &str {
    let bytes = code.as_bytes();
    let open = at + position(&bytes[at..], b"{").unwrap_or(bytes.len() - at);
    &code[open..closing_brace(bytes, open)]
}

/// The brace that opens a function's body; None for a declaration, which ends in a semicolon.
fn opening_brace(bytes: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (i, byte) in bytes.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(i),
            b';' if depth == 0 => return None,
            // A function pointer's type, which has no body of its own.
            b',' | b'=' | b'}' if depth < 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing_brace(bytes: &[u8], open: usize) -> usize {
    let mut depth = 0_usize;
    for (i, byte) in bytes.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return i + 1,
            b'}' => depth -= 1,
            _ => {}
        }
    }
    bytes.len()
}

fn lines_of_code(code: &str) -> usize {
    code.lines().filter(|l| !l.trim().is_empty()).count()
}

fn position(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_texts_and_characters_are_blanked_and_lifetimes_are_not() {
        let source = concat!(
            "a // { \n",
            "b /* { /* } */ { */ c\n",
            "\"{\\\"{\" d r#\"{\"}\"# e br\"\\\" f b'{' '\\'' '{' 'é' '\\u{7f}' g<'x, 'static>",
        );
        let code = blank(source);
        let kept: Vec<_> = code.split_whitespace().collect();
        assert_eq!(kept, ["a", "b", "c", "d", "e", "f", "g<'x,", "'static>"]);
        assert_eq!(code.lines().count(), source.lines().count());
    }

    #[test]
    fn a_function_is_measured_from_its_name_to_its_brace_in_lines_of_code() {
        let source = "fn declared(x: [u8; 3]);\n\nfn long<T>(f: fn() -> T)\nwhere\n    T: Sized,\n{\n    // {\n\n    if a { \"}\" }\n}\nfn short() {}\n";
        let found = functions(&blank(source));
        let measured: Vec<_> = found
            .iter()
            .map(|f| (f.name.as_str(), f.line, f.length))
            .collect();
        assert_eq!(measured, [("long", 3, 6), ("short", 11, 1)]);
    }

    #[test]
    fn braces_are_matched() {
        assert_eq!(braces("mod a { b { c } d } e", 0), "{ b { c } d }");
    }
}
