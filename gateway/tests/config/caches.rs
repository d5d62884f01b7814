//! Caches, rules of them and compression drawn at random, as odd as the checks allow.

use std::collections::BTreeSet;
use std::sync::Arc;

use gateway::config::plan::*;
use proptest::collection::{btree_map, btree_set};
use proptest::option;
use proptest::prelude::*;

use crate::plans::{duration, name, path, text, token};

pub fn caches() -> impl Strategy<Value = Vec<Arc<Cache>>> {
    let sizes = (
        1u64 << 20..1 << 44,
        1u64 << 20..=1 << 50,
        any::<prop::sample::Index>(),
    );
    let cache = (sizes, option::of(path()), 1u32..=1_000_000);
    btree_map(name(), cache, 0..3).prop_map(|named| {
        let caches = named.into_iter().enumerate();
        caches
            .map(|(at, (name, ((memory, disk, largest), path, min_uses)))| {
                // A folder of its own keeps each apart from the others.
                let path = path.map(|p| format!("/{at}{p}").into());
                let disk = path.as_ref().map_or(0, |_| disk);
                let room = memory.max(disk);
                let max_object = 1 + largest.index(usize::MAX) as u64 % room;
                Arc::new(Cache {
                    name,
                    memory,
                    disk,
                    path,
                    max_object,
                    min_uses,
                })
            })
            .collect()
    })
}

pub fn compression() -> impl Strategy<Value = Compression> {
    let all = vec![Coding::Zstd, Coding::Brotli, Coding::Gzip];
    let algorithms = prop::sample::subsequence(all, 1..=3).prop_shuffle();
    let types = ["text/*", "text/html", "application/x-$a", "image/svg+xml"].map(str::to_owned);
    let types = prop::sample::subsequence(types.to_vec(), 1..=4).prop_shuffle();
    (algorithms, 0u64..=1 << 40, types).prop_map(|(algorithms, min_size, types)| Compression {
        algorithms,
        min_size,
        types,
    })
}

/// A rule of one of so many caches; none where there is none.
pub fn cache_rule(caches: usize) -> impl Strategy<Value = Option<CacheRule>> {
    if caches == 0 {
        return Just(None).boxed();
    }
    let statuses = prop_oneof![200u16..206, 207u16..304, 305u16..600];
    let times = (
        option::of(duration(0)),
        btree_map(statuses, duration(0), 0..4),
        duration(0),
        duration(0),
    );
    let rule = ((0..caches), times, any::<bool>(), key(), bypass()).prop_map(
        |(store, (ttl, statuses, stale_while_revalidate, stale_if_error), overrides, key, bypass)| {
            CacheRule {
                store: CacheId(store),
                // Against what the origin says only holds what is said here.
                overrides: overrides && (ttl.is_some() || !statuses.is_empty()),
                ttl,
                statuses: statuses.into_iter().collect(),
                stale_while_revalidate,
                stale_if_error,
                key,
                bypass,
            }
        },
    );
    option::of(rule).boxed()
}

fn key() -> impl Strategy<Value = KeyRule> {
    let parameters = || btree_set(parameter(), 1..4).prop_map(listed);
    let query = prop_oneof![
        Just(QueryRule::All),
        Just(QueryRule::None),
        parameters().prop_map(QueryRule::Only),
        parameters().prop_map(QueryRule::Except),
    ];
    (query, fields(), cookies()).prop_map(|(query, headers, cookies)| KeyRule {
        query,
        headers,
        cookies,
    })
}

fn bypass() -> impl Strategy<Value = Bypass> {
    (cookies(), fields()).prop_map(|(cookies, headers)| Bypass { cookies, headers })
}

/// A name, or the beginning of some.
fn parameter() -> impl Strategy<Value = String> {
    (text(), any::<bool>()).prop_filter_map("an empty name is none", |(text, open)| {
        let stem: String = text.chars().filter(|c| !matches!(c, '=' | '#')).collect();
        let name = format!("{stem}{}", if open { "*" } else { "" });
        (!name.is_empty()).then_some(name)
    })
}

fn fields() -> impl Strategy<Value = Vec<String>> {
    let field = plain_token().prop_map(|name| name.to_lowercase());
    btree_set(field, 0..3).prop_map(listed)
}

fn cookies() -> impl Strategy<Value = Vec<String>> {
    btree_set(plain_token(), 0..3).prop_map(listed)
}

/// Without the character that nobody means as one.
fn plain_token() -> impl Strategy<Value = String> {
    token().prop_map(|name| name.replace('*', "_"))
}

fn listed(names: BTreeSet<String>) -> Vec<String> {
    names.into_iter().collect()
}
