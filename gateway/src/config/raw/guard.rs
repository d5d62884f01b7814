//! `[redis]`, `[rate_limits.NAME]`, `[concurrency_limits.NAME]`, `[auth.NAME]`, and `cors` of a route

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};

use super::leaf::{At, Duration, Flag, Int, List, Maybe, Rate};

/// Keys counted at once, of any limit: about 100 bytes each.
const KEYS_MAX: u64 = 100_000_000;
/// Requests in a burst; more is no limit.
const BURST_MAX: u64 = 1_000_000_000;
/// Requests at once; more than any machine serves.
pub const REQUESTS_MAX: u64 = 1_000_000;

/// A Redis that several gateways count in together.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// "redis://HOST:PORT", with "USER:PASSWORD@" before the host and "/DATABASE" behind it where there is one.
    pub url: Maybe<String>,
    /// A question that takes longer is answered by a limit's on_redis_error. Default `"10ms"`.
    pub timeout: Maybe<Duration>,
}

/// How fast requests may come.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// What is counted apart: "client_ip" (IPv6 by /64), "header:NAME", "cookie:NAME", "jwt:CLAIM", "route" or
    /// "global". Default `"client_ip"`.
    pub key: Maybe<String>,
    /// Requests in a time: "10/s", "600/m", "1000/h", "100/10s".
    pub rate: Maybe<Rate>,
    /// Requests admitted at once after a pause; left out, as many as the rate counts.
    pub burst: Maybe<Int<1, BURST_MAX>>,
    /// Keys remembered at once; beyond it the idlest is forgotten. Default `1000000`.
    pub max_keys: Maybe<Int<1, KEYS_MAX>>,
    /// Whether all gateways count together, in Redis. Default `false`.
    pub shared: Maybe<Flag>,
    /// What holds while Redis does not answer; only with shared. Default `"local"`.
    pub on_redis_error: Maybe<OnRedisError>,
}

/// What holds while Redis does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnRedisError {
    /// Nobody is admitted.
    Closed,
    /// Each gateway counts for itself.
    Local,
    /// Everybody is admitted.
    Open,
}

/// How many requests are served at once.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ConcurrencyLimit {
    /// What is counted apart, as in a rate limit. Default `"global"`.
    pub key: Maybe<String>,
    /// Requests served at once, of each key.
    pub max: Maybe<Int<1, REQUESTS_MAX>>,
    /// Requests that wait for a place, of each key. Default `0`.
    pub queue: Maybe<Int<0, REQUESTS_MAX>>,
    /// How long one waits; only with a queue. Default `"2s"`.
    pub queue_timeout: Maybe<Duration>,
    /// Keys with a request at once; beyond it those that come are refused. Default `100000`.
    pub max_keys: Maybe<Int<1, KEYS_MAX>>,
}

/// How it is known who asks: one of jwt, basic, forward and keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// By a signed token.
    pub jwt: Maybe<Jwt>,
    /// By name and password.
    pub basic: Maybe<Basic>,
    /// By asking another service.
    pub forward: Maybe<Forward>,
    /// By a key.
    pub keys: Maybe<Keys>,
}

/// By a signed token. Its keys come from one of jwks_url, jwks_file, secret_file and public_key_file.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Jwt {
    /// Where the issuer publishes its keys (RFC 7517).
    pub jwks_url: Maybe<String>,
    /// A file with keys as the issuer publishes them.
    pub jwks_file: Maybe<String>,
    /// A file with a secret that issuer and gateway share.
    pub secret_file: Maybe<String>,
    /// A file with the issuer's public key in PEM.
    pub public_key_file: Maybe<String>,
    /// What a token may be signed with; left out, what fits the keys, or for jwks_url ["RS256", "ES256", "EdDSA"].
    pub algorithms: List<TokenAlgorithm>,
    /// What `iss` must be; left out, it is not asked for.
    pub issuer: Maybe<String>,
    /// Whom `aud` must name, one or any of several; left out, it is not asked for.
    pub audience: Maybe<Texts>,
    /// How far clocks may differ. Default `"30s"`.
    pub leeway: Maybe<Duration>,
    /// A cookie that a token may come in where there is no Authorization; "" for none. Default `""`.
    pub cookie: Maybe<String>,
    /// Between two fetches of jwks_url. Default `"10m"`.
    pub refresh: Maybe<Duration>,
    /// Claims the origin is told, and the fields it is told them by: { sub = "X-User-Id" }. Default `{}`.
    pub forward_claims: Maybe<BTreeMap<At<String>, At<String>>>,
}

/// What tokens are signed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
pub enum TokenAlgorithm {
    /// Ed25519
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// ECDSA on P-256
    #[serde(rename = "ES256")]
    Es256,
    /// ECDSA on P-384
    #[serde(rename = "ES384")]
    Es384,
    /// HMAC with SHA-256
    #[serde(rename = "HS256")]
    Hs256,
    /// HMAC with SHA-384
    #[serde(rename = "HS384")]
    Hs384,
    /// HMAC with SHA-512
    #[serde(rename = "HS512")]
    Hs512,
    /// RSASSA-PSS with SHA-256
    #[serde(rename = "PS256")]
    Ps256,
    /// RSASSA-PKCS1-v1_5 with SHA-256
    #[serde(rename = "RS256")]
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384
    #[serde(rename = "RS384")]
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512
    #[serde(rename = "RS512")]
    Rs512,
}

/// By name and password.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Basic {
    /// Names and hashed passwords, as htpasswd writes them.
    pub users_file: Maybe<String>,
    /// What a browser shows; left out, the name of this section.
    pub realm: Maybe<String>,
    /// The field an origin is told the user by; "" for none. Default `""`.
    pub forward_user: Maybe<String>,
}

/// By asking another service: 2xx lets a request in, any other answer goes to the client.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Forward {
    /// Who is asked: an http or https URL.
    pub url: Maybe<String>,
    /// Until its whole answer. Default `"5s"`.
    pub timeout: Maybe<Duration>,
    /// Fields of the request it is shown; empty for all but those of the connection and the body. Default `[]`.
    pub request_headers: List<String>,
    /// Fields of its answer that go on to the origin, in place of a client's own. Default `[]`.
    pub copy_headers: List<String>,
}

/// By a key.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Keys {
    /// The field that holds a key. Default `"X-Api-Key"`.
    pub header: Maybe<String>,
    /// The keys, and whose they are.
    pub file: Maybe<String>,
    /// The field an origin is told the owner by; "" for none. Default `""`.
    pub forward_name: Maybe<String>,
}

/// Whose pages may ask from a browser.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cors {
    /// "https://app.example.com", "https://*.example.com" for every name below it, or "*" alone; [] for none.
    pub origins: List<String>,
    /// Methods they may use. Default `["GET", "HEAD", "POST"]`.
    pub methods: List<String>,
    /// Fields they may send besides the plain ones; ["*"] for whichever they ask for. Default `[]`.
    pub headers: List<String>,
    /// Fields of the answer that their scripts may see besides the plain ones. Default `[]`.
    pub expose_headers: List<String>,
    /// Whether cookies may come along. Default `false`.
    pub credentials: Maybe<Flag>,
    /// How long a browser need not ask again; "0s" leaves it to the browser. Default `"10m"`.
    pub max_age: Maybe<Duration>,
}

/// One text, or several. By hand, because a derived choice of forms would lose the places in it.
#[derive(Clone, Debug)]
pub enum Texts {
    /// "a"
    One(String),
    /// `["a", "b"]`
    Several(Vec<At<String>>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrSeveral)
    }
}

impl JsonSchema for Texts {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Texts".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string" },
            generator.subschema_for::<Vec<String>>(),
        ] })
    }
}

struct OneOrSeveral;

impl<'de> Visitor<'de> for OneOrSeveral {
    type Value = Texts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string or a list of strings")
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Texts, E> {
        Ok(Texts::One(v.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
        let mut texts = Vec::new();
        while let Some(text) = items.next_element()? {
            texts.push(text);
        }
        Ok(Texts::Several(texts))
    }
}
