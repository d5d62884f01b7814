//! `return` and `rewrite`: what is answered before anything is looked up.

use super::locations::{Kind, Location};
use super::model::{Action, Rewrite, Route};
use super::routes::placeholder;
use super::tree::Directive;
use super::values::{self, Known};
use super::work::Work;

/// Media types of what `return` says, by the ending of an exact path.
const MEDIA: [(&str, &str); 8] = [
    (".txt", "text/plain"),
    (".html", "text/html"),
    (".htm", "text/html"),
    (".json", "application/json"),
    (".xml", "text/xml"),
    (".css", "text/css"),
    (".js", "application/javascript"),
    (".svg", "image/svg+xml"),
];

/// An answer of that status with its name.
pub(super) fn status(status: u16) -> Action {
    let body = match status {
        400 => "400 Bad Request\n",
        401 => "401 Unauthorized\n",
        403 => "403 Forbidden\n",
        404 => "404 Not Found\n",
        405 => "405 Method Not Allowed\n",
        410 => "410 Gone\n",
        429 => "429 Too Many Requests\n",
        500 => "500 Internal Server Error\n",
        502 => "502 Bad Gateway\n",
        503 => "503 Service Unavailable\n",
        _ => "",
    };
    Action::Respond {
        status,
        body: body.to_owned(),
        content_type: None,
    }
}

/// The `return` or redirecting `rewrite` of a location; None without one.
pub(super) fn action(location: &Location<'_>, known: Known<'_>, work: &mut Work<'_>) -> Option<Action> {
    for directive in location.scope.own() {
        match directive.name.as_str() {
            "return" => return Some(returned(directive, Some(location), known, work)),
            "rewrite" => {
                if let Some(action) = redirecting(directive, known, work) {
                    return Some(action);
                }
            }
            _ => {}
        }
    }
    None
}

/// What `return` says. `location` tells the media type, where there is one.
pub(super) fn returned(
    directive: &Directive,
    location: Option<&Location<'_>>,
    known: Known<'_>,
    work: &mut Work<'_>,
) -> Action {
    let (code, text) = match directive.args.as_slice() {
        [one] => match one.parse::<u16>() {
            Ok(code) => (code, None),
            Err(_) => (302, Some(one)),
        },
        [code, text] => (code.parse().unwrap_or(0), Some(text)),
        _ => (0, None),
    };
    match (code, text) {
        (301 | 302 | 303 | 307 | 308, Some(text)) => redirect(directive, code, text, known, work),
        (200..=599, None) => {
            if code == 444 {
                work.ledger.differs(
                    directive,
                    "an answer with status 444 is sent; nginx closes the connection without one",
                );
            } else if matches!(code, 301 | 302 | 303 | 307 | 308) {
                work.ledger.lost(directive, "this redirect leads nowhere");
            } else {
                work.ledger.done(directive);
            }
            status(code)
        }
        (204 | 205 | 304, Some(_)) => {
            work.ledger
                .done_as(directive, "an answer of this status has no body");
            status(code)
        }
        (200..=599, Some(text)) if !values::has_variable(text) => {
            work.ledger.done(directive);
            Action::Respond {
                status: code,
                body: environment_free(text),
                content_type: location.map(media).filter(|m| m != "text/plain"),
            }
        }
        (200..=599, Some(_)) => {
            work.ledger.lost(
                directive,
                "`respond` says the same to everybody; until then the answer is 501",
            );
            placeholder("return with variables")
        }
        _ => {
            work.ledger.lost(
                directive,
                "this is no status of an answer; until then the answer is 501",
            );
            placeholder("return")
        }
    }
}

/// `${NAME}` in a text is the environment's; nginx has none there.
fn environment_free(text: &str) -> String {
    values::literal(text)
}

fn redirect(directive: &Directive, status: u16, text: &str, known: Known<'_>, work: &mut Work<'_>) -> Action {
    match values::template(text, known) {
        Ok(to) if !to.is_empty() && !to.chars().any(char::is_control) => {
            work.ledger.done(directive);
            Action::Redirect { to, status }
        }
        Ok(_) => {
            work.ledger.lost(
                directive,
                "this redirect leads nowhere; until then the answer is 501",
            );
            placeholder("return")
        }
        Err(variable) => {
            let remark = format!(
                "there is no ${variable} here: a redirect knows ${{scheme}}, ${{host}}, ${{path}}, ${{query}}, ${{uri}}; until then the answer is 501"
            );
            work.ledger.lost(directive, &remark);
            placeholder("return with variables")
        }
    }
}

/// Content-Type of a text: by the ending of the path, else default_type.
fn media(location: &Location<'_>) -> String {
    let by_ending = MEDIA.iter().find(|(ending, _)| location.text.ends_with(ending));
    if let (Kind::Exact, Some((_, media))) = (&location.kind, by_ending) {
        return (*media).to_owned();
    }
    match location.scope.word("default_type") {
        "" => "text/plain".to_owned(),
        media if media.contains('/') => media.to_owned(),
        _ => "application/octet-stream".to_owned(),
    }
}

/// A `rewrite` that sends the client elsewhere; None of one that does not.
fn redirecting(directive: &Directive, known: Known<'_>, work: &mut Work<'_>) -> Option<Action> {
    let (regex, to, flag) = (directive.arg(0), directive.arg(1), directive.arg(2));
    let is_absolute = ["http://", "https://", "$scheme"]
        .iter()
        .any(|start| to.starts_with(start));
    let status = match flag {
        "permanent" => 301,
        "redirect" => 302,
        _ if is_absolute => 302,
        _ => return None,
    };
    let whole = [
        "^", "^/", ".*", "^.*", "^.*$", "^/.*$", "^/.*", "^(.*)$", "^(.*)", "(.*)", "^/(.*)$", "^/(.*)",
    ];
    let with_slash = regex.starts_with("^/(");
    let mut text = to.to_owned();
    if whole.contains(&regex) {
        let path = if with_slash { "/$1" } else { "$1" };
        text = text.replace(path, "${uri_path}");
    }
    if !whole.contains(&regex) || text.contains("$1") {
        let remark = "a redirect is for one path, or for all below one: write routes with match.path or path_prefix; groups of an expression are not at hand";
        work.ledger.lost(directive, remark);
        return None;
    }
    let text = text.replace("${uri_path}", "$uri");
    // nginx puts the query behind what has none of its own, unless it ends with a question mark.
    let text = match text.strip_suffix('?') {
        Some(rest) => rest.to_owned(),
        None if text.contains('?') || text.contains("$request_uri") => text,
        None => format!("{text}$is_args$args"),
    };
    Some(redirect(directive, status, &text, known, work))
}

/// A `rewrite … break` of a location that passes on or serves files; whether there was one.
pub(super) fn break_rewrite(location: &Location<'_>, route: &mut Route, work: &mut Work<'_>) -> bool {
    let rewrites = location.scope.own_all("rewrite");
    let [directive] = rewrites.as_slice() else {
        for directive in &rewrites {
            work.ledger.lost(
                directive,
                "a route has one rewrite: write a route for each; until then the answer is 501",
            );
            route.action = placeholder("several rewrites");
        }
        return false;
    };
    let (regex, to) = (directive.arg(0), directive.arg(1));
    let plain = to.strip_suffix('?').unwrap_or(to);
    let uses_variables = {
        let groups: String = plain.replace(|c: char| c.is_ascii_digit(), "0");
        values::has_variable(&groups.replace("$0", ""))
    };
    let is_fine = directive.arg(2) == "break"
        && regex::Regex::new(regex).is_ok()
        && plain.starts_with('/')
        && !plain.contains(['?', ' '])
        && !uses_variables;
    if !is_fine {
        let remark = "a route's rewrite is `regex` and `to`, after which no other route is looked for: write it by hand; until then the answer is 501";
        work.ledger.lost(directive, remark);
        route.action = placeholder("rewrite");
        return false;
    }
    work.ledger.done(directive);
    // nginx replaces the whole path, Sluice what the expression has found.
    let start = if regex.starts_with('^') { "" } else { "^.*?" };
    let end = if regex.ends_with('$') { "" } else { ".*$" };
    route.rewrite = Some(Rewrite::Regex {
        regex: format!("{start}{regex}{end}"),
        to: braced(plain),
    });
    true
}

/// "$1x" as "${1}x": a group's number ends where its digit does.
fn braced(text: &str) -> String {
    let mut out = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match (c, chars.peek().copied()) {
            ('$', Some(digit)) if digit.is_ascii_digit() => {
                chars.next();
                out.push_str(&format!("${{{digit}}}"));
            }
            ('$', _) => out.push_str("$$"),
            (c, _) => out.push(c),
        }
    }
    out
}
