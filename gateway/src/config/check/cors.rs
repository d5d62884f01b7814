//! `cors` of a route, and of `[defaults]`

use std::sync::Arc;
use std::time::Duration;

use super::matches;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{Cors, Origins};
use crate::config::raw;
use crate::config::raw::leaf::{At, List};
use crate::kit::host::{self, HostPattern};
use crate::wire::syntax;

/// Those a page may use without asking.
const METHODS: [&str; 3] = ["GET", "HEAD", "POST"];
/// Long enough to spare nearly all questions of a visit, short enough for a change to arrive.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Whose pages may ask; None for nobody's, or with a problem told.
pub fn cors(section: &At<raw::Cors>, path: &str, findings: &mut Findings<'_>) -> Option<Arc<Cors>> {
    let raw = &section.value;
    let origins = origins(section, &format!("{path}.origins"), findings);
    let credentials = raw.credentials.as_ref().is_some_and(|f| f.value.0);
    let any = origins == Some(Origins::Any);
    if let Some(written) = raw.credentials.as_ref().filter(|_| credentials && any) {
        // Fetch §3.2.5: a browser takes "*" for no answer where cookies are sent along.
        let message = "`credentials` for every origin lets every site act for whoever is logged in";
        let problem = findings.error(&written.span, &format!("{path}.credentials"), message);
        problem.help("list the origins: origins = [\"https://app.example.com\"]");
    }
    let methods = methods(&raw.methods, &format!("{path}.methods"), findings);
    let mut headers = fields(&raw.headers, true, &format!("{path}.headers"), findings);
    headers.iter_mut().for_each(|name| name.make_ascii_lowercase());
    let expose_headers = fields(
        &raw.expose_headers,
        !credentials,
        &format!("{path}.expose_headers"),
        findings,
    );
    let max_age = values::duration(
        &raw.max_age,
        &format!("{path}.max_age"),
        Zero::Allowed,
        MAX_AGE,
        findings,
    );
    Some(Arc::new(Cors {
        origins: origins?,
        methods,
        headers,
        expose_headers,
        credentials,
        max_age,
    }))
}

fn origins(section: &At<raw::Cors>, path: &str, findings: &mut Findings<'_>) -> Option<Origins> {
    let Some(list) = &section.value.origins else {
        if findings.is_whole(&section.span) {
            let problem = findings.error(&section.span, path, "`cors` does not say whose pages may ask");
            problem.help("add origins = [\"https://app.example.com\"], or [] for nobody's");
        }
        return None;
    };
    if let [only] = list.value.as_slice()
        && only.value == "*"
    {
        return Some(Origins::Any);
    }
    let mut origins: Vec<String> = Vec::with_capacity(list.value.len());
    for item in &list.value {
        if let Some((message, help)) = fault(&item.value) {
            findings.error(&item.span, path, message).help(help);
        } else if origins.contains(&item.value) {
            let message = format!("\"{}\" is listed twice", item.value);
            findings.warning(&item.span, path, message);
        } else {
            origins.push(item.value.clone());
        }
    }
    (!origins.is_empty()).then_some(Origins::Listed(origins))
}

/// What is wrong with an origin, and what to write. Browsers send it as RFC 6454 §6.2 says: scheme, host in lower
/// case, and the port where it is not the scheme's own. They compare byte by byte, and so do we.
fn fault(text: &str) -> Option<(String, String)> {
    const HELP: &str =
        "write \"https://app.example.com\", or \"https://*.example.com\" for every name below it";
    let no_origin = || (format!("\"{text}\" is not an origin"), HELP.to_owned());
    if text == "*" {
        let message = "\"*\" stands for every origin: the others have no effect".to_owned();
        return Some((message, "write [\"*\"], or take it out".to_owned()));
    }
    if text == "null" {
        let message = "\"null\" is what every sandboxed page and local file calls itself".to_owned();
        return Some((
            message,
            "it tells nobody apart: serve the page from a site, and name that".to_owned(),
        ));
    }
    let Some((scheme, rest)) = text.split_once("://") else {
        return Some(no_origin());
    };
    if let Some(at) = rest.find(['/', '?', '#']) {
        let message = format!("\"{text}\" holds more than an origin");
        return Some((message, format!("write \"{scheme}://{}\"", &rest[..at])));
    }
    let lower = text.to_ascii_lowercase();
    if lower != text {
        let message = format!("\"{text}\" is not written as browsers send it");
        return Some((message, format!("write \"{lower}\"")));
    }
    let Some((name, port)) = host::split_port(rest) else {
        return Some(no_origin());
    };
    let is_scheme = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
    let begins_well = scheme.starts_with(|c: char| c.is_ascii_alphabetic());
    let is_plain = begins_well && scheme.bytes().all(is_scheme) && !rest.ends_with(['.', ':']);
    if !is_plain
        || !matches!(
            HostPattern::parse(name),
            Some(HostPattern::Exact(_) | HostPattern::Below(_))
        )
    {
        return Some(no_origin());
    }
    if let ("http", Some(80)) | ("https", Some(443)) = (scheme, port) {
        let message = format!("\"{text}\" is not written as browsers send it: they leave that port out");
        return Some((message, format!("write \"{scheme}://{name}\"")));
    }
    None
}

fn methods(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let Some(list) = raw else {
        return METHODS.map(str::to_owned).to_vec();
    };
    if let Some(star) = list.value.iter().find(|item| item.value == "*") {
        let problem = findings.error(&star.span, path, "\"*\" is not a method");
        problem.help("name those that pages need: [\"GET\", \"HEAD\", \"POST\", \"PUT\", \"DELETE\"]");
        return Vec::new();
    }
    matches::methods(&list.value, path, findings)
}

/// Names of fields as written, none twice; or "*" alone, where it stands for all.
fn fields(raw: &List<String>, may_be_any: bool, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let list = raw.as_ref().map_or(&[][..], |list| &list.value);
    let mut names: Vec<String> = Vec::with_capacity(list.len());
    for item in list {
        let text = item.value.as_str();
        if text == "*" && !may_be_any {
            let message = "\"*\" stands for no fields where `credentials` are sent along";
            let problem = findings.error(&item.span, path, message);
            problem.help("name them: [\"X-Request-ID\"]");
        } else if text == "*" && list.len() > 1 {
            let message = "\"*\" stands for every field: the others have no effect";
            let problem = findings.error(&item.span, path, message);
            problem.help("write [\"*\"], or take it out");
        } else if text != "*" && (!syntax::is_token(text.as_bytes()) || text.contains('*')) {
            let message = format!("\"{text}\" cannot be the name of a field");
            findings
                .error(&item.span, path, message)
                .help("write letters, digits and \"-\"");
        } else if names.iter().any(|name| name.eq_ignore_ascii_case(text)) {
            findings.warning(&item.span, path, format!("\"{text}\" is listed twice"));
        } else {
            names.push(text.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_told_from_what_no_browser_sends() {
        for good in [
            "https://app.example.com",
            "http://localhost:3000",
            "https://*.example.com",
            "https://*.example.com:8443",
            "http://[::1]:8080",
            "https://a:80",
            "chrome-extension://abcdef",
        ] {
            assert!(fault(good).is_none(), "{good}");
        }
        for bad in [
            "",
            "*",
            "null",
            "app.example.com",
            "https://",
            "https://app.example.com/",
            "https://App.example.com",
            "https://app.example.com.",
            "https://app.example.com:",
            "https://app.example.com:443",
            "http://app.example.com:80",
            "https://*",
            "https://a.*.example.com",
            "://a",
            "1a://a",
            "https://u@a",
            "https://ä.example",
        ] {
            assert!(fault(bad).is_some(), "{bad}");
        }
    }
}
