//! Which file an object is in.

use std::ffi::CStr;

use crate::cache::object::Key;

/// `ab/c/<key.primary>-<key.variance>-<generation>`, all in lower-case hex.
///
/// 256 folders of 16: with a million objects there are about 250 in each. A second level of 256 would cost 256 MiB of
/// folder blocks and 65,536 inodes for the same million.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ObjectPath([u8; LENGTH]);

const LEAF: usize = 4;
const LENGTH: usize = LEAF + 1 + NAME;
const NAME: usize = 32 + 1 + 32 + 1 + 16;
const HEX: &[u8; 16] = b"0123456789abcdef";

impl ObjectPath {
    pub(super) fn new(key: Key, generation: u64) -> Self {
        let mut path = [b'-'; LENGTH];
        put_hex(&mut path[LEAF + 1..][..32], key.primary);
        put_hex(&mut path[LEAF + 34..][..32], key.variance);
        put_hex(&mut path[LEAF + 67..], u128::from(generation));
        path.copy_within(LEAF + 1..LEAF + 3, 0);
        path[2] = b'/';
        path.copy_within(LEAF + 3..LEAF + 4, 3);
        path[LEAF] = b'/';
        Self(path)
    }

    /// Relative to the root.
    pub(super) fn whole(&self) -> &[u8] {
        &self.0
    }

    /// The folder it is in, relative to the root.
    pub(super) fn leaf(&self) -> &[u8] {
        &self.0[..LEAF]
    }

    /// The folder above that.
    pub(super) fn shard(&self) -> &[u8] {
        &self.0[..2]
    }

    /// Its name in its folder.
    pub(super) fn name(&self) -> &[u8] {
        &self.0[LEAF + 1..]
    }
}

/// The name of one of the 256 shards.
pub(super) fn shard_name(shard: u8) -> [u8; 2] {
    [HEX[usize::from(shard >> 4)], HEX[usize::from(shard & 15)]]
}

/// The name of one of the 16 folders of a shard.
pub(super) fn leaf_name(leaf: usize) -> [u8; 1] {
    [HEX[leaf & 15]]
}

/// The object of a name that stands in the folder of this shard and leaf; None if the name is not ours, or not there.
pub(super) fn parse(shard: u8, leaf: usize, name: &CStr) -> Option<(Key, u64)> {
    let name = name.to_bytes();
    if name.len() != NAME || name[32] != b'-' || name[65] != b'-' {
        return None;
    }
    let key = Key {
        primary: hex(&name[..32])?,
        variance: hex(&name[33..65])?,
    };
    let generation = u64::try_from(hex(&name[66..])?).ok()?;
    let here = (key.primary >> 116) as usize == usize::from(shard) << 4 | leaf;
    here.then_some((key, generation))
}

/// Where drafts are: in the same file system, so that a rename puts them in their place.
pub(super) const DRAFTS: &[u8] = b"drafts";
const DRAFT: usize = 16 + 1 + 16;

/// `drafts/<mark of a start>-<number>`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DraftName([u8; DRAFTS.len() + 1 + DRAFT]);

impl DraftName {
    pub(super) fn new(mark: u64, number: u64) -> Self {
        let mut path = [b'-'; DRAFTS.len() + 1 + DRAFT];
        let (folder, name) = path.split_at_mut(DRAFTS.len() + 1);
        folder[..DRAFTS.len()].copy_from_slice(DRAFTS);
        folder[DRAFTS.len()] = b'/';
        put_hex(&mut name[..16], u128::from(mark));
        put_hex(&mut name[17..], u128::from(number));
        Self(path)
    }

    /// Relative to the root.
    pub(super) fn whole(&self) -> &[u8] {
        &self.0
    }

    /// Its name in its folder.
    pub(super) fn name(&self) -> &[u8] {
        &self.0[DRAFTS.len() + 1..]
    }
}

/// The mark of a draft's name; None if the name is not ours.
pub(super) fn draft_mark(name: &CStr) -> Option<u64> {
    let name = name.to_bytes();
    if name.len() != DRAFT || name[16] != b'-' {
        return None;
    }
    hex(&name[17..])?;
    u64::try_from(hex(&name[..16])?).ok()
}

fn put_hex(out: &mut [u8], mut value: u128) {
    for digit in out.iter_mut().rev() {
        *digit = HEX[(value & 15) as usize];
        value >>= 4;
    }
}

/// At most 32 digits, lower case only: one number has one name.
fn hex(text: &[u8]) -> Option<u128> {
    text.iter().try_fold(0u128, |sum, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(sum << 4 | u128::from(digit))
    })
}
