mod learning;
mod model;
mod simulation;
mod simulator;
mod threads;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::config::plan::Overload;
use crate::kit::clock::Mono;

/// Counts how often it is rung.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn given(max_requests: u32, queue: u32) -> Overload {
    Overload {
        max_requests,
        queue,
        queue_timeout: Duration::from_secs(1),
        adaptive: false,
    }
}

fn throttle() -> Arc<Throttle> {
    Arc::new(Throttle::new())
}

fn poll(waiting: &mut Waiting, bell: &Arc<Bell>) -> Option<Permit> {
    let waker = Waker::from(Arc::clone(bell));
    match pin!(waiting).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(permit) => Some(permit),
        Poll::Pending => None,
    }
}

fn permit(entry: Entry) -> Permit {
    match entry {
        Entry::Permit(permit) => permit,
        other => panic!("{other:?}"),
    }
}

fn waiting(entry: Entry) -> Waiting {
    match entry {
        Entry::Wait(waiting) => waiting,
        other => panic!("{other:?}"),
    }
}

const NOW: Mono = Mono(1_000_000_000);

#[test]
fn without_a_limit_all_come_in_and_are_counted() {
    let throttle = throttle();
    let permits: Vec<_> = (0..1_000)
        .map(|_| permit(throttle.enter(&Overload::default(), NOW)))
        .collect();
    assert_eq!((throttle.in_flight(), throttle.limit()), (1_000, None));
    drop(permits);
    assert_eq!((throttle.in_flight(), throttle.shed()), (0, 0));
}

#[test]
fn a_place_given_to_one_who_goes_at_that_moment_goes_to_the_next() {
    let (throttle, policy) = (throttle(), given(1, 2));
    let inside = permit(throttle.enter(&policy, NOW));
    let first = waiting(throttle.enter(&policy, NOW));
    let mut second = waiting(throttle.enter(&policy, NOW));
    assert!(matches!(throttle.enter(&policy, NOW), Entry::Full));
    assert_eq!((throttle.waiting(), throttle.shed()), (2, 1));
    let bell = Arc::default();
    assert!(poll(&mut second, &bell).is_none());
    inside.learn(Duration::from_millis(1), true, NOW);
    drop(inside);
    drop(first);
    assert_eq!(bell.0.load(Ordering::Acquire), 1);
    drop(poll(&mut second, &bell).expect("its turn has come"));
    assert_eq!((throttle.in_flight(), throttle.waiting()), (0, 0));
}

#[test]
fn a_raised_limit_lets_those_in_who_wait_before_one_who_comes() {
    let throttle = throttle();
    let _inside = permit(throttle.enter(&given(1, 9), NOW));
    let mut line = [(); 3].map(|()| waiting(throttle.enter(&given(1, 9), NOW)));
    let _newcomer = waiting(throttle.enter(&given(3, 9), NOW));
    assert_eq!((throttle.in_flight(), throttle.waiting()), (3, 2));
    let bell = Arc::default();
    let permits = line.each_mut().map(|w| poll(w, &bell));
    assert_eq!(permits.each_ref().map(Option::is_some), [true, true, false]);
}

#[test]
fn a_line_that_does_not_end_becomes_as_short_as_what_is_in_flight() {
    let (throttle, policy) = (throttle(), given(2, 10));
    let _inside = [(); 2].map(|()| permit(throttle.enter(&policy, NOW)));
    let mut line: Vec<_> = (0..10).map(|_| waiting(throttle.enter(&policy, NOW))).collect();
    let later = NOW.plus(policy.queue_timeout);
    line.truncate(2);
    assert!(matches!(throttle.enter(&policy, later), Entry::Full));
    line.truncate(1);
    line.push(waiting(throttle.enter(&policy, later)));
    line.clear();
    // Nobody has come for as long as one may wait: the next are a burst again.
    let much_later = later.plus(policy.queue_timeout);
    line.extend((0..10).map(|_| waiting(throttle.enter(&policy, much_later))));
    assert_eq!(throttle.waiting(), 10);
}

#[test]
fn the_bound_of_the_policy_holds_whatever_was_learnt_and_below_the_least() {
    let throttle = throttle();
    let policy = Overload {
        adaptive: true,
        ..given(2, 0)
    };
    let _inside = [(); 2].map(|()| permit(throttle.enter(&policy, NOW)));
    assert!(matches!(throttle.enter(&policy, NOW), Entry::Full));
    assert_eq!(throttle.limit(), Some(2));
}
