//! The journal of purges while it is written anew, and on a disk that fails. Threads that meet there are in tests/race.

use std::cell::Cell;
use std::io;
use std::rc::Rc;

use crate::cache::disk::Record;
use crate::cache::store::book::{Book, Ledger, SLACK};

/// Serials in memory, and a disk that fails when it is told to.
#[derive(Clone, Default)]
struct Notes {
    serials: Vec<u64>,
    syncs: Rc<Cell<u32>>,
    fails: Rc<Cell<bool>>,
}

fn failed<T>() -> io::Result<T> {
    Err(io::ErrorKind::Other.into())
}

impl Ledger for Notes {
    type Draft = Vec<u64>;
    type Unsynced = (Rc<Cell<u32>>, Rc<Cell<bool>>);

    fn records(&self) -> u64 {
        self.serials.len() as u64
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.fails.get() {
            return failed();
        }
        self.serials.extend(records.iter().map(|record| record.serial));
        Ok(())
    }

    fn replace(&mut self, draft: Vec<u64>, since: &[Record]) -> io::Result<()> {
        let old = std::mem::replace(&mut self.serials, draft);
        self.append(since).inspect_err(|_| self.serials = old)
    }

    fn unsynced(&self) -> Self::Unsynced {
        (self.syncs.clone(), self.fails.clone())
    }

    fn sync((syncs, fails): &Self::Unsynced) -> io::Result<()> {
        syncs.set(syncs.get() + 1);
        if fails.get() { failed() } else { Ok(()) }
    }
}

fn note(book: &Book<Notes>, serials: std::ops::Range<u64>) -> io::Result<()> {
    let record = |serial| Record {
        facet: 7,
        serial,
        soft: false,
        at_ms: 0,
    };
    book.note(&serials.map(record).collect::<Vec<_>>())
}

fn serials(book: &Book<Notes>) -> Vec<u64> {
    book.with(|notes| notes.serials.clone())
}

/// A round of the keeper; how often a new journal was written.
fn tidy(book: &Book<Notes>, needed: Option<u64>, known: &[u64]) -> u32 {
    let drafts = Cell::new(0);
    _ = book.tidy(needed, || {
        drafts.set(drafts.get() + 1);
        book.begin();
        Ok(known.to_vec())
    });
    drafts.get()
}

#[test]
fn what_was_noted_is_brought_to_the_disk_once() {
    let notes = Notes::default();
    let book = Book::new(notes.clone());
    assert_eq!((tidy(&book, Some(0), &[]), notes.syncs.get()), (0, 0));
    note(&book, 1..3).unwrap();
    for _ in 0..3 {
        assert_eq!((tidy(&book, Some(0), &[]), notes.syncs.get()), (0, 1));
    }
}

#[test]
fn what_a_disk_has_failed_to_take_is_written_anew_as_soon_as_it_works_again() {
    let notes = Notes::default();
    let book = Book::new(notes.clone());
    note(&book, 1..3).unwrap();
    notes.fails.set(true);
    assert_eq!(tidy(&book, None, &[]), 0);
    assert!(note(&book, 3..4).is_err());
    assert_eq!(serials(&book), [1, 2]);
    notes.fails.set(false);
    assert_eq!(tidy(&book, None, &[1, 2, 3]), 1);
    assert_eq!(serials(&book), [1, 2, 3]);
    assert_eq!(tidy(&book, None, &[]), 0);
}

#[test]
fn a_journal_that_is_much_longer_than_it_has_to_be_is_written_anew() {
    let book = Book::new(Notes::default());
    note(&book, 0..SLACK + 10).unwrap();
    assert_eq!(tidy(&book, None, &[]), 0, "none of it may go");
    assert_eq!(tidy(&book, Some(10), &[]), 0);
    let renewed = book.tidy(Some(9), || {
        book.begin();
        note(&book, 5_000..5_002)?;
        Ok(vec![1, 2])
    });
    renewed.unwrap();
    assert_eq!(
        serials(&book),
        [1, 2, 5_000, 5_001],
        "with what was noted meanwhile"
    );
    note(&book, 6_000..6_001).unwrap();
    assert_eq!(serials(&book), [1, 2, 5_000, 5_001, 6_000]);
    assert_eq!(tidy(&book, Some(9), &[]), 0);
}

#[test]
fn a_new_journal_that_too_much_was_noted_beside_is_begun_again() {
    let book = Book::new(Notes::default());
    note(&book, 0..SLACK + 1).unwrap();
    let renewed = book.tidy(Some(0), || {
        book.begin();
        note(&book, 5_000..105_000)?;
        note(&book, 200_000..200_001)?;
        Ok(vec![1])
    });
    renewed.unwrap();
    assert_eq!(serials(&book).len(), 104_098, "the old one counts");
    assert_eq!(tidy(&book, Some(0), &[2]), 1);
    assert_eq!(serials(&book), [2]);
}
