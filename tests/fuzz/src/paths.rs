//! Paths, hosts, and the one spelling each of them has.

use gateway::kit::host::{self, HostPattern};
use gateway::wire::target::{normalise, other_reading};

/// A path, and the same bytes as a host.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    if text.starts_with('/')
        && text
            .bytes()
            .all(|b| b.is_ascii_graphic() && !matches!(b, b'?' | b'#'))
    {
        path(text);
    }
    authority(text);
}

fn path(raw: &str) {
    let mut out = "kept".to_owned();
    let Ok(had_dots) = normalise(raw, &mut out) else {
        return;
    };
    let normal = out.strip_prefix("kept").expect("what was there stays");
    assert!(normal.starts_with('/') && !normal.contains("//"), "{normal}");
    assert!(normal.len() <= raw.len());
    assert!(!normal.split('/').any(|s| climbs(s) || s == "."), "{normal}");
    let mut again = String::new();
    assert_eq!(normalise(normal, &mut again), Ok(false), "{normal}");
    assert_eq!(again, normal);
    assert!(had_dots || plain(raw) == plain(normal), "{raw} became {normal}");
    // As it is and decoded once, with either slash: nothing climbs.
    let mut read = normal.to_owned();
    for _ in 0..2 {
        assert!(!read.split(['/', '\\']).any(climbs), "{raw} is read as {read}");
        read = decoded(&read);
    }
    if let Some(other) = other_reading(normal) {
        assert!(
            other != normal && other.starts_with('/') && !other.contains('\\'),
            "{other}"
        );
        assert!(!other.split('/').any(|s| climbs(s) || s == "."), "{other}");
    }
}

/// A segment that leads upwards, with a parameter or without.
fn climbs(segment: &str) -> bool {
    segment.split(';').next() == Some("..")
}

/// Without what may differ between two spellings: empty segments, and how a byte is written.
fn plain(path: &str) -> String {
    let mut out = decoded(path);
    while out.contains("//") {
        out = out.replace("//", "/");
    }
    out
}

/// One layer of percent-encoding taken off, as far as that gives text.
fn decoded(text: &str) -> String {
    let mut out = Vec::new();
    let mut bytes = text.as_bytes();
    while let [first, rest @ ..] = bytes {
        let pair = rest.get(..2).filter(|_| *first == b'%');
        let byte = pair.and_then(|p| u8::from_str_radix(std::str::from_utf8(p).ok()?, 16).ok());
        out.push(byte.unwrap_or(*first));
        bytes = if byte.is_some() { &rest[2..] } else { rest };
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn authority(text: &str) {
    if let Some((name, port)) = host::split_port(text) {
        let told = port.map_or(name.to_owned(), |p| format!("{name}:{p}"));
        assert_eq!(host::split_port(&told), Some((name, port)));
        if host::is_host(name) {
            let normal = host::normal(name);
            assert!(host::is_host(&normal), "{name} became {normal}");
            assert!(
                !normal
                    .bytes()
                    .any(|b| b.is_ascii_uppercase() || b.is_ascii_whitespace())
            );
            assert!(HostPattern::Any.matches(&normal));
        }
    }
    if let Some(name) = host::plain_name(text) {
        assert!(host::is_host(name), "{name}");
        assert_eq!(host::split_port(text).map(|(n, _)| n), Some(name));
    }
    if let Some(pattern) = HostPattern::parse(text) {
        assert_eq!(HostPattern::parse(&pattern.to_string()), Some(pattern.clone()));
        match &pattern {
            HostPattern::Any => assert_eq!(text, "*"),
            HostPattern::Below(suffix) => {
                assert!(!pattern.matches(&suffix[1..]) && pattern.matches(&format!("a{suffix}")));
                assert!(!pattern.matches(suffix), "{suffix}");
            }
            HostPattern::Exact(name) => {
                assert!(pattern.matches(name) && !pattern.matches(&format!("a.{name}")))
            }
        }
    }
}
