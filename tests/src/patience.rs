//! Waiting for facts. A play never waits for a time: it names what must become true, and this bounds the wait.

use std::time::Duration;

use ::gateway::kit::clock::Clock;

/// Generous, because a loaded machine is no reason to fail; a play that passes never waits so long.
const PATIENCE_MS: u64 = 10_000;

/// A look at a fact costs a system call or two.
const BETWEEN_LOOKS: Duration = Duration::from_millis(2);

/// How long any one fact is waited for: `TEST_PATIENCE_MS`, else ten seconds.
pub fn patience() -> Duration {
    let told = std::env::var("TEST_PATIENCE_MS")
        .ok()
        .and_then(|ms| ms.parse().ok());
    Duration::from_millis(told.unwrap_or(PATIENCE_MS))
}

/// Returns when the fact holds; fails the play when patience has run out.
#[track_caller]
pub fn wait_until(fact: &str, mut holds: impl FnMut() -> bool) {
    wait_for(fact, || holds().then_some(()));
}

/// Returns what `look` has found; fails the play when patience has run out.
#[track_caller]
pub fn wait_for<T>(fact: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let began = clock.now().mono;
    loop {
        if let Some(found) = look() {
            return found;
        }
        let waited = clock.now().mono.since(began);
        assert!(
            waited < patience(),
            "{waited:?} have passed, and still it does not hold that {fact}"
        );
        std::thread::park_timeout(BETWEEN_LOOKS);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_that_comes_true_is_returned() {
        let mut looks = 0;
        let found = wait_for("three looks were taken", || {
            looks += 1;
            (looks == 3).then_some("found")
        });
        assert_eq!(found, "found");
    }
}
