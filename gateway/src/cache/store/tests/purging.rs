//! Purges against objects in memory, on disk, on their way, and after a restart.

use bytes::Bytes;

use super::{MIB, Rig, copy, key, meta, plan};
use crate::cache::store::purges::{Purges, RECORDS_MAX, Reach};

#[test]
fn a_purge_holds_for_the_next_look_up_and_not_for_younger_objects() {
    let rig = Rig::open(&plan(16 * MIB, None));
    rig.put(1, &[7, 101], b"one").unwrap();
    rig.put(2, &[8, 102], b"two").unwrap();
    let purged = rig.store.purge(&[7], false);
    assert_eq!(
        (purged.objects, purged.is_at_least, purged.fault),
        (1, false, None)
    );
    assert!(rig.body(1).is_none());
    assert_eq!(rig.body(2).unwrap(), b"two");
    rig.put(1, &[7, 101], b"new").unwrap();
    assert_eq!(rig.body(1).unwrap(), b"new");
}

#[test]
fn a_soft_purge_leaves_objects_that_know_of_it() {
    let rig = Rig::open(&plan(16 * MIB, None));
    let old = rig.put(1, &[7], b"one").unwrap();
    assert!(!rig.get(1).unwrap().is_soft_purged);
    assert_eq!(rig.store.purge(&[7], true).objects, 1);
    assert!(rig.get(1).unwrap().is_soft_purged);
    rig.store.freshen(&old, meta(1, &[7], rig.store.serial()));
    assert!(!rig.get(1).unwrap().is_soft_purged);
}

#[test]
fn what_a_purge_has_reached_is_not_made_young_by_a_validation_that_began_after_it() {
    let folder = tempfile::tempdir().unwrap();
    for disk in [None, Some((folder.path(), 64 * MIB))] {
        let mut rig = Rig::open(&plan(16 * MIB, disk));
        rig.settle();
        let old = rig.put(1, &[7], b"one").unwrap();
        rig.settle();
        assert_eq!(rig.store.purge(&[7], false).objects, 1);
        let mark = rig.store.begin_fill();
        let confirmed = rig.store.freshen(&old, meta(1, &[7], mark.serial()));
        assert_eq!(super::bytes(&confirmed), b"one");
        assert!(rig.get(1).is_none());
        drop(mark);
        rig.settle();
        assert!(rig.get(1).is_none());
        assert_eq!(rig.store.status().objects, 0);
        // A second one with it in hand finds nothing it could renew, though the purge is forgotten by now.
        assert_eq!(rig.store.status().purge_records, 0);
        rig.store.freshen(&old, meta(1, &[7], rig.store.serial()));
        assert!(rig.get(1).is_none());
    }
}

#[test]
fn a_fill_that_began_before_a_purge_is_reached_by_it() {
    let mut rig = Rig::open(&plan(16 * MIB, None));
    let mark = rig.store.begin_fill();
    assert_eq!(rig.store.fills_in_flight(), 1);
    assert_eq!(rig.store.purge(&[7], false).objects, 0);
    rig.settle();
    assert!(rig.store.reaches(mark.serial(), &[7]));
    assert!(!rig.store.reaches(mark.serial(), &[8]));
    assert!(
        rig.store
            .admit(key(1), meta(1, &[7], mark.serial()), Bytes::new())
            .is_none()
    );
    assert!(
        rig.store
            .admit(key(2), meta(2, &[8], mark.serial()), Bytes::new())
            .is_some()
    );
    drop(mark);
    rig.settle();
    assert_eq!(rig.store.status().purge_records, 0);
}

#[test]
fn a_purge_of_what_nobody_has_leaves_no_trace() {
    let rig = Rig::open(&plan(16 * MIB, None));
    rig.put(1, &[7], b"one").unwrap();
    let serial = rig.store.serial();
    assert_eq!(rig.store.purge(&[8], false).objects, 0);
    assert_eq!(
        (rig.store.serial(), rig.store.status().purge_records),
        (serial, 0)
    );
}

#[test]
fn who_forgets_its_mark_is_not_admitted_once_the_purge_is_forgotten() {
    let mut rig = Rig::open(&plan(16 * MIB, None));
    rig.put(1, &[7], b"one").unwrap();
    let serial = rig.store.begin_fill().serial();
    rig.store.purge(&[7], false);
    rig.settle();
    assert_eq!(rig.store.status().purge_records, 0);
    assert!(
        rig.store
            .admit(key(1), meta(1, &[7], serial), Bytes::new())
            .is_none()
    );
}

#[test]
fn purged_objects_are_counted_once_and_swept() {
    let mut rig = Rig::open(&plan(16 * MIB, None));
    for n in 0..100 {
        rig.put(n, &[7, 7, 8 + n % 2], b"x").unwrap();
    }
    assert_eq!(rig.store.purge(&[8], false).objects, 50);
    assert_eq!(rig.store.purge(&[8], false).objects, 0);
    rig.settle();
    let status = rig.store.status();
    assert_eq!(
        (status.objects, status.objects_memory, status.purge_records),
        (50, 50, 0)
    );
    assert_eq!(rig.store.purge(&[7], false).objects, 50);
}

#[test]
fn objects_on_disk_are_reached_before_and_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    for n in 0..40 {
        rig.put(n, &[n % 4], &[n as u8; 300]).unwrap();
    }
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 40);
    assert_eq!(rig.store.purge(&[1], false).objects, 10);
    assert_eq!(rig.store.purge(&[2], true).objects, 10);
    // Before the sweep: the files are all there.
    copy(folder.path(), other.path());
    let check = |rig: &Rig, at: &str| {
        for n in 0..40 {
            let hit = rig.get(n);
            assert_eq!(hit.is_none(), n % 4 == 1, "{at}: {n}");
            assert_eq!(hit.is_some_and(|hit| hit.is_soft_purged), n % 4 == 2, "{at}: {n}");
        }
    };
    check(&rig, "at once");
    rig.settle();
    check(&rig, "swept");
    assert_eq!(super::files(folder.path()).len(), 30);
    let mut rig = Rig::open(&plan(16 * MIB, Some((other.path(), 64 * MIB))));
    let is_purged = |rig: &Rig| (0..40).all(|n| n % 4 != 1 || rig.get(n).is_none());
    assert!(is_purged(&rig));
    while rig.keeper.step() {
        assert!(is_purged(&rig));
    }
    check(&rig, "after a restart");
    rig.settle();
    check(&rig, "after a restart, swept");
    assert_eq!(rig.store.purge(&[2], true).objects, 10);
}

#[test]
fn a_lost_or_damaged_journal_costs_the_objects_and_revives_none() {
    for is_lost in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let other = tempfile::tempdir().unwrap();
        let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
        rig.settle();
        rig.put(1, &[7], b"one").unwrap();
        rig.settle();
        rig.store.purge(&[7], false);
        copy(folder.path(), other.path());
        let journal = other.path().join("purges");
        match is_lost {
            true => std::fs::remove_file(journal).unwrap(),
            false => {
                let mut bytes = std::fs::read(&journal).unwrap();
                bytes[40] ^= 1;
                std::fs::write(journal, bytes).unwrap();
            }
        }
        let mut rig = Rig::open(&plan(16 * MIB, Some((other.path(), 64 * MIB))));
        rig.settle();
        assert!(rig.body(1).is_none());
        assert_eq!(rig.store.status().objects, 0);
        rig.put(1, &[7], b"new").unwrap();
        assert_eq!(rig.body(1).unwrap(), b"new");
    }
}

#[test]
fn too_many_soft_records_become_one_that_reaches_at_least_as_much() {
    let purges = Purges::default();
    for facet in 0..RECORDS_MAX as u64 + 10 {
        purges.count(1, &[facet]);
        purges.purge(&[facet], true, true, |_| None);
    }
    let needed = (0..RECORDS_MAX as u64 + 10).collect();
    let limit = purges.limit();
    purges.forget(limit, &needed);
    assert!(purges.records() <= RECORDS_MAX / 2 + 10);
    for facet in [0, 17, RECORDS_MAX as u64] {
        assert_eq!(purges.reach(1, &[facet]), Reach::Soft);
    }
    assert_eq!(purges.reach(purges.serial(), &[0]), Reach::Not);
}

#[test]
fn a_purge_of_a_hundred_thousand_objects_writes_one_record() {
    let rig = Rig::open(&plan(256 * MIB, None));
    for n in 0..100_000 {
        rig.put(n, &[7, 100 + n], b"x").unwrap();
    }
    assert_eq!(rig.store.purge(&[7], false).objects, 100_000);
    assert_eq!(rig.store.status().purge_records, 1);
    assert!((0..100_000).all(|n| rig.get(n).is_none()));
}

#[test]
fn the_record_of_a_soft_purge_goes_with_the_last_object_it_reaches() {
    let mut rig = Rig::open(&plan(16 * MIB, None));
    rig.put(1, &[7], b"one").unwrap();
    rig.store.purge(&[7], true);
    rig.settle();
    assert_eq!(rig.store.status().purge_records, 1);
    rig.store.remove(key(1));
    rig.settle();
    assert_eq!(rig.store.status().purge_records, 0);
}
