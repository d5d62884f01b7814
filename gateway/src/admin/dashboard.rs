//! `GET /`: the dashboard, three files that a browser needs nothing else for.
//!
//! The page itself says nothing of the gateway, so it is given to everybody who reaches the address; everything it shows
//! it asks for with the token. It may run its own script and style only, talk to this address only, and stand in no
//! other page.

use crate::reply::Reply;

const PAGE: &str = include_str!("dashboard/index.html");
const SCRIPT: &str = concat!(
    include_str!("dashboard/kit.js"),
    include_str!("dashboard/chart.js"),
    include_str!("dashboard/ask.js"),
    include_str!("dashboard/parts.js"),
    include_str!("dashboard/app.js")
);
const STYLE: &str = include_str!("dashboard/style.css");
const ICON: &str = include_str!("dashboard/icon.svg");

/// Without the last line, text that came from outside could be made markup by a mistake of ours.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types 'none'";

/// In the page, where it says whether it has to ask for a token.
const NO_TOKEN: &str = "data-token=\"none\"";
const TOKEN: &str = "data-token=\"asked\"";

/// The file at a path, if it is one of the dashboard's.
pub fn file(path: &str, is_token_asked_for: bool) -> Option<Reply> {
    let (content_type, text) = match path {
        "/" if is_token_asked_for => ("text/html; charset=utf-8", PAGE.replace(NO_TOKEN, TOKEN).into()),
        "/" => (
            "text/html; charset=utf-8",
            bytes::Bytes::from_static(PAGE.as_bytes()),
        ),
        "/app.js" => (
            "text/javascript; charset=utf-8",
            bytes::Bytes::from_static(SCRIPT.as_bytes()),
        ),
        "/style.css" => (
            "text/css; charset=utf-8",
            bytes::Bytes::from_static(STYLE.as_bytes()),
        ),
        "/icon.svg" => ("image/svg+xml", bytes::Bytes::from_static(ICON.as_bytes())),
        _ => return None,
    };
    let reply = Reply::of(200, content_type, text)
        .with("Content-Security-Policy", POLICY)
        .with("X-Frame-Options", "DENY")
        .with("Referrer-Policy", "no-referrer")
        .with("Cross-Origin-Resource-Policy", "same-origin")
        // After an upgrade of the gateway, script and page must be of one version.
        .with("Cache-Control", "no-store");
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_whether_a_token_is_asked_for() {
        assert_eq!(PAGE.matches(NO_TOKEN).count(), 1);
        assert!(!PAGE.contains(TOKEN));
    }

    #[test]
    fn nothing_of_the_page_stands_inline_or_comes_from_elsewhere() {
        for needle in [
            " style=",
            "<style",
            " onclick=",
            " onload=",
            "http:",
            "https:",
            "javascript:",
        ] {
            assert!(!PAGE.contains(needle), "{needle} in the page");
        }
        // A name that looks like an address, and words in an empty field.
        let script = SCRIPT.replace("http://www.w3.org/2000/svg", "");
        let script = script.replace("https://example.com", "");
        for needle in [
            "innerHTML",
            "outerHTML",
            "insertAdjacentHTML",
            "document.write",
            "eval(",
            "http:",
            "https:",
        ] {
            assert!(!script.contains(needle), "{needle} in the script");
        }
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }
}
