//! Purges that outlive the process.

use proptest::prelude::*;

use super::*;
use crate::cache::disk::{DiskFault, Journal, JournalContents, RECORDS_MAX, Record};

fn purge(serial: u64) -> Record {
    Record {
        facet: serial * 31,
        serial,
        soft: serial.is_multiple_of(2),
        at_ms: serial + 1_000,
    }
}

fn purges(serials: std::ops::Range<u64>) -> Vec<Record> {
    serials.map(purge).collect()
}

fn reopen(folder: &Folder) -> JournalContents {
    Journal::open(folder).unwrap().1
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let place = Place::new();
    let (mut journal, contents) = Journal::open(&place.open(1)).unwrap();
    assert_eq!(contents, JournalContents::default());
    journal.append(&purges(1..4)).unwrap();
    journal.append(&[]).unwrap();
    journal.append(&purges(4..6)).unwrap();
    journal.unsynced().sync().unwrap();
    assert_eq!((journal.records(), journal.highest_serial()), (5, 5));
    drop(journal);
    let contents = reopen(&place.open(2));
    let expected = JournalContents {
        records: purges(1..6),
        highest_serial: 5,
        is_damaged: false,
    };
    assert_eq!(contents, expected);
}

#[test]
fn a_draft_takes_the_place_of_a_journal_with_what_was_appended_since() {
    let place = Place::new();
    let folder = place.open(1);
    let (mut journal, _) = Journal::open(&folder).unwrap();
    journal.append(&purges(1..10)).unwrap();
    let draft = Journal::draft(&folder, 9, &[purge(2)]).unwrap();
    journal.append(&[purge(10)]).unwrap();
    assert_eq!(
        reopen(&folder).records,
        purges(1..11),
        "until then it is the old one"
    );
    journal.replace(draft, &[purge(10)]).unwrap();
    journal.append(&[purge(11)]).unwrap();
    assert_eq!((journal.records(), journal.highest_serial()), (3, 11));
    let records = vec![purge(2), purge(10), purge(11)];
    assert_eq!(reopen(&folder).records, records);
    journal.unsynced().sync().unwrap();

    let draft = Journal::draft(&folder, 20, &[]).unwrap();
    journal.replace(draft, &[]).unwrap();
    let expected = JournalContents {
        highest_serial: 20,
        ..JournalContents::default()
    };
    assert_eq!(reopen(&folder), expected);
    journal.append(&[purge(21)]).unwrap();
    assert_eq!(reopen(&folder).records, [purge(21)]);
}

#[test]
fn a_draft_that_cannot_take_the_journal_s_place_leaves_it_as_it_was() {
    let place = Place::new();
    let folder = place.open(1);
    let (mut journal, _) = Journal::open(&folder).unwrap();
    journal.append(&purges(1..4)).unwrap();
    let draft = Journal::draft(&folder, 3, &[]).unwrap();
    fs::remove_file(place.path().join("purges.new")).unwrap();
    assert!(journal.replace(draft, &[purge(4)]).is_err());
    journal.append(&[purge(5)]).unwrap();
    assert_eq!(reopen(&folder).records, [purge(1), purge(2), purge(3), purge(5)]);
}

#[test]
fn a_record_torn_at_any_byte_is_dropped_and_the_next_one_stands_in_its_place() {
    let place = Place::new();
    let folder = place.open(1);
    let (mut journal, _) = Journal::open(&folder).unwrap();
    journal.append(&purges(1..4)).unwrap();
    let path = place.path().join("purges");
    let bytes = fs::read(&path).unwrap();
    for torn in 1..40 {
        fs::write(&path, &bytes[..bytes.len() - torn]).unwrap();
        let (mut journal, contents) = Journal::open(&folder).unwrap();
        assert_eq!(
            contents,
            JournalContents {
                records: purges(1..3),
                highest_serial: 2,
                is_damaged: false
            }
        );
        journal.append(&[purge(7)]).unwrap();
        assert_eq!(reopen(&folder).records, [purge(1), purge(2), purge(7)]);
    }
}

#[test]
fn damage_is_told_once_and_what_is_sound_is_kept() {
    let place = Place::new();
    let folder = place.open(1);
    let (mut journal, _) = Journal::open(&folder).unwrap();
    let path = place.path().join("purges");
    journal.append(&purges(1..4)).unwrap();
    overwrite(&path, 32 + 40 + 3, b"x");
    let contents = reopen(&folder);
    assert_eq!(
        (contents.records, contents.is_damaged),
        (vec![purge(1), purge(3)], true)
    );
    let contents = reopen(&folder);
    assert_eq!(
        (contents.records, contents.is_damaged),
        (vec![purge(1), purge(3)], false)
    );
    for damaged in [&b""[..], b"short", &[7; 200]] {
        fs::write(&path, damaged).unwrap();
        assert_eq!(
            reopen(&folder),
            JournalContents {
                is_damaged: true,
                ..JournalContents::default()
            }
        );
        assert_eq!(reopen(&folder), JournalContents::default());
    }
}

#[test]
fn a_journal_of_another_folder_is_damaged_here() {
    let (here, there) = (Place::new(), Place::new());
    let theirs = Folder::open(&there.path(), || 77).unwrap();
    Journal::open(&theirs).unwrap().0.append(&purges(1..4)).unwrap();
    let folder = here.open(1);
    fs::copy(there.path().join("purges"), here.path().join("purges")).unwrap();
    assert_eq!(
        reopen(&folder),
        JournalContents {
            is_damaged: true,
            ..JournalContents::default()
        }
    );
}

#[test]
fn a_journal_has_a_limit() {
    let place = Place::new();
    let folder = place.open(1);
    let (mut journal, _) = Journal::open(&folder).unwrap();
    journal.append(&[purge(1)]).unwrap();
    let error = journal.append(&vec![purge(2); RECORDS_MAX as usize]).unwrap_err();
    assert_eq!(DiskFault::of(&error), DiskFault::TooLarge);
    assert_eq!((journal.records(), journal.highest_serial()), (1, 1));
    let file = fs::OpenOptions::new()
        .write(true)
        .open(place.path().join("purges"))
        .unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(reopen(&folder).is_damaged);
}

#[test]
fn what_is_no_file_is_no_journal() {
    let place = Place::new();
    let folder = place.open(1);
    fs::create_dir(place.path().join("purges")).unwrap();
    assert!(Journal::open(&folder).is_err());
    fs::remove_dir(place.path().join("purges")).unwrap();
    std::os::unix::fs::symlink("/etc/hostname", place.path().join("purges")).unwrap();
    assert!(Journal::open(&folder).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_flipped_bit_loses_one_record_and_says_so(count in 1u64..20, bit in any::<proptest::sample::Index>()) {
        let place = Place::new();
        let folder = place.open(1);
        let (mut journal, _) = Journal::open(&folder).unwrap();
        journal.append(&purges(1..count + 1)).unwrap();
        let path = place.path().join("purges");
        let mut bytes = fs::read(&path).unwrap();
        let bit = bit.index(bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &bytes).unwrap();
        let contents = reopen(&folder);
        prop_assert!(contents.is_damaged);
        let lost = (bit / 8).checked_sub(32).map(|at| at as u64 / 40 + 1);
        let expected: Vec<Record> =
            purges(1..count + 1).into_iter().filter(|record| Some(record.serial) != lost).collect();
        prop_assert_eq!(contents.records, expected);
    }
}
