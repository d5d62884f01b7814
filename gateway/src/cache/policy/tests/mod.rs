//! The policy as a whole: cases by hand, and against a model that was written from the RFC a second time.

mod adversary;
mod control;
mod model;
mod reuse;
mod storable;

use std::time::Duration;

use super::*;
use crate::cache::object::{Facets, Freshness, Meta};
use crate::config::plan::{Bypass, CacheId, CacheRule, KeyRule};
use crate::kit::clock::{Mono, Now};
use crate::kit::http_date;
use crate::wire::{Answer, Fields, Request, Version};

/// When everything here is received, in seconds since the epoch.
pub(super) const NOW: u64 = 1_700_000_000;

pub(super) fn fields(lines: &[(&str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    fields
}

/// A rule that leaves everything to the origin.
pub(super) fn rule() -> CacheRule {
    CacheRule {
        store: CacheId(0),
        ttl: None,
        overrides: false,
        statuses: Vec::new(),
        stale_while_revalidate: Duration::ZERO,
        stale_if_error: Duration::ZERO,
        key: KeyRule::default(),
        bypass: Bypass::default(),
    }
}

pub(super) fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

pub(super) fn at(secs: u64) -> Now {
    Now {
        mono: Mono(secs.saturating_mul(1_000_000_000)),
        wall: Duration::from_secs(secs),
    }
}

/// Asked and answered at [`NOW`].
pub(super) fn times() -> Times {
    Times {
        asked_at: at(NOW),
        received_at: at(NOW),
    }
}

pub(super) fn request(lines: &[(&str, &str)]) -> Request {
    Request {
        fields: fields(lines),
        host: "example.com".to_owned(),
        authority: "example.com".to_owned(),
        path: "/a".to_owned(),
        raw_path: "/a".to_owned(),
        ..Request::default()
    }
}

/// An answer made now, without a body.
pub(super) fn answer(status: u16, lines: &[(&str, &str)]) -> Answer {
    let date = http_date::format(NOW);
    let mut all = Vec::from(lines);
    if !lines.iter().any(|(name, _)| *name == "Date") {
        all.push(("Date", &date));
    }
    if !matches!(status, 204 | 304) {
        all.push(("Content-Length", "0"));
    }
    Answer {
        version: Version::Http11,
        status,
        reason: Vec::new(),
        fields: fields(&all),
    }
}

pub(super) fn meta(status: u16, lines: &[(&str, &str)]) -> Meta {
    Meta {
        key_text: Box::default(),
        variance: Box::default(),
        vary: Box::default(),
        status,
        reason: Box::default(),
        version: Version::Http11,
        fields: fields(lines),
        freshness: Freshness::default(),
        facets: Facets::default(),
        serial: 0,
    }
}

/// The verdict on an answer of now.
pub(super) fn judged(
    asked: &[(&str, &str)],
    answer: &Answer,
    rule: &CacheRule,
) -> Result<Storable, Unstorable> {
    let request = request(asked);
    judge(&request, answer, rule, &Asked::of(&request), times())
}
