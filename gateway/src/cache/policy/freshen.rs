//! Asking the origin if what is stored still holds, and what its answer changes (RFC 9111 §4.3).

use super::age::{Times, single_date};
use super::asked::Asked;
use super::resource::Resource;
use super::storable::{Unstorable, etag, weigh};
use super::{facets, kept, vary};
use crate::cache::object::Meta;
use crate::config::plan::CacheRule;
use crate::kit::etag::{Comparison, EntityTag};
use crate::wire::edit::Passage;
use crate::wire::{Answer, Field, Fields, Name, Request};

/// What the origin is asked with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// Value of If-None-Match.
    pub if_none_match: Option<&'a [u8]>,
    /// Value of If-Modified-Since.
    pub if_modified_since: Option<&'a [u8]>,
}

impl Conditions<'_> {
    /// Whether there is nothing to ask with: the answer must be fetched anew.
    pub fn is_empty(&self) -> bool {
        self.if_none_match.is_none() && self.if_modified_since.is_none()
    }
}

/// The validators of what is stored. They take the place of the client's own conditions: a 304 must be about our bytes.
pub fn conditions(meta: &Meta) -> Conditions<'_> {
    Conditions {
        if_none_match: etag(&meta.fields),
        if_modified_since: single_date(&meta.fields, Name::LastModified)
            .and_then(|_| meta.fields.first(Name::LastModified)),
    }
}

/// The exchange that brought a 304.
#[derive(Clone, Copy, Debug)]
pub struct Revalidation<'a> {
    /// The request as it was sent, but for its conditions.
    pub request: &'a Request,
    /// What it is for.
    pub resource: &'a Resource<'a>,
    /// The route's.
    pub rule: &'a CacheRule,
    /// Its wishes.
    pub asked: &'a Asked,
    /// When.
    pub times: Times,
    /// The purge serial when the origin was asked.
    pub serial: u64,
}

/// What a 304 makes of a stored answer.
#[derive(Clone, Debug)]
pub enum Freshened {
    /// It holds, and is to be stored with this. Its `vary` and `variance` may have changed, and with them its key.
    Updated(Box<Meta>),
    /// It answers the request that asked, and no other: what the origin says now, or who asked, forbids to store it.
    Once {
        /// For the one answer.
        meta: Box<Meta>,
        /// If it [is about the request](Unstorable::is_about_request), what is stored stays as it was. Otherwise it goes.
        why: Unstorable,
    },
    /// The 304 is about something else. What is stored goes, and the origin is asked again without conditions.
    Mismatch,
}

/// Applies a 304 that was asked for with exactly the [`conditions`] of `old`.
pub fn freshen(old: &Meta, answer: &Answer, exchange: &Revalidation<'_>) -> Freshened {
    if !identifies(&answer.fields, &old.fields) {
        return Freshened::Mismatch;
    }
    let head = Answer {
        version: answer.version,
        status: old.status,
        reason: old.reason.to_vec(),
        fields: merged(&old.fields, &answer.fields),
    };
    let mut meta = Box::new(old.clone());
    meta.version = answer.version;
    meta.serial = exchange.serial;
    match update(&mut meta, &head, exchange) {
        Ok(()) => Freshened::Updated(meta),
        Err(why) => {
            meta.fields = kept::kept_fields(
                &head,
                &super::AnswerControl::of(&head.fields),
                exchange.times.received_at,
            );
            Freshened::Once { meta, why }
        }
    }
}

fn update(meta: &mut Meta, head: &Answer, exchange: &Revalidation<'_>) -> Result<(), Unstorable> {
    let Revalidation {
        request,
        rule,
        asked,
        times,
        ..
    } = *exchange;
    let storable = weigh(request, head, rule, asked, times)?;
    meta.facets = facets::of_object(exchange.resource, rule, &head.fields)?;
    meta.fields = kept::kept_fields(head, &storable.control, times.received_at);
    meta.freshness = storable.freshness;
    let mut variance = Vec::new();
    vary::write_variance(&mut variance, &storable.vary, &request.fields);
    meta.variance = variance.into_boxed_slice();
    meta.vary = storable.vary;
    Ok(())
}

/// Whether a 304 is about the stored answer (§4.3.4).
///
/// A strong validator must be there in both: "If none of the stored responses contain the same strong validator, then
/// the cache MUST NOT use the new response to update any stored responses." A weak one must correspond. A 304 with
/// none is taken by its word: it can only be about the one answer whose validators were sent.
fn identifies(new: &Fields, old: &Fields) -> bool {
    let parse = |fields| etag(fields).and_then(EntityTag::parse);
    let modified = |fields| single_date(fields, Name::LastModified);
    match (parse(new), modified(new)) {
        (Some(tag), _) => {
            let how = if tag.weak {
                Comparison::Weak
            } else {
                Comparison::Strong
            };
            parse(old).is_some_and(|o| o.matches(tag, how))
        }
        (None, Some(at)) => modified(old) == Some(at),
        (None, None) => true,
    }
}

/// §3.2: "the cache MUST add each header field in the provided response to the stored response, replacing field values
/// that are already present", with exceptions.
fn merged(old: &Fields, new: &Fields) -> Fields {
    let passage = Passage::new(new);
    let brings = |field: &Field<'_>| passage.allows(field) && !is_about_body(field);
    let replaced: Vec<&[u8]> = new.iter().filter(brings).map(|f| f.name).collect();
    // The old Date says when the old answer was made. A 304 without one was made now.
    let stays =
        |f: &Field<'_>| f.known != Name::Date && !replaced.iter().any(|r| r.eq_ignore_ascii_case(f.name));
    let mut fields = Fields::default();
    for field in old.iter().filter(stays).chain(new.iter().filter(brings)) {
        fields.push(field.name, field.value);
    }
    fields
}

/// §3.2: not updated are "header fields that the cache's stored response depends upon": the stored bytes are in the
/// coding, of the length and with the digest they came with. Content-Type is updated: the Content- of its name "is not a
/// signal that a header field is omitted from update".
fn is_about_body(field: &Field<'_>) -> bool {
    match field.known {
        Name::ContentEncoding | Name::ContentLength | Name::ContentRange => true,
        _ => ["content-digest", "content-md5"]
            .iter()
            .any(|n| field.name.eq_ignore_ascii_case(n.as_bytes())),
    }
}

#[cfg(test)]
mod tests;
