//! A worker's encoders: few are at work at once, and setting one up costs more than a short body.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;

use crate::config::plan::Coding;

use super::encoder::{Effort, Encoder};
use super::engine::Engine;

/// Encoders at work in one worker. A slow client holds one for as long as its answer takes, and at up to 1 MiB each
/// they are what a crowd of slow clients would fill the memory with: above this, answers go out as they are.
pub const LENT_MAX: u32 = 128;

/// Idle encoders kept for each coding. An encoder works in short bursts, so a few serve many answers; after a peak
/// their memory is given back.
const IDLE_MAX: usize = 8;

/// The encoders of one worker, all of [`Effort::Fast`].
#[derive(Default)]
pub struct Pool {
    gzip: RefCell<Vec<Engine>>,
    zstd: RefCell<Vec<Engine>>,
    lent: Cell<u32>,
}

impl Pool {
    /// An encoder for one body, which comes back by dropping; `expected` is the body's length if it is known, a hint.
    ///
    /// None if [`LENT_MAX`] are at work or there is no memory: the answer is then sent as it is, with
    /// [`says_vary`](super::says_vary).
    pub fn lend(self: &Rc<Self>, coding: Coding, expected: Option<u64>) -> Option<Encoder> {
        if self.lent.get() >= LENT_MAX {
            return None;
        }
        let idle = self.shelf(coding).and_then(|shelf| shelf.borrow_mut().pop());
        let engine = match idle {
            Some(mut engine) => engine.expect(expected).map(|()| engine),
            None => Engine::new(coding, Effort::Fast, expected),
        };
        let encoder = Encoder::lent(engine.ok()?, Rc::clone(self));
        self.lent.set(self.lent.get() + 1);
        Some(encoder)
    }

    /// How many are at work.
    pub fn lent(&self) -> u32 {
        self.lent.get()
    }

    pub(super) fn take_back(&self, engine: Engine) {
        self.lent.set(self.lent.get().saturating_sub(1));
        let Some(shelf) = self.shelf(engine.coding()) else {
            return;
        };
        let mut shelf = shelf.borrow_mut();
        if shelf.len() < IDLE_MAX {
            shelf.extend(engine.renew());
        }
    }

    /// Where idle ones lie; None for br, whose encoders serve only once.
    fn shelf(&self, coding: Coding) -> Option<&RefCell<Vec<Engine>>> {
        match coding {
            Coding::Brotli => None,
            Coding::Gzip => Some(&self.gzip),
            Coding::Zstd => Some(&self.zstd),
        }
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("lent", &self.lent)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::decoded;
    use super::*;

    const ALL: [Coding; 3] = [Coding::Brotli, Coding::Gzip, Coding::Zstd];

    fn body(salt: usize) -> Vec<u8> {
        (0..3_000 + salt * 50_000)
            .flat_map(|i| (i * salt % 977).to_string().into_bytes())
            .collect()
    }

    #[test]
    fn a_reused_encoder_knows_nothing_of_the_body_before() {
        let pool = Rc::new(Pool::default());
        for coding in ALL {
            for (salt, expected) in [(1, None), (2, Some(10)), (0, Some(1 << 40)), (1, Some(0))] {
                // One that is given up in the middle comes first.
                let mut out = Vec::new();
                let mut given_up = pool.lend(coding, expected).unwrap();
                given_up.write(b"of somebody else", &mut out).unwrap();
                drop(given_up);
                out.clear();
                let body = body(salt);
                let mut encoder = pool.lend(coding, expected).unwrap();
                encoder.write(&body, &mut out).unwrap();
                encoder.finish(&mut out).unwrap();
                assert_eq!(decoded(coding, &out), body, "{coding:?}");
            }
        }
        assert_eq!(pool.lent(), 0);
        assert_eq!((pool.gzip.borrow().len(), pool.zstd.borrow().len()), (1, 1));
    }

    #[test]
    fn no_more_are_lent_than_the_limit_and_no_more_are_kept_than_a_few() {
        let pool = Rc::new(Pool::default());
        let lent: Vec<_> = (0..LENT_MAX)
            .map(|_| pool.lend(Coding::Gzip, None).unwrap())
            .collect();
        assert!(pool.lend(Coding::Gzip, None).is_none() && pool.lend(Coding::Brotli, None).is_none());
        drop(lent);
        assert_eq!(pool.gzip.borrow().len(), IDLE_MAX);
        assert!(pool.lend(Coding::Brotli, None).is_some());
    }
}
