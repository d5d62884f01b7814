//! The database: one SQLite file, one thread that writes, a few that read.
//!
//! * A write is one transaction. One writer in the process means that nobody here waits for a lock; the writers of other
//!   processes on the same file take turns through SQLite's own lock, for up to [`BUSY_TIMEOUT`].
//! * A read is one snapshot (WAL): a page and its total agree, whatever is written meanwhile.
//! * What is answered as written is on the disk (`synchronous=FULL`), also when the power fails a moment later.

pub mod exercises;
pub mod logs;
pub mod plans;
pub mod seed;
pub mod splits;
pub mod stats;
pub mod users;
pub mod workouts;

mod error;
mod lane;
mod migrations;

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

pub use error::Error;
use lane::Lane;

/// An open database.
pub struct Store {
    // Readers are dropped first: the writer is the last to leave, and tidies up.
    readers: Lane,
    writer: Lane,
}

impl Store {
    /// Opens the file, makes it if it is missing, brings its schema up to date, and lets `prepare` add to it. Blocks.
    pub fn open(path: &Path, prepare: impl FnOnce(&Connection) -> Result<(), Error>) -> Result<Store, Error> {
        let mut writer = connect(path)?;
        enter_wal(&writer)?;
        migrations::run(&mut writer)?;
        let first = writer.transaction_with_behavior(TransactionBehavior::Immediate)?;
        prepare(&first)?;
        first.commit()?;
        let readers = (0..READERS)
            .map(|_| connect_to_read(path))
            .collect::<Result<_, _>>()?;
        Ok(Store {
            readers: Lane::start("read", TransactionBehavior::Deferred, readers),
            // Immediate: the lock is taken before anything is read, so what a write checked still holds when it writes.
            writer: Lane::start("write", TransactionBehavior::Immediate, vec![writer]),
        })
    }

    /// Reads from one snapshot of the database.
    pub async fn read<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.readers.run(work).await
    }

    /// Writes all that `work` writes, or nothing if it fails.
    pub async fn write<T, F>(&self, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, Error> + Send + 'static,
    {
        self.writer.run(work).await
    }

    /// Whether the database answers.
    pub async fn ping(&self) -> Result<(), Error> {
        self.read(|db| Ok(db.query_row("SELECT count(*) FROM sqlite_schema", [], |_| Ok(()))?))
            .await
    }
}

/// One page of a list, and how many items there are on all pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slice {
    /// How many items are skipped.
    pub offset: i64,
    /// The most items that are returned.
    pub limit: i64,
}

/// The items of one page.
#[derive(Debug, PartialEq, Eq)]
pub struct Found<T> {
    /// The items, in the list's order.
    pub items: Vec<T>,
    /// How many items all pages together have.
    pub total: i64,
}

/// The longest wait for a writer in another process.
pub const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Reads that run at the same time: a read takes some ten microseconds, so few are plenty.
pub const READERS: usize = 4;
/// More than the number of different statements here, so that each is prepared once per connection.
const STATEMENTS_CACHED: usize = 64;

fn connect(path: &Path) -> Result<Connection, Error> {
    // An absolute path, and no URI: `:memory:` would be another database for each connection.
    let path = std::path::absolute(path).map_err(|error| Error::Broken(error.to_string()))?;
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let db = Connection::open_with_flags(path, flags)?;
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    db.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF;")?;
    Ok(db)
}

fn connect_to_read(path: &Path) -> Result<Connection, Error> {
    let db = connect(path)?;
    db.execute_batch("PRAGMA query_only = ON;")?;
    Ok(db)
}

/// Switches the file to a write-ahead log, unless it has one already.
///
/// SQLite does not wait for another process that writes at that moment: two that both hold a read lock and want more
/// would wait for ever. So we do: an empty exclusive transaction begins when the other's has ended.
fn enter_wal(db: &Connection) -> Result<(), Error> {
    const TRIES_MAX: u32 = 20;
    for _ in 0..TRIES_MAX {
        match db.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                return Err(Error::Broken(format!(
                    "this file system allows journal mode {mode} only, not WAL"
                )));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
                db.execute_batch("BEGIN EXCLUSIVE; ROLLBACK;")?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;

    use super::*;

    #[test]
    fn the_way_into_the_write_ahead_log_waits_for_another_process_that_writes() {
        static OTHER: Mutex<Option<Connection>> = Mutex::new(None);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("w.db");
        let other = Connection::open(&path).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        *OTHER.lock() = Some(other);

        let mut db = Connection::open(&path).unwrap();
        // Called where SQLite would wait; the first time the other one leaves, a second time there is none.
        db.busy_handler(Some(|_| OTHER.lock().take().is_some())).unwrap();
        enter_wal(&db).unwrap();
        assert!(OTHER.lock().is_none());
    }
}
