//! The arithmetic of one decision: governor's GCRA on what a key owes.
//!
//! governor keeps, for each key, when the next request would be due if all came evenly (its theoretical arrival time).
//! How far that lies ahead is the key's *debt*: each admitted request adds one interval to it, and it falls as time
//! goes by. A request is admitted while the debt is at most the interval times (burst - 1).
//!
//! Each question is put to a limiter of its own, which begins now and holds nothing but the debt: so governor needs
//! neither a clock nor a store, its numbers are never larger than a debt (it adds and multiplies unchecked), and one
//! request can be judged by several limits before any of them is charged.

use std::cell::Cell;
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::StateInformationMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use governor::{Quota, RateLimiter};

use crate::config::plan::RateLimit;

/// The most that can be owed, in nanoseconds (146 years): with a time of at most as much it fits a u64 twice.
pub const DEBT_NS_MAX: u64 = 1 << 62;

/// The latest time that is told apart, in nanoseconds. A clock beyond it stands still here, which admits no more.
pub const TIME_NS_MAX: u64 = 1 << 62;

/// A rate and a burst, as the arithmetic has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Between two requests that come evenly; at least 1.
    interval_ns: u64,
    quota: Quota,
}

/// What a decision to admit leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Charged {
    /// What the key owes from now on.
    pub debt_ns: u64,
    /// Requests that would be admitted after this one without a pause.
    pub remaining: u32,
    /// Until it is one more.
    pub reset_ns: u64,
}

impl Pace {
    /// The pace of a limit.
    ///
    /// The interval is rounded up to whole nanoseconds: "3/s" admits three in a second and two nanoseconds, because
    /// rounded down it would admit more than it says. So nothing is faster than one in a nanosecond, 10^9/s, which no
    /// machine can ask for; rounded down that would be no limit at all. A burst whose debt would not fit is cut.
    pub fn of(plan: &RateLimit) -> Self {
        let interval = plan.period.as_nanos().div_ceil(u128::from(plan.count.get()));
        let interval_ns = u64::try_from(interval).unwrap_or(u64::MAX).clamp(1, DEBT_NS_MAX);
        let most = u32::try_from(DEBT_NS_MAX / interval_ns).unwrap_or(u32::MAX);
        let burst = plan.burst.get().min(most).try_into().unwrap_or(plan.burst);
        let quota = Quota::with_period(Duration::from_nanos(interval_ns))
            .expect("an interval is at least a nanosecond")
            .allow_burst(burst);
        Self { interval_ns, quota }
    }

    /// Between two requests that come evenly.
    pub fn interval_ns(&self) -> u64 {
        self.interval_ns
    }

    /// Requests admitted at once after a pause.
    pub fn burst(&self) -> u32 {
        self.quota.burst_size().get()
    }

    /// What a key owes that has spent all.
    pub fn debt_ns_max(&self) -> u64 {
        self.interval_ns * u64::from(self.burst())
    }

    /// Whether a key that owes so much is admitted once more; `Err` is how long it has to wait for that.
    pub fn judge(&self, debt_ns: u64) -> Result<Charged, Duration> {
        // Debts of our own making are never larger; this is for a caller's clock that went back by years.
        let slip = Slip {
            debt_ns: debt_ns.min(DEBT_NS_MAX),
            charged_ns: Cell::new(0),
        };
        let limiter = RateLimiter::<_, _, _, StateInformationMiddleware>::new(self.quota, &slip, Start);
        let snapshot = limiter
            .check()
            .map_err(|until| until.wait_time_from(Start.now()))?;
        let debt_ns = slip.charged_ns.get();
        let remaining = snapshot.remaining_burst_capacity();
        let spare_ns = self.debt_ns_max() - debt_ns - u64::from(remaining) * self.interval_ns;
        Ok(Charged {
            debt_ns,
            remaining,
            reset_ns: self.interval_ns - spare_ns,
        })
    }

    /// A debt at another pace as the debt of the same number of requests at this one, rounded up.
    ///
    /// No more than all that can be spent: of a thousand requests that were spent of a larger burst, those beyond this
    /// one's are let off, or a burst that becomes one a day would shut such a client out for three years.
    pub fn convert(&self, debt_ns: u64, from: &Self) -> u64 {
        let scaled = (u128::from(debt_ns) * u128::from(self.interval_ns)).div_ceil(from.interval_ns.into());
        u64::try_from(scaled).unwrap_or(u64::MAX).min(self.debt_ns_max())
    }
}

/// What governor reads and writes for one decision: the debt, as a time of arrival seen from now.
struct Slip {
    debt_ns: u64,
    charged_ns: Cell<u64>,
}

impl StateStore for &Slip {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let (outcome, next) = decide(Some(Nanos::new(self.debt_ns)))?;
        self.charged_ns.set(next.as_u64());
        Ok(outcome)
    }
}

/// The clock of a limiter that is asked once, at its beginning.
struct Start;

impl Clock for Start {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::new(0)
    }
}
