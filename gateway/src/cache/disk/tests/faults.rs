//! Disks that refuse.

use std::io::{IoSlice, IoSliceMut};

use rustix::fs::{MemfdFlags, SealFlags};
use rustix::io::Errno;

use super::*;
use crate::cache::disk::bytes::{Reading, read_at, write_at};
use crate::cache::disk::{AppendFault, BLOCK, Damage, DiskFault};

#[test]
fn errors_of_the_system_are_told_apart() {
    let faults = [
        (Errno::NOSPC, DiskFault::Full),
        (Errno::DQUOT, DiskFault::Full),
        (Errno::ROFS, DiskFault::ReadOnly),
        (Errno::MFILE, DiskFault::Descriptors),
        (Errno::NFILE, DiskFault::Descriptors),
        (Errno::ACCESS, DiskFault::Denied),
        (Errno::NOENT, DiskFault::Gone),
        (Errno::FBIG, DiskFault::TooLarge),
        (Errno::IO, DiskFault::Io),
    ];
    for (errno, fault) in faults {
        assert_eq!(DiskFault::of(&errno.into()), fault);
    }
    assert_eq!(
        DiskFault::of(&std::io::ErrorKind::WriteZero.into()),
        DiskFault::Io
    );
    let mut words = DiskFault::ALL.map(DiskFault::word).to_vec();
    words.sort_unstable();
    words.dedup();
    assert_eq!(words.len(), DiskFault::ALL.len());
}

#[test]
fn a_full_disk_is_an_error_with_its_name() {
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let error = write_at(&full, &mut [IoSlice::new(b""), IoSlice::new(b"x")], 10).unwrap_err();
    assert_eq!(DiskFault::of(&error), DiskFault::Full);
}

#[test]
fn faults_of_reading_are_told_apart() {
    let words = [
        (Errno::NOENT, "gone"),
        (Errno::LOOP, "damaged"),
        (Errno::ISDIR, "damaged"),
        (Errno::IO, "io"),
        (Errno::MFILE, "io"),
    ];
    for (errno, word) in words {
        let fault = ReadFault::of(errno.into());
        assert_eq!((fault.word(), fault.is_lost()), (word, word == "damaged"));
    }
    assert!(ReadFault::Foreign.is_lost());
    assert_eq!(
        ReadFault::Damaged(Damage::Block(3)).to_string(),
        "block 3 of its body is damaged"
    );
}

#[test]
fn reads_fill_every_buffer_or_say_that_the_file_is_short() {
    let place = Place::new();
    let path = place.root.path().join("file");
    fs::write(&path, b"0123456789").unwrap();
    let file = fs::File::open(&path).unwrap();
    let (mut a, mut none, mut b) = ([0; 3], [], [0; 4]);
    let mut parts = [
        IoSliceMut::new(&mut a),
        IoSliceMut::new(&mut none),
        IoSliceMut::new(&mut b),
    ];
    assert_eq!(read_at(&file, &mut parts, 2, true).unwrap(), Reading::Full);
    assert_eq!((&a, &b), (b"234", b"5678"));
    assert_eq!(
        read_at(&file, &mut [IoSliceMut::new(&mut b)], 7, true).unwrap(),
        Reading::Short
    );
    assert_eq!(
        read_at(&file, &mut [IoSliceMut::new(&mut b)], 7, false).unwrap(),
        Reading::Waits
    );
    assert_eq!(read_at(&file, &mut [], 7, true).unwrap(), Reading::Full);
}

/// A pipe knows no offsets, whatever the flag: neither a panic nor a wait.
#[test]
fn reads_of_what_is_no_file_are_errors() {
    let (reader, _writer) = std::io::pipe().unwrap();
    let mut buf = [0; 4];
    for may_wait in [true, false] {
        assert!(read_at(&reader, &mut [IoSliceMut::new(&mut buf)], 0, may_wait).is_err());
    }
}

/// A file that cannot grow, as on a disk that is full: it refuses with EPERM, where a disk says ENOSPC.
fn sealed(bytes: &[u8]) -> std::os::fd::OwnedFd {
    let file = rustix::fs::memfd_create("sealed", MemfdFlags::ALLOW_SEALING | MemfdFlags::CLOEXEC).unwrap();
    write_at(&file, &mut [IoSlice::new(bytes)], 0).unwrap();
    rustix::fs::fcntl_add_seals(&file, SealFlags::GROW).unwrap();
    file
}

#[test]
fn an_append_that_fails_leaves_the_object_as_it_was() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let file = sealed(&fs::read(place.file(key(1), 1)).unwrap());
    let stored = StoredFile::open(file, SEED, key(1), location).unwrap();
    assert!(matches!(stored.append(&meta("b")), Err(AppendFault::Disk(_))));
    let (read_meta, read_body) = read_all(&stored).unwrap();
    assert_eq!(
        (record(&read_meta), &read_body[..]),
        (record(&meta("a")), &b"body"[..])
    );
    // Not outdated: nothing of the attempt is left behind the tail.
    assert!(matches!(stored.append(&meta("b")), Err(AppendFault::Disk(_))));
}

#[test]
fn an_append_that_fails_leaves_the_draft_as_it_was() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(BLOCK + 10);
    let mut draft = folder.draft().unwrap();
    draft.append(&body[..100]).unwrap();
    let mut bytes = vec![0; 64];
    bytes.extend_from_slice(&body[..100]);
    let grows = std::mem::replace(&mut draft.file, sealed(&bytes));
    assert!(draft.append(&body[100..]).is_err());
    assert!(draft.finish(key(1), 1, &meta("a")).is_err());
    assert!(!place.file(key(1), 1).exists());
    let mut read = [0; 200];
    assert_eq!(draft.read_at(0, &mut read, true).unwrap(), Some(100));
    assert_eq!((draft.length(), &read[..100]), (100, &body[..100]));
    // Room again, and the same bytes once more.
    draft.file = grows;
    draft.append(&body[100..]).unwrap();
    let (location, _) = draft.finish(key(1), 1, &meta("a")).unwrap();
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, body);
}

#[test]
fn a_draft_that_cannot_be_cut_takes_no_more() {
    let place = Place::new();
    let mut draft = place.open(1).draft().unwrap();
    let full = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .open("/dev/full")
        .unwrap();
    let whole = std::mem::replace(&mut draft.file, full.into());
    let error = draft.append(b"body").unwrap_err();
    assert_eq!(DiskFault::of(&error), DiskFault::Full);
    draft.file = whole;
    assert!(draft.append(b"body").is_err());
    assert!(draft.finish(key(1), 1, &meta("a")).is_err());
    drop(draft);
    assert_eq!(place.drafts(), 0);
}

/// Kernels before 5.6, and sandboxes that refuse openat2.
#[test]
fn all_works_where_paths_are_walked() {
    let place = Place::new();
    let folder = place.open(1);
    folder
        .shared()
        .walks
        .store(true, std::sync::atomic::Ordering::Relaxed);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, b"body");
    assert!(folder.open_object_now(key(1), &location).unwrap().is_none());
    let draft = folder.draft().unwrap();
    draft.append(b"draft").unwrap();
    let (location, _) = draft.finish(key(40), 1, &meta("a")).unwrap();
    assert_eq!(open_and_read(&folder, key(40), &location).unwrap().1, b"draft");
    folder.append_meta(key(40), &location, &meta("b")).unwrap();
    assert!(folder.remove(key(1), 1).unwrap() && !folder.remove(key(1), 1).unwrap());
    let leaf = place.file(key(40), 1).parent().unwrap().to_owned();
    let elsewhere = place.root.path().join("elsewhere");
    fs::rename(&leaf, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &leaf).unwrap();
    assert!(folder.open_object(key(40), &location).unwrap_err().is_lost());
    assert!(folder.remove(key(40), 1).is_err());
}
