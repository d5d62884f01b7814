//! The folder while it is ours: opening it, numbering its files, writing down purges.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::purges::{Purges, Record};
use crate::cache::disk::{self, Folder, Journal, Location};
use crate::cache::object::{Key, Meta};

/// Records the journal may hold besides those that are needed, before it is written anew.
const JOURNAL_SLACK: u64 = 4096;

/// An open folder with its journal.
pub struct Tier {
    /// The folder.
    pub folder: Folder,
    journal: Mutex<Book>,
    generation: AtomicU64,
    /// Serials of the objects that are to be found in it; None if its purges are lost, and none of them may be used.
    pub trusted: Option<u64>,
}

struct Book {
    journal: Journal,
    /// A purge could not be written: the journal is to be written anew.
    is_behind: bool,
    is_synced: bool,
}

/// What stands in the journal of a folder.
pub type Records = Vec<(u64, Record)>;

impl Tier {
    /// Opens a folder and its journal. The fault says what to do.
    pub fn open(path: &Path, random: impl FnMut() -> u64) -> Result<(Self, Records), String> {
        let folder = Folder::open(path, random).map_err(|fault| fault.to_string())?;
        let unreadable = |error: std::io::Error| {
            format!(
                "{}: the journal of purges: {error}: check the disk, or empty the folder",
                path.display()
            )
        };
        let (mut journal, contents) = Journal::open(&folder).map_err(unreadable)?;
        if contents.highest_serial == 0 {
            // From now on no object has a serial that a lost journal could have.
            journal.truncate_to(1, &[]).map_err(unreadable)?;
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
            journal: Mutex::new(Book {
                journal,
                is_behind: false,
                is_synced: true,
            }),
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
        self.journal.lock().journal.highest_serial()
    }

    /// Writes records down. What went wrong; then they are written as soon as it works again.
    pub fn note(&self, records: &[disk::Record]) -> Option<String> {
        let mut book = self.journal.lock();
        book.is_synced = false;
        let fault = book.journal.append(records).err()?;
        book.is_behind = true;
        Some(format!(
            "{}: the purge holds now but could not be written down, and would be lost with this process: {fault}: check the disk",
            self.folder.path().display()
        ))
    }

    /// Writes the journal anew if it is behind, or much longer than it has to be. `may_forget` says that no file is left that
    /// a forgotten record has reached.
    pub fn tidy(&self, purges: &Purges, may_forget: bool, at_ms: u64) {
        let mut book = self.journal.lock();
        let needed = 2 * purges.records() as u64;
        let is_long = may_forget && book.journal.records() > needed + JOURNAL_SLACK;
        if !book.is_behind && !is_long {
            if !book.is_synced {
                // A purge that a power failure takes back would be a surprise, but nobody waits for this.
                book.is_synced = book.journal.sync().is_ok();
            }
            return;
        }
        drop(book);
        purges.with_all(|serial, all| {
            let records: Vec<disk::Record> = all.iter().flat_map(|(f, r)| lines(*f, *r, at_ms)).collect();
            let mut book = self.journal.lock();
            match book.journal.truncate_to(serial, &records) {
                Ok(()) => (book.is_behind, book.is_synced) = (false, true),
                Err(error) => log::warn!(
                    "cache folder {}: the journal of purges cannot be written: {error}: check the disk",
                    self.folder.path().display()
                ),
            }
        });
    }

    /// Writes an object to a file of its own.
    pub fn write(&self, key: Key, meta: &Meta, body: &[u8]) -> std::io::Result<Location> {
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
