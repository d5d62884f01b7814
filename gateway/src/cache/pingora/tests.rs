//! Through Pingora's own interfaces.

mod changes;

use std::path::Path;
use std::time::Duration;

use ::pingora::cache::storage::MissFinishType;
use ::pingora::cache::trace::Span;
use ::pingora::cache::{CachePhase, HitStatus, HttpCache};
use ::pingora::http::ResponseHeader;
use bytes::Bytes;

use std::sync::atomic::Ordering;

use super::*;
use crate::config::plan::Cache as Plan;

const MIB: u64 = 1 << 20;

fn open(memory: u64, disk: Option<&Path>) -> &'static PingoraStorage {
    let store = Store::open(&plan(memory, disk), 7, Clock::system());
    Box::leak(Box::new(PingoraStorage::new(store)))
}

fn plan(memory: u64, disk: Option<&Path>) -> Plan {
    Plan {
        name: "edge".to_owned(),
        memory,
        disk: disk.map_or(0, |_| 256 * MIB),
        path: disk.map(Path::to_owned),
        max_object: 64 * MIB,
        min_uses: 1,
    }
}

/// The folder is opened by the store's own thread.
async fn with_disk(memory: u64, folder: &Path) -> &'static PingoraStorage {
    let storage = open(memory, Some(folder));
    until(|| storage.store.draft().is_some() && !storage.store.status().is_rebuilding).await;
    storage
}

async fn until(mut is_so: impl FnMut() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

/// A folder as a killed process leaves it, in another place so that its lock is not held.
fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &target),
            false => _ = std::fs::copy(entry.path(), target).unwrap(),
        }
    }
}

fn trace() -> SpanHandle {
    Span::inactive().handle()
}

fn key(text: &str) -> CacheKey {
    CacheKey::new(text, "")
}

fn meta_of(lines: &[(&'static str, &str)]) -> CacheMeta {
    let mut header = ResponseHeader::build(200, None).unwrap();
    for (name, value) in lines {
        header.append_header(*name, *value).unwrap();
    }
    let now = Clock::system().now().system_time();
    CacheMeta::new(now + Duration::from_secs(60), now, 30, 40, header)
}

/// No two neighbouring bytes of a long body are from the same place of another block.
fn body_of(length: usize) -> Bytes {
    (0..length).map(|n| (n / 3 + n / 65_537) as u8).collect()
}

async fn begin(storage: &'static PingoraStorage, key: &CacheKey, meta: &CacheMeta) -> MissHandler {
    storage.get_miss_handler(key, meta, &trace()).await.unwrap()
}

async fn put(storage: &'static PingoraStorage, key: &CacheKey, meta: &CacheMeta, body: &Bytes) -> usize {
    let mut miss = begin(storage, key, meta).await;
    for piece in body.chunks(50_000) {
        miss.write_body(body.slice_ref(piece), false).await.unwrap();
    }
    size(miss.finish().await.unwrap())
}

fn size(finished: MissFinishType) -> usize {
    match finished {
        MissFinishType::Created(size) => size,
        MissFinishType::Appended(..) => panic!("nothing is appended"),
    }
}

async fn lookup(storage: &'static PingoraStorage, key: &CacheKey) -> Option<(CacheMeta, HitHandler)> {
    storage.lookup(key, &trace()).await.unwrap()
}

async fn all(hit: &mut HitHandler) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(bytes) = hit.read_body().await? {
        assert!((1..=64 * 1024).contains(&bytes.len()));
        all.extend_from_slice(&bytes);
    }
    Ok(all)
}

async fn body(storage: &'static PingoraStorage, key: &CacheKey) -> Option<Vec<u8>> {
    let (_, mut hit) = lookup(storage, key).await?;
    Some(all(&mut hit).await.unwrap())
}

async fn purge(storage: &'static PingoraStorage, key: &CompactCacheKey) -> PurgeOutcome {
    let target = PurgeTarget::Active(key);
    let purged = storage.purge(target, PurgeType::Invalidation, &trace()).await;
    purged.unwrap()
}

fn is_fresh(meta: &CacheMeta) -> bool {
    meta.is_fresh(Clock::system().now().system_time())
}

#[tokio::test]
async fn what_is_put_comes_back_byte_for_byte_with_its_meta() {
    let storage = open(16 * MIB, None);
    let mut meta = meta_of(&[
        ("Content-Type", "text/plain"),
        ("Set-Cookie", "a=\u{e9}"),
        ("set-cookie", "b"),
    ]);
    meta.set_variance([9; 16]);
    let bytes = body_of(200_001);
    assert_eq!(put(storage, &key("one"), &meta, &bytes).await, 200_001);
    let (found, mut hit) = lookup(storage, &key("one")).await.unwrap();
    assert_eq!(found.serialize().unwrap(), meta.serialize().unwrap());
    assert!(all(&mut hit).await.unwrap() == bytes);
    assert_eq!(hit.get_eviction_weight(), 200_001);
    hit.finish(storage, &key("one"), &trace()).await.unwrap();
    assert!(lookup(storage, &key("two")).await.is_none());
}

#[tokio::test]
async fn user_tags_variances_and_texts_under_one_hash_are_told_apart() {
    let storage = open(16 * MIB, None);
    let meta = meta_of(&[]);
    put(storage, &key("one"), &meta, &Bytes::from_static(b"plain")).await;
    let tagged = CacheKey::new("one", "ann");
    assert!(lookup(storage, &tagged).await.is_none());
    put(storage, &tagged, &meta, &Bytes::from_static(b"ann's")).await;
    let mut varied = key("one");
    varied.set_variance_key([0; 16]);
    assert!(
        lookup(storage, &varied).await.is_none(),
        "a variance of zeros is one"
    );
    varied.set_variance_key([1; 16]);
    put(storage, &varied, &meta, &Bytes::from_static(b"varied")).await;
    assert_eq!(body(storage, &key("one")).await.unwrap(), b"plain");
    assert_eq!(body(storage, &tagged).await.unwrap(), b"ann's");
    assert_eq!(body(storage, &varied).await.unwrap(), b"varied");
    let mut colliding = key("another");
    colliding.set_primary_bin_override(key("one").to_compact().primary);
    assert!(lookup(storage, &colliding).await.is_none());
}

#[tokio::test]
async fn a_reader_follows_a_body_while_it_is_written() {
    let storage = open(16 * MIB, None);
    let (key, meta) = (key("one"), meta_of(&[]));
    let mut miss = begin(storage, &key, &meta).await;
    let tag = miss.streaming_write_tag().unwrap().to_vec();
    let own = storage.lookup_streaming_write(&key, Some(&tag), &trace()).await;
    let (_, mut own) = own.unwrap().unwrap();
    let (found, mut other) = lookup(storage, &key).await.unwrap();
    assert_eq!(found.serialize().unwrap(), meta.serialize().unwrap());
    assert!(!other.should_count_access());
    miss.write_body(Bytes::from_static(b"he"), false).await.unwrap();
    assert_eq!(own.read_body().await.unwrap().unwrap(), "he");
    assert_eq!(other.read_body().await.unwrap().unwrap(), "he");
    miss.write_body(Bytes::from_static(b"llo"), true).await.unwrap();
    assert_eq!(size(miss.finish().await.unwrap()), 5);
    assert_eq!(all(&mut own).await.unwrap(), b"llo");
    assert_eq!(all(&mut other).await.unwrap(), b"llo");
    let gone = storage.lookup_streaming_write(&key, Some(&tag), &trace()).await;
    assert!(gone.unwrap().is_none(), "the tag is for the fill alone");
    assert_eq!(body(storage, &key).await.unwrap(), b"hello");
}

#[tokio::test]
async fn a_tag_leads_to_its_own_fill_among_several() {
    let storage = open(16 * MIB, None);
    let (key, meta) = (key("one"), meta_of(&[]));
    let mut first = begin(storage, &key, &meta).await;
    let mut second = begin(storage, &key, &meta).await;
    first.write_body(Bytes::from_static(b"1"), false).await.unwrap();
    second.write_body(Bytes::from_static(b"2"), false).await.unwrap();
    for (miss, expected) in [(&first, "1"), (&second, "2")] {
        let found = storage
            .lookup_streaming_write(&key, miss.streaming_write_tag(), &trace())
            .await;
        let (_, mut hit) = found.unwrap().unwrap();
        assert_eq!(hit.read_body().await.unwrap().unwrap(), expected);
    }
}

#[tokio::test]
async fn a_writer_that_is_dropped_is_an_error_for_its_readers_and_leaves_nothing() {
    let storage = open(16 * MIB, None);
    let key = key("one");
    let mut miss = begin(storage, &key, &meta_of(&[])).await;
    let (_, mut hit) = lookup(storage, &key).await.unwrap();
    miss.write_body(Bytes::from_static(b"half"), false).await.unwrap();
    drop(miss);
    assert_eq!(hit.read_body().await.unwrap().unwrap(), "half");
    assert!(hit.read_body().await.is_err());
    assert!(hit.read_body().await.is_err(), "and it stays one");
    assert!(lookup(storage, &key).await.is_none());
    assert_eq!(storage.store.fills_in_flight(), 0);
}

#[tokio::test]
async fn a_body_of_another_length_than_announced_is_not_kept() {
    let storage = open(16 * MIB, None);
    let (key, meta) = (key("one"), meta_of(&[("Content-Length", "5")]));
    let mut miss = begin(storage, &key, &meta).await;
    let (_, mut hit) = lookup(storage, &key).await.unwrap();
    miss.write_body(Bytes::from_static(b"four"), false).await.unwrap();
    assert!(miss.finish().await.is_err());
    hit.read_body().await.unwrap();
    assert!(hit.read_body().await.is_err());
    let mut miss = begin(storage, &key, &meta).await;
    assert!(
        miss.write_body(Bytes::from_static(b"sixsix"), true)
            .await
            .is_err()
    );
    drop(miss);
    assert!(lookup(storage, &key).await.is_none());
}

#[tokio::test]
async fn ranges_are_read_from_memory_from_a_file_and_from_a_fill() {
    let folder = tempfile::tempdir().unwrap();
    let storage = with_disk(16 * MIB, folder.path()).await;
    for (name, length) in [("memory", 200_000), ("file", 3_000_000)] {
        let bytes = body_of(length);
        assert_eq!(put(storage, &key(name), &meta_of(&[]), &bytes).await, length);
        let (_, mut hit) = lookup(storage, &key(name)).await.unwrap();
        assert!(hit.can_seek() && hit.can_seek_multipart());
        let ranges = [
            (70_000, Some(140_001)),
            (3, Some(4)),
            (length - 1, None),
            (9, Some(length * 2)),
        ];
        for (start, end) in ranges {
            hit.seek(start, end).unwrap();
            let expected = &bytes[start..end.unwrap_or(length).min(length)];
            assert!(all(&mut hit).await.unwrap() == expected, "{name} {start}");
        }
        assert!(hit.seek(length, None).is_err());
    }
    let mut miss = begin(storage, &key("fill"), &meta_of(&[])).await;
    let (_, mut hit) = lookup(storage, &key("fill")).await.unwrap();
    hit.seek(2, Some(4)).unwrap();
    miss.write_body(Bytes::from_static(b"012345"), true)
        .await
        .unwrap();
    miss.finish().await.unwrap();
    assert_eq!(all(&mut hit).await.unwrap(), b"23");
}

#[tokio::test]
async fn a_body_too_large_for_memory_is_followed_through_its_draft() {
    let folder = tempfile::tempdir().unwrap();
    let storage = with_disk(16 * MIB, folder.path()).await;
    let bytes = body_of(9_000_000);
    let key = key("large");
    let mut miss = begin(storage, &key, &meta_of(&[])).await;
    let (_, mut hit) = lookup(storage, &key).await.unwrap();
    // Nobody reads meanwhile: a write waits for the disk alone.
    for piece in bytes.chunks(100_000) {
        miss.write_body(bytes.slice_ref(piece), false).await.unwrap();
    }
    assert_eq!(size(miss.finish().await.unwrap()), bytes.len());
    assert!(all(&mut hit).await.unwrap() == bytes);
    assert!(body(storage, &key).await.unwrap() == bytes);
}

#[tokio::test]
async fn a_body_that_cannot_be_kept_reaches_its_reader_though_nobody_reads_while_it_is_written() {
    let storage = open(2 * MIB, None);
    let bytes = body_of(5_000_000);
    let key = key("large");
    let mut miss = begin(storage, &key, &meta_of(&[])).await;
    let (_, mut hit) = lookup(storage, &key).await.unwrap();
    for piece in bytes.chunks(100_000) {
        miss.write_body(bytes.slice_ref(piece), false).await.unwrap();
    }
    assert!(
        lookup(storage, &key).await.is_none(),
        "a newcomer would not get its beginning"
    );
    assert_eq!(size(miss.finish().await.unwrap()), 0, "it is whole, and not kept");
    assert!(all(&mut hit).await.unwrap() == bytes);
    assert!(lookup(storage, &key).await.is_none());
    assert_eq!(storage.lag.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_queued_body_whose_writer_is_dropped_is_broken_and_what_waits_is_bounded() {
    let storage = open(2 * MIB, None);
    let mut miss = begin(storage, &key("large"), &meta_of(&[])).await;
    let (_, mut hit) = lookup(storage, &key("large")).await.unwrap();
    let piece = Bytes::from(vec![1; 1 << 20]);
    let mut pieces = 0;
    while miss.write_body(piece.clone(), false).await.is_ok() {
        pieces += 1;
    }
    assert!((60..80).contains(&pieces), "{pieces}");
    drop(miss);
    assert!(all(&mut hit).await.is_err());
    assert_eq!(storage.lag.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn what_is_announced_too_large_is_refused_before_a_byte_is_taken() {
    let storage = open(2 * MIB, None);
    let meta = meta_of(&[("Content-Length", "5000000")]);
    assert!(
        storage
            .get_miss_handler(&key("large"), &meta, &trace())
            .await
            .is_err()
    );
    assert_eq!(storage.store.fills_in_flight(), 0);
}

#[tokio::test]
async fn a_cache_of_pingora_misses_fills_and_hits() {
    let storage = open(16 * MIB, None);
    let mut cache = HttpCache::new();
    cache.enable(storage, None, None, None, None);
    cache.set_cache_key(key("one"));
    assert!(cache.cache_lookup().await.unwrap().is_none());
    cache.cache_miss();
    cache.set_cache_meta(meta_of(&[]));
    cache.set_miss_handler().await.unwrap();
    let miss = cache.miss_handler().unwrap();
    miss.write_body(Bytes::from_static(b"hello"), true).await.unwrap();
    let own = cache.miss_body_reader().unwrap();
    assert_eq!(own.read_body().await.unwrap().unwrap(), "hello");
    cache.finish_miss_handler().await.unwrap();
    assert!(
        cache
            .miss_body_reader()
            .unwrap()
            .read_body()
            .await
            .unwrap()
            .is_none()
    );
    let mut cache = HttpCache::new();
    cache.enable(storage, None, None, None, None);
    cache.set_cache_key(key("one"));
    let (meta, hit) = cache.cache_lookup().await.unwrap().unwrap();
    cache.cache_found(meta, hit, HitStatus::Expired);
    assert_eq!(cache.phase(), CachePhase::Stale);
    // The origin says that it holds.
    assert!(cache.revalidate_cache_meta(meta_of(&[])).await.unwrap());
    assert_eq!(cache.hit_handler().read_body().await.unwrap().unwrap(), "hello");
    cache.finish_hit_handler().await.unwrap();
}
