use std::num::NonZeroU32;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use super::*;
use crate::config::plan::{ConcurrencyLimit, LimitKey};

mod model;
mod threads;

/// Counts how often it is rung.
#[derive(Default)]
struct Bell(AtomicUsize);

impl Bell {
    fn rung(&self) -> usize {
        self.0.load(Ordering::Acquire)
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::AcqRel);
    }
}

fn policy(max: u32, queue: u32, max_keys: usize) -> ConcurrencyLimit {
    ConcurrencyLimit {
        name: "reports".to_owned(),
        key: LimitKey::Global,
        max: NonZeroU32::new(max).unwrap(),
        queue,
        queue_timeout: Duration::from_secs(2),
        max_keys,
    }
}

fn gate() -> Arc<Gate> {
    Arc::new(Gate::new())
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

fn poll(waiting: &mut Waiting, bell: &Arc<Bell>) -> Option<Permit> {
    let waker = Waker::from(Arc::clone(bell));
    match pin!(waiting).poll(&mut Context::from_waker(&waker)) {
        Poll::Ready(permit) => Some(permit),
        Poll::Pending => None,
    }
}

#[test]
fn who_waits_is_woken_in_the_order_of_coming() {
    let (gate, policy) = (gate(), policy(1, 3, 1));
    let inside = permit(gate.enter(1, &policy));
    let mut line: Vec<_> = (0..3)
        .map(|_| (waiting(gate.enter(1, &policy)), Arc::new(Bell::default())))
        .collect();
    assert!(matches!(gate.enter(1, &policy), Entry::Full));
    assert_eq!(
        (gate.in_use(), gate.waiting(), gate.refused_queue_full()),
        (1, 3, 1)
    );
    // The last is polled first: who asks first is not who came first.
    for (waiting, bell) in line.iter_mut().rev() {
        assert!(poll(waiting, bell).is_none());
    }
    let mut held = inside;
    for (waiting, bell) in &mut line {
        assert_eq!(bell.rung(), 0);
        drop(held);
        assert_eq!(bell.rung(), 1);
        held = poll(waiting, bell).expect("its turn has come");
    }
    drop(held);
    assert_eq!((gate.in_use(), gate.waiting(), gate.keys()), (0, 0, 0));
}

#[test]
fn nobody_overtakes_one_who_was_given_a_place_but_has_not_come_yet() {
    let (gate, policy) = (gate(), policy(1, 2, 1));
    let inside = permit(gate.enter(1, &policy));
    let mut first = waiting(gate.enter(1, &policy));
    drop(inside);
    let _second = waiting(gate.enter(1, &policy));
    assert!(poll(&mut first, &Arc::default()).is_some());
}

#[test]
fn a_place_given_to_one_who_goes_at_that_moment_goes_to_the_next() {
    let (gate, policy) = (gate(), policy(1, 2, 1));
    let inside = permit(gate.enter(1, &policy));
    let first = waiting(gate.enter(1, &policy));
    let mut second = waiting(gate.enter(1, &policy));
    let bell = Arc::default();
    assert!(poll(&mut second, &bell).is_none());
    drop(inside);
    assert_eq!(bell.rung(), 0);
    drop(first);
    assert_eq!(bell.rung(), 1);
    assert!(poll(&mut second, &bell).is_some());
}

#[test]
fn a_raised_limit_lets_those_in_who_wait_and_a_lowered_one_lets_nobody_in() {
    let gate = gate();
    let low = policy(1, 9, 1);
    let inside = permit(gate.enter(1, &low));
    let bell = Arc::new(Bell::default());
    let mut line: Vec<_> = (0..4).map(|_| waiting(gate.enter(1, &low))).collect();
    for waiting in &mut line {
        assert!(poll(waiting, &bell).is_none());
    }
    let fifth = waiting(gate.enter(1, &policy(3, 9, 1)));
    assert_eq!((bell.rung(), gate.in_use()), (2, 3));
    let mut permits: Vec<_> = line.iter_mut().filter_map(|w| poll(w, &bell)).collect();
    assert_eq!(permits.len(), 2);
    // Lowered: two have to go before the next comes in.
    let _sixth = waiting(gate.enter(1, &low));
    drop(inside);
    permits.pop();
    assert_eq!((bell.rung(), gate.in_use()), (2, 1));
    permits.pop();
    assert_eq!((bell.rung(), gate.in_use()), (3, 1));
    drop((line, fifth));
}

#[test]
fn a_raised_limit_is_noticed_when_somebody_leaves() {
    let gate = gate();
    let low = policy(1, 9, 2);
    let inside = permit(gate.enter(1, &low));
    let _line = [waiting(gate.enter(1, &low)), waiting(gate.enter(1, &low))];
    // The reload is known from another key's request.
    let _elsewhere = permit(gate.enter(2, &policy(2, 9, 2)));
    drop(inside);
    assert_eq!((gate.in_use(), gate.waiting()), (3, 0));
}

#[test]
fn keys_with_somebody_are_bounded_and_those_with_nobody_are_forgotten() {
    let (gate, policy) = (gate(), policy(1, 1, 2));
    let first = permit(gate.enter(1, &policy));
    let _second = permit(gate.enter(2, &policy));
    assert!(matches!(gate.enter(3, &policy), Entry::Full));
    assert_eq!((gate.refused_keys_full(), gate.refused_queue_full()), (1, 0));
    // A known key is not held up by it.
    let waits = waiting(gate.enter(1, &policy));
    drop(first);
    assert_eq!(gate.keys(), 2, "the key goes on with who waited");
    drop(waits);
    let _third = permit(gate.enter(3, &policy));
}

#[test]
fn a_flood_of_keys_that_has_passed_holds_no_memory() {
    let (gate, policy) = (gate(), policy(1, 1, 100_000));
    let permits: Vec<_> = (0..100_000).map(|key| permit(gate.enter(key, &policy))).collect();
    assert_eq!(gate.keys(), 100_000);
    let room = gate.room();
    assert!(
        room.iter().all(|r| (1_000..6_000).contains(r)),
        "no shard has most of it"
    );
    drop(permits);
    assert_eq!(gate.keys(), 0);
    assert!(gate.room().iter().all(|r| *r < 200), "{:?}", gate.room());
}

#[test]
fn a_waker_that_has_changed_is_the_one_that_is_woken() {
    let (gate, policy) = (gate(), policy(1, 1, 1));
    let inside = permit(gate.enter(1, &policy));
    let mut waits = waiting(gate.enter(1, &policy));
    let (before, after) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    assert!(poll(&mut waits, &before).is_none());
    assert!(poll(&mut waits, &after).is_none());
    drop(inside);
    assert_eq!((before.rung(), after.rung()), (0, 1));
}

/// Holds a permit of the gate that wakes it, and lets it go when it is woken, and when it is dropped.
struct Entangled(#[expect(dead_code, reason = "held, and dropped with this")] Permit);

impl Wake for Entangled {
    fn wake(self: Arc<Self>) {}
}

#[test]
fn a_waker_may_hold_a_permit_of_the_same_gate() {
    let (gate, policy) = (gate(), policy(2, 2, 1));
    let inside = permit(gate.enter(1, &policy));
    let entangled = Waker::from(Arc::new(Entangled(permit(gate.enter(1, &policy)))));
    let mut replaced = waiting(gate.enter(1, &policy));
    let mut left = waiting(gate.enter(1, &policy));
    for waits in [&mut replaced, &mut left] {
        assert!(
            pin!(waits)
                .poll(&mut Context::from_waker(&entangled))
                .is_pending()
        );
    }
    drop(entangled);
    drop(left);
    // The last of the old waker's clones goes in this poll, its permit with it, and that comes back to this one.
    assert!(poll(&mut replaced, &Arc::default()).is_none());
    assert!(poll(&mut replaced, &Arc::default()).is_some());
    drop((inside, replaced));
    assert_eq!((gate.in_use(), gate.waiting()), (0, 0));
}

#[test]
fn timeouts_are_counted_by_the_caller() {
    let gate = gate();
    gate.count_timeout();
    assert_eq!(gate.timed_out(), 1);
}
