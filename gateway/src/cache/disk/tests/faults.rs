//! Disks that refuse.

use std::io::{IoSlice, IoSliceMut};

use rustix::io::Errno;

use super::*;
use crate::cache::disk::bytes::{Reading, read_at, write_at};
use crate::cache::disk::{Damage, DiskFault};

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
