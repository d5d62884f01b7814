//! Those inside, those who wait, and those who leave at that moment.

use std::num::NonZeroU32;
use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;

use super::check;
use super::concurrency::{Entry, Gate, Permit};
use super::config::plan::{ConcurrencyLimit, LimitKey};
use super::sync::{Arc, AtomicUsize, Ordering};

fn policy(max: u32, queue: u32) -> ConcurrencyLimit {
    ConcurrencyLimit {
        name: String::new(),
        key: LimitKey::Global,
        max: NonZeroU32::new(max).expect("more than none"),
        queue,
        queue_timeout: Duration::ZERO,
        max_keys: 1,
    }
}

#[derive(Default)]
struct Room {
    gate: Arc<Gate>,
    inside: AtomicUsize,
}

impl Room {
    fn visit(&self, permit: Permit, max: usize) {
        assert!(self.inside.fetch_add(1, Ordering::SeqCst) < max, "too many");
        self.inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }

    fn is_empty(&self) -> bool {
        let gate = &self.gate;
        (gate.in_use(), gate.waiting(), gate.keys()) == (0, 0, 0)
    }
}

/// Comes in, waiting if it has to. With more than one key only one of them has room.
fn stays(room: &Arc<Room>, max: u32) -> thread::JoinHandle<()> {
    let room = Arc::clone(room);
    thread::spawn(move || match room.gate.enter(1, &policy(max, 9)) {
        Entry::Permit(permit) => room.visit(permit, max as usize),
        Entry::Wait(waiting) => room.visit(block_on(waiting), max as usize),
        Entry::Full => panic!("there is room in the line"),
    })
}

/// Looks whether its turn has come, and goes in any case.
fn leaves(room: &Arc<Room>, max: u32) -> thread::JoinHandle<()> {
    let room = Arc::clone(room);
    thread::spawn(move || {
        if let Entry::Wait(mut waiting) = room.gate.enter(1, &policy(max, 9)) {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            _ = Future::poll(std::pin::Pin::new(&mut waiting), &mut context);
        }
    })
}

#[test]
fn no_place_is_lost_with_one_who_leaves_when_its_turn_comes() {
    for max in [1, 2] {
        check(move || {
            let room = Arc::<Room>::default();
            let threads = [
                stays(&room, max),
                leaves(&room, max),
                stays(&room, max),
                leaves(&room, max),
                stays(&room, max),
            ];
            for thread in threads {
                thread.join().expect("it comes to an end");
            }
            assert!(room.is_empty());
        });
    }
}

#[test]
fn a_limit_raised_meanwhile_loses_nobody() {
    check(|| {
        let room = Arc::<Room>::default();
        let before = [1, 1, 1].map(|max| {
            thread::spawn({
                let room = Arc::clone(&room);
                move || match room.gate.enter(1, &policy(max, 9)) {
                    Entry::Permit(permit) => room.visit(permit, 3),
                    Entry::Wait(waiting) => room.visit(block_on(waiting), 3),
                    Entry::Full => panic!("there is room in the line"),
                }
            })
        });
        let after = [stays(&room, 3), leaves(&room, 3)];
        for thread in before.into_iter().chain(after) {
            thread.join().expect("it comes to an end");
        }
        assert!(room.is_empty());
    });
}

#[test]
fn two_who_take_turns_keep_the_order() {
    check(|| {
        let gate = Arc::<Gate>::default();
        let policy = policy(1, 9);
        let Entry::Permit(inside) = gate.enter(1, &policy) else {
            panic!("nobody is inside");
        };
        let order = Arc::new(AtomicUsize::new(0));
        let line = [0, 1, 2].map(|number| {
            let Entry::Wait(waiting) = gate.enter(1, &policy) else {
                panic!("somebody is inside");
            };
            let order = Arc::clone(&order);
            thread::spawn(move || {
                let permit = block_on(waiting);
                assert_eq!(order.fetch_add(1, Ordering::SeqCst), number);
                drop(permit);
            })
        });
        drop(inside);
        for thread in line {
            thread.join().expect("it comes to an end");
        }
        assert_eq!((gate.in_use(), gate.keys()), (0, 0));
    });
}
