//! The word that counts, the lock beside it, and those who come between the two.

use std::time::Duration;

use shuttle::future::block_on;
use shuttle::thread;

use super::adaptive::{Entry, Permit, Throttle};
use super::check;
use super::config::plan::Overload;
use super::kit::clock::Mono;
use super::sync::{Arc, AtomicUsize, Ordering};

fn policy(max_requests: u32, adaptive: bool) -> Overload {
    Overload {
        max_requests,
        queue: 9,
        queue_timeout: Duration::from_secs(1),
        adaptive,
    }
}

const NOW: Mono = Mono(1);

#[derive(Default)]
struct Room {
    throttle: Arc<Throttle>,
    inside: AtomicUsize,
}

impl Room {
    fn visit(&self, permit: Permit, max: usize) {
        assert!(self.inside.fetch_add(1, Ordering::SeqCst) < max, "too many");
        self.inside.fetch_sub(1, Ordering::SeqCst);
        permit.learn(Duration::from_millis(1), true, NOW);
        drop(permit);
    }
}

fn stays(room: &Arc<Room>, policy: Overload, max: usize) -> thread::JoinHandle<()> {
    let room = Arc::clone(room);
    thread::spawn(move || match room.throttle.enter(&policy, NOW) {
        Entry::Permit(permit) => room.visit(permit, max),
        Entry::Wait(waiting) => room.visit(block_on(waiting), max),
        Entry::Full => panic!("there is room in the line"),
    })
}

fn leaves(room: &Arc<Room>, policy: Overload) -> thread::JoinHandle<()> {
    let room = Arc::clone(room);
    thread::spawn(move || {
        if let Entry::Wait(mut waiting) = room.throttle.enter(&policy, NOW) {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            _ = Future::poll(std::pin::Pin::new(&mut waiting), &mut context);
        }
    })
}

fn ends(threads: impl IntoIterator<Item = thread::JoinHandle<()>>, room: &Room) {
    for thread in threads {
        thread.join().expect("it comes to an end");
    }
    let throttle = &room.throttle;
    assert_eq!((throttle.in_flight(), throttle.waiting()), (0, 0));
}

#[test]
fn no_place_is_lost_with_one_who_leaves_when_its_turn_comes() {
    for max in [1, 2] {
        check(move || {
            let room = Arc::<Room>::default();
            let policy = || policy(max, max == 2);
            let threads = [
                stays(&room, policy(), max as usize),
                leaves(&room, policy()),
                stays(&room, policy(), max as usize),
                leaves(&room, policy()),
                stays(&room, policy(), max as usize),
            ];
            ends(threads, &room);
        });
    }
}

#[test]
fn a_limit_raised_meanwhile_loses_nobody() {
    check(|| {
        let room = Arc::<Room>::default();
        let threads = [
            stays(&room, policy(1, false), 3),
            stays(&room, policy(1, false), 3),
            stays(&room, policy(3, false), 3),
            leaves(&room, policy(3, false)),
            stays(&room, policy(1, false), 3),
        ];
        ends(threads, &room);
    });
}
