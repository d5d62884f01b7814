//! What a route asks of a request before anything is done for it: `allow`, `deny`, `auth`, limits and `cors`.

use std::sync::Arc;

use super::cors;
use super::names::Names;
use super::values;
use crate::config::findings::Findings;
use crate::config::plan::{
    AuthId, ConcurrencyLimit, ConcurrencyLimitId, Cors, Guards, LimitKey, RateLimit, RateLimitId,
};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Maybe, Span};
use crate::kit::networks::Networks;

/// What routes refer to by name.
pub struct Named<'r> {
    auths: Names<'r>,
    /// Of each auth, whether its requests come with a token.
    with_token: Vec<bool>,
    rate_limits: Limits<'r>,
    concurrency_limits: Limits<'r>,
}

/// Limits of one kind.
struct Limits<'r> {
    names: Names<'r>,
    /// Of each, whether it counts by a claim of a token.
    by_claim: Vec<bool>,
}

impl<'r> Named<'r> {
    /// Those of a file, and what they were found to be.
    pub fn of(
        file: &'r raw::File,
        rate_limits: &[Arc<RateLimit>],
        concurrency_limits: &[Arc<ConcurrencyLimit>],
    ) -> Self {
        let auths = file.auth.iter().flat_map(|section| section.value.values());
        let is_claim = |key: &LimitKey| matches!(key, LimitKey::JwtClaim(_));
        Self {
            auths: Names::of("auth", "auth", file.auth.as_ref()),
            with_token: auths.map(|auth| auth.value.jwt.is_some()).collect(),
            rate_limits: Limits {
                names: Names::of("rate limit", "rate_limits", file.rate_limits.as_ref()),
                by_claim: rate_limits.iter().map(|limit| is_claim(&limit.key)).collect(),
            },
            concurrency_limits: Limits {
                names: Names::of(
                    "concurrency limit",
                    "concurrency_limits",
                    file.concurrency_limits.as_ref(),
                ),
                by_claim: concurrency_limits
                    .iter()
                    .map(|limit| is_claim(&limit.key))
                    .collect(),
            },
        }
    }

    /// Whoever has written one of them believes that it guards something.
    pub fn warn_of_unused(&self, findings: &mut Findings<'_>) {
        let limits = |key: &'static str| move |name: &str| format!("{key} = [\"{name}\"]");
        self.rate_limits
            .names
            .warn_of_unused(limits("rate_limits"), findings);
        self.concurrency_limits
            .names
            .warn_of_unused(limits("concurrency_limits"), findings);
        self.auths
            .warn_of_unused(|name| format!("auth = \"{name}\""), findings);
    }
}

/// The keys of a route, which are those of the defaults too.
struct Keys<'r> {
    allow: &'r List<String>,
    deny: &'r List<String>,
    auth: &'r Maybe<String>,
    rate_limits: &'r List<String>,
    concurrency_limits: &'r List<String>,
    cors: &'r Maybe<raw::Cors>,
}

impl<'r> From<&'r raw::Route> for Keys<'r> {
    fn from(raw: &'r raw::Route) -> Self {
        Self {
            allow: &raw.allow,
            deny: &raw.deny,
            auth: &raw.auth,
            rate_limits: &raw.rate_limits,
            concurrency_limits: &raw.concurrency_limits,
            cors: &raw.cors,
        }
    }
}

impl<'r> From<&'r raw::Defaults> for Keys<'r> {
    fn from(raw: &'r raw::Defaults) -> Self {
        Self {
            allow: &raw.allow,
            deny: &raw.deny,
            auth: &raw.auth,
            rate_limits: &raw.rate_limits,
            concurrency_limits: &raw.concurrency_limits,
            cors: &raw.cors,
        }
    }
}

/// What was written of it; None of a key that was not. Inner None: written for nobody's or none.
#[derive(Default)]
pub struct Written {
    allow: Option<Option<Networks>>,
    deny: Option<Networks>,
    auth: Option<Option<AuthId>>,
    rate_limits: Option<Vec<RateLimitId>>,
    concurrency_limits: Option<Vec<ConcurrencyLimitId>>,
    cors: Option<Option<Arc<Cors>>>,
    /// An auth is named that nobody has defined.
    dangles: bool,
}

/// What `[defaults]` says of it.
pub fn defaults(raw: &raw::Defaults, named: &mut Named<'_>, findings: &mut Findings<'_>) -> Written {
    written(&raw.into(), "defaults", named, findings)
}

/// What holds for a route: each of its own keys instead of the default's.
pub fn guards(
    item: &At<raw::Route>,
    path: &str,
    named: &mut Named<'_>,
    defaults: &Written,
    findings: &mut Findings<'_>,
) -> Guards {
    let own = written(&(&item.value).into(), path, named, findings);
    let dangles = own.dangles || own.auth.is_none() && defaults.dangles;
    let guards = Guards {
        allow: own.allow.or_else(|| defaults.allow.clone()).flatten(),
        deny: own.deny.or_else(|| defaults.deny.clone()).unwrap_or_default(),
        auth: own.auth.or(defaults.auth).flatten(),
        rate_limits: own
            .rate_limits
            .or_else(|| defaults.rate_limits.clone())
            .unwrap_or_default(),
        concurrency_limits: own
            .concurrency_limits
            .or_else(|| defaults.concurrency_limits.clone())
            .unwrap_or_default(),
        cors: own.cors.or_else(|| defaults.cors.clone()).flatten(),
    };
    let has_token = guards.auth.is_some_and(|id| named.with_token[id.0]);
    if !has_token && !dangles && findings.is_whole(&item.span) {
        let ids = guards.rate_limits.iter().map(|id| id.0);
        claims_without_token(
            item,
            ("rate_limits", &item.value.rate_limits),
            ids,
            &named.rate_limits,
            path,
            findings,
        );
        let ids = guards.concurrency_limits.iter().map(|id| id.0);
        let key = ("concurrency_limits", &item.value.concurrency_limits);
        claims_without_token(item, key, ids, &named.concurrency_limits, path, findings);
    }
    guards
}

fn written(keys: &Keys<'_>, path: &str, named: &mut Named<'_>, findings: &mut Findings<'_>) -> Written {
    let mut networks = |raw: &List<String>, key: &str| {
        let list = raw.as_ref()?;
        Some(values::networks(&list.value, &format!("{path}.{key}"), findings))
    };
    // An empty list keeps nobody out, as no list does.
    let allow = networks(keys.allow, "allow").map(|list| (!list.is_empty()).then(|| Networks::new(list)));
    let deny = networks(keys.deny, "deny").map(Networks::new);
    let at = format!("{path}.auth");
    let auth = keys.auth.as_ref().map(|name| match name.value.as_str() {
        "" => Ok(None),
        _ => named
            .auths
            .find(name, &at, findings)
            .map(AuthId)
            .ok_or(())
            .map(Some),
    });
    let mut ids = |names: &mut Names<'_>, raw: &List<String>, key: &str| {
        let list = raw.as_ref()?;
        Some(limits(names, &list.value, &format!("{path}.{key}"), findings))
    };
    let rate_limits = ids(&mut named.rate_limits.names, keys.rate_limits, "rate_limits");
    let concurrency_limits = ids(
        &mut named.concurrency_limits.names,
        keys.concurrency_limits,
        "concurrency_limits",
    );
    Written {
        allow,
        deny,
        dangles: auth == Some(Err(())),
        auth: auth.map(|found| found.unwrap_or(None)),
        rate_limits: rate_limits.map(|ids| ids.into_iter().map(RateLimitId).collect()),
        concurrency_limits: concurrency_limits.map(|ids| ids.into_iter().map(ConcurrencyLimitId).collect()),
        cors: keys
            .cors
            .as_ref()
            .map(|section| cors::cors(section, &format!("{path}.cors"), findings)),
    }
}

/// The limits of a list, none twice: a second charge would halve it.
fn limits(names: &mut Names<'_>, list: &[At<String>], path: &str, findings: &mut Findings<'_>) -> Vec<usize> {
    let mut ids = Vec::with_capacity(list.len());
    for item in list {
        let Some(id) = names.find(item, path, findings) else {
            continue;
        };
        if ids.contains(&id) {
            let message = format!("\"{}\" is listed twice", item.value);
            let problem = findings.error(&item.span, path, message);
            problem.help("take one of them out: a limit counts a request once");
        } else {
            ids.push(id);
        }
    }
    ids
}

/// Limits by a claim where no token is asked for: everybody would be counted by the address, which nobody means.
fn claims_without_token(
    item: &At<raw::Route>,
    (key, own): (&str, &List<String>),
    ids: impl Iterator<Item = usize>,
    limits: &Limits<'_>,
    path: &str,
    findings: &mut Findings<'_>,
) {
    let raw = &item.value;
    for id in ids.filter(|id| limits.by_claim[*id]) {
        let name = limits.names.name(id);
        let listed = own
            .iter()
            .flat_map(|list| &list.value)
            .find(|item| item.value == name);
        let inherited: &Span = match (&raw.auth, &raw.name) {
            (Some(auth), _) => &auth.span,
            (None, Some(name)) => &name.span,
            (None, None) => &item.span,
        };
        let span = listed.map_or(inherited, |item| &item.span);
        let message = format!("\"{name}\" counts by a claim, and this route has no `auth` with tokens");
        let help = match listed {
            Some(_) => "add auth = \"NAME\" with the name of an [auth.NAME] that has `jwt`".to_owned(),
            None => format!("it comes from [defaults]: add such an `auth`, or {key} of the route's own"),
        };
        findings.error(span, &format!("{path}.{key}"), message).help(help);
    }
}
