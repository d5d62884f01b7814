//! Objects that are written and read as they should be.

use super::*;
use crate::cache::disk::{BLOCK, DiskFault, META_MAX};

#[test]
fn what_was_written_is_read_back_whole_and_by_blocks() {
    let place = Place::new();
    let folder = place.open(1);
    for (number, length) in [0, 1, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK + 17]
        .into_iter()
        .enumerate()
    {
        let (key, body) = (key(number as u128), body(length));
        let location = folder.write(key, 5, &meta("a"), &body).unwrap();
        assert_eq!(location.body_length, length as u64);
        assert_eq!(location.blocks(), length.div_ceil(BLOCK) as u64);
        assert_eq!(
            fs::metadata(place.file(key, 5)).unwrap().len(),
            location.file_length
        );
        let stored = folder.open_object(key, &location).unwrap();
        let (whole_meta, whole) = stored.read_whole(true).unwrap().unwrap();
        let (block_meta, blocks) = read_all(&stored).unwrap();
        assert_eq!((&whole[..], &blocks[..]), (&body[..], &body[..]));
        assert_eq!(record(&whole_meta), record(&meta("a")));
        assert_eq!(record(&block_meta), record(&meta("a")));
    }
}

#[test]
fn a_read_that_may_not_wait_gives_the_same_or_nothing() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), &body(BLOCK * 2)).unwrap();
    let Some(stored) = folder.open_object_now(key(1), &location).unwrap() else {
        return;
    };
    if let Some((_, whole)) = stored.read_whole(false).unwrap() {
        assert_eq!(whole, body(BLOCK * 2));
    }
    if let Some(block) = stored.read_block(1, false).unwrap() {
        assert_eq!(block, body(BLOCK * 2)[BLOCK..]);
    }
}

#[test]
fn a_removed_object_is_gone_and_can_be_read_by_who_has_it_open() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let stored = folder.open_object(key(1), &location).unwrap();
    assert!(folder.remove(key(1), 1).unwrap());
    assert!(!folder.remove(key(1), 1).unwrap());
    assert!(matches!(
        folder.open_object(key(1), &location),
        Err(ReadFault::Gone)
    ));
    assert_eq!(read_all(&stored).unwrap().1, b"body");
}

#[test]
fn versions_of_a_key_stand_side_by_side() {
    let place = Place::new();
    let folder = place.open(1);
    let old = folder.write(key(1), 1, &meta("old"), b"old").unwrap();
    let new = folder.write(key(1), 2, &meta("new"), b"new").unwrap();
    assert_eq!(open_and_read(&folder, key(1), &old).unwrap().1, b"old");
    assert_eq!(open_and_read(&folder, key(1), &new).unwrap().1, b"new");
    let again = folder.write(key(1), 2, &meta("again"), b"again").unwrap_err();
    assert_eq!(again.kind(), std::io::ErrorKind::AlreadyExists);
    assert_eq!(open_and_read(&folder, key(1), &new).unwrap().1, b"new");
}

#[test]
fn a_meta_beyond_the_limit_is_refused_and_leaves_nothing() {
    let place = Place::new();
    let folder = place.open(1);
    let huge = "x".repeat(META_MAX);
    let error = folder.write(key(1), 1, &meta(&huge), b"body").unwrap_err();
    assert_eq!(DiskFault::of(&error), DiskFault::TooLarge);
    assert!(!place.file(key(1), 1).exists());
    let draft = folder.draft().unwrap();
    let error = draft.finish(key(1), 1, &meta(&huge)).unwrap_err();
    assert_eq!(DiskFault::of(&error), DiskFault::TooLarge);
    drop(draft);
    assert_eq!(place.drafts(), 0);
}

#[test]
fn a_rewritten_object_has_the_old_body_and_the_new_meta() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(2 * BLOCK + 5);
    let old = folder.write(key(1), 1, &meta("old"), &body).unwrap();
    let (new, stored) = folder.rewrite(key(1), &old, 2, &meta("new")).unwrap();
    assert_eq!(read_all(&stored).unwrap().1, body);
    let (read_meta, read_body) = open_and_read(&folder, key(1), &new).unwrap();
    assert_eq!((&read_meta.key_text[..], read_body), (&b"new"[..], body.clone()));
    assert_eq!(open_and_read(&folder, key(1), &old).unwrap().1, body);
}

#[test]
fn a_folder_emptied_by_hand_goes_on() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"a").unwrap();
    assert!(folder.is_ours());
    for entry in fs::read_dir(place.path())
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        _ = fs::remove_dir_all(&entry).or_else(|_| fs::remove_file(&entry));
    }
    assert!(!folder.is_ours());
    assert!(matches!(
        folder.open_object(key(1), &location),
        Err(ReadFault::Gone)
    ));
    let draft = folder.draft().unwrap();
    draft.append(b"b").unwrap();
    let (location, _) = draft.finish(key(1), 2, &meta("b")).unwrap();
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, b"b");
}

#[test]
fn free_bytes_are_told() {
    let place = Place::new();
    let folder = place.open(1);
    assert!(folder.free_bytes().unwrap() > 0);
    assert!(crate::cache::disk::free_bytes(&place.path()).unwrap() > 0);
    assert!(crate::cache::disk::free_bytes(&place.path().join("nowhere")).is_err());
}
