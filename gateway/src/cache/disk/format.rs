//! The bytes of an object's file, and their checksums.
//!
//! ```text
//! header 64 | body | table: a checksum (8) per block of the body | meta | tail 64 | meta | tail 64 | …
//! ```
//!
//! Numbers are little-endian. The last 64 bytes decide: the tail says how long the body and the last meta record are and
//! holds the checksums of that record and of the table, which holds those of the blocks. So each byte that is handed out is
//! vouched for by the tail, and the tail by its own checksum, which is seeded with the folder's secret, the key and the
//! generation: a sound piece of another file, or bytes that an origin made up, do not pass for a part of this one.
//!
//! A body can be streamed before its length is known, and a new meta record is appended without touching what is there.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::fault::{Damage, ReadFault};
use crate::cache::object::Key;

/// Version of the format; a file with another one is not read.
pub const VERSION: u32 = 1;
/// Bytes of a body that share a checksum: small enough that one read of a hit is one block, large enough that the
/// table is 1/8192 of the body.
pub const BLOCK: usize = 64 * 1024;
/// Bytes of the largest body: bounds the table in memory to 8 MiB.
pub const BODY_MAX: u64 = 64 << 30;

pub(super) const HEADER: usize = 64;
pub(super) const TAIL: usize = 64;
const HEADER_MAGIC: [u8; 8] = *b"sluiceO\n";
const TAIL_MAGIC: [u8; 8] = *b"sluiceT\n";
const SUM: usize = 8;

/// Where the parts of an object's file are: what an index remembers, 32 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Location {
    /// Which version of the object; part of the file's name.
    pub generation: u64,
    /// Bytes of the file up to the end of the tail that counts.
    pub file_length: u64,
    /// Bytes of the body.
    pub body_length: u64,
    /// Bytes of the meta record.
    pub meta_length: u32,
}

impl Location {
    /// Offset of the meta record.
    pub const fn meta_at(&self) -> u64 {
        self.file_length
            .saturating_sub(TAIL as u64)
            .saturating_sub(self.meta_length as u64)
    }

    /// How many blocks the body has; the last one may be short.
    pub const fn blocks(&self) -> u64 {
        self.body_length.div_ceil(BLOCK as u64)
    }

    /// Offset of the table.
    pub(super) const fn table_at(&self) -> u64 {
        (HEADER as u64).saturating_add(self.body_length)
    }

    /// Bytes of the table.
    pub(super) const fn table_length(&self) -> u64 {
        self.blocks() * SUM as u64
    }

    /// Bytes behind the table: all meta records and tails.
    pub(super) const fn records_length(&self) -> u64 {
        self.file_length
            .saturating_sub(self.table_at().saturating_add(self.table_length()))
    }

    /// Whether the parts fit into the file and into the limits. Checked before anything is allocated by it.
    pub(super) const fn is_possible(&self) -> bool {
        self.body_length <= BODY_MAX
            && self.meta_length as usize <= super::META_MAX
            && self.records_length() >= self.meta_length as u64 + TAIL as u64
    }
}

/// What the checksums of one file are seeded with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seal(u64);

impl Seal {
    pub(super) fn new(seed: u64, key: Key, generation: u64) -> Self {
        let mut bytes = [0; 40];
        bytes[..16].copy_from_slice(&key.primary.to_le_bytes());
        bytes[16..32].copy_from_slice(&key.variance.to_le_bytes());
        bytes[32..].copy_from_slice(&generation.to_le_bytes());
        Self(xxh3_64_with_seed(&bytes, seed))
    }

    pub(super) fn sum(self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.0)
    }
}

/// The first bytes of a file: what it is, whatever its name says.
pub(super) fn header(seed: u64, key: Key, generation: u64) -> [u8; HEADER] {
    let mut bytes = [0; HEADER];
    bytes[..8].copy_from_slice(&HEADER_MAGIC);
    bytes[8..12].copy_from_slice(&VERSION.to_le_bytes());
    bytes[12..16].copy_from_slice(&(BLOCK as u32).to_le_bytes());
    bytes[16..32].copy_from_slice(&key.primary.to_le_bytes());
    bytes[32..48].copy_from_slice(&key.variance.to_le_bytes());
    bytes[48..56].copy_from_slice(&generation.to_le_bytes());
    let sum = Seal::new(seed, key, generation).sum(&bytes[..56]);
    bytes[56..].copy_from_slice(&sum.to_le_bytes());
    bytes
}

/// Whether the header is the one of this object.
pub(super) fn check_header(
    bytes: &[u8; HEADER],
    seed: u64,
    key: Key,
    generation: u64,
) -> Result<(), ReadFault> {
    if *bytes == header(seed, key, generation) {
        return Ok(());
    }
    if bytes[..8] != HEADER_MAGIC {
        return Err(Damage::Header.into());
    }
    if bytes[8..12] != VERSION.to_le_bytes() {
        return Err(Damage::Version.into());
    }
    let theirs = Key {
        primary: u128::from_le_bytes(part(bytes, 16)),
        variance: u128::from_le_bytes(part(bytes, 32)),
    };
    let generation = u64::from_le_bytes(part(bytes, 48));
    match *bytes == header(seed, theirs, generation) {
        true => Err(ReadFault::Foreign),
        false => Err(Damage::Header.into()),
    }
}

/// The last bytes of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tail {
    pub(super) location: Location,
    pub(super) table_sum: u64,
    pub(super) meta_sum: u64,
}

impl Tail {
    pub(super) fn bytes(&self, seal: Seal) -> [u8; TAIL] {
        let mut bytes = [0; TAIL];
        bytes[..8].copy_from_slice(&TAIL_MAGIC);
        bytes[8..16].copy_from_slice(&self.location.body_length.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.location.meta_at().to_le_bytes());
        bytes[24..28].copy_from_slice(&self.location.meta_length.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.table_sum.to_le_bytes());
        bytes[40..48].copy_from_slice(&self.meta_sum.to_le_bytes());
        bytes[48..56].copy_from_slice(&self.location.generation.to_le_bytes());
        let sum = seal.sum(&bytes[..56]);
        bytes[56..].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// The tail that ends at `file_length`; None if it is none, or says what cannot be.
    pub(super) fn parse(bytes: &[u8; TAIL], seal: Seal, file_length: u64) -> Option<Self> {
        let number = |at| u64::from_le_bytes(part(bytes, at));
        if bytes[..8] != TAIL_MAGIC || number(56) != seal.sum(&bytes[..56]) {
            return None;
        }
        let location = Location {
            generation: number(48),
            file_length,
            body_length: number(8),
            meta_length: u32::from_le_bytes(part(bytes, 24)),
        };
        let tail = Self {
            location,
            table_sum: number(32),
            meta_sum: number(40),
        };
        let holds = location.is_possible() && number(16) == location.meta_at();
        holds.then_some(tail)
    }
}

/// The table as it stands in the file.
pub(super) fn table_bytes(sums: &[u64]) -> Vec<u8> {
    sums.iter().flat_map(|sum| sum.to_le_bytes()).collect()
}

/// The checksums in a table's bytes.
pub(super) fn table_sums(bytes: &[u8]) -> Box<[u64]> {
    bytes
        .as_chunks::<SUM>()
        .0
        .iter()
        .map(|sum| u64::from_le_bytes(*sum))
        .collect()
}

/// The checksum of a block. A draft's key is not known while its blocks are written, so only the folder's secret is in it.
pub(super) fn block_sum(seed: u64, block: &[u8]) -> u64 {
    xxh3_64_with_seed(block, seed)
}

/// A part of fixed length.
pub(super) fn part<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N]
        .try_into()
        .expect("a slice of N bytes is an array of N bytes")
}
