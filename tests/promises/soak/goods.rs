//! What is asked for: each byte follows from the name and the version.

use std::fmt::Write;
use std::ops::Range;
use std::sync::LazyLock;

use harness::body::Body;

/// Bytes that begin with a word of their own, so that no block stands for another one.
const BLOCK_BYTES: u64 = 4 << 10;
/// What blocks are cut from, so that a body costs little more than a copy.
const GRAIN_BYTES: usize = 64 << 10;
/// The longest body.
pub const LARGEST_BYTES: u64 = 4 << 20;
/// The longest that is coded: debug builds code slowly.
const LARGEST_CODED_BYTES: u64 = 256 << 10;
/// Things of each kind: together more than the cache's disk can keep.
pub const THINGS: usize = 600;
/// Tags.
pub const SHELVES: usize = 16;
/// Versions differ by less than this in length, too.
const SPREAD_BYTES: u64 = 7;

/// Letters that compress somewhat, as texts do.
static GRAIN: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut dice = Dice::new(1);
    let letters = b"eeeeeetttttaaaaooooiiiinnnn   ssshhhrrrdl\nu";
    let grain = std::iter::repeat_with(|| letters[dice.below(letters.len())]);
    grain.take(GRAIN_BYTES).collect()
});

/// What is done with a thing on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is kept in the cache.
    Kept,
    /// It is kept, and coded for those who want it so.
    Coded,
    /// It passes.
    Fresh,
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thing {
    /// Its kind.
    pub kind: Kind,
    /// Its number within the kind: small ones are wanted more often.
    pub number: usize,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 3] = [Self::Kept, Self::Coded, Self::Fresh];

    /// As in paths.
    pub fn word(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Coded => "coded",
            Self::Fresh => "fresh",
        }
    }
}

impl Thing {
    /// What a path names.
    pub fn at(path: &str) -> Option<Self> {
        let (kind, number) = path.strip_prefix('/')?.split_once('/')?;
        let kind = Kind::ALL.into_iter().find(|one| one.word() == kind)?;
        let number = number.parse().ok().filter(|number| *number < THINGS)?;
        Some(Self { kind, number })
    }

    /// Its path.
    pub fn path(self) -> String {
        format!("/{}/{}", self.kind.word(), self.number)
    }

    /// Its tag.
    pub fn tag(self) -> String {
        format!("shelf-{}-{}", self.kind.word(), self.number % SHELVES)
    }

    /// The place of its version among all.
    pub fn place(self) -> usize {
        self.kind as usize * THINGS + self.number
    }

    /// For how long it is fresh, in seconds: some are compared with the origin all the time.
    pub fn max_age(self) -> usize {
        [1, 3, 60, 3600][self.number % 4]
    }

    /// Bytes that it has in every version: of all magnitudes alike.
    pub fn least(self) -> u64 {
        let largest = match self.kind {
            Kind::Kept | Kind::Fresh => LARGEST_BYTES - SPREAD_BYTES,
            Kind::Coded => LARGEST_CODED_BYTES,
        };
        match self.number {
            0 | 1 => self.number as u64,
            2 => largest,
            number => (largest as f64).powf(fraction(mix(number as u64))) as u64,
        }
    }

    /// Bytes that it has in this version.
    pub fn length(self, version: u64) -> u64 {
        match self.least() {
            0 => 0,
            least => least + version % SPREAD_BYTES,
        }
    }

    /// A stretch of it.
    pub fn bytes(self, version: u64, range: Range<u64>) -> Vec<u8> {
        let mut bytes = Vec::with_capacity((range.end - range.start) as usize);
        let mut at = range.start;
        while at < range.end {
            let (block, within) = (at / BLOCK_BYTES, (at % BLOCK_BYTES) as usize);
            let left = (range.end - at).min(BLOCK_BYTES - within as u64) as usize;
            let word = mix(mix(mix(self.place() as u64) ^ version) ^ block);
            let mut head = String::new();
            let _ = write!(head, "{word:016x}");
            let cut = (word % (GRAIN_BYTES as u64 - BLOCK_BYTES)) as usize;
            let whole = head.as_bytes().iter().copied();
            let whole = whole.skip(within).take(left);
            bytes.extend(whole);
            let from = within.max(head.len());
            let until = (within + left).max(from);
            bytes.extend_from_slice(&GRAIN[cut + from..cut + until]);
            at += left as u64;
        }
        bytes
    }

    /// All of it.
    pub fn whole(self, version: u64) -> Vec<u8> {
        self.bytes(version, 0..self.length(version))
    }

    /// What a reader of this stretch must have seen.
    pub fn body(self, version: u64, range: Range<u64>) -> Body {
        Body::of(&self.bytes(version, range))
    }

    /// Its identity.
    pub fn etag(self, version: u64) -> String {
        format!("\"{}-{}-{version}\"", self.kind.word(), self.number)
    }
}

/// Numbers that look like chance and follow from a seed.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self(mix(seed))
    }

    /// The next one.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix(self.0)
    }

    /// From 0 up to `end`, without it.
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }

    /// Whether something happens that happens so often of 100 times.
    pub fn percent(&mut self, of_100: usize) -> bool {
        self.below(100) < of_100
    }

    /// A number of a thing: the smaller, the more often.
    pub fn wanted(&mut self) -> usize {
        let far = fraction(self.roll());
        (far * far * THINGS as f64) as usize
    }
}

/// The finaliser of SplitMix64.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From 0 up to 1, without 1.
fn fraction(n: u64) -> f64 {
    (n >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_of_a_thing_is_that_stretch_of_the_whole() {
        let number =
            (3..THINGS).find(|n| Thing::at(&format!("/kept/{n}")).is_some_and(|t| t.least() > 20_000));
        let thing = Thing {
            kind: Kind::Kept,
            number: number.unwrap(),
        };
        let whole = thing.whole(5);
        assert_eq!(whole.len() as u64, thing.length(5));
        for range in [0..1, 10..20, 4090..4120, 4096..8192, 5000..20_000, 8200..8200] {
            let expected = &whole[range.start as usize..range.end as usize];
            assert_eq!(thing.bytes(5, range), expected);
        }
    }

    #[test]
    fn each_block_tells_the_thing_and_the_version() {
        let [one, other] = [Kind::Kept, Kind::Fresh].map(|kind| Thing { kind, number: 2 });
        let blocks = |thing: Thing, version| {
            let whole = thing.whole(version);
            whole
                .chunks(4096)
                .map(|block| block[..16].to_vec())
                .collect::<Vec<_>>()
        };
        let (a, b, c) = (blocks(one, 1), blocks(one, 2), blocks(other, 1));
        assert!(a.len() > 1000 && a.iter().zip(&b).all(|(a, b)| a != b));
        assert!(a.iter().zip(&c).all(|(a, c)| a != c));
        assert_eq!(Thing::at(&one.path()), Some(one));
        assert_eq!(Thing::at("/kept/x"), None);
    }
}
