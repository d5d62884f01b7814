//! The disk tier: one file per object, checked before a byte of it is used.
//!
//! Everything here is synchronous, and nothing here remembers an object: a store holds the index of [`Location`]s, decides
//! about threads, and calls. Reads take `may_wait`: `false` reads only what is in memory and answers None otherwise, so that a
//! worker can try first and send the rest to another thread.
//!
//! Nothing is synced to the disk. After a power failure a file may be missing, empty, short or in part old; all of these are
//! found by its checksums, and the object is fetched again. A cache pays for durability with every fill and gains one refetch.
//!
//! `format` is the bytes of a file, `meta` the record in it; `folder` opens the folder and writes, `draft` is a fill being
//! written, `stored` an object being read, `scan` finds the objects after a restart, `journal` keeps the purges.

mod bytes;
mod draft;
mod fault;
mod folder;
mod format;
mod journal;
mod marker;
mod meta;
mod name;
mod scan;
mod stored;
#[cfg(test)]
mod tests;

pub use draft::Draft;
pub use fault::{AppendFault, Damage, DiskFault, FolderFault, FolderTrouble, ReadFault, RewriteFault};
pub use folder::{Folder, free_bytes};
pub use format::{BLOCK, BODY_MAX, Location, VERSION};
pub use journal::{Journal, JournalContents, JournalDraft, RECORDS_MAX, Record, Unsynced};
pub use meta::{META_MAX, decode_meta, encode_meta};
pub use scan::{Found, SHARDS, Tally};
pub use stored::StoredFile;
