//! `[caches.NAME]`, `cache` of a route, and `[compression]`

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Unexpected, Visitor};

use super::leaf::{At, Duration, Flag, Int, List, Maybe, Size};
use super::route::Coding;

/// Where answers are kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cache {
    /// Bytes in memory. Default `"64MiB"`.
    pub memory: Maybe<Size>,
    /// Bytes on disk; "0" keeps answers in memory alone. Default `"0"`.
    pub disk: Maybe<Size>,
    /// The folder of what is kept on disk, for this cache alone.
    pub path: Maybe<String>,
    /// Bytes of the largest answer that is kept; a smaller cache keeps none larger than itself. Default `"512MiB"`.
    pub max_object: Maybe<Size>,
    /// Requests for an answer before it goes to disk. Default `1`.
    pub min_uses: Maybe<Int<1, 1_000_000>>,
}

/// Which answers to GET and HEAD are kept, and for how long.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// Name of the cache; "" keeps nothing.
    pub store: Maybe<String>,
    /// How long an answer is fresh whose origin says nothing; left out, that is the origin's alone to say.
    pub ttl: Maybe<Duration>,
    /// Whether ttl and statuses hold against what the origin says; what is private stays private. Default `false`.
    #[serde(rename = "override")]
    pub overrides: Maybe<Flag>,
    /// Times of certain statuses instead of ttl: { "404" = "10s" }. Default `{}`.
    pub statuses: Maybe<BTreeMap<At<String>, At<Duration>>>,
    /// For how long after that an answer is served while a newer one is fetched, where the origin says nothing.
    /// Default `"0s"`.
    pub stale_while_revalidate: Maybe<Duration>,
    /// For how long after that an answer is served when the origin fails, where the origin says nothing.
    /// Default `"0s"`.
    pub stale_if_error: Maybe<Duration>,
    /// What an answer depends on besides method, scheme, host, port and path.
    pub key: Maybe<CacheKey>,
    /// Requests that go past the cache.
    pub bypass: Maybe<Bypass>,
}

/// What an answer depends on besides method, scheme, host, port and path.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheKey {
    /// "all", "none", the parameters that count, or { except = [those that do not] }; "utm_*" stands for all that
    /// begin so. Default `"all"`.
    pub query: Maybe<Query>,
    /// Fields of the request whose values count. Default `[]`.
    pub headers: List<String>,
    /// Cookies whose values count. Default `[]`.
    pub cookies: List<String>,
}

/// A request that has any of these is sent to the origin, and its answer is not kept.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Bypass {
    /// Names of cookies. Default `[]`.
    pub cookies: List<String>,
    /// Names of fields. Default `[]`.
    pub headers: List<String>,
}

/// How answers are compressed on routes that want it.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compression {
    /// Codings, most wanted first where a client likes several alike. Default `["zstd", "br", "gzip"]`.
    pub algorithms: List<Coding>,
    /// Bytes from which an answer is compressed. Default `"1KiB"`.
    pub min_size: Maybe<Size>,
    /// Media types that are compressed: "text/html", or "text/*" for all of a kind.
    /// Default `["text/*", "application/json", "application/javascript", "application/xml", "application/rss+xml", "application/atom+xml", "image/svg+xml"]`.
    pub types: List<String>,
}

/// `query = …`: a word, a list, or a table. By hand, because a derived choice of forms would lose the places in it.
#[derive(Clone, Debug)]
pub enum Query {
    /// "all"
    All,
    /// "none"
    None,
    /// `["a", "b"]`
    Only(Vec<At<String>>),
    /// `{ except = ["utm_*"] }`
    Except(Except),
}

/// All parameters but some.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Except {
    /// Parameters that do not count.
    pub except: List<String>,
}

impl<'de> Deserialize<'de> for Query {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QueryForms)
    }
}

impl JsonSchema for Query {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Query".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "type": "string", "enum": ["all", "none"] },
            generator.subschema_for::<Vec<String>>(),
            generator.subschema_for::<Except>(),
        ] })
    }
}

struct QueryForms;

impl<'de> Visitor<'de> for QueryForms {
    type Value = Query;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"all\", \"none\", a list of parameters or { except = […] }")
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Query, E> {
        match v {
            "all" => Ok(Query::All),
            "none" => Ok(Query::None),
            other => Err(E::invalid_value(Unexpected::Str(other), &self)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Query, A::Error> {
        let mut names = Vec::new();
        while let Some(name) = items.next_element()? {
            names.push(name);
        }
        Ok(Query::Only(names))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Query, A::Error> {
        Except::deserialize(MapAccessDeserializer::new(map)).map(Query::Except)
    }
}
