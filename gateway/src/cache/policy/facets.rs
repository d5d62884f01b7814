//! What a purge can reach an object by, as hashes, and what a purge names.
//!
//! A hash that by accident stands for two things costs one object too many its place, never one too few: 64 bits do.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::resource::{Resource, host_and_port};
use super::storable::Unstorable;
use super::structured;
use crate::cache::object::Facets;
use crate::config::plan::{CacheRule, QueryRule};
use crate::wire::syntax;
use crate::wire::{Fields, Name};

/// Path prefixes an object can be reached by, from the root on. What lies deeper is reached by a shorter one.
pub const PREFIX_DEPTH_MAX: usize = 16;

/// Tags of one object, of all fields together. An answer with more is not kept: it could not be purged by some of them,
/// and an object that outlives its purge is wrong. RFC 9875 §2 asks for 32 groups at least.
pub const TAGS_MAX: usize = 1024;

/// What a hash is about, so that no tag is taken for a host. The numbers are on disk: they are never given anew.
#[derive(Clone, Copy, Debug)]
enum Kind {
    All = 1,
    Url = 2,
    Loose = 3,
    Prefix = 4,
    Host = 5,
    Tag = 6,
    Group = 7,
    Slot = 8,
}

fn hash(kind: Kind, text: &[u8]) -> u64 {
    xxh3_64_with_seed(text, kind as u64)
}

/// Everything an object can be reached by.
///
/// `resource` is what the request that fetched it was for. Where the rule leaves a part of the query out of the key, the
/// object answers other URLs too, and can be reached by its path whatever the query.
pub fn of_object(resource: &Resource<'_>, rule: &CacheRule, fields: &Fields) -> Result<Facets, Unstorable> {
    let is_loose = rule.key.query != QueryRule::All;
    of_parts(vec![all()], Some(resource), is_loose, fields)
}

/// Everything an object can be reached by that a storage for others keeps: its place there, its tags, and its URL where that
/// was told. Nobody says what part of the query made the key, so it can be reached by its path whatever the query.
pub fn of_slot(slot: &[u8], resource: Option<&Resource<'_>>, fields: &Fields) -> Result<Facets, Unstorable> {
    of_parts(vec![all(), slot_facet(slot)], resource, true, fields)
}

/// The facet of one place in a storage for others.
pub fn slot_facet(slot: &[u8]) -> u64 {
    hash(Kind::Slot, slot)
}

fn of_parts(
    mut found: Vec<u64>,
    resource: Option<&Resource<'_>>,
    is_loose: bool,
    fields: &Fields,
) -> Result<Facets, Unstorable> {
    let mut text = Vec::new();
    if let Some(resource) = resource {
        resource.write_origin(&mut text);
    }
    push_tags(&mut found, &text, fields)?;
    if let Some(resource) = resource {
        push_resource(&mut found, &mut text, resource, is_loose);
    }
    found.sort_unstable();
    found.dedup();
    Ok(Facets(found.into_boxed_slice()))
}

/// `text` holds the origin.
fn push_resource(found: &mut Vec<u64>, text: &mut Vec<u8>, resource: &Resource<'_>, is_loose: bool) {
    push_prefixes(found, text, &resource.path);
    let [exact, loose] = url_facets(resource);
    // One of the two, so that a purge by URL, which names both, counts no object twice.
    found.push(if is_loose { loose } else { exact });
    found.extend([host(&resource.host), host_at(&resource.host, resource.port)]);
}

/// The facets a purge of this URL names: the object with exactly this query, and those of the path to which the query,
/// or a part of it, makes no difference.
pub fn url_facets(resource: &Resource<'_>) -> [u64; 2] {
    let mut text = Vec::new();
    resource.write_origin(&mut text);
    text.extend_from_slice(resource.path.as_bytes());
    let loose = hash(Kind::Loose, &text);
    if let Some(query) = &resource.query {
        text.push(b'?');
        text.extend_from_slice(query.as_bytes());
    }
    [hash(Kind::Url, &text), loose]
}

/// The facet of a group (RFC 9875). §2.1: two responses belong to the same group only when "they both share the same
/// URI origin": what one host says purges nothing of another.
pub fn group_facet(resource: &Resource<'_>, group: &str) -> u64 {
    let mut text = Vec::new();
    resource.write_origin(&mut text);
    group_of(&text, group)
}

fn group_of(origin: &[u8], group: &str) -> u64 {
    hash(Kind::Group, &[origin, b"\n", group.as_bytes()].concat())
}

fn all() -> u64 {
    hash(Kind::All, b"")
}

fn host(name: &str) -> u64 {
    hash(Kind::Host, name.as_bytes())
}

fn host_at(name: &str, port: u16) -> u64 {
    hash(Kind::Host, format!("{name}:{port}").as_bytes())
}

fn tag(text: &[u8]) -> u64 {
    hash(Kind::Tag, text)
}

/// Cache-Groups are tags too, so that an operator need not know which field an origin uses.
fn push_tags(found: &mut Vec<u64>, origin: &[u8], fields: &Fields) -> Result<(), Unstorable> {
    let groups = groups(fields, Name::CacheGroups);
    for (at, text) in tags_among(&groups, fields).enumerate() {
        if at == TAGS_MAX {
            return Err(Unstorable::Tags);
        }
        found.push(tag(text));
    }
    found.extend(groups.iter().map(|g| group_of(origin, g)));
    Ok(())
}

/// The tags of a kept answer, as its origin has written them.
pub fn tags(fields: &Fields) -> Vec<String> {
    let groups = groups(fields, Name::CacheGroups);
    let all = tags_among(&groups, fields);
    all.map(|tag| String::from_utf8_lossy(tag).into_owned()).collect()
}

fn tags_among<'a>(groups: &'a [String], fields: &'a Fields) -> impl Iterator<Item = &'a [u8]> {
    let listed = fields.tokens(Name::CacheTag);
    let spaced = fields
        .values(Name::SurrogateKey)
        .flat_map(|v| v.split(|b| matches!(b, b' ' | b'\t')))
        .filter(|key| !key.is_empty());
    let named = groups.iter().map(|g| g.as_bytes());
    named.chain(listed).chain(spaced)
}

/// The strings of Cache-Groups or Cache-Group-Invalidation; none where the field does not parse.
pub(super) fn groups(fields: &Fields, name: Name) -> Vec<String> {
    let value = structured::joined(fields.values(name));
    value.and_then(|v| structured::strings(&v)).unwrap_or_default()
}

/// `text` holds the origin. "/a/b" lies under "", "/a" and "/a/b".
fn push_prefixes(found: &mut Vec<u64>, text: &mut Vec<u8>, path: &str) {
    found.push(hash(Kind::Prefix, text));
    for segment in segments(path).take(PREFIX_DEPTH_MAX - 1) {
        text.push(b'/');
        text.extend_from_slice(segment.as_bytes());
        found.push(hash(Kind::Prefix, text));
    }
}

/// The path's segments; a slash at its end begins none.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter(|s| !s.is_empty())
}

/// What an operator wants purged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purge<'a> {
    /// Everything.
    All,
    /// `https://host/path?query`
    Url(&'a str),
    /// `https://host/path/`: what lies at that path and below it.
    Prefix(&'a str),
    /// A host, with or without port.
    Host(&'a str),
    /// A word of Cache-Tag, Surrogate-Key or Cache-Groups, of any host.
    Tag(&'a str),
}

impl Purge<'_> {
    /// The facets of which an object must have one. The message of a failure is for the operator.
    pub fn facets(self) -> Result<Vec<u64>, String> {
        match self {
            Self::All => Ok(vec![all()]),
            Self::Url(text) => read_url(text).map(|r| url_facets(&r).to_vec()),
            Self::Prefix(text) => prefix(text).map(|facet| vec![facet]),
            Self::Host(text) => read_host(text).map(|facet| vec![facet]),
            Self::Tag(text) => read_tag(text).map(|facet| vec![facet]),
        }
    }
}

fn read_url(text: &str) -> Result<Resource<'static>, String> {
    Resource::parse(text).ok_or_else(|| {
        format!("\"{text}\" is no URL: write it with scheme and host, like https://example.com/path")
    })
}

fn prefix(text: &str) -> Result<u64, String> {
    let resource = read_url(text)?;
    if resource.query.is_some() {
        return Err(format!(
            "a prefix has no query: \"{text}\" should end before its question mark"
        ));
    }
    if segments(&resource.path).count() >= PREFIX_DEPTH_MAX {
        return Err(format!(
            "\"{text}\" is too deep: a prefix has at most {} segments, so purge a shorter one",
            PREFIX_DEPTH_MAX - 1
        ));
    }
    let mut normal = Vec::new();
    resource.write_origin(&mut normal);
    for segment in segments(&resource.path) {
        normal.push(b'/');
        normal.extend_from_slice(segment.as_bytes());
    }
    Ok(hash(Kind::Prefix, &normal))
}

fn read_host(text: &str) -> Result<u64, String> {
    let fault = || format!("\"{text}\" is no host: write it like example.com or example.com:8443");
    let (name, port) = host_and_port("http", text).ok_or_else(fault)?;
    let names_port = crate::kit::host::split_port(text).is_some_and(|(_, port)| port.is_some());
    Ok(if names_port {
        host_at(&name, port)
    } else {
        host(&name)
    })
}

fn read_tag(text: &str) -> Result<u64, String> {
    let text = syntax::trim(text.as_bytes());
    match text {
        [] => Err("the tag is empty: write one word of Cache-Tag, Surrogate-Key or Cache-Groups".to_owned()),
        _ => Ok(tag(text)),
    }
}

#[cfg(test)]
mod tests;
