//! Who asks for keys, who waits for them, and what is used meanwhile. No time passes here but by hand.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use super::*;
use crate::kit::clock::Mono;

/// Whether somebody was woken since it was last asked.
#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Flag {
    fn poll(self: &Arc<Self>, future: Pin<&mut impl Future<Output = ()>>) -> bool {
        let waker = Waker::from(Arc::clone(self));
        future.poll(&mut Context::from_waker(&waker)) == Poll::Ready(())
    }

    fn was_woken(&self) -> bool {
        self.0.swap(false, Ordering::SeqCst)
    }
}

fn s(seconds: u64) -> Mono {
    Mono(seconds * 1_000_000_000)
}

fn list(byte: u8) -> Vec<TokenKey> {
    vec![TokenKey::of_secret(&[byte; 32]).unwrap()]
}

fn is_done(future: impl Future<Output = ()>) -> bool {
    Arc::new(Flag::default()).poll(pin!(future))
}

#[test]
fn before_the_first_fetch_there_is_nothing_and_everybody_may_ask_once() {
    let issuer = Issuer::default();
    assert!(issuer.keys().list.is_empty());
    assert_eq!(issuer.age(s(5)), None);
    assert_eq!(issuer.due_in(Duration::from_secs(300), s(5)), Duration::ZERO);
    assert!(!is_done(issuer.wanted()));
    assert!(issuer.want(s(5)));
    assert!(issuer.want(s(5)), "who comes later waits for the same fetch");
    assert!(is_done(issuer.wanted()));
    assert!(is_done(issuer.wanted()), "until it has ended, whoever fetches");
}

#[test]
fn after_a_fetch_nobody_may_ask_for_thirty_seconds() {
    let issuer = Issuer::default();
    assert!(issuer.want(s(100)));
    issuer.replace(list(1), s(100));
    assert!(!is_done(issuer.wanted()));
    assert!(!issuer.want(s(100)));
    assert!(!issuer.want(Mono(s(130).0 - 1)));
    assert!(!issuer.would_come(Mono(s(130).0 - 1)) && issuer.would_come(s(130)));
    assert!(issuer.want(s(130)));
    // One that is on its way will come, whatever the clock says.
    assert!(issuer.would_come(s(100)));
    assert_eq!(issuer.age(s(130)), Some(Duration::from_secs(30)));
    assert_eq!(
        issuer.due_in(Duration::from_secs(300), s(130)),
        Duration::from_secs(270)
    );
    assert_eq!(issuer.due_in(Duration::from_secs(300), s(500)), Duration::ZERO);
}

#[test]
fn failures_are_followed_by_longer_pauses_and_the_keys_stay() {
    let issuer = Issuer::default();
    issuer.replace(list(1), s(0));
    let mut now = 1000;
    for pause in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
        assert!(issuer.want(s(now)));
        issuer.note_failure(s(now));
        assert_eq!(
            issuer.due_in(Duration::from_secs(300), s(now)),
            Duration::from_secs(pause)
        );
        assert!(!issuer.want(Mono(s(now + pause).0 - 1)));
        now += pause;
    }
    assert_eq!(issuer.keys().list, list(1));
    for _ in 0..100 {
        issuer.note_failure(s(now));
    }
    assert!(issuer.want(s(now + 60)));
    issuer.replace(list(1), s(now + 60));
    issuer.note_failure(s(now + 100));
    assert!(issuer.want(s(now + 101)), "a success ends the row");
}

#[test]
fn a_generation_is_another_list_and_not_another_fetch() {
    let issuer = Issuer::default();
    let generation = |list: Vec<TokenKey>, now: u64| {
        issuer.replace(list, s(now));
        let keys = issuer.keys();
        assert_eq!(keys.fetched_at, Some(s(now)));
        keys.generation
    };
    assert_eq!(issuer.keys().generation, 0);
    assert_eq!(generation(list(1), 1), 1);
    assert_eq!(generation(list(1), 2), 1);
    assert_eq!(generation(list(2), 3), 2);
    assert_eq!(generation(list(1), 4), 3);
    assert_eq!(Keys::given(&list(1)).generation, 0);
}

#[test]
fn who_fetches_is_woken_by_the_first_who_asks() {
    let issuer = Issuer::default();
    let flag = Arc::new(Flag::default());
    let mut wanted = pin!(issuer.wanted());
    assert!(!flag.poll(wanted.as_mut()));
    assert!(issuer.want(s(1)));
    assert!(flag.was_woken());
    assert!(flag.poll(wanted.as_mut()));
}

#[test]
fn a_request_waits_until_the_fetch_has_ended_however() {
    let end: [fn(&Issuer); 3] = [
        |issuer| issuer.replace(list(2), s(2)),
        // The same keys: there is nothing more to wait for.
        |issuer| issuer.replace(list(1), s(2)),
        |issuer| issuer.note_failure(s(2)),
    ];
    for end in end {
        let issuer = Issuer::default();
        issuer.replace(list(1), s(0));
        let generation = issuer.keys().generation;
        assert!(is_done(issuer.arrived(generation)), "no fetch is coming");
        assert!(issuer.want(s(60)));
        let flag = Arc::new(Flag::default());
        let mut arrived = pin!(issuer.arrived(generation));
        assert!(!flag.poll(arrived.as_mut()));
        assert!(!flag.was_woken());
        end(&issuer);
        assert!(flag.was_woken());
        assert!(flag.poll(arrived.as_mut()));
    }
}

#[test]
fn a_fetch_that_ends_between_asking_and_waiting_is_not_missed() {
    let issuer = Issuer::default();
    let generation = issuer.keys().generation;
    assert!(issuer.want(s(1)));
    issuer.replace(list(1), s(1));
    // And another one is wanted already.
    assert!(issuer.want(s(31)));
    assert!(is_done(issuer.arrived(generation)));
    assert!(!is_done(issuer.arrived(issuer.keys().generation)));
}

#[test]
fn workers_and_the_one_who_fetches_meet_across_threads() {
    let issuer = Arc::new(Issuer::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let fetcher = {
        let issuer = Arc::clone(&issuer);
        std::thread::spawn(move || {
            runtime().block_on(issuer.wanted());
            issuer.replace(vec![samples::public(TokenAlgorithm::Hs256)], s(1));
        })
    };
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let issuer = Arc::clone(&issuer);
            std::thread::spawn(move || {
                let text = token(TokenAlgorithm::Hs256, &claims());
                let policy = policy(&[TokenAlgorithm::Hs256]);
                let keys = issuer.keys();
                if judge(text.as_bytes(), &keys.list, &policy, NOW).is_err() {
                    issuer.want(s(1));
                    runtime().block_on(issuer.arrived(keys.generation));
                }
                judge(text.as_bytes(), &issuer.keys().list, &policy, NOW).is_ok()
            })
        })
        .collect();
    assert!(workers.into_iter().all(|worker| worker.join().unwrap()));
    fetcher.join().unwrap();
}
