//! `[redis]`, `[rate_limits.NAME]`, `[concurrency_limits.NAME]`, `[auth.NAME]`, and what guards a route

use super::{Section, bare_or_quoted, duration, list, names, plain, quoted, table};
use crate::config::plan::{
    Auth, AuthMethod, Basic, ConcurrencyLimit, Cors, Forward, Guards, Jwt, Keys, Origins, Overload, Plan,
    RateLimit, Redis, TokenAlgorithm, TokenKeys,
};
use crate::kit::networks::Networks;
use crate::kit::units::format_rate;
use crate::secrets::TokenKey;

/// The one key that is not always read back: a password is left out, because what is printed here is pasted into
/// tickets and chats. A URL without one is printed as it is.
pub fn redis(redis: &Redis) -> Section {
    let mut out = Section::new("[redis]");
    out.key("url", plain(&redis.shown()));
    out.key("timeout", duration(redis.timeout));
    out
}

/// One rate limit with all its defaults.
pub fn rate_limit(limit: &RateLimit) -> Section {
    let mut out = Section::new(format!("[rate_limits.{}]", bare_or_quoted(&limit.name)));
    out.key("key", plain(&limit.key.to_string()));
    out.key("rate", quoted(&format_rate(limit.count, limit.period)));
    out.key("burst", limit.burst);
    out.key("max_keys", limit.max_keys);
    out.key("shared", limit.shared);
    if limit.shared {
        out.key("on_redis_error", quoted(limit.on_redis_error.name()));
    }
    out
}

/// One concurrency limit with all its defaults.
pub fn concurrency_limit(limit: &ConcurrencyLimit) -> Section {
    let mut out = Section::new(format!("[concurrency_limits.{}]", bare_or_quoted(&limit.name)));
    out.key("key", plain(&limit.key.to_string()));
    out.key("max", limit.max);
    out.key("queue", limit.queue);
    if limit.queue > 0 {
        out.key("queue_timeout", duration(limit.queue_timeout));
    }
    out.key("max_keys", limit.max_keys);
    out
}

/// What protects an upstream.
pub fn overload(overload: &Overload, upstream: &str) -> Section {
    let mut out = Section::new(format!("[{upstream}.overload]"));
    out.key("max_requests", overload.max_requests);
    out.key("queue", overload.queue);
    if overload.queue > 0 {
        out.key("queue_timeout", duration(overload.queue_timeout));
    }
    out.key("adaptive", overload.adaptive);
    out
}

/// One auth with all its defaults. Files are named, and what stands in them is not shown.
pub fn auth(auth: &Auth) -> Section {
    let path = format!("auth.{}", bare_or_quoted(&auth.name));
    let section = |method: &str| Section::new(format!("[{path}.{method}]"));
    match &auth.method {
        AuthMethod::Basic(by) => basic(by, section("basic")),
        AuthMethod::Forward(by) => forward(by, section("forward")),
        AuthMethod::Jwt(by) => jwt(by, section("jwt")),
        AuthMethod::Keys(by) => keys(by, section("keys")),
    }
}

fn basic(basic: &Basic, mut out: Section) -> Section {
    out.key("users_file", plain(&basic.users_file.display().to_string()));
    out.key("realm", plain(&basic.realm));
    out.key("forward_user", plain(basic.forward_user.as_deref().unwrap_or("")));
    out
}

fn forward(forward: &Forward, mut out: Section) -> Section {
    out.key("url", plain(&forward.url));
    out.key("timeout", duration(forward.timeout));
    out.key("request_headers", names(&forward.request_headers));
    out.key("copy_headers", names(&forward.copy_headers));
    out
}

fn keys(keys: &Keys, mut out: Section) -> Section {
    out.key("header", plain(&keys.header));
    out.key("file", plain(&keys.file.display().to_string()));
    out.key("forward_name", plain(keys.forward_name.as_deref().unwrap_or("")));
    out
}

fn jwt(jwt: &Jwt, mut out: Section) -> Section {
    match &jwt.keys {
        TokenKeys::Fetched { url, refresh } => {
            out.key("jwks_url", plain(url));
            out.key("refresh", duration(*refresh));
        }
        TokenKeys::Given { file, keys } => out.key(file_of(keys), plain(&file.display().to_string())),
    }
    let algorithms = jwt.algorithms.iter().map(|a| quoted(a.jose_name()));
    out.key("algorithms", list(algorithms));
    if let Some(issuer) = &jwt.issuer {
        out.key("issuer", plain(issuer));
    }
    if !jwt.audience.is_empty() {
        out.key("audience", names(&jwt.audience));
    }
    out.key("leeway", duration(jwt.leeway));
    out.key("cookie", plain(jwt.cookie.as_deref().unwrap_or("")));
    let claims = jwt.forward_claims.iter();
    out.key(
        "forward_claims",
        table(claims.map(|(claim, field)| (claim, plain(field)))),
    );
    out
}

/// The key that names a file with these keys. A plan does not say it: only a set has names for its keys, or several.
/// A set of one key without a name is taken for that key's own file.
fn file_of(keys: &[TokenKey]) -> &'static str {
    match keys {
        [only] if only.id.is_none() => match only.fits(TokenAlgorithm::Hs256) {
            true => "secret_file",
            false => "public_key_file",
        },
        _ => "jwks_file",
    }
}

/// What guards a route, into its section.
pub fn guards(guards: &Guards, plan: &Plan, out: &mut Section) {
    let networks = |set: &Networks| list(set.networks().iter().map(|n| quoted(&n.to_string())));
    out.key("allow", guards.allow.as_ref().map_or("[]".to_owned(), networks));
    out.key("deny", networks(&guards.deny));
    let auth = guards.auth.map_or("", |id| &plan.auths[id.0].name);
    out.key("auth", quoted(auth));
    let limits = guards.rate_limits.iter();
    let limits = limits.map(|id| quoted(&plan.rate_limits[id.0].name));
    out.key("rate_limits", list(limits));
    let limits = guards.concurrency_limits.iter();
    let limits = limits.map(|id| quoted(&plan.concurrency_limits[id.0].name));
    out.key("concurrency_limits", list(limits));
    if let Some(cors) = &guards.cors {
        out.key("cors", self::cors(cors));
    }
}

fn cors(cors: &Cors) -> String {
    let origins = match &cors.origins {
        Origins::Any => list(std::iter::once(quoted("*"))),
        Origins::Listed(origins) => names(origins),
    };
    table([
        ("origins", origins),
        ("methods", names(&cors.methods)),
        ("headers", names(&cors.headers)),
        ("expose_headers", names(&cors.expose_headers)),
        ("credentials", cors.credentials.to_string()),
        ("max_age", duration(cors.max_age)),
    ])
}
