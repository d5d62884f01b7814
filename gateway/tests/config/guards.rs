//! Guards drawn at random, as odd as the checks allow.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gateway::config::plan::*;
use gateway::kit::networks::Networks;
use gateway::secrets::{ApiKeys, TokenKey, Users};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;

use crate::plans::{duration, name, text, token};

/// What `[redis]`, `[rate_limits]`, `[concurrency_limits]` and `[auth]` say.
#[derive(Clone, Debug)]
pub struct Guarding {
    pub redis: Option<Redis>,
    pub rate_limits: Vec<Arc<RateLimit>>,
    pub concurrency_limits: Vec<Arc<ConcurrencyLimit>>,
    pub auths: Vec<Arc<Auth>>,
}

pub fn guarding() -> impl Strategy<Value = Guarding> {
    let auths = btree_map(name(), method(), 0..4).prop_map(|named| {
        let auths = named.into_iter();
        let auths = auths.map(|(name, method)| Arc::new(Auth { name, method }));
        auths.collect::<Vec<_>>()
    });
    (option::of(redis()), rate_limits(), concurrency_limits(), auths).prop_map(
        |(redis, mut rate_limits, concurrency_limits, auths)| {
            if redis.is_none() {
                for limit in &mut rate_limits {
                    limit.shared = false;
                    limit.on_redis_error = OnRedisError::Local;
                }
            }
            Guarding {
                redis,
                rate_limits: rate_limits.into_iter().map(Arc::new).collect(),
                concurrency_limits,
                auths,
            }
        },
    )
}

/// A password is not printed, and so not read back: those here have none.
fn redis() -> impl Strategy<Value = Redis> {
    let url = "redis://(user@)?(127[.]0[.]0[.]1|[a-z]{1,3}|\\[::1\\])(:[1-9][0-9]{0,3})?(/[0-9]{0,2})?";
    (url, duration(1)).prop_map(|(url, timeout)| Redis { url, timeout })
}

fn limit_key() -> impl Strategy<Value = LimitKey> {
    let claim = text().prop_filter_map("a claim has a name without controls", |text| {
        let claim: String = text.chars().filter(|c| !c.is_control()).collect();
        (!claim.is_empty()).then_some(claim)
    });
    prop_oneof![
        Just(LimitKey::ClientIp),
        Just(LimitKey::Global),
        Just(LimitKey::Route),
        token().prop_map(LimitKey::Cookie),
        token().prop_map(|name| LimitKey::Header(name.to_lowercase())),
        claim.prop_map(LimitKey::JwtClaim),
    ]
}

fn rate_limits() -> impl Strategy<Value = Vec<RateLimit>> {
    let on_redis_error = prop_oneof![
        Just(OnRedisError::Closed),
        Just(OnRedisError::Local),
        Just(OnRedisError::Open)
    ];
    let shared = option::of(on_redis_error);
    let limit = (
        limit_key(),
        1u32..=1_000_000,
        duration(1),
        1u32..=366,
        1usize..=100_000_000,
        shared,
    );
    btree_map(name(), limit, 0..4).prop_map(|named| {
        let limits = named.into_iter();
        limits
            .map(
                |(name, (key, count, period, burst, max_keys, shared))| RateLimit {
                    name,
                    key,
                    count: NonZeroU32::new(count).unwrap(),
                    period,
                    burst: NonZeroU32::new(burst).unwrap(),
                    max_keys,
                    shared: shared.is_some(),
                    on_redis_error: shared.unwrap_or_default(),
                },
            )
            .collect()
    })
}

fn concurrency_limits() -> impl Strategy<Value = Vec<Arc<ConcurrencyLimit>>> {
    let limit = (limit_key(), 1u32..=1_000_000, queue(2), 1usize..=100_000_000);
    btree_map(name(), limit, 0..3).prop_map(|named| {
        let limits = named.into_iter();
        limits
            .map(|(name, (key, max, (queue, queue_timeout), max_keys))| {
                Arc::new(ConcurrencyLimit {
                    name,
                    key,
                    max: NonZeroU32::new(max).unwrap(),
                    queue,
                    queue_timeout,
                    max_keys,
                })
            })
            .collect()
    })
}

/// How many wait, and how long: where nobody does, as long as nothing says.
fn queue(default_s: u64) -> impl Strategy<Value = (u32, Duration)> {
    prop_oneof![
        Just((0, Duration::from_secs(default_s))),
        (1u32..=1_000_000, duration(1)),
    ]
}

pub fn overload() -> impl Strategy<Value = Overload> {
    (0u32..9, queue(1), any::<bool>()).prop_map(|(max_requests, (queue, queue_timeout), adaptive)| Overload {
        max_requests,
        queue,
        queue_timeout,
        // Somebody waits only where there is something to wait for.
        adaptive: adaptive || max_requests == 0 && queue > 0,
    })
}

fn method() -> impl Strategy<Value = AuthMethod> {
    prop_oneof![
        basic().prop_map(AuthMethod::Basic),
        forward().prop_map(AuthMethod::Forward),
        jwt().prop_map(AuthMethod::Jwt),
        keys().prop_map(AuthMethod::Keys),
    ]
}

fn secrets(name: &str) -> PathBuf {
    Path::new("../tests/config/secrets").join(name)
}

fn content(name: &str) -> Vec<u8> {
    std::fs::read(secrets(name)).unwrap()
}

fn content_text(name: &str) -> String {
    String::from_utf8(content(name)).unwrap()
}

fn basic() -> impl Strategy<Value = Basic> {
    let realm = text().prop_map(|t| {
        t.chars()
            .filter(|c| !c.is_control() && !"\"\\".contains(*c))
            .collect()
    });
    (realm, option::of(token())).prop_map(|(realm, forward_user)| Basic {
        realm,
        users_file: secrets("users"),
        users: Arc::new(Users::parse(&content_text("users")).unwrap()),
        forward_user,
    })
}

fn keys() -> impl Strategy<Value = Keys> {
    (token(), option::of(token())).prop_map(|(header, forward_name)| Keys {
        header: header.to_lowercase(),
        file: secrets("api-keys"),
        keys: Arc::new(ApiKeys::parse(&content_text("api-keys")).unwrap()),
        forward_name,
    })
}

fn url() -> impl Strategy<Value = String> {
    "https?://([a-z]{1,3}|\\[::1\\]|10[.]0[.]0[.]1)(:[1-9][0-9]{0,3})?(/[a-z?=@&\"\\\\${}A-Z]{0,6})?"
}

fn forward() -> impl Strategy<Value = Forward> {
    let lower = token().prop_map(|name| name.to_lowercase());
    (url(), duration(1), btree_set(lower, 0..3), distinct_fields()).prop_map(
        |(url, timeout, request_headers, copy_headers)| Forward {
            url,
            timeout,
            request_headers: request_headers.into_iter().collect(),
            copy_headers,
        },
    )
}

/// As written, none twice in any case.
fn distinct_fields() -> impl Strategy<Value = Vec<String>> {
    let by_lower_case = btree_map(token().prop_map(|name| name.to_lowercase()), any::<bool>(), 0..3);
    by_lower_case.prop_map(|names| {
        let names = names.into_iter();
        let names = names.map(|(name, upper)| if upper { name.to_uppercase() } else { name });
        names.collect()
    })
}

fn jwt() -> impl Strategy<Value = Jwt> {
    let claims = btree_map("[a-z:/. ü]{1,6}", token(), 0..3).prop_map(|claims| {
        let mut told: Vec<(String, String)> = Vec::new();
        for (claim, field) in claims {
            if !told.iter().any(|(_, known)| known.eq_ignore_ascii_case(&field)) {
                told.push((claim, field));
            }
        }
        told
    });
    let asked = || text().prop_filter("an empty text asks for nothing", |t| !t.is_empty());
    let rest = (
        option::of(asked()),
        btree_set(asked(), 0..3),
        duration(0),
        option::of(token()),
        claims,
    );
    (token_keys(), rest).prop_map(
        |((keys, algorithms), (issuer, audience, leeway, cookie, forward_claims))| Jwt {
            keys,
            algorithms,
            issuer,
            audience: audience.into_iter().collect(),
            leeway,
            cookie,
            forward_claims,
        },
    )
}

/// Keys, and some of the algorithms that fit them.
fn token_keys() -> impl Strategy<Value = (TokenKeys, Vec<TokenAlgorithm>)> {
    let fetched = (url(), duration(1)).prop_map(|(url, refresh)| TokenKeys::Fetched { url, refresh });
    let given = prop::sample::select(vec![
        "hmac.secret",
        "rsa.pem",
        "p256.pem",
        "p384.pem",
        "ed25519.pem",
        "jwks.json",
        "pss.json",
        "mixed.json",
    ]);
    let given = given.prop_map(|name| {
        let keys = match name.rsplit('.').next().unwrap() {
            "json" => TokenKey::jwks(&content_text(name)).unwrap(),
            "pem" => vec![TokenKey::of_pem(&content(name)).unwrap()],
            _ => vec![TokenKey::of_secret(&content(name)).unwrap()],
        };
        TokenKeys::Given {
            file: secrets(name),
            keys: Arc::new(keys),
        }
    });
    let keys = prop_oneof![fetched, given];
    keys.prop_flat_map(|keys| {
        let fitting = fitting(&keys);
        let some = prop::sample::subsequence(fitting.clone(), 1..=fitting.len());
        (Just(keys), some)
    })
}

fn is_symmetric(algorithm: TokenAlgorithm) -> bool {
    algorithm.jose_name().starts_with("HS")
}

/// All that fit; of both kinds, those for public keys.
fn fitting(keys: &TokenKeys) -> Vec<TokenAlgorithm> {
    let fits = |algorithm: &TokenAlgorithm| match keys {
        TokenKeys::Fetched { .. } => !is_symmetric(*algorithm),
        TokenKeys::Given { keys, .. } => keys.iter().any(|key| key.fits(*algorithm)),
    };
    let (secret, public): (Vec<_>, Vec<_>) = TokenAlgorithm::ALL
        .into_iter()
        .filter(fits)
        .partition(|algorithm| is_symmetric(*algorithm));
    if public.is_empty() { secret } else { public }
}

pub fn networks() -> impl Strategy<Value = Networks> {
    vec((any::<[u8; 4]>(), 0u8..=32), 0..4).prop_map(|list| {
        Networks::new(list.into_iter().map(|(a, l)| {
            format!("{}.{}.{}.{}/{l}", a[0], a[1], a[2], a[3])
                .parse()
                .unwrap()
        }))
    })
}

/// What a route asks, with these to choose from.
pub fn guards(all: &Guarding) -> impl Strategy<Value = Guards> + use<> {
    let is_jwt = |auth: &Arc<Auth>| matches!(auth.method, AuthMethod::Jwt(_));
    let with_token: Vec<bool> = all.auths.iter().map(is_jwt).collect();
    let is_claim = |key: &LimitKey| matches!(key, LimitKey::JwtClaim(_));
    let rate_claims: Vec<bool> = all.rate_limits.iter().map(|l| is_claim(&l.key)).collect();
    let claims: Vec<bool> = all.concurrency_limits.iter().map(|l| is_claim(&l.key)).collect();
    let auth = match with_token.len() {
        0 => Just(None).boxed(),
        count => option::of(0..count).boxed(),
    };
    (
        option::of(networks()),
        networks(),
        auth,
        some_of(rate_claims.len()),
        some_of(claims.len()),
        option::of(cors()),
    )
        .prop_map(move |(allow, deny, auth, mut rates, mut limits, cors)| {
            // Only a token has claims to count by.
            if !auth.is_some_and(|id| with_token[id]) {
                rates.retain(|id| !rate_claims[*id]);
                limits.retain(|id| !claims[*id]);
            }
            Guards {
                allow: allow.filter(|set| !set.is_empty()),
                deny,
                auth: auth.map(AuthId),
                rate_limits: rates.into_iter().map(RateLimitId).collect(),
                concurrency_limits: limits.into_iter().map(ConcurrencyLimitId).collect(),
                cors: cors.map(Arc::new),
            }
        })
}

/// Some of so many, in any order.
fn some_of(count: usize) -> impl Strategy<Value = Vec<usize>> {
    let all: Vec<usize> = (0..count).collect();
    prop::sample::subsequence(all, 0..=count).prop_shuffle()
}

fn cors() -> impl Strategy<Value = Cors> {
    let listed = btree_set("(https?|app)://([*][.])?[a-z]{1,3}[.]example(:[1-9]00)?", 1..4);
    let origins = prop_oneof![
        Just(Origins::Any),
        listed.prop_map(|o| Origins::Listed(o.into_iter().collect())),
    ];
    let methods = btree_set("[A-Z]{9,12}", 0..3);
    let has_star = |names: &Vec<String>| names.iter().any(|name| name.contains('*'));
    let plain = move || distinct_fields().prop_filter("a star is for all", move |names| !has_star(names));
    let fields = || prop_oneof![Just(vec!["*".to_owned()]), plain()];
    let rest = (any::<bool>(), duration(0));
    (origins, methods, fields(), fields(), rest).prop_map(
        |(origins, methods, headers, expose_headers, (credentials, max_age))| {
            let credentials = credentials && origins != Origins::Any;
            let is_any = |names: &[String]| names.iter().any(|name| name == "*");
            let mut headers: Vec<String> = headers;
            headers.iter_mut().for_each(|name| name.make_ascii_lowercase());
            Cors {
                origins,
                methods: methods.into_iter().collect(),
                headers,
                expose_headers: match credentials && is_any(&expose_headers) {
                    true => Vec::new(),
                    false => expose_headers,
                },
                credentials,
                max_age,
            }
        },
    )
}
