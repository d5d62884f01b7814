//! What is known from one source: the cell that outlives reloads.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::course::{Answer, Course, Pace, Say};
use crate::config::plan::UpstreamServer;
use crate::kit::clock::{Mono, Now};

/// The servers of one source, from its last answer that had any.
#[derive(Debug, Default)]
pub struct Roster(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    course: Course,
    given: Arc<Given>,
    errors: u64,
    succeeded_at: Option<Duration>,
    fault: Option<String>,
}

/// The servers of an answer; another answer is another one of these.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Given {
    /// In an order that stays the same while they do.
    pub servers: Vec<UpstreamServer>,
    /// Since when those are new that were not known before; None where it is we who are new, so that none is newer.
    pub new_since: Option<Mono>,
    /// Whether the source has ever said which there are.
    pub is_known: bool,
}

/// How it goes with a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RosterStatus {
    /// Servers it has given.
    pub servers: usize,
    /// Whether it has ever given any.
    pub is_known: bool,
    /// Questions without a whole answer, and those answered with nothing.
    pub errors: u64,
    /// When it last gave servers, since the Unix epoch.
    pub succeeded_at: Option<Duration>,
    /// What was wrong with the last answer.
    pub fault: Option<String>,
}

/// What is to be done after an answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Told {
    /// Whether there are other servers.
    pub changed: bool,
    /// Until the next question.
    pub wait: Duration,
    /// For the log.
    pub say: Vec<Say>,
}

impl Roster {
    /// The servers as they are known now.
    pub fn given(&self) -> Arc<Given> {
        Arc::clone(&self.0.lock().given)
    }

    /// Goes on with what another process was given at that time since the Unix epoch, as long as the source has said nothing
    /// here. None of these is new then, and those are that come later.
    pub fn inherit(&self, servers: Vec<UpstreamServer>, given_at: Duration) {
        let mut inner = self.0.lock();
        if servers.is_empty() || inner.course.has_answered() {
            return;
        }
        inner.course.inherit(servers);
        inner.succeeded_at = Some(given_at);
        inner.given = Arc::new(Given {
            servers: inner.course.servers().to_vec(),
            new_since: None,
            is_known: true,
        });
    }

    /// How it goes.
    pub fn status(&self) -> RosterStatus {
        let inner = self.0.lock();
        RosterStatus {
            servers: inner.given.servers.len(),
            is_known: inner.given.is_known,
            errors: inner.errors,
            succeeded_at: inner.succeeded_at,
            fault: inner.fault.clone(),
        }
    }

    /// Takes an answer. `draw` is from 0 to 1.
    pub fn take(&self, answer: Answer, pace: Pace, now: Now, draw: f64) -> Told {
        let mut inner = self.0.lock();
        inner.fault = fault(&answer);
        inner.errors += u64::from(inner.fault.is_some());
        if matches!(&answer, Answer::Servers { servers, .. } if !servers.is_empty()) {
            inner.succeeded_at = Some(now.wall);
        }
        let was_known = inner.course.has_answered();
        let step = inner.course.take(answer, pace, now.mono, draw);
        if step.changed {
            inner.given = Arc::new(Given {
                servers: inner.course.servers().to_vec(),
                new_since: was_known.then_some(now.mono),
                is_known: true,
            });
        }
        Told {
            changed: step.changed,
            wait: step.wait,
            say: step.say,
        }
    }
}

fn fault(answer: &Answer) -> Option<String> {
    match answer {
        Answer::Empty(why) | Answer::Failed(why) => Some(why.clone()),
        Answer::Servers { servers, .. } if servers.is_empty() => Some("its list is empty".to_owned()),
        Answer::Servers { missing, .. } => missing.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::*;
    use crate::config::plan::Address;
    use crate::kit::clock::Clock;

    const PACE: Duration = Duration::from_secs(1);

    fn servers(addresses: &[&str]) -> Vec<UpstreamServer> {
        let server = |address: &&str| UpstreamServer {
            address: Address::parse(address).unwrap(),
            weight: NonZeroU32::MIN,
            backup: false,
            down: false,
            max_conns: 0,
            slow_start: Duration::ZERO,
        };
        addresses.iter().map(server).collect()
    }

    fn answer(addresses: &[&str]) -> Answer {
        Answer::Servers {
            servers: servers(addresses),
            again_after: Duration::ZERO,
            missing: None,
        }
    }

    #[test]
    fn what_is_inherited_holds_until_the_source_says_otherwise() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let roster = Roster::default();
        let take = |answer| roster.take(answer, Pace::of(PACE), clock.now(), 0.0).changed;
        roster.inherit(Vec::new(), Duration::from_secs(900));
        assert!(!roster.given().is_known, "nothing is no answer");
        roster.inherit(servers(&["a:1", "b:1"]), Duration::from_secs(900));
        let first = roster.given();
        assert_eq!(
            (first.servers.clone(), first.new_since),
            (servers(&["a:1", "b:1"]), None)
        );
        assert!(first.is_known && roster.status().succeeded_at == Some(Duration::from_secs(900)));
        assert!(!take(Answer::Failed("away".to_owned())) && !take(answer(&[])));
        assert!(!take(answer(&["a:1", "b:1"])) && Arc::ptr_eq(&first, &roster.given()));
        roster.inherit(servers(&["z:1"]), Duration::from_secs(900));
        assert!(
            Arc::ptr_eq(&first, &roster.given()),
            "the source itself has spoken"
        );
        assert!(take(answer(&["a:1", "c:1"])));
        assert_eq!(roster.given().new_since, Some(clock.now().mono));
    }

    #[test]
    fn of_what_is_inherited_a_part_of_an_answer_takes_nothing_away() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let roster = Roster::default();
        let take = |answer| roster.take(answer, Pace::of(PACE), clock.now(), 0.0).changed;
        let part = |addresses: &[&str]| Answer::Servers {
            servers: servers(addresses),
            again_after: Duration::ZERO,
            missing: Some("one target".to_owned()),
        };
        roster.inherit(servers(&["a:1", "b:1"]), Duration::from_secs(900));
        assert!(!take(part(&["a:1"])));
        assert!(take(part(&["c:1"])));
        assert_eq!(roster.given().servers, servers(&["c:1", "a:1", "b:1"]));
        assert!(take(answer(&["a:1"])), "all of it is what there is");
        // From here on whoever asks knows what belongs to which part.
        assert!(take(part(&["c:1"])));
        assert_eq!(roster.given().servers, servers(&["c:1"]));
    }

    #[test]
    fn only_who_comes_after_the_first_answer_is_new() {
        let clock = Clock::manual(Duration::from_secs(1_000));
        let roster = Roster::default();
        let ask = |addresses: &[&str]| {
            let pace = Pace::of(PACE);
            roster.take(answer(addresses), pace, clock.now(), 0.0).changed
        };
        assert!(!roster.given().is_known && !ask(&[]));
        assert!(ask(&["a:1"]));
        let first = roster.given();
        assert_eq!((first.new_since, first.is_known), (None, true));
        assert!(!ask(&["a:1"]) && Arc::ptr_eq(&first, &roster.given()));
        assert!(ask(&["a:1", "b:1"]));
        assert_eq!(roster.given().new_since, Some(clock.now().mono));
        let status = roster.status();
        assert_eq!((status.servers, status.errors, status.fault), (2, 1, None));
        assert_eq!(status.succeeded_at, Some(Duration::from_secs(1_000)));
    }
}
