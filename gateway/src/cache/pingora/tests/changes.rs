//! Validations, purges, expiries, and a restart.

use ::pingora::cache::eviction::{CacheEntryId, CacheEntryKey};

use super::*;
use crate::cache::policy::Purge;

#[tokio::test]
async fn a_validation_renews_the_meta_and_keeps_the_body() {
    let storage = open(16 * MIB, None);
    let key = key("one");
    put(
        storage,
        &key,
        &meta_of(&[("etag", "\"1\""), ("cache-tag", "old")]),
        &body_of(10),
    )
    .await;
    let newer = meta_of(&[("etag", "\"1\""), ("cache-tag", "new")]);
    assert!(storage.update_meta(&key, &newer, &trace()).await.unwrap());
    let (found, mut hit) = lookup(storage, &key).await.unwrap();
    assert_eq!(found.serialize().unwrap(), newer.serialize().unwrap());
    assert!(all(&mut hit).await.unwrap() == body_of(10));
    let absent = CacheKey::new("absent", "");
    assert!(!storage.update_meta(&absent, &newer, &trace()).await.unwrap());
}

#[tokio::test]
async fn a_validation_of_a_body_that_was_replaced_meanwhile_changes_nothing() {
    let storage = open(16 * MIB, None);
    let key = key("one");
    put(storage, &key, &meta_of(&[("etag", "\"1\"")]), &body_of(10)).await;
    let (validated, _) = lookup(storage, &key).await.unwrap();
    let newer = meta_of(&[("etag", "\"2\"")]);
    put(storage, &key, &newer, &body_of(20)).await;
    assert!(!storage.update_meta(&key, &validated, &trace()).await.unwrap());
    let (found, _) = lookup(storage, &key).await.unwrap();
    assert_eq!(found.serialize().unwrap(), newer.serialize().unwrap());
}

#[tokio::test]
async fn an_invalidation_removes_one_entry_and_reaches_its_fills() {
    let storage = open(16 * MIB, None);
    let (one, two) = (key("one"), key("two"));
    put(storage, &one, &meta_of(&[]), &body_of(10)).await;
    put(storage, &two, &meta_of(&[]), &body_of(10)).await;
    let mut miss = begin(storage, &one, &meta_of(&[])).await;
    let tag = miss.streaming_write_tag().unwrap().to_vec();
    let own = storage.lookup_streaming_write(&one, Some(&tag), &trace()).await;
    let (_, mut own) = own.unwrap().unwrap();
    let compact = one.to_compact();
    assert_eq!(purge(storage, &compact).await, PurgeOutcome::Purged(None));
    assert!(
        lookup(storage, &one).await.is_none(),
        "nobody new follows the old answer"
    );
    miss.write_body(Bytes::from_static(b"old"), true).await.unwrap();
    assert_eq!(size(miss.finish().await.unwrap()), 0);
    assert_eq!(all(&mut own).await.unwrap(), b"old");
    assert!(lookup(storage, &one).await.is_none());
    assert_eq!(purge(storage, &compact).await, PurgeOutcome::NotFound);
    assert!(lookup(storage, &two).await.is_some());
}

#[tokio::test]
async fn an_exact_target_is_an_entry_without_a_number() {
    let storage = open(16 * MIB, None);
    put(storage, &key("one"), &meta_of(&[]), &body_of(10)).await;
    let numbered = CacheEntryKey::identified(key("one").to_compact(), CacheEntryId::new(1));
    let plain = CacheEntryKey::from_entry_id(key("one").to_compact(), None);
    for (entry, expected) in [
        (&numbered, PurgeOutcome::NotFound),
        (&plain, PurgeOutcome::Purged(None)),
        (&plain, PurgeOutcome::NotFound),
    ] {
        let target = PurgeTarget::Exact(entry);
        let purged = storage.purge(target, PurgeType::Eviction, &trace()).await;
        assert_eq!(purged.unwrap(), expected);
    }
}

#[tokio::test]
async fn an_expired_entry_is_stale_keeps_its_windows_and_is_fresh_again_after_a_validation() {
    let storage = open(16 * MIB, None);
    let key = key("one");
    put(storage, &key, &meta_of(&[]), &body_of(10)).await;
    let before = Clock::system().now().system_time();
    let compact = key.to_compact();
    let expired = storage.expire(PurgeTarget::Active(&compact), &trace()).await;
    assert_eq!(expired.unwrap(), PurgeOutcome::Expired);
    let (stale, mut hit) = lookup(storage, &key).await.unwrap();
    assert!(!is_fresh(&stale));
    assert!(stale.fresh_until() >= before, "the windows begin with the expiry");
    assert!(stale.serve_stale_while_revalidate(before));
    assert!(all(&mut hit).await.unwrap() == body_of(10));
    assert!(storage.update_meta(&key, &meta_of(&[]), &trace()).await.unwrap());
    assert!(is_fresh(&lookup(storage, &key).await.unwrap().0));
    let absent = CacheKey::new("absent", "").to_compact();
    let expired = storage.expire(PurgeTarget::Active(&absent), &trace()).await;
    assert_eq!(expired.unwrap(), PurgeOutcome::NotFound);
}

#[tokio::test]
async fn a_fill_that_began_before_an_expiry_is_stale_when_it_is_stored() {
    let storage = open(16 * MIB, None);
    let key = key("one");
    let miss = begin(storage, &key, &meta_of(&[])).await;
    let compact = key.to_compact();
    storage
        .expire(PurgeTarget::Active(&compact), &trace())
        .await
        .unwrap();
    miss.finish().await.unwrap();
    let (meta, _) = lookup(storage, &key).await.unwrap();
    assert!(!is_fresh(&meta));
}

#[tokio::test]
async fn answers_are_purged_by_tag_and_by_url_where_it_is_told() {
    let storage = open(16 * MIB, None);
    let (tagged, mut named) = (key("tagged"), key("named"));
    named
        .extensions
        .insert(AskedUrl("https://example.com/a/b?c".to_owned()));
    put(
        storage,
        &tagged,
        &meta_of(&[("cache-tag", "red, blue")]),
        &body_of(10),
    )
    .await;
    put(storage, &named, &meta_of(&[]), &body_of(10)).await;
    storage.store.purge(&Purge::Tag("blue").facets().unwrap(), false);
    assert!(lookup(storage, &tagged).await.is_none());
    assert!(lookup(storage, &named).await.is_some());
    let prefix = Purge::Prefix("https://example.com/a/").facets().unwrap();
    storage.store.purge(&prefix, false);
    assert!(lookup(storage, &named).await.is_none());
    named.extensions.insert(AskedUrl("/a/b".to_owned()));
    let (meta, trace) = (meta_of(&[]), trace());
    let refused = storage.get_miss_handler(&named, &meta, &trace).await;
    assert!(refused.is_err(), "no purge by URL would reach it");
}

#[tokio::test]
async fn a_purge_after_the_origin_was_asked_reaches_an_answer_that_begins_later() {
    let storage = open(16 * MIB, None);
    let mut key = key("one");
    key.extensions.insert(storage.asked());
    assert_eq!(purge(storage, &key.to_compact()).await, PurgeOutcome::NotFound);
    assert_eq!(put(storage, &key, &meta_of(&[]), &body_of(10)).await, 0);
    assert!(lookup(storage, &key).await.is_none());
}

#[tokio::test]
async fn answers_purges_and_expiries_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let names = ["kept", "large", "purged", "expired"];
    let meta = meta_of(&[("x-odd", "a\t~\u{e9}")]);
    let length = |name: &str| if name == "large" { 3_000_000 } else { 1_000 };
    {
        let store = Store::open(&plan(16 * MIB, Some(folder.path())), 7, Clock::system());
        let storage: &'static PingoraStorage = Box::leak(Box::new(PingoraStorage::new(Arc::clone(&store))));
        until(|| store.draft().is_some() && !store.status().is_rebuilding).await;
        for name in names {
            put(storage, &key(name), &meta, &body_of(length(name))).await;
        }
        until(|| store.status().objects_disk == names.len() as u64).await;
        purge(storage, &key("purged").to_compact()).await;
        let compact = key("expired").to_compact();
        storage
            .expire(PurgeTarget::Active(&compact), &trace())
            .await
            .unwrap();
    }
    // As a killed process leaves it: the first store is leaked and holds its lock.
    let other = tempfile::tempdir().unwrap();
    copy(folder.path(), other.path());
    let storage = with_disk(16 * MIB, other.path()).await;
    for name in ["kept", "large"] {
        let (found, mut hit) = lookup(storage, &key(name)).await.unwrap();
        assert_eq!(found.serialize().unwrap(), meta.serialize().unwrap());
        assert!(all(&mut hit).await.unwrap() == body_of(length(name)), "{name}");
    }
    assert!(lookup(storage, &key("purged")).await.is_none());
    let (found, mut hit) = lookup(storage, &key("expired")).await.unwrap();
    assert!(!is_fresh(&found));
    assert!(all(&mut hit).await.unwrap() == body_of(1_000));
}

#[tokio::test]
async fn a_purge_of_one_users_entry_leaves_those_of_others_and_other_variances() {
    let storage = open(16 * MIB, None);
    let (plain, anns) = (key("one"), CacheKey::new("one", "ann"));
    let mut varied = key("one");
    varied.set_variance_key([1; 16]);
    for key in [&plain, &anns, &varied] {
        put(storage, key, &meta_of(&[]), &body_of(10)).await;
    }
    assert_eq!(
        purge(storage, &anns.to_compact()).await,
        PurgeOutcome::Purged(None)
    );
    assert!(lookup(storage, &anns).await.is_none());
    assert!(lookup(storage, &plain).await.is_some());
    assert!(lookup(storage, &varied).await.is_some());
}
