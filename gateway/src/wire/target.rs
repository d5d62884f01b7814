//! Request targets: their forms, their host, and one spelling for each path.

use super::head::HeadFault;
use super::request::Method;
use crate::kit::host;

/// RFC 9112 §3.2: the four forms of a request target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Form {
    /// `http://host/path`
    Absolute,
    /// `*`, of OPTIONS only.
    Asterisk,
    /// `host:port`, of CONNECT only.
    Authority,
    /// `/path`
    #[default]
    Origin,
}

/// A target in its parts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Target<'a> {
    pub form: Form,
    pub authority: Option<&'a str>,
    pub path: &'a str,
    pub query: Option<&'a str>,
}

const FAULT: HeadFault = HeadFault::Malformed("the request target");

/// Takes a target apart. The caller has seen to it that it is printable ASCII.
pub(super) fn split(text: &str, method: Method) -> Result<Target<'_>, HeadFault> {
    // A fragment is never sent (RFC 9110 §7.1); some parsers cut it off and others do not.
    if text.contains('#') {
        return Err(FAULT);
    }
    match (method, text) {
        (Method::Connect, _) => {
            let is_authority = !text.contains(['/', '?', '@']);
            let target = Target {
                form: Form::Authority,
                authority: Some(text),
                path: "/",
                query: None,
            };
            is_authority.then_some(target).ok_or(FAULT)
        }
        (Method::Options, "*") => Ok(Target {
            form: Form::Asterisk,
            authority: None,
            path: "/",
            query: None,
        }),
        _ if text.starts_with('/') => Ok(path_and_query(Form::Origin, None, text)),
        _ => split_absolute(text),
    }
}

fn split_absolute(text: &str) -> Result<Target<'_>, HeadFault> {
    let (scheme, rest) = text.split_once("://").ok_or(FAULT)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(FAULT);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    Ok(path_and_query(Form::Absolute, Some(authority), rest))
}

fn path_and_query<'a>(form: Form, authority: Option<&'a str>, text: &'a str) -> Target<'a> {
    let (path, query) = match text.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (text, None),
    };
    Target {
        form,
        authority,
        path: if path.is_empty() { "/" } else { path },
        query,
    }
}

/// Checks host and port and appends the host as it is compared.
pub(super) fn take_host(authority: &str, out: &mut String) -> Result<(), HeadFault> {
    const FAULT: HeadFault = HeadFault::Malformed("the host");
    if let Some(name) = host::plain_name(authority) {
        out.push_str(name);
        out.make_ascii_lowercase();
        return Ok(());
    }
    let (name, _) = host::split_port(authority).ok_or(FAULT)?;
    if !host::is_host(name) {
        return Err(FAULT);
    }
    out.push_str(name.strip_suffix('.').unwrap_or(name));
    out.make_ascii_lowercase();
    Ok(())
}

/// Appends the one spelling of a path and says whether dot segments were taken out.
///
/// RFC 3986 §6.2.2: percent-encoded unreserved bytes are decoded, other encodings get capital letters, and
/// dot segments are resolved, encoded ones too. Slashes in a row become one, as many origins read them: a
/// route for "/admin" must not be passed by with "//admin". What climbs above the root is a fault rather than
/// silently kept at the root: only an attack asks for it.
pub fn normalise(raw: &str, out: &mut String) -> Result<bool, HeadFault> {
    if is_normal(raw) {
        out.push_str(raw);
        return Ok(false);
    }
    let start = out.len();
    decode_unreserved(raw, out)?;
    let path = &out[start..];
    let has_dots = has_dot_segment(path);
    if has_dots || path.contains("//") {
        let resolved = resolve(path)?;
        out.truncate(start);
        out.push_str(&resolved);
    }
    if hides_dot_segment(&out[start..]) {
        return Err(HeadFault::Malformed("a dot segment that not everybody sees"));
    }
    Ok(has_dots)
}

/// Whether there is nothing to normalise: no encoding, no slash after a slash, no segment that starts with a dot.
fn is_normal(raw: &str) -> bool {
    let mut before = 0;
    raw.bytes().all(|b| {
        let is_start = std::mem::replace(&mut before, b) == b'/';
        let needs_care = matches!(b, b'%' | b'\\' | b';') || is_start && matches!(b, b'/' | b'.');
        !needs_care
    })
}

/// How origins read a normal path that take an encoded slash or a backslash for a slash; None if as we do.
pub fn other_reading(path: &str) -> Option<String> {
    if !path.contains(['%', '\\']) {
        return None;
    }
    let read = path.replace("%2F", "/").replace("%5C", "/").replace('\\', "/");
    // Hidden dot segments have been refused, so this can only merge slashes.
    (read != path).then(|| resolve(&read).unwrap_or(read))
}

fn decode_unreserved(raw: &str, out: &mut String) -> Result<(), HeadFault> {
    let mut rest = raw;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let pair = rest.as_bytes().get(at + 1..at + 3).ok_or(FAULT)?;
        let byte = hex(pair[0])
            .zip(hex(pair[1]))
            .map(|(h, l)| h << 4 | l)
            .ok_or(FAULT)?;
        match byte {
            // C programs behind us would read another path than we did.
            0 => return Err(FAULT),
            b'-' | b'.' | b'_' | b'~' => out.push(byte as char),
            b if b.is_ascii_alphanumeric() => out.push(b as char),
            _ => {
                out.push('%');
                out.push(pair[0].to_ascii_uppercase() as char);
                out.push(pair[1].to_ascii_uppercase() as char);
            }
        }
        rest = &rest[at + 3..];
    }
    out.push_str(rest);
    Ok(())
}

fn hex(b: u8) -> Option<u8> {
    (b as char).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn has_dot_segment(path: &str) -> bool {
    path.contains("/.") && path.split('/').any(|s| s == "." || s == "..")
}

/// Whether "/a/..;x/", "/a/..%2F" or "/a/..\" is in it: servlet containers cut parameters off before they
/// resolve dots, others decode slashes or turn backslashes round first, and each would be led up to a folder
/// that no route was looked up for.
fn hides_dot_segment(path: &str) -> bool {
    path.contains("..")
        && path
            .split(['/', '\\'])
            .flat_map(|s| s.split("%2F"))
            .flat_map(|s| s.split("%5C"))
            .map(|s| s.split(';').next().unwrap_or(s))
            .map(|s| s.split("%3B").next().unwrap_or(s))
            .any(|s| s == "..")
}

fn resolve(path: &str) -> Result<String, HeadFault> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            "" if !is_last => {}
            "." => {}
            ".." => {
                kept.pop()
                    .ok_or(HeadFault::Malformed("a path that climbs above the root"))?;
            }
            other => kept.push(other),
        }
        // "/a/.." is the folder "/", not the file "": it keeps the slash a dot segment stood behind.
        if is_last && matches!(segment, "." | "..") {
            kept.push("");
        }
    }
    Ok(format!("/{}", kept.join("/")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn normal(raw: &str) -> Result<(String, bool), HeadFault> {
        let mut out = String::new();
        normalise(raw, &mut out).map(|had_dots| (out, had_dots))
    }

    #[test]
    fn a_path_has_one_spelling() {
        for (raw, path, had_dots) in [
            ("/a/b", "/a/b", false),
            ("/%61%2fb", "/a%2Fb", false),
            ("/a/./b/../c", "/a/c", true),
            ("/a/%2e%2E/b", "/b", true),
            ("/a/..", "/", true),
            ("/a/b/.", "/a/b/", true),
            ("/...", "/...", false),
            ("/a//b", "/a/b", false),
            ("//a///", "/a/", false),
            ("/a//../b", "/b", true),
            ("/a..b/..c;x/d..", "/a..b/..c;x/d..", false),
            ("/.well-known/x", "/.well-known/x", false),
        ] {
            assert_eq!(normal(raw), Ok((path.to_owned(), had_dots)), "{raw}");
        }
        for bad in ["/..", "//..", "/a/../..", "/%", "/%2", "/%g0", "/%00", "/%2e%2e/"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_dot_segment_that_only_some_origins_see_is_refused() {
        for bad in [
            "/a/..;/b",
            "/a/..;x=y/b",
            "/a/%2e%2e;/b",
            "/a/..%3b/b",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a%2F..",
            "/a\\..\\b",
            "/a/..%5cb",
            "/a%5c../b",
        ] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_other_reading_has_slashes_for_what_some_take_for_slashes() {
        assert_eq!(other_reading("/a/b%20c"), None);
        assert_eq!(other_reading("/a%2Fb\\c%5Cd"), Some("/a/b/c/d".to_owned()));
        assert_eq!(other_reading("/%2Fa%2F"), Some("/a/".to_owned()));
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(raw in "(/([a-c.%/~;\\\\-]|%2[eEfF]|%5[cC]|%61){0,12}){1,4}") {
            if let Ok((once, _)) = normal(&raw) {
                prop_assert_eq!(normal(&once), Ok((once.clone(), false)));
                prop_assert!(!has_dot_segment(&once) && !once.contains("//"));
                prop_assert!(!other_reading(&once).is_some_and(|other| has_dot_segment(&other)));
            }
        }
    }
}
