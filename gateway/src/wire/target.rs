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
/// dot segments are resolved, encoded ones too. What climbs above the root is a fault rather than silently
/// kept at the root: only an attack asks for it.
pub fn normalise(raw: &str, out: &mut String) -> Result<bool, HeadFault> {
    let start = out.len();
    decode_unreserved(raw, out)?;
    if !has_dot_segment(&out[start..]) {
        return Ok(false);
    }
    let resolved = resolve_dots(&out[start..])?;
    out.truncate(start);
    out.push_str(&resolved);
    Ok(true)
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

fn resolve_dots(path: &str) -> Result<String, HeadFault> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." => {}
            ".." => {
                kept.pop()
                    .ok_or(HeadFault::Malformed("a path that climbs above the root"))?;
            }
            other => kept.push(other),
        }
        // "/a/.." is the folder "/", not the file "": it keeps the slash a dot segment stood behind.
        if segments.peek().is_none() && matches!(segment, "." | "..") {
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
            ("/a//b", "/a//b", false),
            ("/.well-known/x", "/.well-known/x", false),
        ] {
            assert_eq!(normal(raw), Ok((path.to_owned(), had_dots)), "{raw}");
        }
        for bad in ["/..", "/a/../..", "/%", "/%2", "/%g0", "/%00", "/%2e%2e/"] {
            assert!(normal(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn normalising_twice_changes_nothing_more(raw in "(/([a-c.%/~-]|%2[eEfF]|%61){0,12}){1,4}") {
            if let Ok((once, _)) = normal(&raw) {
                prop_assert_eq!(normal(&once), Ok((once.clone(), false)));
                prop_assert!(!has_dot_segment(&once));
            }
        }
    }
}
