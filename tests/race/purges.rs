//! Purges that are written down while the journal is brought to a disk that is slow, and while it is written anew.

use std::io;

use shuttle::sync::mpsc::{Receiver, channel};
use shuttle::thread;

use super::book::{Book, Ledger};
use super::check;
use super::disk::Record;
use super::sync::{Arc, Mutex};

/// What the system has in memory of a file, and how much of that is on the disk.
#[derive(Default)]
struct File {
    serials: Vec<u64>,
    on_disk: usize,
}

/// All journals there were, and which of them has the name: for a process that is started now, and after a power failure.
#[derive(Default)]
struct Folder {
    files: Vec<File>,
    named: usize,
    named_on_disk: usize,
}

type Disk = Arc<Mutex<Folder>>;

/// The file of this number.
struct Journal {
    disk: Disk,
    file: usize,
    /// So often the system refuses to write.
    refusals: usize,
}

/// A file as it is to be found under the name, and somebody who has to have been served before the disk is done.
struct Unsynced {
    disk: Disk,
    file: usize,
    hang: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Unsynced {
    fn wait(&self) {
        let hang = self.hang.lock().take();
        if let Some(served) = hang {
            served.recv().expect("whoever purges is answered");
        }
    }
}

/// The journal, with the disk hanging once.
struct Hanging {
    journal: Journal,
    hang: Arc<Mutex<Option<Receiver<()>>>>,
}

impl Ledger for Hanging {
    type Draft = Journal;
    type Unsynced = Unsynced;

    fn records(&self) -> u64 {
        0
    }

    fn append(&mut self, records: &[Record]) -> io::Result<()> {
        if self.journal.refusals > 0 {
            self.journal.refusals -= 1;
            return Err(io::ErrorKind::StorageFull.into());
        }
        let mut folder = self.journal.disk.lock();
        let file = &mut folder.files[self.journal.file];
        file.serials.extend(records.iter().map(|record| record.serial));
        Ok(())
    }

    fn replace(&mut self, draft: Journal, since: &[Record]) -> io::Result<()> {
        let hang = Arc::clone(&self.hang);
        let mut new = Self { journal: draft, hang };
        new.append(since)?;
        new.journal.disk.lock().named = new.journal.file;
        *self = new;
        Ok(())
    }

    fn unsynced(&self) -> Unsynced {
        Unsynced {
            disk: Arc::clone(&self.journal.disk),
            file: self.journal.file,
            hang: Arc::clone(&self.hang),
        }
    }

    fn sync(unsynced: &Unsynced) -> io::Result<()> {
        let written = unsynced.disk.lock().files[unsynced.file].serials.len();
        unsynced.wait();
        let mut folder = unsynced.disk.lock();
        folder.files[unsynced.file].on_disk = written;
        folder.named_on_disk = folder.named;
        Ok(())
    }
}

/// Purges with their turn, as the store has them.
struct Purges {
    disk: Disk,
    book: Book<Hanging>,
    hang: Arc<Mutex<Option<Receiver<()>>>>,
    /// The serials of all purges; whoever has it has the turn.
    turn: Mutex<Vec<u64>>,
}

impl Purges {
    /// With a journal that refuses so often.
    fn new(refusals: usize, hang: Option<Receiver<()>>) -> Arc<Self> {
        let disk = Disk::default();
        disk.lock().files.push(File::default());
        let hang = Arc::new(Mutex::new(hang));
        let journal = Journal {
            disk: Arc::clone(&disk),
            file: 0,
            refusals,
        };
        let book = Book::new(Hanging {
            journal,
            hang: Arc::clone(&hang),
        });
        Arc::new(Self {
            disk,
            book,
            hang,
            turn: Mutex::default(),
        })
    }

    /// Whether it was written down.
    fn purge(&self) -> bool {
        let mut all = self.turn.lock();
        let serial = all.len() as u64 + 1;
        let noted = self.book.note(&[Record {
            facet: 7,
            serial,
            soft: false,
            at_ms: 0,
        }]);
        all.push(serial);
        drop(all);
        let is_noted = noted.is_ok();
        if is_noted {
            let folder = self.disk.lock();
            let named = &folder.files[folder.named];
            assert!(named.serials.contains(&serial), "a new process knows of it");
        }
        is_noted
    }

    /// A round of the keeper.
    fn tidy(&self) {
        let tidied = self.book.tidy(None, || {
            let all = {
                let all = self.turn.lock();
                self.book.begin();
                all.clone()
            };
            let mut folder = self.disk.lock();
            let file = folder.files.len();
            let on_disk = all.len();
            folder.files.push(File {
                serials: all,
                on_disk,
            });
            drop(folder);
            let draft = Unsynced {
                disk: Arc::clone(&self.disk),
                file,
                hang: Arc::clone(&self.hang),
            };
            draft.wait();
            Ok(Journal {
                disk: Arc::clone(&self.disk),
                file,
                refusals: 0,
            })
        });
        tidied.expect("the disk works");
    }

    /// What is there after a power failure.
    fn left(&self) -> Vec<u64> {
        let folder = self.disk.lock();
        let file = &folder.files[folder.named_on_disk];
        let mut left = file.serials[..file.on_disk].to_vec();
        left.sort_unstable();
        left.dedup();
        left
    }
}

#[test]
fn whoever_purges_does_not_wait_for_a_disk_that_hangs() {
    for refusals in [0, 1] {
        check(move || {
            let (served, hang) = channel();
            let purges = Purges::new(refusals, Some(hang));
            // Of the first the disk hears, or has to be given a new journal for it.
            purges.purge();
            let keeper = Arc::clone(&purges);
            let keeper = thread::spawn(move || keeper.tidy());
            purges.purge();
            served.send(()).expect("the disk is still there");
            keeper.join().expect("it comes to an end");
        });
    }
}

#[test]
fn no_purge_is_lost_between_an_old_journal_and_a_new_one() {
    for refusals in [0, 1, 2] {
        check(move || {
            let purges = Purges::new(refusals, None);
            let tidying = Arc::clone(&purges);
            let keeper = thread::spawn(move || (0..2).for_each(|_| tidying.tidy()));
            let clients = [0, 1].map(|_| {
                let purges = Arc::clone(&purges);
                thread::spawn(move || {
                    purges.purge();
                    purges.purge();
                })
            });
            for client in clients {
                client.join().expect("it is answered");
            }
            keeper.join().expect("it comes to an end");
            // What could not be written while the new one was written is in it, or in the next.
            purges.tidy();
            assert_eq!(purges.left(), [1, 2, 3, 4]);
        });
    }
}
