//! Real threads: what comes in goes out, never more than allowed at once, and everybody who waits comes to an end.

use std::thread;

use super::*;

/// Unparks the thread that waits.
struct Unpark(thread::Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

fn block_on(waiting: Waiting) -> Permit {
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut waiting = pin!(waiting);
    loop {
        match waiting.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(permit) => return permit,
            Poll::Pending => thread::park(),
        }
    }
}

const MAX: u32 = 3;
const KEYS: u128 = 2;

#[derive(Default)]
struct Room([AtomicUsize; KEYS as usize]);

impl Room {
    fn visit(&self, key: u128, permit: Permit) {
        let inside = &self.0[key as usize];
        assert!(inside.fetch_add(1, Ordering::SeqCst) < MAX as usize);
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        drop(permit);
    }
}

#[test]
fn places_are_conserved_whoever_waits_leaves_and_is_served_at_once() {
    let (gate, room, policy) = (gate(), Room::default(), policy(MAX, 4, KEYS as usize));
    let served = AtomicUsize::new(0);
    let guest = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        for _ in 0..3_000 {
            let key = random.u128(..KEYS);
            match gate.enter(key, &policy) {
                Entry::Permit(permit) => room.visit(key, permit),
                Entry::Wait(mut waiting) => {
                    if random.bool() {
                        // Gone, after having been looked at once: perhaps with a place, perhaps without.
                        _ = poll(&mut waiting, &Arc::default());
                        continue;
                    }
                    room.visit(key, block_on(waiting));
                }
                Entry::Full => continue,
            }
            served.fetch_add(1, Ordering::Relaxed);
        }
    };
    let guest = &guest;
    thread::scope(|threads| {
        for seed in 0..12 {
            threads.spawn(move || guest(seed));
        }
    });
    assert_eq!((gate.in_use(), gate.waiting(), gate.keys()), (0, 0, 0));
    assert!(served.into_inner() > 0);
}

#[test]
fn everybody_is_served_where_nobody_leaves() {
    let (gate, room, policy) = (gate(), Room::default(), policy(MAX, 16, KEYS as usize));
    thread::scope(|threads| {
        for number in 0..16u128 {
            let (gate, room, policy) = (&gate, &room, &policy);
            threads.spawn(move || {
                for turn in 0..2_000 {
                    let key = (number + turn) % KEYS;
                    let permit = match gate.enter(key, policy) {
                        Entry::Permit(permit) => permit,
                        Entry::Wait(waiting) => block_on(waiting),
                        Entry::Full => panic!("there is room for all"),
                    };
                    room.visit(key, permit);
                }
            });
        }
    });
    assert_eq!((gate.in_use(), gate.waiting(), gate.keys()), (0, 0, 0));
}
