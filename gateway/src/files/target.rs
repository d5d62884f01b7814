//! What a request's path names below the root, and which paths name nothing.

/// A path below the root: decoded, without a slash at either end, without empty or dot segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Segments joined by slashes; empty is the root itself. Names are bytes, as the file system has them.
    pub path: Vec<u8>,
    /// Whether it ends with a slash, and so can only be a folder.
    pub folder: bool,
}

/// Why a path names no file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A segment starts with a dot: hidden, whatever else would stand in for it.
    Hidden,
    /// No percent-encoding, or a byte no honest client sends in a path.
    Malformed,
    /// An encoded slash: no file can have it in its name, but a page's own router may know it.
    Nameless,
}

/// The one folder whose name starts with a dot and is public (RFC 8615).
const WELL_KNOWN: &[u8] = b".well-known";

impl Target {
    /// Reads a percent-encoded path. Decoded once and never again: "%252e" names a file called "%2e".
    pub fn parse(raw: &str) -> Result<Self, Fault> {
        let mut path = Vec::with_capacity(raw.len());
        let mut nameless = false;
        for segment in raw.split('/').filter(|s| !s.is_empty()) {
            let start = begin(&mut path);
            decode(segment, &mut path)?;
            nameless |= path[start..].contains(&b'/');
            if is_hidden_at(start, &path[start..]) {
                return Err(Fault::Hidden);
            }
        }
        let folder = raw.ends_with('/');
        if nameless {
            Err(Fault::Nameless)
        } else {
            Ok(Self { path, folder })
        }
    }

    /// An operator's `try_files` entry, with `asked` put in for `${path}`; None where that names nothing.
    ///
    /// The entry is not percent-encoded; it passes the same rules, because with `${path}` a client has a say in it.
    pub fn of_entry(entry: &str, asked: Option<&Self>) -> Option<Self> {
        let mut text = Vec::new();
        let mut pieces = entry.split("${path}").map(str::as_bytes);
        text.extend_from_slice(pieces.next().unwrap_or_default());
        for piece in pieces {
            text.push(b'/');
            text.extend_from_slice(&asked?.path);
            text.extend_from_slice(piece);
        }
        let mut path = Vec::with_capacity(text.len());
        for segment in text.split(|b| *b == b'/').filter(|s| !s.is_empty()) {
            let start = begin(&mut path);
            path.extend_from_slice(segment);
            if is_hidden_at(start, segment) || segment.iter().any(|b| is_unfit(*b)) {
                return None;
            }
        }
        let folder = text.ends_with(b"/");
        Some(Self { path, folder })
    }
}

/// The path of `name` in the folder at `path`.
pub(super) fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(path.len() + 1 + name.len());
    joined.extend_from_slice(path);
    begin(&mut joined);
    joined.extend_from_slice(name);
    joined
}

/// Whether a path can name it: what is not servable is not listed either.
pub(super) fn is_servable(name: &[u8]) -> bool {
    !is_hidden(name) && !name.iter().any(|b| is_unfit(*b))
}

fn is_hidden(name: &[u8]) -> bool {
    name.first() == Some(&b'.')
}

/// RFC 8615 §3: well-known locations stand at the top, and nowhere else.
fn is_hidden_at(start: usize, name: &[u8]) -> bool {
    is_hidden(name) && !(start == 0 && name == WELL_KNOWN)
}

/// Separates the next segment from what is there, and says where it starts.
fn begin(path: &mut Vec<u8>) -> usize {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.len()
}

fn decode(segment: &str, out: &mut Vec<u8>) -> Result<(), Fault> {
    let mut bytes = segment.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => hex(bytes.next())? << 4 | hex(bytes.next())?,
            plain => plain,
        };
        if is_unfit(byte) {
            return Err(Fault::Malformed);
        }
        out.push(byte);
    }
    Ok(())
}

/// Controls end lines and strings where names are logged or passed on; a backslash is a slash to some readers.
const fn is_unfit(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f || byte == b'\\'
}

fn hex(digit: Option<u8>) -> Result<u8, Fault> {
    let value = digit
        .and_then(|d| char::from(d).to_digit(16))
        .ok_or(Fault::Malformed)?;
    u8::try_from(value).map_err(|_| Fault::Malformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(raw: &str) -> Result<String, Fault> {
        Target::parse(raw).map(|t| String::from_utf8(t.path).unwrap())
    }

    #[test]
    fn a_path_is_decoded_once_and_its_slashes_merged() {
        for (raw, expected) in [
            ("/", ""),
            ("", ""),
            ("//", ""),
            ("/a/b.txt", "a/b.txt"),
            ("//a///b/", "a/b"),
            ("/a%20b/%C3%A9", "a b/é"),
            ("/%252e%252e/x", "%2e%2e/x"),
            ("/a+b", "a+b"),
            ("/a..b/c.", "a..b/c."),
            ("/.well-known/security.txt", ".well-known/security.txt"),
        ] {
            assert_eq!(path(raw), Ok(expected.to_owned()), "{raw}");
        }
        assert!(Target::parse("/a/").unwrap().folder && !Target::parse("/a").unwrap().folder);
    }

    #[test]
    fn hidden_malformed_and_nameless_paths_are_told_apart() {
        for (raw, fault) in [
            ("/.git/config", Fault::Hidden),
            ("/a/.env", Fault::Hidden),
            ("/%2eenv", Fault::Hidden),
            ("/a/../b", Fault::Hidden),
            ("/%2e%2E/b", Fault::Hidden),
            ("/./b", Fault::Hidden),
            ("/...", Fault::Hidden),
            ("/..%2f..%2fetc/passwd", Fault::Hidden),
            ("/.well-known/.hidden", Fault::Hidden),
            ("/a/.well-known/x", Fault::Hidden),
            ("/.well-knownx", Fault::Hidden),
            ("/a%2fb", Fault::Nameless),
            ("/a%2F..%2F..%2Fb", Fault::Nameless),
            ("/%", Fault::Malformed),
            ("/%4", Fault::Malformed),
            ("/%zz", Fault::Malformed),
            ("/%+1", Fault::Malformed),
            ("/%%41", Fault::Malformed),
            ("/a%00.txt", Fault::Malformed),
            ("/a\\b", Fault::Malformed),
            ("/..%5c..%5cb", Fault::Malformed),
            ("/a%0d%0ab", Fault::Malformed),
            ("/a\u{7f}", Fault::Malformed),
        ] {
            assert_eq!(path(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn an_entry_of_try_files_is_held_to_the_same_rules() {
        let asked = Target::parse("/docs/a%20b/").unwrap();
        let entry = |text| Target::of_entry(text, Some(&asked)).map(|t| String::from_utf8(t.path).unwrap());
        assert_eq!(entry("/index.html"), Some("index.html".to_owned()));
        assert_eq!(entry("${path}.html"), Some("docs/a b.html".to_owned()));
        assert_eq!(
            entry("/en${path}/index.html"),
            Some("en/docs/a b/index.html".to_owned())
        );
        assert_eq!(entry("/../x"), None);
        assert_eq!(Target::of_entry("${path}.html", None), None);
        let root = Target::parse("/").unwrap();
        assert_eq!(Target::of_entry("${path}.html", Some(&root)), None);
    }

    proptest! {
        #[test]
        fn no_path_leaves_the_root(raw in "(/|\\.|%2e|%2f|%5c|%00|\\\\|a|%61|%){0,12}") {
            if let Ok(target) = Target::parse(&raw) {
                let well_known = target.path.starts_with(b".well-known");
                for segment in target.path.split(|b| *b == b'/') {
                    prop_assert!(well_known || segment.first() != Some(&b'.'));
                    prop_assert!(target.path.is_empty() || !segment.is_empty());
                    prop_assert!(!segment.contains(&0) && !segment.contains(&b'\\'));
                }
            }
        }
    }
}
