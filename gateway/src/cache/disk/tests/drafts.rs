//! Fills that are read while they are written.

use std::sync::Arc;
use std::thread;

use proptest::prelude::*;

use super::*;
use crate::cache::disk::{BLOCK, Damage};

#[test]
fn a_finished_draft_is_an_object_like_one_written_in_one_go() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(2 * BLOCK + 100);
    let draft = folder.draft().unwrap();
    for piece in body.chunks(7001) {
        draft.append(piece).unwrap();
    }
    assert_eq!(draft.length(), body.len() as u64);
    let (location, stored) = draft.finish(key(1), 1, &meta("a")).unwrap();
    let written = folder.write(key(2), 1, &meta("a"), &body).unwrap();
    assert_eq!(location, written);
    assert_eq!(read_all(&stored).unwrap().1, body);
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, body);
    assert_eq!(place.drafts(), 0);
    drop(draft);
    assert!(place.file(key(1), 1).exists());
}

#[test]
fn an_unfinished_draft_goes_with_its_last_holder() {
    let place = Place::new();
    let folder = place.open(1);
    let draft = Arc::new(folder.draft().unwrap());
    draft.append(b"half").unwrap();
    let follower = draft.clone();
    drop(draft);
    assert_eq!(place.drafts(), 1);
    drop(follower);
    assert_eq!(place.drafts(), 0);
}

#[test]
fn a_follower_reads_what_is_there_and_never_more() {
    let place = Place::new();
    let draft = place.open(1).draft().unwrap();
    let mut buf = [0; 8];
    assert_eq!(draft.read_at(0, &mut buf, true).unwrap(), Some(0));
    draft.append(b"abcde").unwrap();
    assert_eq!(draft.read_at(1, &mut buf, true).unwrap(), Some(4));
    assert_eq!(&buf[..4], b"bcde");
    assert_eq!(draft.read_at(5, &mut buf, true).unwrap(), Some(0));
    assert_eq!(draft.read_at(u64::MAX, &mut buf, true).unwrap(), Some(0));
    // What stands behind the body is not a part of it.
    draft.finish(key(1), 1, &meta("a")).unwrap();
    assert_eq!(draft.read_at(3, &mut buf, true).unwrap(), Some(2));
    assert_eq!(draft.read_at(5, &mut buf, true).unwrap(), Some(0));
}

#[test]
fn a_follower_that_may_not_wait_gets_the_same_or_nothing() {
    let place = Place::new();
    let draft = place.open(1).draft().unwrap();
    draft.append(b"abcde").unwrap();
    let mut buf = [0; 8];
    match draft.read_at(0, &mut buf, false).unwrap() {
        Some(length) => assert_eq!((length, &buf[..length]), (5, &b"abcde"[..])),
        None => assert_eq!(draft.read_at(0, &mut buf, true).unwrap(), Some(5)),
    }
}

#[test]
fn a_finished_draft_takes_no_more() {
    let place = Place::new();
    let draft = place.open(1).draft().unwrap();
    let (location, stored) = draft.finish(key(1), 1, &meta("a")).unwrap();
    assert!(draft.append(b"more").is_err());
    assert!(draft.finish(key(1), 2, &meta("a")).is_err());
    assert_eq!(location.body_length, 0);
    assert_eq!(read_all(&stored).unwrap().1, b"");
}

#[test]
fn a_draft_is_never_put_over_what_is_there_and_can_be_finished_elsewhere() {
    let place = Place::new();
    let folder = place.open(1);
    let other = place.file(key(1), 1);
    fs::create_dir_all(&other).unwrap();
    let draft = folder.draft().unwrap();
    draft.append(b"body").unwrap();
    // The long record of the attempt that fails must not stand behind the tail of the other.
    assert!(draft.finish(key(1), 1, &meta(&"long".repeat(1000))).is_err());
    assert!(other.is_dir());
    draft.append(b" and more").unwrap();
    let (location, _) = draft.finish(key(1), 2, &meta("short")).unwrap();
    assert_eq!(
        fs::metadata(place.file(key(1), 2)).unwrap().len(),
        location.file_length
    );
    assert_eq!(
        open_and_read(&folder, key(1), &location).unwrap().1,
        b"body and more"
    );
}

#[test]
fn a_follower_by_blocks_gets_checked_bytes_from_any_offset() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(2 * BLOCK + 50);
    let draft = folder.draft().unwrap();
    let read = |at: usize| draft.read_block_from(at as u64, true).unwrap().unwrap();
    assert!(read(0).is_empty());
    draft.append(&body[..BLOCK + 20]).unwrap();
    assert_eq!(read(0), body[..BLOCK]);
    assert_eq!(read(100), body[100..BLOCK]);
    assert_eq!(read(BLOCK + 5), body[BLOCK + 5..BLOCK + 20]);
    assert!(read(BLOCK + 20).is_empty() && read(usize::MAX).is_empty());
    draft.append(&body[BLOCK + 20..]).unwrap();
    draft.finish(key(1), 1, &meta("a")).unwrap();
    assert_eq!(read(BLOCK), body[BLOCK..2 * BLOCK]);
    assert_eq!(read(2 * BLOCK + 7), body[2 * BLOCK + 7..]);
    assert!(read(2 * BLOCK + 50).is_empty());
    // What has become of the file below does not reach a reader: full blocks, and the last one since it is finished.
    overwrite(&place.file(key(1), 1), 64 + 10, b"x");
    overwrite(&place.file(key(1), 1), 64 + 2 * BLOCK as u64, b"x");
    for (at, index) in [(0, 0), (11, 0), (2 * BLOCK + 1, 2)] {
        let fault = draft.read_block_from(at as u64, true).unwrap_err();
        assert!(matches!(fault, ReadFault::Damaged(Damage::Block(block)) if block == index));
    }
    assert_eq!(read(BLOCK + 1), body[BLOCK + 1..2 * BLOCK]);
}

#[test]
fn many_follow_while_one_appends() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(5 * BLOCK + 123);
    let draft = Arc::new(folder.draft().unwrap());
    thread::scope(|scope| {
        for step in [1000, 4096, 70_000] {
            let (draft, body) = (draft.clone(), &body);
            scope.spawn(move || {
                let (mut read, mut buf) = (Vec::new(), vec![0; step]);
                while read.len() < body.len() {
                    let length = draft.read_at(read.len() as u64, &mut buf, true).unwrap().unwrap();
                    read.extend_from_slice(&buf[..length]);
                    thread::yield_now();
                }
                assert!(read == *body);
            });
        }
        for _ in 0..2 {
            let (draft, body) = (draft.clone(), &body);
            scope.spawn(move || {
                let mut read = Vec::new();
                while read.len() < body.len() {
                    let block = draft.read_block_from(read.len() as u64, true).unwrap().unwrap();
                    read.extend_from_slice(&block);
                    thread::yield_now();
                }
                assert!(read == *body);
            });
        }
        for piece in body.chunks(3333) {
            draft.append(piece).unwrap();
        }
        let (location, _) = draft.finish(key(1), 1, &meta("a")).unwrap();
        assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, body);
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn the_pieces_a_body_comes_in_do_not_matter(
        pieces in proptest::collection::vec(0usize..100_000, 0..6)
    ) {
        let place = Place::new();
        let folder = place.open(1);
        let body = body(pieces.iter().sum());
        let draft = folder.draft().unwrap();
        let mut rest = &body[..];
        for length in pieces {
            let (piece, after) = rest.split_at(length);
            draft.append(piece).unwrap();
            rest = after;
        }
        let (location, stored) = draft.finish(key(1), 1, &meta("a")).unwrap();
        prop_assert!(read_all(&stored).unwrap().1 == body);
        let (_, whole) = folder.open_object(key(1), &location).unwrap().read_whole(true).unwrap().unwrap();
        prop_assert!(whole == body);
    }
}
