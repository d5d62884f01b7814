//! `jwt` of an auth

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::auth::{self, Choice};
use super::urls;
use super::values::{self, Zero};
use crate::config::findings::Findings;
use crate::config::plan::{Jwt, TokenAlgorithm, TokenKeys, is_claim};
use crate::config::raw;
use crate::config::raw::leaf::{At, List, Maybe};
use crate::secrets::TokenKey;
use crate::wire::syntax;

/// Machines without a time server are seldom further off.
const LEEWAY: Duration = Duration::from_secs(30);
/// A key that an issuer has taken back is trusted for so long at most.
const REFRESH: Duration = Duration::from_secs(600);

/// What issuers sign with that publish their keys.
const PUBLISHED: [TokenAlgorithm; 3] = [
    TokenAlgorithm::Rs256,
    TokenAlgorithm::Es256,
    TokenAlgorithm::EdDsa,
];
/// For each kind of key the one algorithm that nearly all use it with.
const USUAL: [TokenAlgorithm; 5] = [
    TokenAlgorithm::Hs256,
    TokenAlgorithm::Rs256,
    TokenAlgorithm::Es256,
    TokenAlgorithm::Es384,
    TokenAlgorithm::EdDsa,
];

/// By a signed token; None with a problem told.
pub fn jwt(section: &At<raw::Jwt>, path: &str, findings: &mut Findings<'_>) -> Option<Jwt> {
    let raw = &section.value;
    let keys = keys(section, path, findings);
    let algorithms = algorithms(
        &raw.algorithms,
        keys.as_ref(),
        &format!("{path}.algorithms"),
        findings,
    );
    let leeway = values::duration(
        &raw.leeway,
        &format!("{path}.leeway"),
        Zero::Allowed,
        LEEWAY,
        findings,
    );
    let issuer = raw
        .issuer
        .as_ref()
        .and_then(|i| asked_for(&i.value, i, "issuer", path, findings));
    let audience = audience(&raw.audience, path, findings);
    let cookie = cookie(&raw.cookie, &format!("{path}.cookie"), findings);
    let forward_claims = forward_claims(&raw.forward_claims, &format!("{path}.forward_claims"), findings);
    Some(Jwt {
        keys: keys?,
        algorithms,
        issuer,
        audience,
        leeway,
        cookie,
        forward_claims,
    })
}

/// Where the keys come from: exactly one place.
fn keys(section: &At<raw::Jwt>, path: &str, findings: &mut Findings<'_>) -> Option<TokenKeys> {
    let raw = &section.value;
    let written = [
        ("jwks_url", raw.jwks_url.as_ref().map(|k| &k.span)),
        ("jwks_file", raw.jwks_file.as_ref().map(|k| &k.span)),
        ("secret_file", raw.secret_file.as_ref().map(|k| &k.span)),
        ("public_key_file", raw.public_key_file.as_ref().map(|k| &k.span)),
    ];
    let refresh = values::duration(
        &raw.refresh,
        &format!("{path}.refresh"),
        Zero::Means("\"10m\" asks often enough: an unknown key is asked for at once"),
        REFRESH,
        findings,
    );
    let place = Choice {
        of: "a jwt",
        nothing: "a jwt that does not say by which keys",
        help: "a jwt has exactly one of jwks_url, jwks_file, secret_file and public_key_file",
    };
    let key = place.one(&written, section, path, findings)?;
    let at = format!("{path}.{key}");
    if raw.jwks_url.is_some() {
        let example = "https://id.example.com/.well-known/jwks.json";
        let written = auth::needed(&raw.jwks_url, section, ("jwks_url", example), &at, findings)?;
        let url = urls::http(written, example, &at, findings)?;
        return Some(TokenKeys::Fetched { url, refresh });
    }
    if let Some(written) = raw.refresh.as_ref().filter(|_| findings.is_whole(&section.span)) {
        let message = "`refresh` has no effect without `jwks_url`: a file is read again when it changes";
        let problem = findings.error(&written.span, &format!("{path}.refresh"), message);
        problem.help("take it out");
    }
    given(section, &at, findings)
}

/// The keys of a file.
fn given(section: &At<raw::Jwt>, at: &str, findings: &mut Findings<'_>) -> Option<TokenKeys> {
    let raw = &section.value;
    let (written, keys) = if raw.jwks_file.is_some() {
        let written = auth::needed(
            &raw.jwks_file,
            section,
            ("jwks_file", "/etc/sluice/jwks.json"),
            at,
            findings,
        )?;
        let set = |bytes: &[u8]| TokenKey::jwks(&auth::as_text(bytes)?);
        (written, auth::file(written, at, findings, set)?)
    } else if raw.secret_file.is_some() {
        let example = ("secret_file", "/etc/sluice/token.secret");
        let written = auth::needed(&raw.secret_file, section, example, at, findings)?;
        let one = |bytes: &[u8]| TokenKey::of_secret(bytes).map(|key| vec![key]);
        (written, auth::file(written, at, findings, one)?)
    } else {
        let example = ("public_key_file", "/etc/sluice/issuer.pem");
        let written = auth::needed(&raw.public_key_file, section, example, at, findings)?;
        let one = |bytes: &[u8]| TokenKey::of_pem(bytes).map(|key| vec![key]);
        (written, auth::file(written, at, findings, one)?)
    };
    Some(TokenKeys::Given {
        file: PathBuf::from(&written.value),
        keys: Arc::new(keys),
    })
}

/// Whether whoever can check a token can also make one.
fn is_symmetric(algorithm: TokenAlgorithm) -> bool {
    use TokenAlgorithm::{Hs256, Hs384, Hs512};
    matches!(algorithm, Hs256 | Hs384 | Hs512)
}

/// What tokens may be signed with, sorted.
fn algorithms(
    raw: &List<raw::TokenAlgorithm>,
    keys: Option<&TokenKeys>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<TokenAlgorithm> {
    let Some(list) = raw else {
        return keys.map_or_else(Vec::new, standard);
    };
    if list.value.is_empty() && findings.is_whole(&list.span) {
        let problem = findings.error(
            &list.span,
            path,
            "`algorithms` is empty: no token could be let in",
        );
        problem.help("take it out for what fits the keys");
    }
    let mut algorithms: Vec<TokenAlgorithm> = Vec::new();
    for item in &list.value {
        let algorithm = named(item.value);
        let first = algorithms.first().copied().unwrap_or(algorithm);
        if is_symmetric(first) != is_symmetric(algorithm) {
            let message = format!(
                "{} cannot stand beside {}",
                algorithm.jose_name(),
                first.jose_name()
            );
            findings
                .error(&item.span, path, message)
                .help("a public key that is taken for a secret lets everybody sign: write one auth for each");
        } else if let Some(message) = keys.and_then(|keys| misfit(algorithm, keys)) {
            let problem = findings.error(&item.span, path, message);
            problem.help("take `algorithms` out for what fits the keys");
        } else if algorithms.contains(&algorithm) {
            let message = format!("\"{}\" is listed twice", algorithm.jose_name());
            findings.warning(&item.span, path, message);
        } else {
            algorithms.push(algorithm);
        }
    }
    algorithms.sort_unstable();
    algorithms
}

/// What is wrong with an algorithm and the keys it should go with.
fn misfit(algorithm: TokenAlgorithm, keys: &TokenKeys) -> Option<String> {
    let name = algorithm.jose_name();
    match keys {
        TokenKeys::Fetched { .. } if is_symmetric(algorithm) => {
            Some(format!("{name} needs a secret, and keys with a URL are none"))
        }
        TokenKeys::Fetched { .. } => None,
        TokenKeys::Given { file, keys } => {
            let fits = keys.iter().any(|key| key.fits(algorithm));
            (!fits).then(|| format!("{name} does not fit the keys in \"{}\"", file.display()))
        }
    }
}

/// What fits the keys, as most issuers use them.
fn standard(keys: &TokenKeys) -> Vec<TokenAlgorithm> {
    let TokenKeys::Given { keys, .. } = keys else {
        let mut published = PUBLISHED.to_vec();
        published.sort_unstable();
        return published;
    };
    let fits = |algorithm: &TokenAlgorithm| keys.iter().any(|key| key.fits(*algorithm));
    let all = TokenAlgorithm::ALL.into_iter().filter(fits);
    // A set with secrets among public keys: the public ones are what it was written for.
    let has_public = all.clone().any(|algorithm| !is_symmetric(algorithm));
    let all = all.filter(|algorithm| !(has_public && is_symmetric(*algorithm)));
    let usual: Vec<TokenAlgorithm> = all
        .clone()
        .filter(|algorithm| USUAL.contains(algorithm))
        .collect();
    // Keys may be bound to what is unusual.
    if usual.is_empty() { all.collect() } else { usual }
}

fn named(raw: raw::TokenAlgorithm) -> TokenAlgorithm {
    match raw {
        raw::TokenAlgorithm::EdDsa => TokenAlgorithm::EdDsa,
        raw::TokenAlgorithm::Es256 => TokenAlgorithm::Es256,
        raw::TokenAlgorithm::Es384 => TokenAlgorithm::Es384,
        raw::TokenAlgorithm::Hs256 => TokenAlgorithm::Hs256,
        raw::TokenAlgorithm::Hs384 => TokenAlgorithm::Hs384,
        raw::TokenAlgorithm::Hs512 => TokenAlgorithm::Hs512,
        raw::TokenAlgorithm::Ps256 => TokenAlgorithm::Ps256,
        raw::TokenAlgorithm::Rs256 => TokenAlgorithm::Rs256,
        raw::TokenAlgorithm::Rs384 => TokenAlgorithm::Rs384,
        raw::TokenAlgorithm::Rs512 => TokenAlgorithm::Rs512,
    }
}

/// A text that a claim must be. An empty one is what an unset variable leaves behind, and would ask for nothing.
fn asked_for<T>(
    text: &str,
    written: &At<T>,
    key: &str,
    path: &str,
    findings: &mut Findings<'_>,
) -> Option<String> {
    if !text.is_empty() {
        return Some(text.to_owned());
    }
    let problem = findings.error(
        &written.span,
        &format!("{path}.{key}"),
        format!("`{key}` is empty"),
    );
    problem.help("take it out where any will do");
    None
}

fn audience(raw: &Maybe<raw::Texts>, path: &str, findings: &mut Findings<'_>) -> Vec<String> {
    let Some(section) = raw else {
        return Vec::new();
    };
    let several = match &section.value {
        raw::Texts::One(text) => {
            return asked_for(text, section, "audience", path, findings)
                .into_iter()
                .collect();
        }
        raw::Texts::Several(several) => several,
    };
    if several.is_empty() && findings.is_whole(&section.span) {
        asked_for("", section, "audience", path, findings);
    }
    let mut audience: Vec<String> = Vec::with_capacity(several.len());
    for item in several {
        match asked_for(&item.value, item, "audience", path, findings) {
            Some(text) if !audience.contains(&text) => audience.push(text),
            Some(text) => {
                let message = format!("\"{text}\" is listed twice");
                findings.warning(&item.span, &format!("{path}.audience"), message);
            }
            None => {}
        }
    }
    audience
}

fn cookie(raw: &Maybe<String>, path: &str, findings: &mut Findings<'_>) -> Option<String> {
    let written = raw.as_ref().filter(|name| !name.value.is_empty())?;
    if syntax::is_token(written.value.as_bytes()) {
        return Some(written.value.clone());
    }
    let message = format!("\"{}\" cannot be the name of a cookie", written.value);
    let problem = findings.error(&written.span, path, message);
    problem.help("write letters, digits, \"-\" or \"_\"");
    None
}

/// Claims and the fields an origin is told them by; no field twice, or one claim would pass for another.
fn forward_claims(
    raw: &Maybe<BTreeMap<At<String>, At<String>>>,
    path: &str,
    findings: &mut Findings<'_>,
) -> Vec<(String, String)> {
    let mut told: Vec<(String, String)> = Vec::new();
    for (claim, field) in raw.iter().flat_map(|map| &map.value) {
        let path = format!("{path}.{}", claim.value);
        if !is_claim(&claim.value) {
            let problem = findings.error(&claim.span, &path, "a claim without a name");
            problem.help("forward_claims = { sub = \"X-User-Id\" }");
            continue;
        }
        if !auth::is_free(field, &path, findings) {
            continue;
        }
        if let Some((other, _)) = told
            .iter()
            .find(|(_, known)| known.eq_ignore_ascii_case(&field.value))
        {
            let message = format!("{} tells of `{other}` already", field.value);
            let problem = findings.error(&field.span, &path, message);
            problem.help("give each claim a field of its own");
            continue;
        }
        told.push((claim.value.clone(), field.value.clone()));
    }
    told
}
