//! New meta records behind a body that stays.

use super::*;
use crate::cache::disk::{AppendFault, BLOCK, Damage, RewriteFault};

#[test]
fn an_appended_record_is_read_and_the_old_one_still_is() {
    let place = Place::new();
    let folder = place.open(1);
    let body = body(BLOCK + 9);
    let old = folder.write(key(1), 1, &meta("old"), &body).unwrap();
    let reader = folder.open_object(key(1), &old).unwrap();
    let new = folder.append_meta(key(1), &old, &meta("a new one")).unwrap();
    assert!(new.file_length > old.file_length);
    let stored = folder.open_object(key(1), &new).unwrap();
    assert_eq!(
        record(&stored.meta(true).unwrap().unwrap()),
        record(&meta("a new one"))
    );
    let (whole_meta, whole) = stored.read_whole(true).unwrap().unwrap();
    assert_eq!(
        (record(&whole_meta), &whole[..]),
        (record(&meta("a new one")), &body[..])
    );
    assert_eq!(read_all(&stored).unwrap().1, body);
    let (old_meta, old_body) = read_all(&reader).unwrap();
    assert_eq!((record(&old_meta), old_body), (record(&meta("old")), body));
}

#[test]
fn only_the_last_location_can_be_appended_to() {
    let place = Place::new();
    let folder = place.open(1);
    let old = folder.write(key(1), 1, &meta("old"), b"body").unwrap();
    let new = folder.append_meta(key(1), &old, &meta("new")).unwrap();
    let late = folder.append_meta(key(1), &old, &meta("late")).unwrap_err();
    assert!(matches!(late, AppendFault::Outdated));
    assert_eq!(
        &open_and_read(&folder, key(1), &new).unwrap().0.key_text[..],
        b"new"
    );
}

#[test]
fn after_many_records_the_object_is_to_be_rewritten() {
    let place = Place::new();
    let folder = place.open(1);
    let mut location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let mut appended = 0;
    let fault = loop {
        match folder.append_meta(key(1), &location, &meta("a")) {
            Ok(next) => (location, appended) = (next, appended + 1),
            Err(fault) => break fault,
        }
    };
    assert!(matches!(fault, AppendFault::Crowded));
    assert!((100..1000).contains(&appended), "{appended}");
    let (new, _) = folder.rewrite(key(1), &location, 2, &meta("b")).unwrap();
    assert!(new.file_length < 1000);
    folder.append_meta(key(1), &new, &meta("c")).unwrap();
}

#[test]
fn nothing_is_appended_to_a_file_that_is_gone_or_damaged() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    overwrite(&place.file(key(1), 1), location.file_length - 20, b"x");
    let fault = folder.append_meta(key(1), &location, &meta("b")).unwrap_err();
    assert!(matches!(
        fault,
        AppendFault::Stored(ReadFault::Damaged(Damage::Tail))
    ));
    folder.remove(key(1), 1).unwrap();
    let fault = folder.append_meta(key(1), &location, &meta("b")).unwrap_err();
    assert!(matches!(fault, AppendFault::Stored(ReadFault::Gone)));
}

#[test]
fn a_damaged_body_is_not_copied() {
    let place = Place::new();
    let folder = place.open(1);
    let location = folder.write(key(1), 1, &meta("a"), &body(BLOCK * 2)).unwrap();
    overwrite(&place.file(key(1), 1), 64 + BLOCK as u64 + 10, b"xyz");
    let fault = folder.rewrite(key(1), &location, 2, &meta("b")).unwrap_err();
    assert!(matches!(
        fault,
        RewriteFault::Stored(ReadFault::Damaged(Damage::Block(1)))
    ));
    assert_eq!(place.drafts(), 0);
    assert!(!place.file(key(1), 2).exists());
}

/// As a kill in the middle of the write leaves it.
#[test]
fn a_torn_append_makes_the_file_damaged_wherever_it_is_torn() {
    let place = Place::new();
    let folder = place.open(1);
    let old = folder.write(key(1), 1, &meta("old"), b"body").unwrap();
    let new = folder.append_meta(key(1), &old, &meta("new")).unwrap();
    let bytes = fs::read(place.file(key(1), 1)).unwrap();
    drop(folder);
    let mut start = 1;
    for length in old.file_length..=new.file_length {
        start += 1;
        fs::write(place.file(key(1), 1), &bytes[..length as usize]).unwrap();
        let (tally, found) = scan(&place.open(start));
        let expected = match length {
            // Torn before its first byte, or not at all.
            _ if length == old.file_length => Some(old),
            _ if length == new.file_length => Some(new),
            _ => None,
        };
        assert_eq!(found.first().map(|found| found.location), expected, "{length}");
        assert_eq!(tally.damaged, u64::from(expected.is_none()));
        assert_eq!(place.file(key(1), 1).exists(), expected.is_some());
    }
}
