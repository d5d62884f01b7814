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
/// One less than exact: a clock that is slow by a hair is pushed on by the next pass (see [`start`]);
/// one that is fast would in time leave every participant behind it, and deadlines alone do not interleave.
pub fn tick(total_weight: u64) -> u64 {
    (LAP / total_weight.max(1)).saturating_sub(1)
}

/// Where a participant stands against the virtual clock; the smallest is next.
///
/// None if its lead is longer than one stride and must be [`settled`] first.
#[inline]
pub fn rank(pass: u64, stride: u64, clock: u64) -> Option<u64> {
    // The deadline, counted from one stride ago: 0..=stride for those that may begin, up to twice that for those that may
    // not yet. Weights are at least 1, so twice a stride does not reach into the negative half of the circle.
    let deadline = pass.wrapping_sub(clock).wrapping_add(stride);
    if deadline <= 2 * stride {
        return Some(deadline + u64::from(deadline > stride) * EARLY);
    }
    (signed(deadline) < 0).then_some(0)
}

/// When the turn begins that this pass can claim at this virtual time.
pub fn start(pass: u64, stride: u64, clock: u64) -> u64 {
    later(pass, clock.wrapping_sub(stride))
}

/// Added to a rank above every deadline: those that may not begin yet come after those that may.
const EARLY: u64 = 1 << 62;

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
        (0..count)
            .map(|_| {
                for (pass, weight) in passes.iter_mut().zip(weights) {
                    *pass = settled(*pass, stride(*weight), *clock);
                }
                let rank = |i: &usize| rank(passes[*i], stride(weights[*i]), *clock).expect("settled");
                let next = (0..weights.len())
                    .filter(|i| weights[*i] > 0)
                    .min_by_key(rank)
                    .unwrap();
                let start = start(passes[next], stride(weights[next]), *clock);
                *clock = later(start, *clock).wrapping_add(tick(total));
                passes[next] = start.wrapping_add(stride(weights[next]));
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
