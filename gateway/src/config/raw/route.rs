//! `[[routes]]`

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;

use super::cache::CacheRule;
use super::guard::Cors;
use super::leaf::{At, Flag, Int, List, Maybe, Replacement, Size, Template, Timeout};

/// Statuses a final answer may have.
pub type Statuses = Int<200, 599>;

/// What holds for every route that does not say otherwise; a key of a route replaces the whole key here.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Defaults {
    /// For the whole request, or for an upgrade (WebSocket) until it stands; only where an origin is asked. "none" sets no limit.
    /// Default `"none"`.
    pub timeout: Maybe<Timeout>,
    /// Bytes of a request's body; left out, server.limits.max_body.
    pub max_body: Maybe<Size>,
    /// Edits of the request's fields on the way to the origin.
    pub request_headers: Maybe<Edits>,
    /// Edits of the answer's fields on the way to the client.
    pub response_headers: Maybe<Edits>,
    /// Whether requests are logged. Default `true`.
    pub access_log: Maybe<Flag>,
    /// Which answers of an origin are kept; left out, none is. A route's own table replaces all of it.
    pub cache: Maybe<CacheRule>,
    /// Whether answers are compressed for clients that take it. Default `false`.
    pub compression: Maybe<Flag>,
    /// Networks whose clients may come; [] for every one that is not denied. Default `[]`.
    pub allow: List<String>,
    /// Networks whose clients may not, whatever allow says. Default `[]`.
    pub deny: List<String>,
    /// Name of the auth that must know who asks; "" for none. Default `""`.
    pub auth: Maybe<String>,
    /// Names of the rate limits that all must admit a request. Default `[]`.
    pub rate_limits: List<String>,
    /// Names of the concurrency limits that all must admit a request, in this order. Default `[]`.
    pub concurrency_limits: List<String>,
    /// Whose pages may ask from a browser; left out, those of the same origin alone.
    pub cors: Maybe<Cors>,
    /// Name of an upstream that gets a copy of each request for an origin, its answer is dropped; "" for none. Default `""`.
    pub mirror: Maybe<String>,
}

/// Which requests, and the one thing that is done with them.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// What logs and metrics call it; left out, "route-" and its place in the list.
    pub name: Maybe<String>,
    /// Which requests; left out, all. An exact path wins over the longest path_prefix, that over a path_regex.
    #[serde(rename = "match")]
    pub matches: Maybe<Match>,
    /// Action: sent to the upstream of this name.
    pub upstream: Maybe<String>,
    /// Action: sent to one of several upstreams, by weight.
    pub split: List<SplitTo>,
    /// Action: answered with files of a folder.
    pub static_files: Maybe<StaticFiles>,
    /// Action: answered with a text.
    pub respond: Maybe<Respond>,
    /// Action: sent elsewhere.
    pub redirect: Maybe<Redirect>,
    /// For the whole request, or for an upgrade (WebSocket) until it stands; only where an origin is asked. "none" sets no limit.
    /// Default `"none"`.
    pub timeout: Maybe<Timeout>,
    /// Bytes of a request's body; left out, server.limits.max_body.
    pub max_body: Maybe<Size>,
    /// How the path is changed before an origin is asked for it, or a folder.
    pub rewrite: Maybe<Rewrite>,
    /// Edits of the request's fields on the way to the origin.
    pub request_headers: Maybe<Edits>,
    /// Edits of the answer's fields on the way to the client.
    pub response_headers: Maybe<Edits>,
    /// Whether requests are logged. Default `true`.
    pub access_log: Maybe<Flag>,
    /// Which answers of the origin are kept; left out, as the defaults say.
    pub cache: Maybe<CacheRule>,
    /// Whether answers are compressed for clients that take it. Default `false`.
    pub compression: Maybe<Flag>,
    /// Networks whose clients may come; [] for every one that is not denied. Default `[]`.
    pub allow: List<String>,
    /// Networks whose clients may not, whatever allow says. Default `[]`.
    pub deny: List<String>,
    /// Name of the auth that must know who asks; "" for none. Default `""`.
    pub auth: Maybe<String>,
    /// Names of the rate limits that all must admit a request. Default `[]`.
    pub rate_limits: List<String>,
    /// Names of the concurrency limits that all must admit a request, in this order. Default `[]`.
    pub concurrency_limits: List<String>,
    /// Whose pages may ask from a browser; left out, as the defaults say.
    pub cors: Maybe<Cors>,
    /// Name of an upstream that gets a copy of each request for an origin, its answer is dropped; "" for none. Default `""`.
    pub mirror: Maybe<String>,
}

/// Which requests: all that is written must hold.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Match {
    /// Only requests of the listener of this name.
    pub listener: Maybe<String>,
    /// "example.com", "*.example.com" for every name below it, or "*". Default `"*"`.
    pub host: Maybe<String>,
    /// Exactly this path.
    pub path: Maybe<String>,
    /// This path and those below it.
    pub path_prefix: Maybe<String>,
    /// Paths this regular expression is found in; the first in file order wins.
    pub path_regex: Maybe<String>,
    /// Any of these methods; GET includes HEAD. Empty means every method. Default `[]`.
    pub methods: List<String>,
    /// Fields with these values; "*" means any value. Default `{}`.
    pub headers: Maybe<BTreeMap<At<String>, At<String>>>,
    /// Query parameters with these values; "*" means any value. Default `{}`.
    pub query: Maybe<BTreeMap<At<String>, At<String>>>,
}

/// One share of a split.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitTo {
    /// Name of the upstream.
    pub upstream: Maybe<String>,
    /// Its share of the requests; 0 sends none. Default `1`.
    pub weight: Maybe<Int<0, 65_535>>,
}

/// Files of a folder.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StaticFiles {
    /// The folder.
    pub root: Maybe<String>,
    /// Served for a folder; "" serves none. Default `"index.html"`.
    pub index: Maybe<String>,
    /// Codings whose ready-made siblings (.br, .gz, .zst) are served, most wanted first. Default `["br", "gzip"]`.
    pub precompressed: List<Coding>,
    /// Tried in turn when nothing is found; ${path} is the path asked for, "=404" ends with that status. Default `[]`.
    pub try_files: List<Replacement>,
    /// Whether a folder without index is listed. Default `false`.
    pub directory_listing: Maybe<Flag>,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Brotli, `.br`
    Br,
    /// gzip, `.gz`
    Gzip,
    /// Zstandard, `.zst`
    Zstd,
}

/// A text of our own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Respond {
    /// Status. Default `200`.
    pub status: Maybe<Statuses>,
    /// The whole body. Default `""`.
    pub body: Maybe<String>,
    /// Content-Type of the body. Default `"text/plain"`.
    pub content_type: Maybe<String>,
}

/// The client is sent elsewhere.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Redirect {
    /// Where to: a Location with ${variables} of the request.
    pub to: Maybe<Template>,
    /// 301, 302, 303, 307 or 308. Default `301`.
    pub status: Maybe<Statuses>,
}

/// How the path is changed: one of strip_prefix, add_prefix, or regex with to.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rewrite {
    /// Taken off the front of the path.
    pub strip_prefix: Maybe<String>,
    /// Put in front of the path.
    pub add_prefix: Maybe<String>,
    /// A regular expression whose first match in the path is replaced by `to`.
    pub regex: Maybe<String>,
    /// What the match of `regex` becomes; $1 is its first group.
    pub to: Maybe<Replacement>,
}

/// Edits of fields: first `remove`, then `set`, then `add`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Edits {
    /// Replaces every field of that name; values may hold ${variables}. Default `{}`.
    pub set: Maybe<BTreeMap<At<String>, At<Template>>>,
    /// Stands beside others of that name; values may hold ${variables}. Default `{}`.
    pub add: Maybe<BTreeMap<At<String>, At<Template>>>,
    /// Names of fields that are taken out. Default `[]`.
    pub remove: List<String>,
}
