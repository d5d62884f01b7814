use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway::config::plan::{LimitKey, OnRedisError, RateLimit, Redis};
use gateway::guard::shared::{Answer, Ask, Asked, Part, Shared, SharedFault, SharedKey};
use gateway::kit::clock::Clock;
use gateway::redis_link::{Counts, Link, Links, Phase, Status};
use harness::patience::patience;
use harness::{NoRedis, RedisServer, wait_until};
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;

const DAY: Duration = Duration::from_secs(86_400);
/// Longer than any play: whoever is answered was not answered by the deadline.
const NEVER: Duration = DAY;
/// Too short to wait for, and never met by a server that stands still.
const SHORT: Duration = Duration::from_millis(10);
/// As the gateway says: so many late answers in a row, and nobody is asked.
const LATE_MAX: usize = 5;

/// A gateway's control runtime, on a thread of its own.
struct Control {
    runtime: Handle,
    _stop: tokio::sync::oneshot::Sender<()>,
    _thread: JoinHandle<()>,
}

impl Control {
    fn start() -> Self {
        let runtime = current_thread();
        let handle = runtime.handle().clone();
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let thread = std::thread::spawn(move || _ = runtime.block_on(stopped));
        Self {
            runtime: handle,
            _stop: stop,
            _thread: thread,
        }
    }

    /// Holds its thread, so that nothing on it goes on until what is returned is dropped.
    fn hold(&self) -> Sender<()> {
        let (release, released) = channel::<()>();
        let (tell, told) = channel();
        self.runtime.spawn(async move {
            tell.send(()).expect("who holds it waits");
            let _released = released.recv();
        });
        told.recv().expect("the runtime runs");
        release
    }

    fn link(&self, url: &str, timeout: Duration) -> Link {
        Link::start(&redis(url, timeout), &self.runtime, Clock::system(), 1)
    }

    /// A link that asks.
    #[track_caller]
    fn link_up(&self, server: &RedisServer, timeout: Duration) -> Link {
        let link = self.link(&server.url(), timeout);
        wait_until("the link is up", || link.is_up());
        link
    }
}

fn current_thread() -> Runtime {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("the system has an event queue")
}

fn redis(url: &str, timeout: Duration) -> Redis {
    Redis {
        url: url.to_owned(),
        timeout,
    }
}

/// So many in a day, and so many at once: what is spent does not come back during a play.
fn a_day(name: &str, burst: u32) -> Asked {
    let limit = RateLimit {
        name: name.to_owned(),
        key: LimitKey::Global,
        count: NonZeroU32::MIN,
        period: DAY,
        burst: NonZeroU32::new(burst).expect("a burst is at least one"),
        max_keys: 1,
        shared: true,
        on_redis_error: OnRedisError::Local,
    };
    let key = SharedKey::of(&limit, Part::Everything);
    Asked {
        limit: Arc::new(limit),
        key,
    }
}

fn ask(limits: &[&Asked]) -> Ask {
    Ask {
        limits: limits.iter().map(|&asked| asked.clone()).collect(),
    }
}

type Answered = Result<Answer, SharedFault>;

/// Asks as a worker does; fails the play if that is held up.
#[track_caller]
fn admit(link: &Link, limits: &[&Asked]) -> Answered {
    all_of(link, 1, limits).remove(0)
}

/// Asks so many times at once.
#[track_caller]
fn all_of(link: &Link, times: usize, limits: &[&Asked]) -> Vec<Answered> {
    all_of_while(link, times, limits, || {})
}

/// Asks so many times at once, and does something when all have asked.
#[track_caller]
fn all_of_while(link: &Link, times: usize, limits: &[&Asked], meanwhile: impl FnOnce()) -> Vec<Answered> {
    let worker = current_thread();
    let work = async {
        let mut asking = JoinSet::new();
        for _ in 0..times {
            asking.spawn(link.admit(ask(limits)));
        }
        // Each was polled once, so all deadlines run.
        tokio::task::yield_now().await;
        meanwhile();
        asking.join_all().await
    };
    let answers = worker.block_on(async { tokio::time::timeout(patience(), work).await });
    answers.unwrap_or_else(|_| panic!("{times} questions were not answered: {:?}", link.status()))
}

fn admitted(answers: &[Answered]) -> usize {
    let is_admitted = |answer: &&Answered| matches!(answer, Ok(Answer::Admitted(_)));
    answers.iter().filter(is_admitted).count()
}

fn remaining(answer: &Answered) -> Vec<u32> {
    match answer {
        Ok(Answer::Admitted(left) | Answer::Refused { left, .. }) => {
            left.iter().map(|left| left.remaining).collect()
        }
        Err(fault) => panic!("{fault}"),
    }
}

#[track_caller]
fn wait_phase(link: &Link, phase: Phase) -> Status {
    wait_until(&format!("the link is {phase:?}"), || link.status().phase == phase);
    link.status()
}

/// What it says of why it is down; no secret is ever in it.
#[track_caller]
fn wait_fault(link: &Link, text: &str) {
    let mut fault = None;
    let says_so = || {
        fault = link.status().fault;
        fault.as_ref().is_some_and(|fault| fault.contains(text))
    };
    wait_until(&format!("the link's fault is {text:?}"), says_so);
    let shown = format!("{:?}", link.status());
    assert!(!shown.contains("secret"), "{shown}");
    assert!(!link.is_up());
}

#[test]
fn requests_are_counted_one_by_one_and_refused_when_all_is_spent() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let three = a_day("three", 3);
    let standings = [(); 3].map(|()| admit(&link, &[&three]));
    assert_eq!(standings.each_ref().map(remaining), [[2], [1], [0]]);
    let refused = admit(&link, &[&three]);
    let Ok(Answer::Refused {
        limit,
        retry_after,
        left,
    }) = refused
    else {
        panic!("{refused:?}")
    };
    assert_eq!((limit, left[0].remaining), (0, 0));
    // Unless a play takes an hour.
    assert!(
        retry_after <= DAY && retry_after > DAY - DAY / 24,
        "{retry_after:?}"
    );
    assert_eq!(left[0].reset, retry_after, "until there is one more");
    let counts = Counts {
        asks: 4,
        ..Counts::default()
    };
    assert_eq!(link.status().counts, counts);
    assert_eq!(link.status().address, server.address().to_string());
}

#[test]
fn of_several_limits_none_is_charged_when_one_refuses() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let (wide, narrow) = (a_day("wide", 5), a_day("narrow", 2));
    assert_eq!(remaining(&admit(&link, &[&wide, &narrow])), [4, 1]);
    assert_eq!(remaining(&admit(&link, &[&wide, &narrow])), [3, 0]);
    for _ in 0..3 {
        let refused = admit(&link, &[&wide, &narrow]);
        assert!(
            matches!(refused, Ok(Answer::Refused { limit: 1, .. })),
            "{refused:?}"
        );
        assert_eq!(remaining(&refused), [3, 0]);
    }
    assert_eq!(remaining(&admit(&link, &[&wide])), [2]);
}

#[test]
fn two_gateways_that_ask_at_once_admit_as_many_as_one() {
    let server = RedisServer::start();
    let controls = [Control::start(), Control::start()];
    let links = controls.each_ref().map(|control| control.link_up(&server, NEVER));
    let (hundred, many) = (a_day("hundred", 100), a_day("many", 1_000));
    let per_worker = |link: &Link| admitted(&all_of(link, 150, &[&many, &hundred]));
    let sum: usize = std::thread::scope(|scope| {
        // Two workers of each.
        let workers: Vec<_> = links
            .iter()
            .chain(&links)
            .map(|link| scope.spawn(|| per_worker(link)))
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert_eq!(sum, 100);
    assert_eq!(remaining(&admit(&links[0], &[&many])), [899]);
}

#[test]
fn more_questions_than_can_be_on_the_way_are_answered_all_the_same() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let many = a_day("many", 50_000);
    let held = control.hold();
    let answers = all_of_while(&link, 6_000, &[&many], || drop(held));
    // What had no place in the queue was told so at once; all else was counted, and nothing was counted twice.
    let unavailable = answers
        .iter()
        .filter(|a| **a == Err(SharedFault::Unavailable))
        .count();
    assert_eq!(admitted(&answers) + unavailable, 6_000);
    assert!(unavailable > 0 && unavailable < 3_000, "{unavailable}");
    let left = remaining(&admit(&link, &[&many]))[0];
    assert_eq!(50_000 - left as usize, admitted(&answers) + 1);
}

#[test]
fn a_redis_that_has_forgotten_the_script_is_told_it_again() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let many = a_day("many", 1_000);
    assert_eq!(remaining(&admit(&link, &[&many])), [999]);
    server.ask(&["SCRIPT", "FLUSH"]);
    let answers = all_of(&link, 99, &[&many]);
    assert_eq!(admitted(&answers), 99);
    assert_eq!(remaining(&admit(&link, &[&many])), [899]);
    assert_eq!(link.status().counts.errors, 0);
}

#[test]
fn a_redis_that_is_killed_holds_nobody_up_and_counts_on_when_it_is_back() {
    let (mut server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let many = a_day("many", 1_000);
    assert_eq!(remaining(&admit(&link, &[&many])), [999]);
    // It stands still, so all are on the way when it dies.
    server.stop();
    let answers = all_of_while(&link, 100, &[&many], || server.kill());
    assert_eq!(answers, [(); 100].map(|()| Err(SharedFault::Unavailable)));
    let status = wait_phase(&link, Phase::Down);
    assert_eq!(status.counts.unavailable, 100);
    assert_eq!(admit(&link, &[&many]), Err(SharedFault::Unavailable));

    server.restart();
    wait_phase(&link, Phase::Up);
    assert_eq!(remaining(&admit(&link, &[&many])), [998]);
    assert_eq!(link.status().counts.timeouts, 0);
}

#[test]
fn a_redis_that_stands_still_costs_a_few_deadlines_and_then_nothing() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, SHORT);
    let many = a_day("many", 1_000);
    server.stop();
    for _ in 0..LATE_MAX {
        assert_eq!(admit(&link, &[&many]), Err(SharedFault::Late));
    }
    assert_eq!(admit(&link, &[&many]), Err(SharedFault::Unavailable));
    let status = link.status();
    assert_eq!(status.phase, Phase::Slow);
    assert_eq!((status.counts.timeouts, status.counts.unavailable), (5, 1));
    wait_fault(&link, "too slow");
    // A reload with more patience, so that a busy machine is in time.
    link.set_timeout(NEVER);
    server.cont();
    wait_phase(&link, Phase::Up);
    // What nobody waited for any more was counted if it was on the way already.
    let left = remaining(&admit(&link, &[&many]))[0];
    assert!((999 - LATE_MAX as u32..=999).contains(&left), "{left}");
}

#[test]
fn a_redis_that_stands_still_for_long_is_connected_to_anew() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, SHORT);
    let many = a_day("many", 1_000);
    server.stop();
    assert_eq!(
        all_of(&link, LATE_MAX, &[&many]),
        [(); LATE_MAX].map(|()| Err(SharedFault::Late))
    );
    wait_phase(&link, Phase::Down);
    wait_fault(&link, "answers nothing");
    link.set_timeout(NEVER);
    server.cont();
    wait_phase(&link, Phase::Up);
    assert!(admit(&link, &[&many]).is_ok());
}

#[test]
fn a_control_side_that_hangs_holds_nobody_up() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, SHORT);
    let many = a_day("many", 1_000);
    let held = control.hold();
    for _ in 0..LATE_MAX {
        assert_eq!(admit(&link, &[&many]), Err(SharedFault::Late));
    }
    for _ in 0..10 {
        assert_eq!(admit(&link, &[&many]), Err(SharedFault::Unavailable));
    }
    link.set_timeout(NEVER);
    drop(held);
    wait_phase(&link, Phase::Up);
    // Nobody waits for those any more, so nobody was charged for them.
    assert_eq!(remaining(&admit(&link, &[&many])), [999]);
}

#[test]
fn a_redis_that_must_not_be_written_to_is_away_until_it_may() {
    let (server, control) = (RedisServer::start(), Control::start());
    let link = control.link_up(&server, NEVER);
    let many = a_day("many", 1_000);
    assert!(admit(&link, &[&many]).is_ok());
    server.ask(&["REPLICAOF", "127.0.0.1", "1"]);
    assert_eq!(admit(&link, &[&many]), Err(SharedFault::Failed));
    wait_phase(&link, Phase::Down);
    wait_fault(&link, "READONLY");
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_phase(&link, Phase::Up);
    assert_eq!(remaining(&admit(&link, &[&many])), [998]);
    assert_eq!(link.status().counts.errors, 1);
}

#[test]
fn a_wrong_password_is_told_and_never_shown() {
    let (server, control) = (RedisServer::start_with_password("secret-1"), Control::start());
    let wrong = server.url().replace("secret-1", "secret-2");
    let none = format!("redis://{}", server.address());
    for (url, code) in [(wrong, "wrong user or password"), (none, "NOAUTH")] {
        let link = control.link(&url, NEVER);
        wait_fault(&link, code);
        assert_eq!(
            admit(&link, &[&a_day("many", 1)]),
            Err(SharedFault::Unavailable),
            "{url}"
        );
    }
    let link = control.link_up(&server, NEVER);
    assert!(admit(&link, &[&a_day("many", 1)]).is_ok());
    assert!(!format!("{:?}", link.status()).contains("secret"));
}

#[test]
fn what_is_no_redis_is_told_from_one_that_is() {
    let control = Control::start();
    let nobody = NoRedis::unreachable();
    for (other, fault) in [
        (NoRedis::says(b"HTTP/1.1 400 Bad Request\r\n\r\n"), "no redis"),
        (NoRedis::says(b"+OK\r\n"), "no redis"),
        (NoRedis::says(b":0\r\n"), "no redis"),
        (NoRedis::says(b"*3\r\n:0\r\n:0\r\n:-1\r\n"), "no redis"),
        (NoRedis::says(b"*1000000000\r\n"), "answers nothing"),
        (NoRedis::says(b"\xff\xfe\x00\r\n"), "no redis"),
        (NoRedis::silent(), "answers nothing"),
        (NoRedis::closing(), "closed"),
        (nobody, "no connection"),
    ] {
        let link = control.link(&other.url(), NEVER);
        wait_fault(&link, fault);
        assert_eq!(admit(&link, &[&a_day("many", 1)]), Err(SharedFault::Unavailable));
    }
}

#[test]
fn a_url_that_cannot_be_used_is_a_link_that_is_down() {
    let control = Control::start();
    for url in [
        "rediss://:secret@127.0.0.1:1",
        "http://:secret@127.0.0.1:1",
        "secret",
    ] {
        let link = control.link(url, NEVER);
        wait_fault(&link, "url in [redis]");
        assert_eq!(admit(&link, &[&a_day("many", 1)]), Err(SharedFault::Unavailable));
    }
}

#[test]
fn a_link_that_is_dropped_answers_who_waits_and_hangs_up() {
    let (server, control) = (RedisServer::start(), Control::start());
    let clients = || match server.ask(&["CLIENT", "LIST"]) {
        harness::Reply::Text(lines) => lines.lines().count(),
        other => panic!("{other:?}"),
    };
    let link = control.link_up(&server, NEVER);
    wait_until("only the link and who asks are there", || clients() == 2);
    server.stop();
    let pending = link.admit(ask(&[&a_day("many", 1)]));
    drop(link);
    let answer = current_thread().block_on(async { tokio::time::timeout(patience(), pending).await });
    assert_eq!(answer.unwrap(), Err(SharedFault::Unavailable));
    server.cont();
    wait_until("the link has hung up", || clients() == 1);
}

#[test]
fn a_reload_keeps_the_link_unless_it_leads_elsewhere() {
    let (server, other, control) = (RedisServer::start(), RedisServer::start(), Control::start());
    let links = Links::new(control.runtime, Clock::system(), 1);
    let before = links.claim(&redis(&server.url(), SHORT));
    wait_phase(&before, Phase::Up);
    let same = links.claim(&redis(&server.url(), NEVER));
    assert!(Arc::ptr_eq(&before, &same) && same.is_up());
    // With the new deadline, or this would be late.
    server.stop();
    let one = a_day("one", 1);
    let answers = all_of_while(&before, LATE_MAX, &[&one], || server.cont());
    assert_eq!(admitted(&answers), 1, "{answers:?}");

    let elsewhere = links.claim(&redis(&other.url(), NEVER));
    assert!(!Arc::ptr_eq(&before, &elsewhere));
    wait_phase(&elsewhere, Phase::Up);
    assert_eq!(admitted(&all_of(&elsewhere, 2, &[&one])), 1);

    let gone = Arc::downgrade(&before);
    drop((before, same));
    assert!(gone.upgrade().is_none(), "a link that nobody uses is not kept");
    let anew = links.claim(&redis(&server.url(), NEVER));
    wait_phase(&anew, Phase::Up);
}
