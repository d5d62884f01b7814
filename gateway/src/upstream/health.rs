//! What the probes say of a server: up or down, and how sure they are.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::Changes;

/// The cell of one probe definition at one address. It starts up: an origin is trusted until it has failed. Of one that is not
/// known yet nothing speaks for it either, so the first probe alone decides.
#[derive(Debug)]
pub struct Health {
    up: AtomicBool,
    verdict: Mutex<Verdict>,
    changes: Changes,
}

/// A verdict and the probes in a row that contradict it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The server serves.
    pub up: bool,
    /// A probe has been seen.
    pub is_founded: bool,
    /// Probes since the last one that agreed.
    pub doubts: u32,
}

/// How many probes in a row it takes to change one's mind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// Good ones until it is up.
    pub healthy: NonZeroU32,
    /// Bad ones until it is down.
    pub unhealthy: NonZeroU32,
}

/// The verdict after one more probe.
pub fn step(verdict: Verdict, good: bool, thresholds: Thresholds) -> Verdict {
    let enough = match good {
        _ if !verdict.is_founded => NonZeroU32::MIN,
        true => thresholds.healthy,
        false => thresholds.unhealthy,
    };
    let doubts = verdict.doubts.saturating_add(1);
    let (up, doubts) = match good == verdict.up {
        true => (good, 0),
        false if doubts >= enough.get() => (good, 0),
        false => (verdict.up, doubts),
    };
    Verdict {
        up,
        is_founded: true,
        doubts,
    }
}

impl Health {
    /// Up, and no doubts.
    pub fn new(changes: Changes) -> Self {
        Self {
            up: AtomicBool::new(true),
            verdict: Mutex::new(Verdict {
                up: true,
                is_founded: false,
                doubts: 0,
            }),
            changes,
        }
    }

    /// Whether requests may go there.
    pub fn up(&self) -> bool {
        self.up.load(Ordering::Acquire)
    }

    /// Takes one probe's result in; the new verdict if it has changed.
    pub fn observe(&self, good: bool, thresholds: Thresholds) -> Option<bool> {
        let mut verdict = self.verdict.lock();
        let next = step(*verdict, good, thresholds);
        let changed = next.up != verdict.up;
        *verdict = next;
        changed.then(|| {
            self.up.store(next.up, Ordering::Release);
            self.changes.note();
            next.up
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thresholds() -> Thresholds {
        Thresholds {
            healthy: NonZeroU32::new(2).unwrap(),
            unhealthy: NonZeroU32::new(3).unwrap(),
        }
    }

    fn after(probes: &str) -> bool {
        let health = Health::new(Changes::default());
        for probe in probes.chars() {
            health.observe(probe == '+', thresholds());
        }
        health.up()
    }

    #[test]
    fn it_takes_the_threshold_in_a_row_to_go_down_and_to_come_up() {
        for (probes, up) in [
            ("", true),
            ("+", true),
            ("+--", true),
            ("+---", false),
            ("+--+--", true),
            ("+---+", false),
            ("+---+-+", false),
            ("+---++", true),
            ("+---++--", true),
        ] {
            assert_eq!(after(probes), up, "{probes}");
        }
    }

    #[test]
    fn of_a_server_that_is_not_known_yet_the_first_probe_decides() {
        for (probes, up) in [
            ("-", false),
            ("-+", false),
            ("-++", true),
            ("+", true),
            ("+-", true),
        ] {
            assert_eq!(after(probes), up, "{probes}");
        }
    }

    #[test]
    fn only_a_change_of_verdict_is_told() {
        let changes = Changes::default();
        let health = Health::new(changes.clone());
        let told: Vec<_> = [true, false, false, false, false]
            .map(|good| health.observe(good, thresholds()))
            .into();
        assert_eq!(told, [None, None, None, Some(false), None]);
        assert_eq!(changes.count(), 1);
    }
}
