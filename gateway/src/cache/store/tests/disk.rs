//! The disk tier: what goes there, what comes back, what goes wrong.

use std::time::Duration;

use bytes::Bytes;

use super::{MIB, Rig, bytes, copy, disk_bytes, files, key, meta, plan};
use crate::cache::object::Body;
use crate::cache::store::{Loaded, LookUp, NotKept};

#[test]
fn objects_come_back_after_a_restart_without_goodbye() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    let seed = rig.store.seed();
    for n in 0..200 {
        rig.put(n, &[7], &vec![n as u8; n as usize * 50]).unwrap();
    }
    rig.settle();
    copy(folder.path(), other.path());
    let mut rig = Rig::open(&plan(16 * MIB, Some((other.path(), 64 * MIB))));
    assert_eq!(rig.store.seed(), seed);
    assert!(rig.store.status().is_rebuilding);
    // Filled again while the rest is still being found.
    rig.put(5, &[7], b"newer").unwrap();
    rig.settle();
    let status = rig.store.status();
    assert_eq!(
        (status.is_rebuilding, status.objects, status.disk_fault),
        (false, 200, None)
    );
    for n in (0..200).filter(|n| *n != 5) {
        assert_eq!(rig.body(n).unwrap(), vec![n as u8; n as usize * 50]);
    }
    assert_eq!(rig.body(5).unwrap(), b"newer");
    assert_eq!(rig.store.purge(&[7], false).objects, 200);
    rig.settle();
    assert!(files(other.path()).is_empty());
    assert_eq!(rig.store.status().disk_bytes, 0);
}

#[test]
fn a_read_from_disk_brings_small_objects_to_memory_and_large_ones_block_by_block() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(4 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    let large: Vec<u8> = (0..3_000_000u32).map(|n| (n / 7) as u8).collect();
    let draft = rig.store.draft().unwrap();
    for part in large.chunks(100_001) {
        draft.append(part).unwrap();
    }
    let object = rig.store.admit_draft(key(1), meta(1, &[7], 1), &draft).unwrap();
    assert_eq!(bytes(&object), large);
    drop(draft);
    rig.put(2, &[7], b"small").unwrap();
    rig.settle();
    rig.store.resize(&plan(0, Some((folder.path(), 64 * MIB))));
    rig.store.resize(&plan(4 * MIB, Some((folder.path(), 64 * MIB))));
    assert_eq!(rig.store.status().objects_memory, 0);
    let hit = rig.get(1).unwrap();
    assert!(matches!(hit.object.body, Body::File(_)));
    assert_eq!(bytes(&hit.object), large);
    assert_eq!(rig.body(2).unwrap(), b"small");
    assert_eq!(rig.store.status().objects_memory, 1);
    assert!(matches!(rig.store.look_up(key(2), |_| true), LookUp::Hit(_)));
    assert_eq!(rig.store.status().disk_bytes, disk_bytes(folder.path()));
}

#[test]
fn a_ticket_is_worth_nothing_once_its_object_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(4 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    rig.put(1, &[7], b"one").unwrap();
    rig.settle();
    rig.store.resize(&plan(0, Some((folder.path(), 64 * MIB))));
    let LookUp::OnDisk(ticket) = rig.store.look_up(key(1), |_| true) else {
        panic!("it is on disk")
    };
    rig.store.purge(&[7], false);
    assert!(matches!(rig.store.load(&ticket, true, |_| true), Loaded::Nothing));
    rig.settle();
    assert_eq!(rig.store.status().purge_records, 0, "forgotten");
    assert!(matches!(rig.store.load(&ticket, true, |_| true), Loaded::Nothing));
}

#[test]
fn a_damaged_file_is_never_served_and_counted_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(4 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    for n in 0..3 {
        rig.put(n, &[7], &[n as u8; 5_000]).unwrap();
    }
    rig.settle();
    rig.store.resize(&plan(0, Some((folder.path(), 64 * MIB))));
    rig.store.resize(&plan(4 * MIB, Some((folder.path(), 64 * MIB))));
    let all = files(folder.path());
    let mut flipped = std::fs::read(&all[0].0).unwrap();
    flipped[1_000] ^= 4;
    std::fs::write(&all[0].0, flipped).unwrap();
    std::fs::write(&all[1].0, b"short").unwrap();
    std::fs::remove_file(&all[2].0).unwrap();
    assert!((0..3).all(|n| rig.body(n).is_none()));
    assert!((0..3).all(|n| rig.body(n).is_none()));
    let status = rig.store.status();
    assert_eq!((status.damaged, status.objects), (3, 0));
    rig.settle();
    assert!(files(folder.path()).is_empty());
    rig.put(1, &[7], b"again").unwrap();
    assert_eq!(rig.body(1).unwrap(), b"again");
}

#[test]
fn a_folder_in_use_is_taken_up_when_it_is_free_and_knows_what_was_purged_meanwhile() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(4 * MIB, Some((folder.path(), 64 * MIB)));
    let mut first = Rig::open(&plan);
    first.settle();
    first.put(1, &[7], b"one").unwrap();
    first.put(2, &[8], b"two").unwrap();
    first.settle();
    let mut second = Rig::open(&plan);
    let fault = second.store.status().disk_fault.unwrap();
    assert!(fault.contains("in use"), "{fault}");
    second.put(3, &[9], b"three").unwrap();
    assert_eq!(second.body(3).unwrap(), b"three");
    assert!(second.store.draft().is_none());
    let purged = second.store.purge(&[7], false);
    assert!(purged.is_at_least && purged.fault.is_some());
    second.settle();
    drop(first);
    second.settle();
    let status = second.store.status();
    assert_eq!((status.disk_fault, status.objects), (None, 1));
    assert!(second.body(1).is_none(), "purged while the folder was not ours");
    assert_eq!(second.body(2).unwrap(), b"two");
    assert!(second.body(3).is_none(), "its key was hashed with another seed");
    let serial = second.store.serial();
    drop(second);
    let mut third = Rig::open(&plan);
    third.settle();
    assert!(third.store.serial() >= serial);
    assert!(third.body(1).is_none());
}

#[test]
fn the_disk_stays_within_its_limit_and_what_is_used_stays_longer() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(MIB, Some((folder.path(), 4 * MIB))));
    rig.settle();
    for n in 0..1_000 {
        rig.put(n, &[7], &[n as u8; 7_000]).unwrap();
        _ = rig.get(3);
        if n % 20 == 0 {
            rig.settle();
            assert!(disk_bytes(folder.path()) <= 4 * MIB);
            assert_eq!(rig.store.status().disk_bytes, disk_bytes(folder.path()));
        }
    }
    rig.settle();
    let status = rig.store.status();
    assert!(
        status.objects_disk > 400 && status.evictions_disk > 400,
        "{status:?}"
    );
    assert_eq!(rig.body(3).unwrap(), [3; 7_000]);
    assert!(
        rig.shared()
            .index
            .find(key(4))
            .is_none_or(|known| known.location.is_none())
    );
    rig.store.resize(&plan(MIB, Some((folder.path(), MIB))));
    rig.settle();
    assert!(disk_bytes(folder.path()) <= MIB);
    assert!(rig.store.status().objects_disk > 100);
}

#[test]
fn drafts_count_while_they_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(MIB, Some((folder.path(), 8 * MIB))));
    rig.settle();
    let drafts: Vec<_> = (0..8).map(|_| rig.store.draft().unwrap()).collect();
    let mut refused = 0;
    for _ in 0..20 {
        for draft in &drafts {
            refused += u32::from(draft.append(&[1; 100_000]).is_err());
            assert!(disk_bytes(folder.path()) <= 8 * MIB);
            assert!(rig.store.status().disk_bytes <= 8 * MIB);
        }
    }
    assert!(refused > 0);
    let large = &drafts[0];
    while large.append(&[1; 4_000]).is_ok() {}
    assert!(large.length() <= 2 * MIB, "no object takes more than a quarter");
    drop(drafts);
    assert_eq!(rig.store.status().disk_bytes, 0);
    assert!(files(folder.path()).is_empty());
}

#[test]
fn an_answer_goes_to_disk_when_it_was_asked_for_often_enough() {
    let folder = tempfile::tempdir().unwrap();
    let mut plan = plan(16 * MIB, Some((folder.path(), 64 * MIB)));
    plan.min_uses = 3;
    let mut rig = Rig::open(&plan);
    rig.settle();
    let fill = |rig: &Rig| {
        rig.store.plan_fill(key(1), Some(3)).unwrap();
        rig.put(1, &[], b"one").unwrap();
    };
    fill(&rig);
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 0);
    _ = rig.get(1);
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 0);
    _ = rig.get(1);
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 1);
    assert_eq!(
        rig.store.plan_fill(key(2), Some(3 * MIB)),
        Err(NotKept::TooSeldom)
    );
    assert!(!rig.store.plan_fill(key(2), None).unwrap().may_spill);
    assert!(rig.store.plan_fill(key(2), None).unwrap().may_spill);
    for _ in 0..3 {
        // Replaced each time before anybody asks again.
        rig.store.plan_fill(key(3), Some(3)).unwrap();
        rig.put(3, &[], b"x").unwrap();
    }
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 2);
}

#[test]
fn a_validated_object_keeps_its_file_and_its_new_head_survives() {
    let folder = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    let mut object = rig.put(1, &[7], b"one").unwrap();
    rig.settle();
    // More often than fits behind one body: it is written anew in between.
    for status in 203..700 {
        let mut new = meta(1, &[7], rig.store.serial());
        new.status = status;
        object = rig.store.freshen(&object, new);
        rig.settle();
    }
    assert_eq!(rig.store.status().disk_bytes, disk_bytes(folder.path()));
    copy(folder.path(), other.path());
    let mut rig = Rig::open(&plan(16 * MIB, Some((other.path(), 64 * MIB))));
    rig.settle();
    assert_eq!(rig.get(1).unwrap().object.meta.status, 699);
    assert_eq!(rig.body(1).unwrap(), b"one");
}

#[test]
fn a_full_queue_keeps_objects_in_memory_only() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(64 * MIB, Some((folder.path(), 256 * MIB))));
    rig.settle();
    let body = Bytes::from(vec![1; 500_000]);
    for n in 0..20 {
        assert!(rig.store.admit(key(n), meta(n, &[], 1), body.clone()).is_some());
    }
    let status = rig.store.status();
    assert!(
        status.skipped_writes > 10 && status.queued_bytes <= 2 * MIB,
        "{status:?}"
    );
    rig.settle();
    let status = rig.store.status();
    assert_eq!(status.objects_disk + status.skipped_writes, 20);
    assert_eq!(status.objects, 20);
}

#[test]
fn threads_do_all_this_by_themselves_and_end_with_the_store() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(16 * MIB, Some((folder.path(), 64 * MIB)));
    let clock = crate::kit::clock::Clock::manual(Duration::from_secs(1));
    for round in 0..3 {
        let store = crate::cache::store::Store::open(&plan, 1, clock.clone());
        assert_eq!(
            store.status().disk_fault,
            None,
            "round {round}: the lock is free again"
        );
        let mark = store.begin_fill();
        store
            .admit(
                key(round),
                meta(round, &[7], mark.serial()),
                Bytes::from_static(b"x"),
            )
            .unwrap();
    }
    let mut rig = Rig::open(&plan);
    rig.settle();
    assert_eq!(rig.store.status().objects, 3);
}

#[test]
fn a_folder_that_is_deleted_below_us_is_made_anew_and_nothing_of_it_is_served() {
    let parent = tempfile::tempdir().unwrap();
    let folder = parent.path().join("edge");
    let mut rig = Rig::open(&plan(4 * MIB, Some((&folder, 64 * MIB))));
    rig.settle();
    rig.put(1, &[7], b"one").unwrap();
    rig.settle();
    let before = rig.store.seed();
    std::fs::remove_dir_all(&folder).unwrap();
    rig.settle();
    let status = rig.store.status();
    assert_eq!(
        (status.disk_fault, status.objects, status.disk_bytes),
        (None, 0, 0)
    );
    assert_ne!(rig.store.seed(), before);
    assert!(rig.body(1).is_none());
    rig.put(1, &[7], b"new").unwrap();
    rig.settle();
    assert_eq!(rig.store.status().disk_bytes, disk_bytes(&folder));
    assert_eq!(files(&folder).len(), 1);
}

#[test]
fn a_folder_that_cannot_be_written_costs_nothing_but_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, b"not a folder").unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((&file, 64 * MIB))));
    rig.settle();
    assert!(rig.store.status().disk_fault.unwrap().contains("not a folder"));
    assert!(rig.store.plan_fill(key(1), Some(MIB)).unwrap().memory_bytes_max >= MIB);
    rig.put(1, &[7], b"one").unwrap();
    assert_eq!(rig.body(1).unwrap(), b"one");
}

#[test]
fn an_old_head_that_is_read_before_the_new_one_is_written_does_not_stay() {
    let folder = tempfile::tempdir().unwrap();
    let disk = Some((folder.path(), 64 * MIB));
    let mut rig = Rig::open(&plan(16 * MIB, disk));
    rig.settle();
    let old = rig.put(1, &[7], b"one").unwrap();
    rig.settle();
    let mut new = meta(1, &[8], rig.store.serial());
    new.status = 203;
    rig.store.freshen(&old, new);
    rig.store.resize(&plan(0, disk));
    rig.store.resize(&plan(16 * MIB, disk));
    assert_eq!(rig.get(1).unwrap().object.meta.status, 200);
    rig.settle();
    assert_eq!(rig.get(1).unwrap().object.meta.status, 203);
    assert_eq!(rig.store.purge(&[8], false).objects, 1);
    assert!(rig.get(1).is_none());
}

#[test]
fn what_is_not_written_while_the_disk_rests_after_a_fault_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    rig.shared().pause(&std::io::Error::from_raw_os_error(5));
    rig.put(1, &[], b"one").unwrap();
    rig.put(2, &[], b"two").unwrap();
    let status = rig.store.status();
    assert_eq!((status.skipped_writes, status.objects_memory), (2, 2));
    rig.settle();
    rig.put(3, &[], b"three").unwrap();
    rig.settle();
    let status = rig.store.status();
    assert_eq!((status.skipped_writes, status.objects_disk), (2, 1));
}

/// Puts a folder with something in it where a file was: nobody can remove that as a file, the superuser included.
fn obstruct(file: &std::path::Path) {
    std::fs::remove_file(file).unwrap();
    std::fs::create_dir(file).unwrap();
    std::fs::write(file.join("something"), b"x").unwrap();
}

#[test]
fn a_file_that_cannot_be_removed_keeps_none_of_the_others_nor_what_is_to_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let mut rig = Rig::open(&plan(16 * MIB, Some((folder.path(), 64 * MIB))));
    rig.settle();
    for n in 0..20 {
        rig.put(n, &[7], b"old").unwrap();
    }
    rig.settle();
    let all = files(folder.path());
    obstruct(&all[0].0);
    obstruct(&all[19].0);
    assert_eq!(rig.store.purge(&[7], false).objects, 20);
    rig.settle();
    let stuck = [&all[0].0, &all[19].0].map(|folder| folder.join("something"));
    let rest: Vec<_> = files(folder.path()).into_iter().map(|(file, _)| file).collect();
    assert_eq!(rest, stuck);
    let fault = rig.store.status().disk_fault.unwrap();
    assert!(fault.contains("removed"), "{fault}");

    rig.put(50, &[50], b"new").unwrap();
    rig.settle();
    assert_eq!(rig.store.status().objects_disk, 1, "it is written all the same");
    for file in stuck {
        std::fs::remove_file(&file).unwrap();
        std::fs::remove_dir(file.parent().unwrap()).unwrap();
    }
    rig.settle();
    let status = rig.store.status();
    assert_eq!((status.disk_fault, status.purge_records), (None, 0));
    assert_eq!(status.disk_bytes, disk_bytes(folder.path()));
}
