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

/// Twelve threads, each entering often; some leave the line at once. True for each visit that went well.
fn crowd(throttle: &Arc<Throttle>, policy: &Overload, leaves: bool, inside_max: usize) {
    let inside = AtomicUsize::new(0);
    let visit = |permit: Permit, now: Mono, ok: bool| {
        assert!(inside.fetch_add(1, Ordering::SeqCst) < inside_max);
        thread::yield_now();
        inside.fetch_sub(1, Ordering::SeqCst);
        if ok {
            permit.learn(Duration::from_millis(now.0 % 7), !now.0.is_multiple_of(11), now);
        }
    };
    let guest = |seed: u64| {
        let mut random = fastrand::Rng::with_seed(seed);
        for turn in 0..3_000u64 {
            let now = Mono(turn * 1_000_000 + seed);
            match throttle.enter(policy, now) {
                Entry::Permit(permit) => visit(permit, now, random.bool()),
                Entry::Wait(mut waiting) if leaves && random.bool() => {
                    _ = poll(&mut waiting, &Arc::default());
                }
                Entry::Wait(waiting) => visit(block_on(waiting), now, random.bool()),
                Entry::Full => thread::yield_now(),
            }
        }
    };
    let guest = &guest;
    thread::scope(|threads| {
        for seed in 0..12 {
            threads.spawn(move || guest(seed));
        }
    });
    assert_eq!((throttle.in_flight(), throttle.waiting()), (0, 0));
}

#[test]
fn places_are_conserved_whoever_waits_leaves_and_is_served_at_once() {
    crowd(&throttle(), &given(3, 4), true, 3);
}

#[test]
fn everybody_is_served_where_nobody_leaves() {
    let policy = Overload {
        queue_timeout: Duration::from_secs(3_600),
        ..given(2, 12)
    };
    let throttle = throttle();
    crowd(&throttle, &policy, false, 2);
    assert_eq!(throttle.shed(), 0);
}

#[test]
fn places_are_conserved_while_the_limit_is_learnt() {
    let policy = Overload {
        adaptive: true,
        ..given(6, 4)
    };
    crowd(&throttle(), &policy, true, 6);
}
