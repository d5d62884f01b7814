//! Which requests' spans are kept.

use crate::kit::clock::Mono;

/// A million, of which a share counts its parts.
pub const WHOLE_PPM: u32 = 1_000_000;

/// Requests a worker keeps in a second although they were not drawn. In an outage every request is an error, and the first
/// hundred say what the others would.
pub const KEPT_ANYWAY_PER_S_MAX: u32 = 100;

/// Why a request's spans are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// It was drawn, or its caller keeps it.
    Sampled,
    /// It has failed.
    Error,
    /// It was slow.
    Slow,
}

impl Why {
    /// The word that says so.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Sampled => "sample",
            Self::Error => "error",
            Self::Slow => "slow",
        }
    }
}

/// Whether a request is drawn.
///
/// `parent` is the decision of a caller that is believed, and holds. Of others' nothing holds: who could say of its own
/// requests that they are to be kept could make us send as much as it likes. `draw` is any 64 bits.
pub fn is_drawn(share_ppm: u32, parent: Option<bool>, draw: u64) -> bool {
    parent.unwrap_or_else(|| {
        let part = (u128::from(draw) * u128::from(WHOLE_PPM)) >> 64;
        part < u128::from(share_ppm)
    })
}

/// What is known when a request has ended.
#[derive(Clone, Copy, Debug)]
pub struct Ended {
    /// Whether it was drawn when it began.
    pub is_drawn: bool,
    /// Whether it has failed, by no fault of its client's.
    pub is_error: bool,
    /// Whether it took `slow_threshold` or longer.
    pub is_slow: bool,
}

impl Ended {
    /// Why it is kept; None if it is not.
    pub const fn why(self) -> Option<Why> {
        match self {
            Self { is_drawn: true, .. } => Some(Why::Sampled),
            Self { is_error: true, .. } => Some(Why::Error),
            Self { is_slow: true, .. } => Some(Why::Slow),
            _ => None,
        }
    }
}

/// How many requests are still kept in this second although they were not drawn. Of one worker.
#[derive(Clone, Copy, Debug, Default)]
pub struct Allowance {
    second: u64,
    used: u32,
}

impl Allowance {
    /// Takes one; false if there is none left.
    pub fn take(&mut self, now: Mono) -> bool {
        let second = now.0 / 1_000_000_000;
        if second != self.second {
            *self = Self { second, used: 0 };
        }
        self.used += u32::from(self.used <= KEPT_ANYWAY_PER_S_MAX);
        self.used <= KEPT_ANYWAY_PER_S_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_larger_share_draws_whatever_a_smaller_one_draws(a in 0..=WHOLE_PPM, b in 0..=WHOLE_PPM, draw: u64) {
            let (less, more) = (a.min(b), a.max(b));
            prop_assert!(!is_drawn(less, None, draw) || is_drawn(more, None, draw));
            prop_assert!(is_drawn(WHOLE_PPM, None, draw) && !is_drawn(0, None, draw));
        }

        #[test]
        fn a_caller_that_is_believed_decides(share in 0..=WHOLE_PPM, draw: u64, parent: bool) {
            prop_assert_eq!(is_drawn(share, Some(parent), draw), parent);
        }

        #[test]
        fn what_failed_or_was_slow_is_kept_though_it_was_not_drawn(is_drawn: bool, is_error: bool, is_slow: bool) {
            let why = Ended { is_drawn, is_error, is_slow }.why();
            prop_assert_eq!(why.is_some(), is_drawn || is_error || is_slow);
            prop_assert_eq!(why == Some(Why::Sampled), is_drawn);
        }

        #[test]
        fn no_second_has_more_than_its_allowance(mut at_ms in proptest::collection::vec(0..5_000u64, 0..1000)) {
            at_ms.sort_unstable();
            let mut allowance = Allowance::default();
            let mut taken = [0_u32; 5];
            let mut asked = [0_u32; 5];
            for ms in at_ms {
                let second = (ms / 1000) as usize;
                asked[second] += 1;
                taken[second] += u32::from(allowance.take(Mono(ms * 1_000_000)));
            }
            for (taken, asked) in taken.into_iter().zip(asked) {
                prop_assert_eq!(taken, asked.min(KEPT_ANYWAY_PER_S_MAX));
            }
        }
    }

    #[test]
    fn a_share_of_one_in_a_hundred_draws_about_that_many() {
        let mut random = fastrand::Rng::with_seed(7);
        let drawn = (0..100_000)
            .filter(|_| is_drawn(10_000, None, random.u64(..)))
            .count();
        assert!((800..1200).contains(&drawn), "{drawn}");
    }
}
