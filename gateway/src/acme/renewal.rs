//! When a certificate is ordered: a function of what is held, what the authority suggests, how it went, and now.

use std::time::Duration;

use crate::kit::clock::{Mono, Now};

/// Before the next try after the first failure. Whoever has just opened port 80 waits no longer than he takes to look.
pub const BACKOFF_FIRST: Duration = Duration::from_secs(60);

/// Between two tries, at most: an authority that is down for a week is asked seven times more.
pub const BACKOFF_MAX: Duration = Duration::from_secs(24 * 3_600);

/// The longest pause an authority can ask for. Limits of Let's Encrypt are weekly; what is longer is a mistake of it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(7 * 24 * 3_600);

/// Between one certificate that has come and the next order, where that one is due at once: an authority suggests a time
/// that has passed, or a clock is ahead. Let's Encrypt signs the same names five times a week and then no more, also for
/// who has lost a certificate.
pub const ORDER_PAUSE: Duration = Duration::from_secs(3_600);

/// The same pause, which doubles while it goes on so, at most: then it is an order a day.
pub const ORDER_PAUSE_MAX: Duration = Duration::from_secs(24 * 3_600);

/// Of its lifetime, the longest pause a certificate is given: one that lives for hours is renewed in time.
const ORDER_PAUSE_SHARE: u32 = 4;

/// A certificate that is replaced before this part of its lifetime has passed was due too soon. Else two thirds have passed.
const TOO_SOON_SHARE: u32 = 2;

/// Doublings after which no pause is shorter than its maximum.
const DOUBLINGS_MAX: u32 = 16;

/// Of its lifetime, what has passed when a certificate is renewed that nobody suggests a time for…
const RENEWED_AFTER: f64 = 2.0 / 3.0;

/// …and how much later it may be: gateways that have begun together do not all come back together.
const RENEWED_SPREAD: f64 = 1.0 / 12.0;

/// Of its lifetime, what has passed when a certificate is renewed whatever was suggested: some tries must still fit.
const RENEWED_AT_LATEST: f64 = 0.9;

/// From when to when a certificate holds, since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// From here on.
    pub not_before: Duration,
    /// Until here.
    pub not_after: Duration,
}

/// When the authority would have a certificate renewed (RFC 9773 §4.2), since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// From here on.
    pub start: Duration,
    /// Until here.
    pub end: Duration,
}

impl Window {
    /// None for one that ends before it begins, which says nothing.
    pub fn new(start: Duration, end: Duration) -> Option<Self> {
        (start < end).then_some(Self { start, end })
    }
}

/// When a certificate has to be ordered, since the Unix epoch; zero means that it is late already.
///
/// `held` is what there is for all of the names wanted. `draw` in 0..1 is drawn once for each certificate, and not anew
/// for each question: the earliest of many draws would always win.
pub fn due(held: Option<Validity>, window: Option<Window>, draw: f64) -> Duration {
    let Some(held) = held else {
        return Duration::ZERO;
    };
    let lifetime = held.not_after.saturating_sub(held.not_before);
    let after = |share: f64| held.not_before.saturating_add(lifetime.mul_f64(share));
    match window {
        None => after(RENEWED_AFTER + RENEWED_SPREAD * draw),
        // RFC 9773 §4.2: "Select a uniform random time within the suggested window".
        Some(window) => {
            let picked = window.start + (window.end - window.start).mul_f64(draw);
            picked.min(after(RENEWED_AT_LATEST))
        }
    }
}

/// How orders of one certificate have gone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    /// In a row.
    failures: u32,
    /// Nobody is asked before.
    held_until: Mono,
    /// When the last one came.
    came: Option<Mono>,
    /// Certificates in a row that came too soon after the one before.
    too_soon: u32,
}

impl Course {
    /// An order has failed. `retry_after` is what the authority has asked for.
    pub fn failed(&mut self, now: Mono, retry_after: Option<Duration>, draw: f64) {
        let asked = retry_after.unwrap_or_default().min(RETRY_AFTER_MAX);
        self.held_until = now.plus(backoff(self.failures, draw).max(asked));
        self.failures = self.failures.saturating_add(1);
    }

    /// A certificate has come that holds for `lifetime`, ordered here or elsewhere. The next one is not ordered at once,
    /// whatever is said to be due.
    pub fn came(&mut self, now: Mono, lifetime: Duration) {
        let is_too_soon = self
            .came
            .is_some_and(|before| now.since(before) < lifetime / TOO_SOON_SHARE);
        let too_soon = if is_too_soon {
            self.too_soon.saturating_add(1)
        } else {
            0
        };
        let pause = ORDER_PAUSE.saturating_mul(1 << too_soon.min(DOUBLINGS_MAX));
        let pause = pause.min(ORDER_PAUSE_MAX).min(lifetime / ORDER_PAUSE_SHARE);
        *self = Self {
            failures: 0,
            held_until: now.plus(pause),
            came: Some(now),
            too_soon,
        };
    }

    /// Somebody else is at it: to be looked at again after `pause`, and nothing else is said by it.
    pub fn postponed(&mut self, now: Mono, pause: Duration) {
        self.held_until = self.held_until.max(now.plus(pause));
    }

    /// How many have failed since one succeeded.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// How long it is until the next try, with an order due at `due` since the Unix epoch.
    ///
    /// What is due goes by the wall clock, as certificates do; a pause goes by the other, so that a clock that is set
    /// does not make it a year.
    pub fn wait(&self, due: Duration, now: Now) -> Duration {
        let pause = self.held_until.since(now.mono);
        due.saturating_sub(now.wall).max(pause)
    }
}

/// The pause after so many failures in a row and one more: doubled each time and spread over half of itself.
fn backoff(failures: u32, draw: f64) -> Duration {
    let full = BACKOFF_FIRST.saturating_mul(1 << failures.min(DOUBLINGS_MAX));
    full.min(BACKOFF_MAX)
        .mul_f64(0.75 + draw / 2.0)
        .clamp(BACKOFF_FIRST, BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: u64 = 3_600;
    const DAY: u64 = 24 * HOUR;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn at(secs: u64) -> Now {
        Now {
            mono: Mono::default().plus(Duration::from_secs(secs)),
            wall: Duration::from_secs(1_000_000 + secs),
        }
    }

    prop_compose! {
        fn validity()(not_before in 0u64..2_000_000_000, life in 60u64..400 * DAY) -> Validity {
            Validity { not_before: secs(not_before), not_after: secs(not_before + life) }
        }
    }

    prop_compose! {
        fn window()(start in 0u64..3_000_000_000, length in 1u64..60 * DAY) -> Window {
            Window::new(secs(start), secs(start + length)).unwrap()
        }
    }

    proptest! {
        #[test]
        fn without_a_suggestion_a_third_to_a_quarter_of_the_lifetime_is_left(held in validity(), draw in 0.0..1.0f64) {
            let life = (held.not_after - held.not_before).as_secs_f64();
            let left = held.not_after.as_secs_f64() - due(Some(held), None, draw).as_secs_f64();
            prop_assert!(left <= life / 3.0 + 1e-3, "{left} of {life}");
            prop_assert!(left >= life / 4.0 - 1e-3, "{left} of {life}");
        }

        #[test]
        fn a_suggested_time_lies_in_the_window_unless_that_would_be_too_late(
            held in validity(), window in window(), draw in 0.0..1.0f64,
        ) {
            let due = due(Some(held), Some(window), draw);
            prop_assert!(due < held.not_after);
            prop_assert!(due <= window.end);
            let life = held.not_after - held.not_before;
            if due < window.start {
                // Then it is the latest time there is.
                prop_assert_eq!(due, held.not_before + life.mul_f64(0.9));
            }
        }

        #[test]
        fn the_draw_spreads_and_a_window_that_moves_takes_the_time_with_it(
            held in validity(), window in window(), draws in (0.0..0.4f64, 0.6..1.0f64), by in 1u64..DAY,
        ) {
            prop_assert!(due(Some(held), None, draws.0) < due(Some(held), None, draws.1));
            let moved = Window { start: window.start + secs(by), end: window.end + secs(by) };
            prop_assert!(due(Some(held), Some(moved), draws.0) >= due(Some(held), Some(window), draws.0));
        }

        #[test]
        fn nothing_held_is_due_at_once(window in proptest::option::of(window()), draw in 0.0..1.0f64) {
            prop_assert_eq!(due(None, window, draw), Duration::ZERO);
        }

        /// The model writes each pause down and adds nothing up.
        #[test]
        fn no_try_comes_before_its_pause_is_over_nor_later_than_it_must(
            steps in proptest::collection::vec((proptest::option::of(0u64..30 * DAY), 0.0..1.0f64, 0u64..2 * DAY), 1..40),
        ) {
            let mut course = Course::default();
            let mut now = 0;
            let mut full = 60u64;
            for (retry_after, draw, later) in steps {
                course.failed(at(now).mono, retry_after.map(secs), draw);
                let wait = course.wait(Duration::ZERO, at(now));
                let asked = retry_after.unwrap_or(0).min(7 * DAY);
                prop_assert!(wait >= secs(60.max(asked)), "{wait:?}");
                prop_assert!(wait <= secs(DAY.max(asked)), "{wait:?}");
                if asked == 0 {
                    prop_assert!(wait.as_secs_f64() >= full.min(DAY) as f64 * 0.75 - 1e-3);
                    prop_assert!(wait.as_secs_f64() <= full.min(DAY) as f64 * 1.25 + 1e-3);
                }
                full = (full * 2).min(DAY);
                now += later;
                let left = course.wait(Duration::ZERO, at(now));
                prop_assert_eq!(left, wait.saturating_sub(secs(later)));
            }
            course.came(at(now).mono, secs(90 * DAY));
            prop_assert_eq!(course.failures(), 0);
            prop_assert_eq!(course.wait(Duration::ZERO, at(now)), secs(HOUR));
        }

        /// The worst there is: each one that comes is due at once.
        #[test]
        fn orders_that_are_due_at_once_become_one_a_day_and_never_hold_a_renewal_up(life in 8u64..400 * DAY, n in 1u64..30) {
            let mut course = Course::default();
            let (mut now, mut pauses) = (0, Vec::new());
            for _ in 0..n {
                course.came(at(now).mono, secs(life));
                let wait = course.wait(Duration::ZERO, at(now));
                prop_assert!(wait <= secs(life) / 4 && wait <= secs(DAY), "{wait:?}");
                prop_assert!(wait >= (secs(life) / 4).min(secs(HOUR)), "{wait:?}");
                pauses.push(wait);
                now += wait.as_secs() + 1;
            }
            if life >= 10 * DAY {
                let expected: Vec<_> = (0..n).map(|i| secs((HOUR << i.min(5)).min(DAY))).collect();
                prop_assert_eq!(&pauses, &expected);
            }
            // One that comes in its time is nothing to be careful about.
            course.came(at(now + life * 2 / 3).mono, secs(life));
            let wait = course.wait(Duration::ZERO, at(now + life * 2 / 3));
            prop_assert_eq!(wait, secs(HOUR).min(secs(life) / 4));
        }

        #[test]
        fn the_later_of_both_counts(due in 0u64..3_000_000, pause in 0u64..1_000_000, now in 0u64..1_000_000) {
            let mut course = Course::default();
            course.postponed(Mono::default(), secs(pause));
            let wait = course.wait(secs(due), at(now));
            let (by_wall, by_mono) = (due.saturating_sub(1_000_000 + now), pause.saturating_sub(now));
            prop_assert_eq!(wait, secs(by_wall.max(by_mono)));
            prop_assert_eq!(course.failures(), 0);
        }
    }

    #[test]
    fn a_window_that_ends_before_it_begins_is_none() {
        assert_eq!(Window::new(secs(2), secs(2)), None);
        assert_eq!(Window::new(secs(3), secs(2)), None);
        assert!(Window::new(secs(2), secs(3)).is_some());
    }

    #[test]
    fn a_window_in_the_past_is_due_already() {
        let held = Validity {
            not_before: secs(1_000_000),
            not_after: secs(1_000_000 + 90 * DAY),
        };
        let window = Window::new(secs(0), secs(HOUR));
        let due = due(Some(held), window, 0.99);
        assert_eq!(Course::default().wait(due, at(0)), Duration::ZERO);
    }
}
