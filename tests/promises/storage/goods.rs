//! Objects of which every byte follows from their number, and how often each is wanted.

use std::fmt;

/// Bytes that are made at once. Each block differs from all others, also of other objects.
const BLOCK_BYTES: usize = 4 << 10;
/// What blocks are cut from, so that a body costs little more than a copy.
const GRAIN_BYTES: usize = 256 << 10;
/// Most things on the web are smaller than this.
const SMALL_BYTES_MAX: u64 = 64 << 10;
/// The nth most wanted object is wanted as often as 1 / n to this power: between what is measured at edges, 0.6 to 1.
const STEEPNESS: f64 = 0.9;

/// All objects.
pub struct Goods {
    lengths: Vec<u64>,
    /// How often the objects up to each one are wanted, together; the last is all.
    wanted: Vec<f64>,
    grain: Vec<u8>,
}

/// One of them.
#[derive(Clone, Copy)]
pub struct Object<'a> {
    /// Its number: the most wanted is 0.
    pub number: u64,
    /// Length of its body in bytes.
    pub length: u64,
    grain: &'a [u8],
}

/// The bytes of an object, block by block.
pub struct Blocks<'a> {
    object: Object<'a>,
    index: u64,
    block: Vec<u8>,
}

/// Compares what comes, in whatever pieces, with what an object is.
pub struct Check<'a> {
    expected: Blocks<'a>,
    /// How much of the expected block has come.
    within: usize,
    seen: u64,
}

/// The first byte that is not the object's, or that is too much.
#[derive(Debug)]
pub struct WrongByte {
    at: u64,
    expected: Vec<u8>,
    got: Vec<u8>,
}

impl Goods {
    /// So many objects from 1 byte to `largest`, and of about `total` bytes. Small ones and others are each spread
    /// evenly over the magnitudes; as many are small as the total asks for.
    pub fn new(objects: u64, total: u64, largest: u64) -> Self {
        let mean = |max: u64| (max - 1) as f64 / (max as f64).ln();
        let small = mean(SMALL_BYTES_MAX);
        let share = (total as f64 / objects as f64 - small) / (mean(largest) - small);
        let length = |number: u64| {
            let is_any = fraction(mix(2 * number)) < share;
            let max = if is_any { largest } else { SMALL_BYTES_MAX };
            let length = (fraction(mix(2 * number + 1)) * (max as f64).ln()).exp();
            (length as u64).clamp(1, largest)
        };
        let mut sum = 0.0;
        let wanted = (1..=objects).map(|rank| {
            sum += (rank as f64).powf(-STEEPNESS);
            sum
        });
        Self {
            lengths: (0..objects).map(length).collect(),
            wanted: wanted.collect(),
            grain: (0..GRAIN_BYTES as u64 / 8)
                .flat_map(|word| mix(!word).to_le_bytes())
                .collect(),
        }
    }

    /// Bytes of all of them.
    pub fn total(&self) -> u64 {
        self.lengths.iter().sum()
    }

    /// The object that a look-up is for; the same one whenever it is asked.
    pub fn wanted(&self, look: u64) -> Object<'_> {
        let all = self.wanted.last().expect("there are objects");
        let at = fraction(mix(mix(look))) * all;
        let number = self.wanted.partition_point(|sum| *sum <= at);
        let last = self.wanted.len() - 1;
        self.object(number.min(last) as u64)
            .expect("it is one of the numbers")
    }

    /// The object of this number.
    pub fn object(&self, number: u64) -> Option<Object<'_>> {
        let length = *self.lengths.get(usize::try_from(number).ok()?)?;
        let grain = &self.grain;
        Some(Object {
            number,
            length,
            grain,
        })
    }
}

impl<'a> Object<'a> {
    /// Its body.
    pub fn blocks(self) -> Blocks<'a> {
        Blocks {
            object: self,
            index: 0,
            block: Vec::with_capacity(BLOCK_BYTES),
        }
    }

    /// Its entity tag.
    pub fn etag(self) -> String {
        format!("\"{}-{}\"", self.number, self.length)
    }

    /// What a body that is said to be this object's is compared with.
    pub fn check(self) -> Check<'a> {
        Check {
            expected: self.blocks(),
            within: 0,
            seen: 0,
        }
    }
}

impl Blocks<'_> {
    /// The next bytes, or None at the end.
    pub fn block(&mut self) -> Option<&[u8]> {
        let Object {
            number,
            length,
            grain,
        } = self.object;
        let left = length.checked_sub(self.index * BLOCK_BYTES as u64)?;
        if left == 0 {
            return None;
        }
        // Said first: which object's and which block this is.
        let stamp = mix(mix(number) ^ self.index);
        let start = (stamp % (GRAIN_BYTES - BLOCK_BYTES) as u64) as usize;
        self.block.clear();
        self.block.extend_from_slice(&grain[start..start + BLOCK_BYTES]);
        self.block[..8].copy_from_slice(&stamp.to_le_bytes());
        self.block.truncate(left.min(BLOCK_BYTES as u64) as usize);
        self.index += 1;
        Some(&self.block)
    }
}

impl Check<'_> {
    /// Takes the next piece of what has come.
    pub fn push(&mut self, mut piece: &[u8]) -> Result<(), WrongByte> {
        while !piece.is_empty() {
            if self.within == self.expected.block.len() {
                self.within = 0;
                if self.expected.block().is_none() {
                    return Err(self.wrong(piece, &[]));
                }
            }
            let rest = &self.expected.block[self.within..];
            let n = rest.len().min(piece.len());
            if piece[..n] != rest[..n] {
                return Err(self.wrong(&piece[..n], &rest[..n]));
            }
            self.within += n;
            self.seen += n as u64;
            piece = &piece[n..];
        }
        Ok(())
    }

    /// How many bytes have come.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    fn wrong(&self, got: &[u8], expected: &[u8]) -> WrongByte {
        const SHOWN: usize = 16;
        let same = got.iter().zip(expected).take_while(|(a, b)| a == b).count();
        let shown = |bytes: &[u8]| bytes[same..].iter().take(SHOWN).copied().collect();
        WrongByte {
            at: self.seen + same as u64,
            expected: shown(expected),
            got: shown(got),
        }
    }
}

impl fmt::Display for WrongByte {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, expected, got } = self;
        write!(
            f,
            "byte {at} is wrong: {expected:02x?} was expected, {got:02x?} came"
        )
    }
}

/// A number that looks like chance and follows from another one (the finaliser of SplitMix64).
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

    const TOTAL: u64 = 20 << 20;

    fn goods() -> Goods {
        Goods::new(1_000, TOTAL, 512 << 10)
    }

    fn body(object: Object<'_>) -> Vec<u8> {
        let (mut blocks, mut body) = (object.blocks(), Vec::new());
        while let Some(block) = blocks.block() {
            body.extend_from_slice(block);
        }
        body
    }

    #[test]
    fn the_objects_are_of_all_magnitudes_and_of_the_total_asked_for() {
        let goods = goods();
        let ratio = goods.total() as f64 / TOTAL as f64;
        assert!((0.8..1.25).contains(&ratio), "{ratio}");
        assert!(goods.lengths.iter().any(|l| *l < 4));
        assert!(goods.lengths.iter().any(|l| *l > 256 << 10));
        assert!(goods.lengths.iter().all(|l| (1..=512 << 10).contains(l)));
    }

    #[test]
    fn an_object_is_its_own_bytes_in_whatever_pieces_they_come() {
        let goods = goods();
        for number in 0..50 {
            let object = goods.object(number).unwrap();
            let body = body(object);
            assert_eq!(body.len() as u64, object.length);
            for size in [1, 7, 4096, 100_000] {
                let mut check = object.check();
                body.chunks(size).for_each(|piece| check.push(piece).unwrap());
                assert_eq!(check.seen(), object.length);
            }
        }
    }

    #[test]
    fn another_objects_bytes_a_changed_byte_and_a_byte_too_many_are_wrong() {
        let goods = goods();
        let large = |n: &u64| goods.object(*n).unwrap().length > 10_000;
        let large: Vec<_> = (0..1_000).filter(large).take(2).collect();
        let [one, other] = [large[0], large[1]].map(|n| goods.object(n).unwrap());
        let wrong = one.check().push(&body(other)).unwrap_err();
        assert_eq!(wrong.at, 0);

        let mut changed = body(one);
        changed[9_999] ^= 1;
        assert_eq!(one.check().push(&changed).unwrap_err().at, 9_999);

        let mut longer = body(one);
        longer.push(0);
        assert_eq!(one.check().push(&longer).unwrap_err().at, one.length);
    }

    #[test]
    fn few_objects_are_wanted_often_and_each_look_up_wants_the_same_one_again() {
        let goods = goods();
        let looks: Vec<_> = (0..10_000).map(|look| goods.wanted(look).number).collect();
        assert!((0..10_000).all(|look| goods.wanted(look).number == looks[look as usize]));
        let first_tenth = looks.iter().filter(|n| **n < 100).count();
        assert!((5_000..8_000).contains(&first_tenth), "{first_tenth}");
        assert!(looks.iter().any(|n| *n > 900));
    }
}
