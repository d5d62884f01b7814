//! Pingora's keys and metas as ours, and back.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ::pingora::Result;
use ::pingora::cache::key::{CacheHashKey, CompactCacheKey, HashBinary};
use ::pingora::cache::{CacheKey, CacheMeta};
use xxhash_rust::xxh3::xxh3_128;

use super::{AskedUrl, fault};
use crate::cache::policy::{Resource, facets};
use crate::cache::{Freshness, Key, Meta};
use crate::wire::syntax::is_value_byte;
use crate::wire::{Fields, Version};

/// The two pieces a meta of Pingora's consists of, kept as fields so that memory, disk and the weight of an object know
/// nothing of them. Fields on disk are held to the rules of field values when they are read, hence [`escaped`].
const INTERNAL: &str = "pingora-internal";
const HEADER: &str = "pingora-header";
/// Stands before a byte that a field value cannot have, or that is this one; the byte follows with [`FLIP`] changed.
const ESCAPE: u8 = b'~';
const FLIP: u8 = 0x40;

/// Which entry, with the texts that have to be the same.
#[derive(Clone, Debug)]
pub struct Slot {
    pub key: Key,
    /// User tag and primary text, told apart from each other and from every key of the gateway's own.
    text: Box<[u8]>,
    variance: Box<[u8]>,
    id: Vec<u8>,
}

impl Slot {
    pub fn of(key: &CacheKey) -> Self {
        let (tag, text) = (key.user_tag.as_bytes(), key.primary_key());
        let framed = [format!("pingora {}\n", tag.len()).as_bytes(), tag, text].concat();
        let (primary, variance) = (key.primary_bin(), key.variance_bin());
        Self {
            key: place(&primary, variance.as_ref(), &key.user_tag),
            text: framed.into(),
            variance: variance.as_ref().map(|v| v.as_slice().into()).unwrap_or_default(),
            id: id(&primary, variance.as_ref(), &key.user_tag),
        }
    }

    /// Whether it is what was asked for, should two keys have one hash.
    pub fn is(&self, meta: &Meta) -> bool {
        meta.key_text == self.text && meta.variance == self.variance
    }

    /// Our meta for Pingora's. Fails if that cannot be serialised, or has more tags than an object may have.
    pub fn meta(&self, key: &CacheKey, meta: &CacheMeta, serial: u64) -> Result<Meta> {
        let header = meta.response_header();
        // One that cannot be read is an error: the answer would outlive its purges.
        let resource = key.extensions.get::<AskedUrl>().map(|AskedUrl(url)| {
            Resource::parse(url).ok_or_else(|| fault(format!("an answer is not kept: \"{url}\" is no URL")))
        });
        let resource = resource.transpose()?;
        let facets = facets::of_slot(&self.id, resource.as_ref(), &tags(meta))
            .map_err(|reason| fault(format!("an answer is not kept: {}", reason.word())))?;
        Ok(Meta {
            key_text: self.text.clone(),
            variance: self.variance.clone(),
            vary: Box::default(),
            status: header.status.as_u16(),
            reason: Box::default(),
            version: Version::Http11,
            fields: written(meta)?,
            freshness: freshness(meta),
            facets,
            serial,
        })
    }
}

/// Where the entry of a compact key is, and the facet that purges it alone.
pub fn place_of(key: &CompactCacheKey) -> (Key, u64) {
    let variance = key.variance.as_deref();
    let id = id(&key.primary, variance, &key.user_tag);
    (
        place(&key.primary, variance, &key.user_tag),
        facets::slot_facet(&id),
    )
}

fn place(primary: &HashBinary, variance: Option<&HashBinary>, tag: &str) -> Key {
    let user = if tag.is_empty() {
        0
    } else {
        xxh3_128(tag.as_bytes())
    };
    Key {
        primary: u128::from_be_bytes(*primary) ^ user,
        variance: variance.map_or(0, |v| u128::from_be_bytes(*v)),
    }
}

fn id(primary: &HashBinary, variance: Option<&HashBinary>, tag: &str) -> Vec<u8> {
    let has_variance = [u8::from(variance.is_some())];
    let variance = variance.map(HashBinary::as_slice).unwrap_or_default();
    [primary.as_slice(), &has_variance, variance, tag.as_bytes()].concat()
}

/// The same entry with another meta of Pingora's.
pub fn renewed(old: &Meta, meta: &CacheMeta, serial: u64) -> Result<Meta> {
    Ok(Meta {
        fields: written(meta)?,
        freshness: freshness(meta),
        serial,
        ..old.clone()
    })
}

/// Pingora's meta, as it was put in.
pub fn cache_meta(meta: &Meta) -> Option<CacheMeta> {
    let internal = unescaped(meta.fields.first_of(INTERNAL)?)?;
    let header = unescaped(meta.fields.first_of(HEADER)?)?;
    CacheMeta::deserialize(&internal, &header).ok()
}

fn written(meta: &CacheMeta) -> Result<Fields> {
    let (internal, header) = meta.serialize()?;
    let mut fields = Fields::default();
    fields.push(INTERNAL.as_bytes(), &escaped(&internal));
    fields.push(HEADER.as_bytes(), &escaped(&header));
    Ok(fields)
}

/// The fields that tags are read from.
fn tags(meta: &CacheMeta) -> Fields {
    let mut fields = Fields::default();
    for name in ["cache-tag", "surrogate-key", "cache-groups"] {
        for value in meta.headers().get_all(name) {
            fields.push(name.as_bytes(), value.as_bytes());
        }
    }
    fields
}

/// For whoever looks into the store; what Pingora decides by is in its own meta.
fn freshness(meta: &CacheMeta) -> Freshness {
    let received = meta.updated();
    let since = |later: SystemTime, earlier| later.duration_since(earlier).unwrap_or_default();
    let received_ms = since(received, UNIX_EPOCH).as_millis();
    Freshness {
        received_ms: u64::try_from(received_ms).unwrap_or(u64::MAX),
        age_at_receipt: since(received, meta.epoch()),
        lifetime: since(meta.fresh_until(), meta.epoch()),
        stale_while_revalidate: Duration::from_secs(meta.stale_while_revalidate_sec().into()),
        stale_if_error: Duration::from_secs(meta.stale_if_error_sec().into()),
        must_revalidate: false,
        no_cache: false,
    }
}

/// Any bytes as a field value may have them: about an eighth longer.
fn escaped(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 4);
    for &byte in bytes {
        // A tab may stand in a value, but it would be white space around it.
        if is_value_byte(byte) && byte != ESCAPE && byte > b' ' {
            out.push(byte);
        } else {
            out.extend([ESCAPE, byte ^ FLIP]);
        }
    }
    out
}

/// None if nothing was escaped to this.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            ESCAPE => bytes.next()? ^ FLIP,
            plain => plain,
        });
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::wire::syntax::is_value;

    proptest! {
        #[test]
        fn any_bytes_come_back_from_what_a_field_value_may_have(bytes: Vec<u8>) {
            let text = escaped(&bytes);
            prop_assert!(is_value(&text));
            prop_assert!(!text.iter().any(u8::is_ascii_whitespace));
            prop_assert_eq!(unescaped(&text), Some(bytes));
        }
    }

    #[test]
    fn every_single_byte_comes_back() {
        for byte in 0..=u8::MAX {
            assert_eq!(unescaped(&escaped(&[byte])), Some(vec![byte]));
            assert!(is_value(&escaped(&[byte])), "{byte}");
        }
    }
}
