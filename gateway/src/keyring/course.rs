//! When an issuer is asked again, and whether what became of it is news.

use std::time::Duration;

/// Between a fetch and the next one that a token has asked for: whoever sends tokens with invented key names shall not
/// make the gateway ask for each of them.
const DEMAND_GAP: Duration = Duration::from_secs(30);

/// After the first failure; it doubles with each that follows.
const BACKOFF_FIRST: Duration = Duration::from_secs(1);

/// The longest pause after failures, however long the refresh is.
const BACKOFF_MAX: Duration = Duration::from_secs(60);

/// The longest pause while there are no keys at all: until then no token is good, so an issuer that has started after the
/// gateway is not kept waiting.
const BACKOFF_WITHOUT_KEYS_MAX: Duration = Duration::from_secs(5);

/// Doublings after which no pause is shorter than its maximum.
const DOUBLINGS_MAX: u32 = 16;

/// The shortest interval, whatever was configured.
const REFRESH_MIN: Duration = Duration::from_secs(1);

/// How fast an issuer is asked.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// Between two fetches that nobody asks for.
    pub refresh: Duration,
    /// Between a fetch and the next one that is asked for.
    pub demand_gap: Duration,
    /// After the first failure.
    pub backoff_first: Duration,
    /// After many.
    pub backoff_max: Duration,
}

impl Pace {
    pub(super) fn of(refresh: Duration) -> Self {
        let refresh = refresh.max(REFRESH_MIN);
        Self {
            refresh,
            demand_gap: DEMAND_GAP.min(refresh),
            backoff_first: BACKOFF_FIRST,
            backoff_max: BACKOFF_MAX.min(refresh),
        }
    }
}

/// A pause between two fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Wait {
    /// Whatever is asked for.
    pub at_least: Duration,
    /// And as much again, unless a key is asked for.
    pub then_unless_wanted: Duration,
}

/// How it has gone so far with one issuer.
#[derive(Debug)]
pub(super) struct Course {
    pace: Pace,
    /// In a row.
    failures: u32,
    /// Keys that came last; None before the first ones.
    known: Option<usize>,
}

impl Course {
    pub(super) fn new(pace: Pace) -> Self {
        Self {
            pace,
            failures: 0,
            known: None,
        }
    }

    /// Keys have come. True where that is news: the first ones, or the first after failures.
    pub(super) fn succeeded(&mut self, count: usize) -> bool {
        let is_news = self.failures > 0 || self.known.is_none();
        self.failures = 0;
        self.known = Some(count);
        is_news
    }

    /// None have come. True where that is news: it has gone well before, or it is the first time.
    pub(super) fn failed(&mut self) -> bool {
        self.failures = self.failures.saturating_add(1);
        self.failures == 1
    }

    /// Keys that are in use.
    pub(super) fn known(&self) -> usize {
        self.known.unwrap_or(0)
    }

    /// How long to wait. `draw` is from 0 to 1: many gateways that were started together shall not ask together for ever.
    pub(super) fn wait(&self, draw: f64) -> Wait {
        let pace = self.pace;
        if self.failures == 0 {
            let refresh = pace.refresh.mul_f64(1.0 - 0.1 * draw.clamp(0.0, 1.0));
            let at_least = pace.demand_gap.min(refresh);
            return Wait {
                at_least,
                then_unless_wanted: refresh - at_least,
            };
        }
        let doublings = (self.failures - 1).min(DOUBLINGS_MAX);
        let backoff = pace.backoff_first.saturating_mul(1 << doublings);
        let most = match self.known {
            Some(_) => pace.backoff_max,
            None => pace.backoff_max.min(BACKOFF_WITHOUT_KEYS_MAX),
        };
        // A token that asks for a key does not make an issuer answer that does not.
        Wait {
            at_least: backoff.min(most),
            then_unless_wanted: Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn after_keys_it_waits_for_the_refresh_and_sooner_for_a_wish() {
        let mut course = Course::new(Pace::of(HOUR));
        course.succeeded(2);
        let wait = course.wait(0.0);
        assert_eq!(
            (wait.at_least, wait.at_least + wait.then_unless_wanted),
            (DEMAND_GAP, HOUR)
        );
        let wait = course.wait(1.0);
        assert_eq!(wait.at_least + wait.then_unless_wanted, HOUR.mul_f64(0.9));
    }

    #[test]
    fn failures_double_the_pause_up_to_a_limit_and_a_success_ends_that() {
        let mut course = Course::new(Pace::of(HOUR));
        let pauses = |course: &mut Course| {
            [(); 8].map(|()| {
                course.failed();
                course.wait(0.5).at_least.as_secs()
            })
        };
        assert_eq!(pauses(&mut course), [1, 2, 4, 5, 5, 5, 5, 5]);
        course.succeeded(1);
        assert_eq!(pauses(&mut course), [1, 2, 4, 8, 16, 32, 60, 60]);
        course.succeeded(1);
        assert_eq!(course.wait(0.5).at_least, DEMAND_GAP);
        course.failed();
        assert_eq!(course.wait(0.5).at_least, BACKOFF_FIRST);
    }

    #[test]
    fn only_changes_are_news() {
        let mut course = Course::new(Pace::of(HOUR));
        assert_eq!(
            [course.failed(), course.failed(), course.failed()],
            [true, false, false]
        );
        assert_eq!([course.succeeded(3), course.succeeded(2)], [true, false]);
        assert_eq!([course.failed(), course.failed()], [true, false]);
        assert_eq!(course.known(), 2);
        assert_eq!([course.succeeded(2), course.succeeded(2)], [true, false]);
    }

    proptest! {
        #[test]
        fn no_pause_is_without_bounds(refresh_ms in 0u64..100_000_000, outcomes: Vec<bool>, draw in 0.0f64..1.0) {
            let pace = Pace::of(Duration::from_millis(refresh_ms));
            let mut course = Course::new(pace);
            for went_well in outcomes {
                let _ = if went_well { course.succeeded(1) } else { course.failed() };
                let wait = course.wait(draw);
                let most = wait.at_least + wait.then_unless_wanted;
                prop_assert!(most <= pace.refresh && most >= REFRESH_MIN.mul_f64(0.9));
            }
        }

        #[test]
        fn however_long_it_fails_the_pause_stays_at_its_limit(failures in 10u32..) {
            let course = Course { pace: Pace::of(HOUR), failures, known: Some(1) };
            prop_assert_eq!(course.wait(0.0).at_least, BACKOFF_MAX);
        }
    }
}
