//! What was purged, as it is written down: who waits for the disk, and who does not.
//!
//! Whoever purges waits until the system has taken his records, which it does into memory, and for nobody else. The thread that
//! keeps house waits for the disk: it brings to it what was noted, and writes a new journal where the old one is too long or
//! lacks something. It holds the lock for neither. What is noted while a new one is being written goes into the old one, which
//! counts until then, and is put behind the new one before that takes its place.

use std::io;

use super::super::disk::Record;
use super::super::sync::Mutex;

/// Records the journal may hold besides those that are needed, before it is written anew.
pub const SLACK: u64 = 4096;
/// Records noted while a new journal is written: 2 MiB. If there are more it was in vain, and is begun again.
const SINCE_MAX: usize = 65_536;

/// What records are appended to.
pub trait Ledger {
    /// One that is to take its place, and is on the disk but for its name.
    type Draft;
    /// What may not be on the disk yet.
    type Unsynced;

    /// How many records it holds.
    fn records(&self) -> u64;
    /// Adds records, which then survive the process. After an error none of them is there.
    fn append(&mut self, records: &[Record]) -> io::Result<()>;
    /// Has the draft take its place, with these behind it. After an error it is what it was.
    fn replace(&mut self, draft: Self::Draft, since: &[Record]) -> io::Result<()>;
    /// All that was appended, and the name.
    fn unsynced(&self) -> Self::Unsynced;
    /// Waits until that is on the disk.
    fn sync(unsynced: &Self::Unsynced) -> io::Result<()>;
}

/// A journal in use. [`note`](Self::note) is for everybody, [`tidy`](Self::tidy) for one thread.
pub struct Book<L> {
    page: Mutex<Page<L>>,
}

struct Page<L> {
    ledger: L,
    /// What was noted since a new journal was begun; None where none is being written, or where it was too much.
    since: Option<Vec<Record>>,
    /// Something could not be written: the journal is to be written anew.
    is_behind: bool,
    is_synced: bool,
}

impl<L: Ledger> Book<L> {
    pub fn new(ledger: L) -> Self {
        Self {
            page: Mutex::new(Page {
                ledger,
                since: None,
                is_behind: false,
                is_synced: true,
            }),
        }
    }

    /// Shows the journal. Not to be waited in.
    pub fn with<T>(&self, look: impl FnOnce(&L) -> T) -> T {
        look(&self.page.lock().ledger)
    }

    /// Writes records down. After an error they are written as soon as it works again.
    pub fn note(&self, records: &[Record]) -> io::Result<()> {
        let mut page = self.page.lock();
        page.is_synced = false;
        if let Some(since) = &mut page.since {
            match since.len() + records.len() <= SINCE_MAX {
                true => since.extend_from_slice(records),
                false => page.since = None,
            }
        }
        let noted = page.ledger.append(records);
        page.is_behind |= noted.is_err();
        noted
    }

    /// From now on what is noted goes into the next journal too. To be called when that one's records are gathered, and nothing
    /// is noted meanwhile.
    pub fn begin(&self) {
        self.page.lock().since = Some(Vec::new());
    }

    /// Writes the journal anew if it is behind, or much longer than the `needed` records; None if none of it may go. Then waits
    /// until all is on the disk. `draft` gathers the records, [begins](Self::begin), and writes them.
    pub fn tidy(&self, needed: Option<u64>, draft: impl FnOnce() -> io::Result<L::Draft>) -> io::Result<()> {
        let renewed = match self.is_due(needed) {
            true => self.renew(draft()),
            false => Ok(()),
        };
        self.sync();
        renewed
    }

    fn is_due(&self, needed: Option<u64>) -> bool {
        let page = self.page.lock();
        page.is_behind || needed.is_some_and(|needed| page.ledger.records() > needed + SLACK)
    }

    fn renew(&self, draft: io::Result<L::Draft>) -> io::Result<()> {
        let mut page = self.page.lock();
        let since = page.since.take();
        let draft = draft?;
        // Too much was noted meanwhile: the next round begins again.
        let Some(since) = since else { return Ok(()) };
        page.ledger.replace(draft, &since)?;
        (page.is_behind, page.is_synced) = (false, false);
        Ok(())
    }

    fn sync(&self) {
        let mut page = self.page.lock();
        if page.is_synced {
            return;
        }
        // Said before it is so: what is noted from here on takes it back.
        page.is_synced = true;
        let unsynced = page.ledger.unsynced();
        drop(page);
        if L::sync(&unsynced).is_err() {
            // The system may take for written what it could not write: only a new journal is one.
            let mut page = self.page.lock();
            (page.is_behind, page.is_synced) = (true, false);
        }
    }
}
