//! What is found after a restart.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::cache::disk::BLOCK;

#[test]
fn a_restart_finds_what_was_written() {
    let place = Place::new();
    let folder = place.open(1);
    let first = folder.first_generation();
    let mut written = BTreeMap::new();
    for number in 0..50 {
        let meta = meta(&"x".repeat(number as usize * 300));
        let location = folder.write(
            key(number),
            first + number as u64,
            &meta,
            &body(number as usize * 3000),
        );
        written.insert(key(number), (location.unwrap(), record(&meta)));
    }
    // Its own objects are not told to the start that wrote them.
    assert_eq!(scan(&folder).0, Tally::default());
    drop(folder);
    let (tally, found) = scan(&place.open(2));
    assert_eq!(
        tally,
        Tally {
            found: 50,
            ..Tally::default()
        }
    );
    assert!(found.iter().all(|found| found.modified_ms > 1_600_000_000_000));
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|found| (found.key, (found.location, record(&found.meta))))
        .collect();
    assert_eq!(found, written);
}

#[test]
fn shards_together_are_the_whole() {
    let place = Place::new();
    let folder = place.open(1);
    for number in 0..40u128 {
        let key = Key {
            primary: number << 120 | number << 113,
            variance: 0,
        };
        folder.write(key, 1, &meta("a"), b"").unwrap();
    }
    drop(folder);
    let folder = place.open(2);
    let mut sum = Tally::default();
    let mut keys = Vec::new();
    for part in [0..10, 10..11, 11..SHARDS] {
        sum += folder.scan(part, |found| {
            keys.push(found.key);
            ControlFlow::Continue(())
        });
    }
    keys.sort_unstable();
    keys.dedup();
    assert_eq!((sum.found, keys.len()), (40, 40));
}

#[test]
fn a_scan_ends_when_it_is_told_to() {
    let place = Place::new();
    let folder = place.open(1);
    for number in 0..10 {
        folder.write(key(number), 1, &meta("a"), b"").unwrap();
    }
    drop(folder);
    let mut seen = 0;
    let tally = place.open(2).scan(0..SHARDS, |_| {
        seen += 1;
        if seen == 3 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!((seen, tally.found), (3, 3));
}

#[test]
fn the_newest_sound_version_wins_and_the_others_go() {
    let place = Place::new();
    let folder = place.open(1);
    for generation in 1..=4 {
        folder
            .write(key(1), generation, &meta(&generation.to_string()), b"body")
            .unwrap();
    }
    drop(folder);
    overwrite(&place.file(key(1), 4), 70, &[0; 400]);
    let folder = place.open(2);
    let (tally, found) = scan(&folder);
    assert_eq!(
        tally,
        Tally {
            found: 1,
            damaged: 1,
            superseded: 2,
            ..Tally::default()
        }
    );
    assert_eq!(&found[0].meta.key_text[..], b"3");
    assert_eq!(
        open_and_read(&folder, key(1), &found[0].location).unwrap().1,
        b"body"
    );
    let left = (1..=4).filter(|generation| place.file(key(1), *generation).exists());
    assert_eq!(left.collect::<Vec<_>>(), [3]);
}

#[test]
fn a_version_of_this_start_supersedes_what_is_found() {
    let place = Place::new();
    place.open(1).write(key(1), 1, &meta("old"), b"old").unwrap();
    let folder = place.open(2);
    let location = folder
        .write(key(1), folder.first_generation(), &meta("new"), b"new")
        .unwrap();
    let (tally, found) = scan(&folder);
    assert_eq!(
        (tally, found.len()),
        (
            Tally {
                superseded: 1,
                ..Tally::default()
            },
            0
        )
    );
    assert!(!place.file(key(1), 1).exists());
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, b"new");
}

#[test]
fn variants_of_a_key_are_objects_of_their_own() {
    let place = Place::new();
    let folder = place.open(1);
    for variance in 0..3 {
        let key = Key { variance, ..key(1) };
        folder
            .write(key, 1, &meta(&variance.to_string()), b"body")
            .unwrap();
    }
    drop(folder);
    assert_eq!(scan(&place.open(2)).0.found, 3);
}

#[test]
fn drafts_of_a_killed_process_are_swept_and_those_in_use_are_not() {
    let place = Place::new();
    let folder = place.open(1);
    let draft = folder.draft().unwrap();
    draft.append(&body(BLOCK + 1)).unwrap();
    // A kill runs no destructor: what it leaves is a copy under the same name.
    let drafts = place.path().join("drafts");
    let left = fs::read_dir(&drafts).unwrap().next().unwrap().unwrap().path();
    let bytes = fs::read(&left).unwrap();
    drop((draft, folder));
    fs::write(&left, bytes).unwrap();
    let theirs = drafts.join("somebody's notes");
    fs::write(&theirs, "").unwrap();
    fs::create_dir(drafts.join(format!("{:016x}-{:016x}", 5, 5))).unwrap();

    let folder = place.open(2);
    let draft = folder.draft().unwrap();
    draft.append(b"body").unwrap();
    assert_eq!(folder.sweep_drafts().unwrap(), 1);
    assert!(!left.exists() && theirs.exists());
    assert_eq!(scan(&folder).0, Tally::default());
    let (location, _) = draft.finish(key(1), 1, &meta("a")).unwrap();
    assert_eq!(open_and_read(&folder, key(1), &location).unwrap().1, b"body");
}

#[test]
fn what_is_not_ours_is_left_and_counted() {
    let place = Place::new();
    let folder = place.open(1);
    folder.write(key(1), 1, &meta("a"), b"body").unwrap();
    let file = place.file(key(1), 1);
    let leaf = file.parent().unwrap();
    let name = file.file_name().unwrap().to_str().unwrap();
    let others = [
        "notes.txt".to_owned(),
        name.to_uppercase(),
        name[1..].to_owned(),
        format!("{name}~"),
        // The name of an object whose place is elsewhere.
        format!("f{}", &name[1..]),
    ];
    for other in &others {
        fs::copy(&file, leaf.join(other)).unwrap();
    }
    drop(folder);
    let (tally, _) = scan(&place.open(2));
    assert_eq!(
        tally,
        Tally {
            found: 1,
            foreign: others.len() as u64,
            ..Tally::default()
        }
    );
    assert!(others.iter().all(|other| leaf.join(other).exists()));
}

#[test]
fn a_long_record_is_found_too() {
    let place = Place::new();
    let folder = place.open(1);
    let long = meta(&"k".repeat(200_000));
    let location = folder.write(key(1), 1, &long, &body(100)).unwrap();
    drop(folder);
    let (_, found) = scan(&place.open(2));
    assert_eq!(
        (found[0].location, record(&found[0].meta)),
        (location, record(&long))
    );
}

/// What a process does to a key between two restarts.
#[derive(Clone, Copy, Debug)]
enum Act {
    Write(u8),
    Draft(u8),
    Append(u8),
    Remove(u8),
    Restart,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0..4u8).prop_map(Act::Write),
        2 => (0..4u8).prop_map(Act::Draft),
        3 => (0..4u8).prop_map(Act::Append),
        2 => (0..4u8).prop_map(Act::Remove),
        1 => Just(Act::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn a_restart_at_any_time_finds_what_an_index_would_hold(acts in proptest::collection::vec(act(), 1..40)) {
        let place = Place::new();
        let mut start = 1;
        let mut folder = place.open(start);
        let mut index: BTreeMap<u8, (Location, String)> = BTreeMap::new();
        let mut versions: BTreeMap<u8, Vec<u64>> = BTreeMap::new();
        for (step, act) in acts.into_iter().chain([Act::Restart]).enumerate() {
            let (text, generation) = (step.to_string(), folder.first_generation() + step as u64);
            let key_of = |number: u8| key(number.into());
            match act {
                Act::Write(n) => {
                    let new = folder.write(key_of(n), generation, &meta(&text), text.as_bytes()).unwrap();
                    index.insert(n, (new, text));
                    versions.entry(n).or_default().push(generation);
                }
                Act::Draft(n) => {
                    let draft = folder.draft().unwrap();
                    draft.append(text.as_bytes()).unwrap();
                    let (new, _) = draft.finish(key_of(n), generation, &meta(&text)).unwrap();
                    index.insert(n, (new, text));
                    versions.entry(n).or_default().push(generation);
                }
                Act::Append(n) => if let Some((location, _)) = index.get_mut(&n) {
                    *location = folder.append_meta(key_of(n), location, &meta(&text)).unwrap();
                },
                Act::Remove(n) => if let Some((location, _)) = index.remove(&n) {
                    prop_assert!(folder.remove(key_of(n), location.generation).unwrap());
                    // A removed key would come back with a version that was not removed when it was replaced.
                    for old in versions.remove(&n).into_iter().flatten() {
                        folder.remove(key_of(n), old).unwrap();
                    }
                },
                Act::Restart => {
                    drop(folder);
                    start += 1;
                    folder = place.open(start);
                    let found: BTreeMap<Key, Location> =
                        scan(&folder).1.into_iter().map(|found| (found.key, found.location)).collect();
                    let expected: BTreeMap<Key, Location> =
                        index.iter().map(|(n, (location, _))| (key_of(*n), *location)).collect();
                    prop_assert_eq!(found, expected);
                }
            }
            for (n, (location, text)) in &index {
                let (_, body) = open_and_read(&folder, key(u128::from(*n)), location).unwrap();
                prop_assert_eq!(body, text.as_bytes());
            }
        }
    }
}
