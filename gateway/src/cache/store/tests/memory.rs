//! A store without a folder.

use bytes::Bytes;

use super::{MIB, Rig, key, meta, plan};
use crate::cache::store::{LookUp, NotKept};

#[test]
fn what_is_admitted_is_found_until_it_is_removed() {
    let rig = Rig::open(&plan(16 * MIB, None));
    assert!(rig.body(1).is_none());
    let object = rig.put(1, &[], b"one").unwrap();
    assert_eq!(rig.body(1).unwrap(), b"one");
    rig.put(1, &[], b"two").unwrap();
    assert_eq!(rig.body(1).unwrap(), b"two");
    assert!(!rig.store.remove_if(&object), "the key has another one by now");
    assert_eq!(rig.body(1).unwrap(), b"two");
    assert!(rig.store.remove(key(1)));
    assert!(rig.body(1).is_none());
    assert_eq!(rig.store.status().objects, 0);
}

#[test]
fn another_text_under_the_same_hash_is_not_served() {
    let rig = Rig::open(&plan(16 * MIB, None));
    rig.put(1, &[], b"one").unwrap();
    let looked = rig.store.look_up(key(1), |meta| *meta.key_text == *b"another");
    assert!(matches!(looked, LookUp::Nothing));
}

#[test]
fn memory_stays_within_its_limit_and_the_index_knows_what_left() {
    let rig = Rig::open(&plan(4 * MIB, None));
    let body = vec![1; 10_000];
    for n in 0..2_000 {
        rig.put(n, &[7, 100 + n], &body);
    }
    let status = rig.store.status();
    assert!(status.memory_bytes <= 4 * MIB, "{status:?}");
    assert!(status.objects_memory > 200, "{status:?}");
    assert_eq!(status.objects, status.objects_memory);
    assert_eq!(status.evictions_memory, 2_000 - status.objects_memory);
    assert_eq!(rig.shared().purges.live(7), status.objects);
}

#[test]
fn eight_mebibytes_fit_into_a_tier_of_256_with_and_without_a_disk() {
    let folder = tempfile::tempdir().unwrap();
    let body = Bytes::from(vec![1; 8 << 20]);
    let rig = Rig::open(&plan(256 * MIB, None));
    let filled = rig.store.plan_fill(key(1), Some(8 * MIB)).unwrap();
    assert!(filled.memory_bytes_max >= 8 * MIB && !filled.may_spill);
    assert!(rig.store.admit(key(1), meta(1, &[], 1), body).is_some());
    assert!(rig.get(1).is_some());

    let rig = Rig::open(&plan(256 * MIB, Some((folder.path(), 256 * MIB))));
    let filled = rig.store.plan_fill(key(1), Some(8 * MIB)).unwrap();
    assert_eq!((filled.memory_bytes_max, filled.may_spill), (MIB, true));
}

#[test]
fn what_is_too_large_is_refused_before_it_is_fetched() {
    let mut plan = plan(16 * MIB, None);
    plan.max_object = MIB;
    let rig = Rig::open(&plan);
    assert_eq!(rig.store.plan_fill(key(1), Some(MIB + 1)), Err(NotKept::TooLarge));
    assert_eq!(rig.store.plan_fill(key(1), Some(MIB)).unwrap().length_max, MIB);
    assert!(rig.store.draft().is_none());
    assert!(rig.put(1, &[], &vec![0; (MIB + 1) as usize]).is_none());
    assert!(rig.put(1, &[], &vec![0; MIB as usize]).is_some());
}

#[test]
fn a_smaller_memory_forgets_what_does_not_fit_and_a_larger_one_nothing() {
    let rig = Rig::open(&plan(16 * MIB, None));
    for n in 0..1_000 {
        rig.put(n, &[7], &[1; 10_000]);
    }
    assert_eq!(rig.store.status().objects, 1_000);
    rig.store.resize(&plan(32 * MIB, None));
    assert_eq!(rig.store.status().objects, 1_000);
    rig.store.resize(&plan(4 * MIB, None));
    let status = rig.store.status();
    assert!(
        status.memory_bytes <= 4 * MIB && status.objects > 200,
        "{status:?}"
    );
    assert_eq!(status.objects, status.objects_memory);
    assert_eq!(rig.shared().purges.live(7), status.objects);
}

#[test]
fn a_validated_object_has_its_new_head_at_once_and_its_old_body() {
    let rig = Rig::open(&plan(16 * MIB, None));
    let old = rig.put(1, &[7], b"one").unwrap();
    let mut new = meta(1, &[8], rig.store.serial());
    new.status = 203;
    rig.store.freshen(&old, new.clone());
    assert_eq!(rig.get(1).unwrap().object.meta.status, 203);
    assert_eq!(rig.body(1).unwrap(), b"one");
    assert_eq!((rig.shared().purges.live(7), rig.shared().purges.live(8)), (0, 1));
    rig.put(1, &[7], b"two").unwrap();
    rig.store.freshen(&old, new);
    assert_eq!(rig.body(1).unwrap(), b"two", "the old one was replaced meanwhile");
}

#[test]
fn what_clients_hold_of_what_has_left_memory_is_bounded() {
    let rig = Rig::open(&plan(8 * MIB, None));
    let body = vec![1; MIB as usize / 2];
    // Each is held by a client that reads slowly, whether it was evicted or not.
    let held: Vec<_> = (0..100).filter_map(|n| rig.put(n, &[], &body)).collect();
    let bytes = held.len() as u64 * MIB / 2;
    assert!(
        bytes > 16 * MIB && bytes <= 17 * MIB,
        "{bytes} bytes of 50 MiB are held"
    );
    assert!(rig.put(200, &[], &body).is_none());
    drop(held);
    assert!(rig.put(200, &[], &body).is_some());
}
