//! Smooth weighted turns without a queue: who is next is read off one number per participant.
//!
//! Each participant has a `pass`: the virtual time at which its next turn is due to begin. A turn of weight
//! w lasts [`stride`]`(w)`, and the shared virtual clock moves on by [`tick`]`(total weight)` per turn given. Next is
//! who may already begin and has to end first (earliest eligible virtual deadline first). Plain stride scheduling, which
//! asks only for the smallest pass, gives 5:1:1 as A B C A A A A and a weight of 100 beside a hundred ones as
//! a hundred of the small in a row; with the deadline each is never a whole turn ahead of or behind its share.
//!
//! Virtual time wraps. Only differences are looked at, and they are held within one stride: who comes back from an
//! absence is owed one turn at most, and who has grown heavier does not serve out the long stride of its past
//! (see [`settled`]).

/// Virtual time that a turn of weight 1 lasts.
///
/// Large, so that the rounding of a stride stays far below one turn in a lap even at the largest weights;
/// small beside 2^63, so that differences keep their sign.
pub const LAP: u64 = 1 << 48;

/// How long a turn of this weight lasts; weight 0 has no turns and is taken as 1.
pub fn stride(weight: u32) -> u64 {
    LAP / u64::from(weight.max(1))
}

/// How far the virtual clock moves with each turn that is given to a group of this total weight.
///
/// One less than exact: a clock that is slow by a hair is pushed on by the next pass (see [`Turn::start`]);
/// one that is fast would in time leave every participant behind it, and deadlines alone do not interleave.
pub fn tick(total_weight: u64) -> u64 {
    (LAP / total_weight.max(1)).saturating_sub(1)
}

/// Where a participant stands against the virtual clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// The smallest is next.
    pub rank: u64,
    /// When the turn begins; the clock is never behind the start of a turn that was given.
    pub start: u64,
}

impl Turn {
    /// What a participant with this pass ([`settled`]) and stride can claim at this virtual time.
    pub fn new(pass: u64, stride: u64, clock: u64) -> Self {
        /// Above every deadline: those that may not begin yet come after those that may.
        const EARLY: u64 = 1 << 62;
        let lead = signed(pass.wrapping_sub(clock)).max(-signed(stride));
        let rank = if lead <= 0 {
            stride.wrapping_add_signed(lead)
        } else {
            EARLY.wrapping_add_signed(lead)
        };
        Self {
            rank,
            start: clock.wrapping_add_signed(lead),
        }
    }

    /// The pass after this turn was taken.
    pub fn end(self, stride: u64) -> u64 {
        self.start.wrapping_add(stride)
    }
}

/// The pass with its lead cut to one stride, to be written back where it differs.
///
/// A lead is longer than that only if it was made at a smaller weight. Precondition: the clock was read after the pass, or the
/// lead of a turn that was given in between would look too long.
pub fn settled(pass: u64, stride: u64, clock: u64) -> u64 {
    let too_long = signed(pass.wrapping_sub(clock)) > signed(stride);
    if too_long {
        clock.wrapping_add(stride)
    } else {
        pass
    }
}

/// The later of two points of virtual time.
pub fn later(a: u64, b: u64) -> u64 {
    if signed(a.wrapping_sub(b)) > 0 { a } else { b }
}

/// A difference of virtual times, which wrap.
fn signed(difference: u64) -> i64 {
    i64::from_ne_bytes(difference.to_ne_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Gives `count` turns and returns who got them.
    fn rotate(weights: &[u32], clock: &mut u64, passes: &mut [u64], count: usize) -> Vec<usize> {
        let total = weights.iter().map(|w| u64::from(*w)).sum();
        let turn = |i: usize, passes: &[u64], clock| Turn::new(passes[i], stride(weights[i]), clock);
        (0..count)
            .map(|_| {
                for (pass, weight) in passes.iter_mut().zip(weights) {
                    *pass = settled(*pass, stride(*weight), *clock);
                }
                let next = (0..weights.len())
                    .min_by_key(|i| turn(*i, passes, *clock).rank)
                    .unwrap();
                let taken = turn(next, passes, *clock);
                *clock = later(taken.start, *clock).wrapping_add(tick(total));
                passes[next] = taken.end(stride(weights[next]));
                next
            })
            .collect()
    }

    #[test]
    fn a_heavy_participant_is_interleaved_with_light_ones() {
        let order = rotate(&[5, 1, 1], &mut 0, &mut [0; 3], 14);
        let text: String = order
            .iter()
            .map(|i| char::from(b'A' + u8::try_from(*i).unwrap()))
            .collect();
        assert_eq!(text, "ABAACAAABAACAA");
    }

    #[test]
    fn a_weight_of_a_hundred_beside_a_hundred_ones_gets_every_other_turn() {
        let mut weights = vec![1; 101];
        weights[0] = 100;
        let order = rotate(&weights, &mut 0, &mut [0; 101], 2_000);
        assert!(
            order.windows(3).all(|w| w.contains(&0)),
            "never two light ones and another in a row"
        );
    }

    #[test]
    fn who_returns_after_a_long_absence_is_owed_one_turn_at_most() {
        let (mut clock, mut passes) = (0, [0; 3]);
        rotate(&[4, 4, 0], &mut clock, &mut passes, 10_000);
        let order = rotate(&[4, 4, 4], &mut clock, &mut passes, 4);
        assert!(order.iter().filter(|i| **i == 2).count() <= 2, "{order:?}");
    }

    #[test]
    fn who_has_grown_heavier_does_not_serve_out_its_old_stride() {
        let (mut clock, mut passes) = (0, [0; 2]);
        rotate(&[256, 1], &mut clock, &mut passes, 10);
        passes[1] = clock.wrapping_add(stride(1));
        let order = rotate(&[256, 256], &mut clock, &mut passes, 4);
        assert!(order.contains(&1), "{order:?}");
    }

    proptest! {
        #[test]
        fn in_any_window_of_total_weight_turns_each_gets_its_weight_within_one(
            weights in proptest::collection::vec(1u32..40, 1..12),
            origin in any::<u64>(),
        ) {
            let total: usize = weights.iter().map(|w| *w as usize).sum();
            let mut passes = vec![origin; weights.len()];
            let order = rotate(&weights, &mut origin.clone(), &mut passes, total * 4);
            for window in order.windows(total) {
                for (i, weight) in weights.iter().enumerate() {
                    let got = window.iter().filter(|w| **w == i).count();
                    prop_assert!(got.abs_diff(*weight as usize) <= 1, "{i} of {weights:?} got {got}");
                }
            }
        }
    }
}
