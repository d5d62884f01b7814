//! Leaders, those who wait, and purges that come between.

use std::cell::Cell;

use shuttle::future::block_on;
use shuttle::thread;

use super::check;
use super::fill::{Fill, FillPlan, Finished, Step};
use super::flight::{Began, Flights, Joined, Landed, Waiting};
use super::object::Key;
use super::sync::{Arc, AtomicU64, AtomicUsize, Ordering};

const KEY: Key = Key {
    primary: 1,
    variance: 0,
};

type Table = Arc<Flights<u32>>;

fn join(flights: &Table) -> Joined<u32> {
    flights.join(KEY, Began::default, |_| false)
}

fn outcome(mut waiting: Waiting<u32>) -> Landed<u32> {
    block_on(waiting.outcome())
}

fn begin() -> (Arc<Fill>, super::fill::FillWriter) {
    Fill::begin(FillPlan {
        key: KEY,
        meta: super::meta(&[]),
        length: None,
        memory_bytes_max: 64,
        object_bytes_max: u64::MAX,
        spill: None,
        budget: None,
    })
}

#[test]
fn leaders_that_leave_lose_nobody() {
    check(|| {
        let flights = Table::default();
        let led = Arc::new(AtomicUsize::new(0));
        let client = |leaves: bool| {
            let (flights, led) = (Arc::clone(&flights), Arc::clone(&led));
            thread::spawn(move || {
                loop {
                    match join(&flights) {
                        Joined::Lead(leader) => {
                            led.fetch_add(1, Ordering::SeqCst);
                            match leaves {
                                true => drop(leader),
                                false => leader.look_again(),
                            }
                            return;
                        }
                        Joined::Wait(waiting) => match outcome(waiting) {
                            Landed::Vacant => {}
                            Landed::LookAgain => return,
                            other => panic!("{other:?}"),
                        },
                        Joined::Full => panic!("there is room"),
                    }
                }
            })
        };
        let clients = [client(true), client(true), client(false), client(true)];
        for client in clients {
            client.join().expect("it comes to an end");
        }
        assert!(led.load(Ordering::SeqCst) >= 1);
        assert_eq!((flights.waiting(), flights.aloft()), (0, 0));
    });
}

#[test]
fn at_most_one_leads_at_a_time() {
    check(|| {
        let flights = Table::default();
        let leading = Arc::new(AtomicUsize::new(0));
        let clients = [1, 2, 3].map(|number| {
            let (flights, leading) = (Arc::clone(&flights), Arc::clone(&leading));
            thread::spawn(move || match join(&flights) {
                Joined::Lead(leader) => {
                    assert_eq!(leading.fetch_add(1, Ordering::SeqCst), 0);
                    thread::yield_now();
                    leading.fetch_sub(1, Ordering::SeqCst);
                    leader.fail(number);
                }
                Joined::Wait(waiting) => assert!(matches!(outcome(waiting), Landed::Failed(_))),
                Joined::Full => panic!("there is room"),
            })
        });
        for client in clients {
            client.join().expect("it comes to an end");
        }
        assert_eq!((flights.waiting(), flights.aloft()), (0, 0));
    });
}

#[test]
fn who_waits_and_who_comes_late_read_the_one_body() {
    check(|| {
        let flights = Table::default();
        let asked = Arc::new(AtomicUsize::new(0));
        let client = || {
            let (flights, asked) = (Arc::clone(&flights), Arc::clone(&asked));
            thread::spawn(move || match join(&flights) {
                Joined::Lead(leader) => {
                    asked.fetch_add(1, Ordering::SeqCst);
                    let (fill, mut writer) = begin();
                    let landing = leader.filling(fill);
                    assert!(writer.push(bytes::Bytes::from_static(b"ab")).is_ok());
                    assert!(matches!(writer.finish(), Ok(Finished::InMemory(_))));
                    drop(landing);
                }
                Joined::Wait(waiting) => {
                    let Landed::Filling(fill) = outcome(waiting) else {
                        panic!("the leader fills");
                    };
                    let mut follower = fill.follow().expect("it is whole");
                    let Step::Bytes(bytes) = block_on(follower.next()) else {
                        panic!("there are bytes");
                    };
                    assert_eq!(bytes, "ab");
                    assert!(matches!(block_on(follower.next()), Step::End));
                }
                Joined::Full => panic!("there is room"),
            })
        };
        let clients = [client(), client(), client()];
        for client in clients {
            client.join().expect("it comes to an end");
        }
        let spared = usize::try_from(flights.collapsed()).expect("three clients");
        assert_eq!(asked.load(Ordering::SeqCst) + spared, 3);
        assert_eq!((flights.waiting(), flights.aloft()), (0, 0));
    });
}

/// Answers carry the state of the origin they were made from; a purge follows each change of it.
#[test]
fn who_asks_after_a_purge_gets_nothing_from_before_it() {
    check(|| {
        let flights = Arc::new(Flights::<u64>::default());
        let origin = Arc::new(AtomicU64::new(0));
        let purges = Arc::new(AtomicU64::new(0));
        // How many lead a flight that began before the purge, and after it.
        let leading = Arc::new([AtomicUsize::new(0), AtomicUsize::new(0)]);
        let ask = || {
            let (flights, origin, purges) = (Arc::clone(&flights), Arc::clone(&origin), Arc::clone(&purges));
            let leading = Arc::clone(&leading);
            move || {
                let asked_at = purges.load(Ordering::SeqCst);
                let began_at = Cell::new(0);
                let began = || {
                    began_at.set(purges.load(Ordering::SeqCst));
                    Began {
                        serial: began_at.get(),
                        ..Began::default()
                    }
                };
                let reached = purges.load(Ordering::SeqCst);
                let answer = match flights.join(KEY, began, |facts| facts.serial < reached) {
                    Joined::Lead(leader) => {
                        let answer = origin.load(Ordering::SeqCst);
                        let others = &leading[usize::from(began_at.get() > 0)];
                        assert_eq!(others.fetch_add(1, Ordering::SeqCst), 0, "two lead one flight");
                        others.fetch_sub(1, Ordering::SeqCst);
                        leader.fail(answer);
                        answer
                    }
                    Joined::Wait(mut waiting) => match block_on(waiting.outcome()) {
                        Landed::Failed(answer) => answer,
                        other => panic!("{other:?}"),
                    },
                    Joined::Full => panic!("there is room"),
                };
                assert!(answer >= asked_at, "{answer} after purge {asked_at}");
            }
        };
        let clients = [ask(), ask(), ask()].map(thread::spawn);
        origin.store(1, Ordering::SeqCst);
        purges.store(1, Ordering::SeqCst);
        let after = thread::spawn(ask());
        for client in clients {
            client.join().expect("it comes to an end");
        }
        after.join().expect("it comes to an end");
        assert_eq!((flights.waiting(), flights.aloft()), (0, 0));
    });
}

#[test]
fn who_leaves_while_it_waits_takes_no_wake_up_with_it() {
    check(|| {
        let flights = Table::default();
        let Joined::Lead(leader) = join(&flights) else {
            panic!("nobody else is there");
        };
        let stays = join(&flights);
        let leaves = join(&flights);
        let stays = thread::spawn(move || match stays {
            Joined::Wait(waiting) => outcome(waiting),
            other => panic!("{other:?}"),
        });
        let leaves = thread::spawn(move || {
            let Joined::Wait(mut waiting) = leaves else {
                panic!("another leads");
            };
            let waker = std::task::Waker::noop();
            _ = waiting.poll_outcome(&mut std::task::Context::from_waker(waker));
        });
        let comes = {
            let flights = Arc::clone(&flights);
            thread::spawn(move || match join(&flights) {
                Joined::Wait(waiting) => _ = outcome(waiting),
                Joined::Lead(leader) => leader.pass(),
                Joined::Full => panic!("there is room"),
            })
        };
        leader.fail(9);
        assert!(matches!(stays.join(), Ok(Landed::Failed(9))));
        leaves.join().expect("it leaves");
        comes.join().expect("it comes to an end");
        assert_eq!((flights.waiting(), flights.aloft()), (0, 0));
    });
}
