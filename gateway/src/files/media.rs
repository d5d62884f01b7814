//! The media type of a file, by the ending of its name.

/// What nothing else is known of: a browser saves it and does not guess (RFC 9110 §8.3).
const UNKNOWN: &str = "application/octet-stream";

/// Endings the table does not know, or knows by a name that has been superseded.
const OURS: &[(&str, &str)] = &[
    ("cjs", "text/javascript"),                // RFC 9239
    ("m3u8", "application/vnd.apple.mpegurl"), // RFC 8216
    ("map", "application/json"),               // source maps, ECMA-426
    ("mjs", "text/javascript"),                // RFC 9239
];

/// Types other than `text/*` that are text, and that some readers take for Latin-1 unless they are told.
const TEXTS: &[&str] = &["application/javascript", "application/json", "application/xml"];

/// The Content-Type of a file of this name, with its charset where it is text.
///
/// Text on the web is UTF-8; what is not must be published with a Content-Type of its own (`response_headers`).
pub(super) fn of(path: &[u8]) -> String {
    let name = path.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let ending = name.iter().rposition(|b| *b == b'.').map(|at| &name[at + 1..]);
    let Some(Ok(ending)) = ending.map(std::str::from_utf8) else {
        return UNKNOWN.to_owned();
    };
    let ours = OURS.iter().find(|(e, _)| e.eq_ignore_ascii_case(ending));
    let found = ours
        .map(|(_, media)| *media)
        .or_else(|| mime_guess::from_ext(ending).first_raw());
    match found {
        None => UNKNOWN.to_owned(),
        Some(media) if is_text(media) => format!("{media}; charset=utf-8"),
        Some(media) => media.to_owned(),
    }
}

fn is_text(media: &str) -> bool {
    media.starts_with("text/")
        || media.ends_with("+xml")
        || media.ends_with("+json")
        || TEXTS.contains(&media)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_types_of_the_web_are_known_and_texts_say_their_charset() {
        for (path, expected) in [
            ("index.html", "text/html; charset=utf-8"),
            ("a/b.css", "text/css; charset=utf-8"),
            ("app.js", "text/javascript; charset=utf-8"),
            ("app.MJS", "text/javascript; charset=utf-8"),
            ("data.json", "application/json; charset=utf-8"),
            ("app.js.map", "application/json; charset=utf-8"),
            ("feed.xml", "text/xml; charset=utf-8"),
            ("feed.atom", "application/atom+xml; charset=utf-8"),
            ("logo.SVG", "image/svg+xml; charset=utf-8"),
            ("site.webmanifest", "application/manifest+json; charset=utf-8"),
            ("robots.txt", "text/plain; charset=utf-8"),
            ("p.png", "image/png"),
            ("p.webp", "image/webp"),
            ("p.avif", "image/avif"),
            ("favicon.ico", "image/x-icon"),
            ("f.woff2", "font/woff2"),
            ("m.wasm", "application/wasm"),
            ("v.mp4", "video/mp4"),
            ("d.pdf", "application/pdf"),
            ("a.tar.gz", "application/gzip"),
        ] {
            assert_eq!(of(path.as_bytes()), expected, "{path}");
        }
    }

    #[test]
    fn what_is_not_known_is_a_stream_of_octets() {
        for path in [
            &b"LICENSE"[..],
            b"a.unheard-of",
            b"a.",
            b"a.b/c",
            b"",
            b"a.\xff",
            b"x.html/y",
        ] {
            assert_eq!(of(path), UNKNOWN);
        }
    }
}
