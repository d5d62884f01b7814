//! Files that are cut, flipped, swapped or not ours: an error, never a wrong byte.

use std::os::unix::fs::symlink;

use proptest::prelude::*;

use super::*;
use crate::cache::disk::format::{Seal, Tail};
use crate::cache::disk::{BLOCK, Damage};

/// Everything that can be read of a file is what was written, or an error that says the file is lost.
fn check_reads(folder: &Folder, location: &Location, expected_meta: &Meta, expected: &[u8]) {
    let lost = |fault: ReadFault| assert!(fault.is_lost(), "{fault:?}");
    let stored = match folder.open_object(key(1), location) {
        Ok(stored) => stored,
        Err(fault) => return lost(fault),
    };
    match stored.meta(true) {
        Ok(meta) => assert_eq!(record(&meta.unwrap()), record(expected_meta)),
        Err(fault) => lost(fault),
    }
    match stored.read_whole(true) {
        Ok(read) => {
            let (meta, whole) = read.unwrap();
            assert_eq!((record(&meta), &whole[..]), (record(expected_meta), expected));
        }
        Err(fault) => lost(fault),
    }
    for index in 0..location.blocks() {
        let at = index as usize * BLOCK;
        match stored.read_block(index, true) {
            Ok(block) => assert!(block.unwrap() == expected[at..expected.len().min(at + BLOCK)]),
            Err(fault) => lost(fault),
        }
    }
}

#[test]
fn a_file_cut_at_any_byte_is_damaged() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"a small body").unwrap();
    let bytes = fs::read(place.file(key(1), 1)).unwrap();
    drop(folder);
    for length in 0..bytes.len() {
        fs::write(place.file(key(1), 1), &bytes[..length]).unwrap();
        let folder = place.open(2 + length as u64);
        let fault = folder.open_object(key(1), &location).unwrap_err();
        assert!(matches!(fault, ReadFault::Damaged(Damage::Short)));
        let (tally, found) = scan(&folder);
        assert_eq!((tally.damaged, found.len()), (1, 0), "{length}");
        assert!(!place.file(key(1), 1).exists());
    }
}

#[test]
fn a_file_cut_while_it_is_open_is_damaged() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), &body(BLOCK * 3)).unwrap();
    let stored = folder.open_object(key(1), &location).unwrap();
    assert!(stored.read_block(0, true).is_ok());
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.file(key(1), 1))
        .unwrap();
    file.set_len(64 + BLOCK as u64 + 1).unwrap();
    assert!(stored.read_block(0, true).is_ok());
    for fault in [
        stored.read_block(1, true).unwrap_err(),
        stored.meta(true).unwrap_err(),
        stored.read_whole(true).unwrap_err(),
    ] {
        assert!(matches!(fault, ReadFault::Damaged(Damage::Short)));
    }
    // What may not wait does not know whether the rest is missing or not in memory.
    assert!(matches!(stored.read_block(1, false), Ok(None)));
}

#[test]
fn every_bit_of_a_small_file_counts() {
    let place = Place::new();
    let folder = place.open(1);
    let (meta, body) = (meta("a"), b"a small body");
    let location = folder.write(key(1), 1, &meta, body).unwrap();
    let path = place.file(key(1), 1);
    let bytes = fs::read(&path).unwrap();
    drop(folder);
    let folder = place.open(2);
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &flipped).unwrap();
        let stored = folder.open_object(key(1), &location).unwrap();
        let fault = stored.read_whole(true).expect_err("one read checks all of it");
        assert!(fault.is_lost(), "{bit}: {fault:?}");
        check_reads(&folder, &location, &meta, body);
        // The body is not read by a scan; all else is.
        let (tally, found) = scan(&folder);
        let is_body = (64..64 + body.len() + 8).contains(&(bit / 8));
        assert_eq!(
            (tally.damaged, found.len()),
            (u64::from(!is_body), usize::from(is_body)),
            "{bit}"
        );
    }
}

#[test]
fn a_sound_file_of_another_key_or_generation_is_foreign() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(BLOCK + 1);
    folder.write(key(1), 1, &meta("one"), &body).unwrap();
    let location = folder.write(key(2), 1, &meta("two"), &body).unwrap();
    let later = folder.write(key(2), 2, &meta("two"), &body).unwrap();
    for other in [place.file(key(1), 1), place.file(key(2), 2)] {
        fs::copy(other, place.file(key(2), 1)).unwrap();
        let stored = folder.open_object(key(2), &location).unwrap();
        assert!(matches!(stored.read_whole(true), Err(ReadFault::Foreign)));
        assert!(matches!(stored.read_block(0, true), Err(ReadFault::Foreign)));
        assert!(matches!(stored.meta(true), Err(ReadFault::Damaged(Damage::Tail))));
    }
    assert_eq!(open_and_read(&folder, key(2), &later).unwrap().1, body);
}

#[test]
fn a_tail_counts_only_in_its_file_and_at_its_place() {
    let sound = Location {
        generation: 1,
        file_length: 1000,
        body_length: 500,
        meta_length: 300,
    };
    let seal = Seal::new(SEED, key(1), 1);
    let tail = Tail {
        location: sound,
        table_sum: 1,
        meta_sum: 2,
    };
    let bytes = tail.bytes(seal);
    assert_eq!(Tail::parse(&bytes, seal, 1000), Some(tail));
    assert_eq!(Tail::parse(&bytes, seal, 1001), None);
    for other in [
        Seal::new(SEED + 1, key(1), 1),
        Seal::new(SEED, key(2), 1),
        Seal::new(SEED, key(1), 2),
    ] {
        assert_eq!(Tail::parse(&bytes, other, 1000), None);
    }
}

/// An origin that knows the format puts a whole file into its body; then the real ending is cut off.
#[test]
fn a_tail_inside_of_a_body_is_not_believed() {
    let place = Place::new();
    let folder = place.open(1);
    folder.write(key(1), 1, &meta("made up"), b"made up").unwrap();
    let made_up = fs::read(place.file(key(1), 1)).unwrap();
    folder.write(key(1), 2, &meta("real"), &made_up[64..]).unwrap();
    folder.remove(key(1), 1).unwrap();
    drop(folder);
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.file(key(1), 2))
        .unwrap();
    file.set_len(made_up.len() as u64).unwrap();
    let (tally, found) = scan(&place.open(2));
    assert_eq!((tally.damaged, found.len()), (1, 0));
}

#[test]
fn objects_of_another_folder_are_damaged_here() {
    let (here, there) = (Place::new(), Place::new());
    let theirs = Folder::open(&there.path(), || 77).unwrap();
    let location = theirs.write(key(1), 1, &meta("a"), b"body").unwrap();
    let folder = here.open(1);
    folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    fs::copy(there.file(key(1), 1), here.file(key(1), 1)).unwrap();
    assert!(open_and_read(&folder, key(1), &location).unwrap_err().is_lost());
    assert_eq!(scan(&folder).0.damaged, 1);
}

#[test]
fn links_are_not_followed() {
    let (place, outside) = (Place::new(), Place::new());
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let file = place.file(key(1), 1);
    let moved = outside.root.path().join("moved");
    fs::rename(&file, &moved).unwrap();
    symlink(&moved, &file).unwrap();
    let fault = folder.open_object(key(1), &location).unwrap_err();
    assert!(matches!(fault, ReadFault::Damaged(Damage::NotAFile)));
    assert!(matches!(
        folder.open_object_now(key(1), &location),
        Ok(None) | Err(ReadFault::Damaged(_))
    ));
    assert!(folder.append_meta(key(1), &location, &meta("b")).is_err());
    assert_eq!(
        scan(&folder).0,
        Tally {
            foreign: 1,
            ..Tally::default()
        }
    );

    // A folder on the way that is a link.
    let leaf = file.parent().unwrap();
    let elsewhere = outside.root.path().join("leaf");
    fs::remove_file(&file).unwrap();
    fs::rename(&moved, &file).unwrap();
    fs::rename(leaf, &elsewhere).unwrap();
    symlink(&elsewhere, leaf).unwrap();
    let fault = folder.open_object(key(1), &location).unwrap_err();
    assert!(matches!(fault, ReadFault::Damaged(Damage::NotAFile)));
    assert!(folder.remove(key(1), 1).is_err());
    assert!(folder.write(key(1), 2, &meta("a"), b"body").is_err());
    assert!(folder.draft().unwrap().finish(key(1), 2, &meta("a")).is_err());
    assert_eq!(
        scan(&folder).0,
        Tally {
            foreign: 1,
            ..Tally::default()
        }
    );
    assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 1);
}

#[test]
fn folders_and_pipes_named_like_objects_are_no_objects() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let file = place.file(key(1), 1);
    for make in [
        (|path: &Path| fs::create_dir(path).unwrap()) as fn(&Path),
        |path| rustix::fs::mkfifoat(rustix::fs::CWD, path, rustix::fs::Mode::RWXU).unwrap(),
    ] {
        _ = fs::remove_file(&file).or_else(|_| fs::remove_dir(&file));
        make(&file);
        let fault = folder.open_object(key(1), &location).unwrap_err();
        assert!(matches!(fault, ReadFault::Damaged(Damage::NotAFile)), "{fault:?}");
        assert!(folder.append_meta(key(1), &location, &meta("b")).is_err());
        assert_eq!(
            scan(&folder).0,
            Tally {
                foreign: 1,
                ..Tally::default()
            }
        );
        assert!(file.exists());
    }
}

#[test]
fn a_location_that_cannot_be_is_refused_before_anything_is_allocated() {
    let place = Place::new();
    let folder = place.open(1);
    let sound = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    for location in [
        Location {
            body_length: u64::MAX,
            ..sound
        },
        Location {
            body_length: 1 << 60,
            ..sound
        },
        Location {
            body_length: sound.file_length,
            ..sound
        },
        Location {
            meta_length: u32::MAX,
            ..sound
        },
        Location {
            meta_length: sound.meta_length + 1000,
            ..sound
        },
        Location {
            file_length: u64::MAX,
            ..sound
        },
        Location {
            file_length: 0,
            ..sound
        },
        Location {
            file_length: 10,
            body_length: 0,
            meta_length: 0,
            ..sound
        },
    ] {
        assert!(
            folder.open_object(key(1), &location).unwrap_err().is_lost(),
            "{location:?}"
        );
        assert!(
            folder.append_meta(key(1), &location, &meta("b")).is_err(),
            "{location:?}"
        );
        _ = location.meta_at();
    }
}

#[test]
fn a_location_that_is_not_what_the_tail_says_is_refused() {
    let place = Place::new();
    let folder = place.open(1);
    let sound = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    for location in [
        Location {
            body_length: 3,
            ..sound
        },
        Location {
            meta_length: sound.meta_length - 1,
            ..sound
        },
        Location {
            body_length: 0,
            meta_length: 1,
            ..sound
        },
    ] {
        let stored = folder.open_object(key(1), &location).unwrap();
        for fault in [
            stored.meta(true).unwrap_err(),
            stored.read_whole(true).unwrap_err(),
        ] {
            assert!(
                matches!(fault, ReadFault::Damaged(Damage::Tail)),
                "{location:?} {fault:?}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn damage_anywhere_never_gives_a_wrong_byte(
        length in 1usize..3 * BLOCK,
        at in any::<proptest::sample::Index>(),
        noise in proptest::collection::vec(any::<u8>(), 1..200),
        appended in any::<bool>(),
    ) {
        let place = Place::new();
        let folder = place.open(1);
        let (mut meta, body) = (meta("old"), body(length));
        let mut location = folder.write(key(1), 1, &meta, &body).unwrap();
        if appended {
            meta.status = 404;
            location = folder.append_meta(key(1), &location, &meta).unwrap();
        }
        let at = at.index(location.file_length as usize) as u64;
        let noise = &noise[..noise.len().min((location.file_length - at) as usize)];
        overwrite(&place.file(key(1), 1), at, noise);
        check_reads(&folder, &location, &meta, &body);
        drop(folder);
        for found in scan(&place.open(2)).1 {
            prop_assert_eq!(record(&found.meta), record(&meta));
            prop_assert_eq!(found.location, location);
        }
    }

    #[test]
    fn blocks_that_change_places_are_damaged(first in 0u64..4, second in 0u64..4) {
        let place = Place::new();
        let folder = place.open(1);
        let body = body(4 * BLOCK);
        let location = folder.write(key(1), 1, &meta("a"), &body).unwrap();
        let block = &body[second as usize * BLOCK..][..BLOCK];
        overwrite(&place.file(key(1), 1), 64 + first * BLOCK as u64, block);
        check_reads(&folder, &location, &meta("a"), &body);
        let read = folder.open_object(key(1), &location).unwrap().read_block(first, true);
        prop_assert_eq!(read.is_ok(), first == second);
    }
}
