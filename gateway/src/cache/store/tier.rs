//! The folder while it is ours: opening it, numbering its files, writing down purges.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::book::{Book, Ledger};
use super::purges::{Purges, Record};
use crate::cache::disk::{self, Folder, Journal, JournalDraft, Location, Unsynced};
use crate::cache::object::{Key, Meta};

/// An open folder with its journal.
pub struct Tier {
    /// The folder.
    pub folder: Folder,
    book: Book<Journal>,
    /// It was told that the journal cannot be written.
    is_told: AtomicBool,
    generation: AtomicU64,
    /// Serials of the objects that are to be found in it; None if its purges are lost, and none of them may be used.
    pub trusted: Option<u64>,
}

impl Ledger for Journal {
    type Draft = JournalDraft;
    type Unsynced = Unsynced;

    fn records(&self) -> u64 {
        self.records()
    }

    fn append(&mut self, records: &[disk::Record]) -> io::Result<()> {
        self.append(records)
    }

    fn replace(&mut self, draft: JournalDraft, since: &[disk::Record]) -> io::Result<()> {
        self.replace(draft, since)
    }

    fn unsynced(&self) -> Unsynced {
        self.unsynced()
    }

    fn sync(unsynced: &Unsynced) -> io::Result<()> {
        unsynced.sync()
    }
}

/// What stands in the journal of a folder.
pub type Records = Vec<(u64, Record)>;

impl Tier {
    /// Opens a folder and its journal. The fault says what to do.
    pub fn open(path: &Path, random: impl FnMut() -> u64) -> Result<(Self, Records), String> {
        let folder = Folder::open(path, random).map_err(|fault| fault.to_string())?;
        let unreadable = |error: io::Error| {
            format!(
                "{}: the journal of purges: {error}: check the disk, or empty the folder",
                path.display()
            )
        };
        let (mut journal, contents) = Journal::open(&folder).map_err(unreadable)?;
        if contents.highest_serial == 0 {
            // From now on no object has a serial that a lost journal could have.
            journal = Journal::fresh(&folder, 1, &[]).map_err(unreadable)?;
        }
        if contents.is_damaged {
            log::warn!(
                "cache folder {}: the journal of purges is damaged: what is in the folder is dropped",
                path.display()
            );
        }
        let records = contents.records.iter().map(|r| (r.facet, record(r))).collect();
        let tier = Self {
            generation: AtomicU64::new(folder.first_generation()),
            trusted: (!contents.is_damaged).then_some(contents.highest_serial),
            book: Book::new(journal),
            is_told: AtomicBool::new(false),
            folder,
        };
        Ok((tier, records))
    }

    /// The number of a file that nobody has used.
    pub fn next_generation(&self) -> u64 {
        self.generation.fetch_add(1, Ordering::Relaxed)
    }

    /// The highest serial that was written down.
    pub fn highest_serial(&self) -> u64 {
        self.book.with(Journal::highest_serial)
    }

    /// Writes records down. What went wrong; then they are written as soon as it works again.
    pub fn note(&self, records: &[disk::Record]) -> Option<String> {
        let fault = self.book.note(records).err()?;
        Some(format!(
            "{}: the purge holds now but could not be written down, and would be lost with this process: {fault}: check the disk",
            self.folder.path().display()
        ))
    }

    /// Brings the journal to the disk, and writes it anew if it is behind, or much longer than it has to be. `may_forget` says
    /// that no file is left that a forgotten record has reached.
    ///
    /// Waits for the disk, and nobody who purges waits for this.
    pub fn tidy(&self, purges: &Purges, may_forget: bool, at_ms: u64) {
        let needed = 2 * purges.records() as u64;
        let tidied = self.book.tidy(may_forget.then_some(needed), || {
            let (serial, records): (_, Vec<_>) = purges.with_all(|serial, all| {
                self.book.begin();
                (
                    serial,
                    all.iter().flat_map(|(f, r)| lines(*f, *r, at_ms)).collect(),
                )
            });
            Journal::draft(&self.folder, serial.max(self.highest_serial()), &records)
        });
        let was_told = self.is_told.swap(tidied.is_err(), Ordering::Relaxed);
        if let Err(error) = tidied
            && !was_told
        {
            log::warn!(
                "cache folder {}: the journal of purges cannot be written: {error}: check the disk",
                self.folder.path().display()
            );
        }
    }

    /// Writes an object to a file of its own.
    pub fn write(&self, key: Key, meta: &Meta, body: &[u8]) -> io::Result<Location> {
        self.folder.write(key, self.next_generation(), meta, body)
    }
}

fn record(line: &disk::Record) -> Record {
    match line.soft {
        true => Record {
            hard: 0,
            soft: line.serial,
        },
        false => Record {
            hard: line.serial,
            soft: 0,
        },
    }
}

/// A record as it stands in the journal.
pub fn lines(facet: u64, record: Record, at_ms: u64) -> impl Iterator<Item = disk::Record> {
    [(record.hard, false), (record.soft, true)]
        .into_iter()
        .filter(|(serial, _)| *serial != 0)
        .map(move |(serial, soft)| disk::Record {
            facet,
            serial,
            soft,
            at_ms,
        })
}
