//! Successful answers, and what caches may do with them.

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::precondition::etag;

/// The cache groups of an answer (RFC 9875), as a structured field: a list of strings.
///
/// A list is in the group of all (`"exercises"`), an item in its own (`"exercise-12"`) and in those of the items it
/// shows the names of. A write names the lists and the item that it changed, so it makes stale what shows them, and
/// nothing else.
#[derive(Debug, Default)]
pub struct Groups(String);

impl Groups {
    /// No group.
    pub fn new() -> Groups {
        Groups::default()
    }

    /// Also the group of all things of a kind.
    pub fn all(self, plural: &str) -> Groups {
        self.with(&format!("\"{plural}\""))
    }

    /// Also the group of one thing.
    pub fn one(self, noun: &str, id: i64) -> Groups {
        self.with(&format!("\"{noun}-{id}\""))
    }

    fn with(mut self, group: &str) -> Groups {
        if self.0.contains(group) {
            return self;
        }
        if !self.0.is_empty() {
            self.0.push_str(", ");
        }
        self.0.push_str(group);
        self
    }

    fn value(self) -> HeaderValue {
        HeaderValue::try_from(self.0).expect("nouns, digits and quotes are visible ASCII")
    }
}

/// The catalogue: shared caches keep it for a minute, and serve it for half a minute more while they ask again.
const PUBLIC: &str = "public, s-maxage=60, stale-while-revalidate=30";
/// A user's own data: only that user's cache keeps it, and asks each time whether it is still true.
const PRIVATE: &str = "private, no-cache";

const CACHE_GROUPS: HeaderName = HeaderName::from_static("cache-groups");
const CACHE_GROUP_INVALIDATION: HeaderName = HeaderName::from_static("cache-group-invalidation");

/// What everybody may read: the same bytes for all, whoever asks.
pub fn public(body: &impl Serialize, groups: Groups) -> Response {
    representation(body, PUBLIC, groups)
}

/// What only this user may read.
pub fn private(body: &impl Serialize, groups: Groups) -> Response {
    let mut response = representation(body, PRIVATE, groups);
    response
        .headers_mut()
        .insert(header::VARY, HeaderValue::from_static("authorization"));
    response
}

/// What a write made, and where it is.
pub fn created(location: &str, body: &impl Serialize, changed: Groups) -> Response {
    let location = HeaderValue::try_from(location).expect("paths here are visible ASCII");
    let mut response = replaced(body, changed);
    *response.status_mut() = StatusCode::CREATED;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

/// What a write left. Without an ETag: RFC 9110, section 9.3.4, forbids one unless the body was stored as it was sent.
pub fn replaced(body: &impl Serialize, changed: Groups) -> Response {
    ([(CACHE_GROUP_INVALIDATION, changed.value())], json(bytes(body))).into_response()
}

/// A write left nothing.
pub fn deleted(changed: Groups) -> Response {
    (
        StatusCode::NO_CONTENT,
        [(CACHE_GROUP_INVALIDATION, changed.value())],
    )
        .into_response()
}

/// An answer that is not to be kept at all.
pub fn fleeting(body: &impl Serialize) -> Response {
    json(bytes(body)).into_response()
}

/// A body as it is sent.
pub fn bytes(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(body).expect("rows of the database are always JSON");
    // For those who read with curl.
    bytes.push(b'\n');
    bytes
}

fn representation(body: &impl Serialize, cache_control: &'static str, groups: Groups) -> Response {
    let bytes = bytes(body);
    let headers = [
        (header::CACHE_CONTROL, HeaderValue::from_static(cache_control)),
        (header::ETAG, etag(&bytes)),
        (CACHE_GROUPS, groups.value()),
    ];
    (headers, json(bytes)).into_response()
}

fn json(bytes: Vec<u8>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], bytes)
}
