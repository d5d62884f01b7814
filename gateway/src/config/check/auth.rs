//! `[auth.NAME]`

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::values::{self, Zero};
use super::{edits, jwt, urls};
use crate::config::findings::Findings;
use crate::config::plan::{Auth, AuthMethod, Basic, Forward, Keys};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Maybe, Span};
use crate::config::source;
use crate::secrets::{ApiKeys, Fault, Users};

/// A login that takes longer is as bad as none.
const FORWARD_TIMEOUT: Duration = Duration::from_secs(5);
/// What most interfaces call it.
const KEY_HEADER: &str = "X-Api-Key";

/// Auths by name, in the order of [`crate::config::plan::AuthId`] where none has a problem.
pub fn auths(
    raw: Option<&At<BTreeMap<At<String>, At<raw::Auth>>>>,
    findings: &mut Findings<'_>,
) -> Vec<Arc<Auth>> {
    let mut auths = Vec::new();
    for (name, item) in raw.into_iter().flat_map(|section| &section.value) {
        let path = format!("auth.{}", name.value);
        values::name(name, &path, findings);
        let name = name.value.clone();
        if let Some(method) = method(item, &name, &path, findings) {
            auths.push(Arc::new(Auth { name, method }));
        }
    }
    auths
}

/// The one method of an auth; None with a problem told.
fn method(item: &At<raw::Auth>, name: &str, path: &str, findings: &mut Findings<'_>) -> Option<AuthMethod> {
    let raw = &item.value;
    let written = [
        ("jwt", raw.jwt.as_ref().map(|m| &m.span)),
        ("basic", raw.basic.as_ref().map(|m| &m.span)),
        ("forward", raw.forward.as_ref().map(|m| &m.span)),
        ("keys", raw.keys.as_ref().map(|m| &m.span)),
    ];
    let kind = Choice {
        of: "an auth",
        nothing: "an auth that asks for nothing",
        help: "an auth has exactly one of jwt, basic, forward and keys",
    };
    kind.one(&written, item, path, findings)?;
    if let Some(section) = &raw.jwt {
        return jwt::jwt(section, &format!("{path}.jwt"), findings).map(AuthMethod::Jwt);
    }
    if let Some(section) = &raw.basic {
        return basic(section, name, &format!("{path}.basic"), findings).map(AuthMethod::Basic);
    }
    if let Some(section) = &raw.forward {
        return forward(section, &format!("{path}.forward"), findings).map(AuthMethod::Forward);
    }
    let section = raw.keys.as_ref()?;
    keys(section, &format!("{path}.keys"), findings).map(AuthMethod::Keys)
}

/// A table that has exactly one of several keys.
pub struct Choice {
    /// What such a table is.
    pub of: &'static str,
    /// What is wrong with one that has none.
    pub nothing: &'static str,
    /// Which keys there are.
    pub help: &'static str,
}

impl Choice {
    /// The one that is written; None with a problem told.
    pub fn one<'k, T>(
        &self,
        keys: &[(&'k str, Option<&Span>)],
        table: &At<T>,
        path: &str,
        findings: &mut Findings<'_>,
    ) -> Option<&'k str> {
        let written: Vec<_> = keys
            .iter()
            .filter_map(|(key, span)| Some((*key, (*span)?)))
            .collect();
        match written.as_slice() {
            [] => {
                if findings.is_whole(&table.span) {
                    findings.error(&table.span, path, self.nothing).help(self.help);
                }
                None
            }
            [(key, _)] => Some(key),
            [(first, _), others @ ..] => {
                for (other, span) in others {
                    let message = format!("{} cannot have both `{first}` and `{other}`", self.of);
                    let problem = findings.error(span, &format!("{path}.{other}"), message);
                    problem.help(self.help);
                }
                None
            }
        }
    }
}

fn basic(section: &At<raw::Basic>, name: &str, path: &str, findings: &mut Findings<'_>) -> Option<Basic> {
    let raw = &section.value;
    let realm = raw.realm.as_ref().map_or(name, |r| &r.value);
    if let Some(written) = &raw.realm
        && realm.chars().any(|c| c.is_control() || matches!(c, '"' | '\\'))
    {
        let message = "a realm cannot hold quotes, backslashes or control characters";
        let problem = findings.error(&written.span, &format!("{path}.realm"), message);
        problem.help("realm = \"Staff only\"");
    }
    let forward_user = told_by(&raw.forward_user, &format!("{path}.forward_user"), findings);
    let at = format!("{path}.users_file");
    let written = needed(
        &raw.users_file,
        section,
        ("users_file", "/etc/sluice/users"),
        &at,
        findings,
    )?;
    let users = file(written, &at, findings, |bytes| Users::parse(&as_text(bytes)?))?;
    if users.count() == 0 {
        let message = format!("there is no user in \"{}\": nobody is let in", written.value);
        findings.warning(&written.span, &at, message);
    }
    Some(Basic {
        realm: realm.to_owned(),
        users_file: PathBuf::from(&written.value),
        users: Arc::new(users),
        forward_user,
    })
}

fn keys(section: &At<raw::Keys>, path: &str, findings: &mut Findings<'_>) -> Option<Keys> {
    let raw = &section.value;
    let header = match &raw.header {
        None => Some(KEY_HEADER.to_ascii_lowercase()),
        Some(name) => {
            is_free(name, &format!("{path}.header"), findings).then(|| name.value.to_ascii_lowercase())
        }
    };
    let forward_name = told_by(&raw.forward_name, &format!("{path}.forward_name"), findings);
    let at = format!("{path}.file");
    let written = needed(
        &raw.file,
        section,
        ("file", "/etc/sluice/api-keys"),
        &at,
        findings,
    )?;
    let keys = file(written, &at, findings, |bytes| ApiKeys::parse(&as_text(bytes)?))?;
    if keys.count() == 0 {
        let message = format!("there is no key in \"{}\": nobody is let in", written.value);
        findings.warning(&written.span, &at, message);
    }
    Some(Keys {
        header: header?,
        file: PathBuf::from(&written.value),
        keys: Arc::new(keys),
        forward_name,
    })
}

fn forward(section: &At<raw::Forward>, path: &str, findings: &mut Findings<'_>) -> Option<Forward> {
    const EXAMPLE: &str = "http://auth.internal:9000/verify";
    let raw = &section.value;
    let timeout = values::duration(
        &raw.timeout,
        &format!("{path}.timeout"),
        Zero::Means("every wait must end some time; \"1m\" is patient"),
        FORWARD_TIMEOUT,
        findings,
    );
    let mut request_headers = fields(&raw.request_headers, &format!("{path}.request_headers"), findings);
    request_headers
        .iter_mut()
        .for_each(|name| name.make_ascii_lowercase());
    request_headers.sort();
    let copy_headers = fields(&raw.copy_headers, &format!("{path}.copy_headers"), findings);
    let at = format!("{path}.url");
    let written = needed(&raw.url, section, ("url", EXAMPLE), &at, findings)?;
    Some(Forward {
        url: urls::http(written, EXAMPLE, &at, findings)?,
        timeout,
        request_headers,
        copy_headers,
    })
}

/// A key without which its table says nothing; None with a problem told. `example` is the key and a value of it.
pub fn needed<'r, T>(
    raw: &'r Maybe<String>,
    section: &At<T>,
    example: (&str, &str),
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<&'r At<String>> {
    let (key, value) = example;
    let (span, message) = match raw {
        Some(written) if !written.value.is_empty() => return Some(written),
        Some(written) => (&written.span, format!("`{key}` is empty")),
        None if findings.is_whole(&section.span) => (&section.span, format!("there is no `{key}`")),
        None => return None,
    };
    let problem = findings.error(span, path, message);
    problem.help(format!("write {key} = \"{value}\""));
    None
}

/// What to do about a file that cannot be read.
const UNREADABLE: &str =
    "it has to be there, and the user that the gateway runs as has to be allowed to read it";

/// What stands in a file of secrets; None with a problem told. Its content is part of the plan, so it is watched.
pub fn file<T>(
    written: &At<String>,
    path: &str,
    findings: &mut Findings<'_>,
    parse: impl FnOnce(&[u8]) -> Result<T, Fault>,
) -> Option<T> {
    let name = &written.value;
    let file = Path::new(name);
    let bytes = match source::read_bytes(file) {
        Ok(bytes) => bytes,
        Err(why) => {
            let message = format!("\"{name}\" cannot be read: {why}");
            findings.error(&written.span, path, message).help(UNREADABLE);
            return None;
        }
    };
    findings.has_read(file, &bytes);
    match parse(&bytes) {
        Ok(content) => Some(content),
        Err(Fault { line, message }) => {
            let message = format!("\"{name}\" cannot be used: line {line}: {message}");
            findings.error(&written.span, path, message);
            None
        }
    }
}

/// The text of a file of secrets.
pub fn as_text(bytes: &[u8]) -> Result<String, Fault> {
    String::from_utf8(bytes.to_vec()).map_err(|e| {
        let before = &bytes[..e.utf8_error().valid_up_to()];
        Fault {
            line: 1 + before.iter().filter(|b| **b == b'\n').count(),
            message: "it is not UTF-8".to_owned(),
        }
    })
}

/// The field an origin is told something by, as written; None for none.
fn told_by(raw: &Maybe<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let written = raw.as_ref().filter(|name| !name.value.is_empty())?;
    is_free(written, path, findings).then(|| written.value.clone())
}

/// Names of fields as written, none twice.
fn fields(raw: &List<String>, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for item in raw.iter().flat_map(|list| &list.value) {
        if !is_free(item, path, findings) {
            continue;
        }
        if names.iter().any(|name| name.eq_ignore_ascii_case(&item.value)) {
            let message = format!("\"{}\" is listed twice", item.value);
            findings.warning(&item.span, path, message);
        } else {
            names.push(item.value.clone());
        }
    }
    names
}

/// Whether an auth may read and write this field; told if not.
pub fn is_free(name: &At<String>, path: &str, findings: &mut Findings<'_>) -> bool {
    if !edits::is_free(name, path, findings) {
        return false;
    }
    // An origin routes by it, and a cache is asked by it: neither is an auth's to change.
    if name.value.eq_ignore_ascii_case("host") {
        let problem = findings.error(&name.span, path, "Host says which site is meant, not who asks");
        problem.help("take a field of your own: \"X-User-Id\"");
        return false;
    }
    true
}
