//! A [`Meta`] as bytes.
//!
//! A version byte, the numbers, then texts and lists, each with its length in front. Numbers are little-endian. What was
//! encoded decodes to the same; anything else decodes to None, and never to more memory than a small multiple of the bytes.

use std::time::Duration;

use crate::cache::object::{Facets, Freshness, Meta};
use crate::wire::syntax::{is_token, is_value};
use crate::wire::{Fields, Version};

/// Bytes of the longest record: many times what the limits of a message's head allow.
pub const META_MAX: usize = 256 * 1024;

const VERSION: u8 = 1;
const HTTP_11: u8 = 1;
const MUST_REVALIDATE: u8 = 2;
const NO_CACHE: u8 = 4;

/// The record of `meta`; None if it were longer than [`META_MAX`].
pub fn encode_meta(meta: &Meta) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(512);
    out.push(VERSION);
    out.push(flags(meta));
    out.extend(meta.status.to_le_bytes());
    out.extend(meta.serial.to_le_bytes());
    let freshness = &meta.freshness;
    out.extend(freshness.received_ms.to_le_bytes());
    for time in [
        freshness.age_at_receipt,
        freshness.lifetime,
        freshness.stale_while_revalidate,
        freshness.stale_if_error,
    ] {
        out.extend(time.as_secs().to_le_bytes());
        out.extend(time.subsec_nanos().to_le_bytes());
    }
    for text in [&meta.key_text, &meta.variance, &meta.reason] {
        put_text(&mut out, text)?;
    }
    put_length(&mut out, meta.vary.len())?;
    for name in &meta.vary {
        put_text(&mut out, name.as_bytes())?;
    }
    put_length(&mut out, meta.fields.len())?;
    for field in meta.fields.iter() {
        put_text(&mut out, field.name)?;
        put_text(&mut out, field.value)?;
    }
    put_length(&mut out, meta.facets.0.len())?;
    out.extend(meta.facets.0.iter().flat_map(|facet| facet.to_le_bytes()));
    (out.len() <= META_MAX).then_some(out)
}

fn flags(meta: &Meta) -> u8 {
    let version = match meta.version {
        Version::Http10 => 0,
        Version::Http11 => HTTP_11,
    };
    let flag = |set: bool, bit: u8| if set { bit } else { 0 };
    version | flag(meta.freshness.must_revalidate, MUST_REVALIDATE) | flag(meta.freshness.no_cache, NO_CACHE)
}

fn put_length(out: &mut Vec<u8>, length: usize) -> Option<()> {
    out.extend(u32::try_from(length).ok()?.to_le_bytes());
    Some(())
}

/// Stops at the limit, so that a huge text is not copied only to be refused.
fn put_text(out: &mut Vec<u8>, text: &[u8]) -> Option<()> {
    if out.len() + text.len() > META_MAX {
        return None;
    }
    put_length(out, text.len())?;
    out.extend_from_slice(text);
    Some(())
}

/// The meta of a record; None if the bytes are not what [`encode_meta`] writes.
///
/// The fields are looked at again, though a checksum vouches for the record: a line break in one would split an answer.
pub fn decode_meta(bytes: &[u8]) -> Option<Meta> {
    if bytes.len() > META_MAX {
        return None;
    }
    let mut rest = Rest(bytes);
    if rest.byte()? != VERSION {
        return None;
    }
    let flags = rest.byte()?;
    if flags & !(HTTP_11 | MUST_REVALIDATE | NO_CACHE) != 0 {
        return None;
    }
    let status = u16::from_le_bytes(rest.array()?);
    let serial = rest.number()?;
    let freshness = rest.freshness(flags)?;
    let (key_text, variance, reason) = (rest.text()?.into(), rest.text()?.into(), rest.text()?);
    let meta = Meta {
        key_text,
        variance,
        reason: is_value(reason).then(|| reason.into())?,
        version: if flags & HTTP_11 == 0 {
            Version::Http10
        } else {
            Version::Http11
        },
        status,
        serial,
        freshness,
        vary: rest.names()?,
        fields: rest.fields()?,
        facets: rest.facets()?,
    };
    rest.0.is_empty().then_some(meta)
}

/// What is still to be read of a record.
struct Rest<'a>(&'a [u8]);

impl<'a> Rest<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(u8::from_le_bytes)
    }

    fn number(&mut self) -> Option<u64> {
        self.array().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    /// The length of a list whose elements have at least `each` bytes: one that cannot be there is not believed.
    fn count(&mut self, each: usize) -> Option<usize> {
        let count = self.length()?;
        (count <= self.0.len() / each).then_some(count)
    }

    /// A second has fewer than 10⁹ nanoseconds; more would overflow the carry.
    fn duration(&mut self) -> Option<Duration> {
        let seconds = self.number()?;
        let nanos = u32::from_le_bytes(self.array()?);
        (nanos < 1_000_000_000).then(|| Duration::new(seconds, nanos))
    }

    fn freshness(&mut self, flags: u8) -> Option<Freshness> {
        Some(Freshness {
            received_ms: self.number()?,
            age_at_receipt: self.duration()?,
            lifetime: self.duration()?,
            stale_while_revalidate: self.duration()?,
            stale_if_error: self.duration()?,
            must_revalidate: flags & MUST_REVALIDATE != 0,
            no_cache: flags & NO_CACHE != 0,
        })
    }

    fn names(&mut self) -> Option<Box<[Box<str>]>> {
        let count = self.count(4)?;
        (0..count)
            .map(|_| std::str::from_utf8(self.text()?).ok().map(Into::into))
            .collect()
    }

    fn fields(&mut self) -> Option<Fields> {
        let count = self.count(8)?;
        let mut fields = Fields::default();
        for _ in 0..count {
            let (name, value) = (self.text()?, self.text()?);
            if !is_token(name) || !is_value(value) {
                return None;
            }
            fields.push(name, value);
        }
        Some(fields)
    }

    fn facets(&mut self) -> Option<Facets> {
        let count = self.count(8)?;
        (0..count)
            .map(|_| self.number())
            .collect::<Option<_>>()
            .map(Facets)
    }
}
