use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;
use std::time::Duration;

use gateway::kit::clock::{Clock, Mono};
use harness::origin::reply;
use harness::{Ask, Connection, Load, Origin, RedisServer, Request, Sluice, wait_until};

use crate::size;

/// What one client has been given of a limit, and when.
#[derive(Clone, Copy, Debug)]
struct Tally {
    admitted: u64,
    refused: u64,
    /// Before the first request was sent, and when its answer was there.
    first: [Mono; 2],
    /// The same of the last one. If it was refused, all there was has been spent by then.
    last: [Mono; 2],
    /// What may have come back while nothing was owed, and so is lost to a client that was held up.
    lost: f64,
}

/// A limit: so many at once, so many in a second.
#[derive(Clone, Copy)]
struct Rate {
    burst: f64,
    per_s: f64,
}

/// Asks so often in a second, for so long. Fails on an answer that is neither.
struct Paced {
    gateway: SocketAddr,
    from: IpAddr,
    per_s: u32,
    lasts: Duration,
    /// Whether it goes on until it is refused: not where others spend of the same.
    until_refused: bool,
    rate: Rate,
}

impl Paced {
    fn start(self, clock: &Clock) -> JoinHandle<Tally> {
        let clock = clock.clone();
        std::thread::spawn(move || self.run(&clock))
    }

    fn run(self, clock: &Clock) -> Tally {
        let mut client = Connection::open_from(self.from, self.gateway);
        let now = || clock.now().mono;
        let began = now();
        let mut due = began;
        let mut tally = Tally {
            admitted: 0,
            refused: 0,
            first: [began; 2],
            last: [began; 2],
            lost: 0.0,
        };
        let mut spare = self.rate.burst;
        loop {
            wait_until("it is time for the next request", || now() >= due);
            due = due.plus(Duration::from_secs(1) / self.per_s);
            let sent = now();
            let status = client.ask(&Request::get("/")).status;
            let answered = now();
            // As much as there can be.
            spare += self.rate.per_s * answered.since(tally.last[0]).as_secs_f64();
            tally.lost += (spare - self.rate.burst).max(0.0);
            spare = spare.min(self.rate.burst);
            tally.last = [sent, answered];
            match status {
                200 => (tally.admitted, spare) = (tally.admitted + 1, spare - 1.0),
                429 => (tally.refused, spare) = (tally.refused + 1, spare.min(1.0)),
                other => panic!("{other} for {}", self.from),
            }
            if tally.admitted + tally.refused == 1 {
                (tally.first, tally.lost) = (tally.last, 0.0);
            }
            let is_spent = status == 429 || !self.until_refused;
            if is_spent && now().since(began) >= self.lasts {
                return tally;
            }
        }
    }
}

impl Rate {
    /// The least and the most that can have been admitted between a first request and a last one that was refused: when
    /// each was judged is known only to be between its being sent and its being answered.
    fn bounds(self, first: &Tally, last: &Tally) -> [f64; 2] {
        let least = last.last[0].since(first.first[1]).as_secs_f64();
        let most = last.last[1].since(first.first[0]).as_secs_f64();
        let [least, most] = [least, most].map(|seconds| self.burst + self.per_s * seconds);
        [least - first.lost, most]
    }
}

/// 127.0.1.0 and on: every address of 127.0.0.0/8 is this machine's.
fn address(client: usize) -> IpAddr {
    let [high, low] = u16::try_from(client + 256)
        .expect("fewer than 65,000 clients")
        .to_be_bytes();
    Ipv4Addr::new(127, 0, high, low).into()
}

fn config(origin: &Origin, sections: &str, limit: &str) -> String {
    format!(
        r#"
        {sections}

        [rate_limits.limit]
        {limit}

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        rate_limits = ["limit"]
        "#,
        origin.address()
    )
}

fn served() -> Origin {
    Origin::new().otherwise(reply(200).body("served"))
}

fn seconds() -> Duration {
    Duration::from_secs(size("TEST_LIMITED_SECONDS", 3))
}

#[test]
fn each_client_is_admitted_its_burst_and_its_rate_to_the_request_and_nobody_else_notices() {
    const RATE: Rate = Rate {
        burst: 20.0,
        per_s: 10.0,
    };
    let _turn = crate::turn();
    let (origin, clock) = (served(), Clock::system());
    let sluice = Sluice::start(&config(&origin, "", "rate = \"10/s\"\nburst = 20"));
    let clients = size("TEST_LIMITED_CLIENTS", 100);
    let paced = |client: usize, per_s| Paced {
        gateway: sluice.address(),
        from: address(client),
        per_s,
        lasts: seconds(),
        until_refused: true,
        rate: RATE,
    };
    let greedy: Vec<_> = (1..=clients)
        .map(|client| paced(client, 50).start(&clock))
        .collect();

    // Half of what it may.
    let mut modest = Connection::open_from(address(0), sluice.address());
    let (mut asked, began) = (0, clock.now().mono);
    while greedy.iter().any(|client| !client.is_finished()) {
        modest.ask(&Request::get("/")).expect(200);
        asked += 1;
        let due = began.plus(Duration::from_millis(200 * asked));
        wait_until("it is time for the next request", || clock.now().mono >= due);
    }

    let tallies: Vec<_> = greedy.into_iter().map(|client| client.join().unwrap()).collect();
    let mut furthest = 0.0f64;
    for tally in &tallies {
        let [least, most] = RATE.bounds(tally, tally);
        let admitted = tally.admitted as f64;
        assert!(
            (least - 1.0..=most + 1.0).contains(&admitted),
            "{least}..{most}: {tally:?}"
        );
        furthest = furthest.max((admitted - (least + most) / 2.0).abs());
    }
    let admitted: u64 = tallies.iter().map(|tally| tally.admitted).sum();
    let refused: u64 = tallies.iter().map(|tally| tally.refused).sum();
    assert_eq!(origin.total() as u64, admitted + asked);
    eprintln!(
        "rate limits: {clients} clients, {admitted} admitted and {refused} refused; burst + rate × time is missed by {furthest:.2} \
         requests at the most; another client: all {asked} served"
    );
}

#[test]
fn two_gateways_with_one_redis_admit_together_what_one_would() {
    const RATE: Rate = Rate {
        burst: 100.0,
        per_s: 200.0,
    };
    let _turn = crate::turn();
    let (origin, clock, redis) = (served(), Clock::system(), RedisServer::start());
    // A deadline that a loaded machine keeps: beyond it each would count for itself, as it should.
    let sections = format!("[redis]\nurl = \"{}\"\ntimeout = \"1s\"", redis.url());
    let text = config(
        &origin,
        &sections,
        "rate = \"200/s\"\nburst = 100\nkey = \"global\"\nshared = true",
    );
    let gateways = [(); 2].map(|()| Sluice::start(&text));
    for gateway in &gateways {
        wait_until("it counts in redis", || {
            says(gateway, "counts for all gateways") == 1
        });
    }
    let paced = |client: usize, per_s, lasts| Paced {
        gateway: gateways[client % 2].address(),
        from: address(client),
        per_s,
        lasts,
        until_refused: lasts.is_zero(),
        rate: RATE,
    };
    // Who spends all there is, and so opens and closes the account.
    let spend = || paced(8, 2_000, Duration::ZERO).run(&clock);
    let first = spend();
    let clients: Vec<_> = (0..8)
        .map(|client| paced(client, 100, seconds()).start(&clock))
        .collect();
    let mut tallies: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let last = spend();
    let [least, most] = RATE.bounds(&first, &last);
    tallies.extend([first, last]);
    let admitted = tallies.iter().map(|tally| tally.admitted).sum::<u64>() as f64;
    assert!(
        (least * 0.98..=most * 1.02).contains(&admitted),
        "{admitted} of {least}..{most}"
    );
    assert_eq!(origin.total() as f64, admitted);
    for gateway in &gateways {
        assert_eq!(says(gateway, "is away"), 0);
    }
    eprintln!(
        "shared limits: two gateways have admitted {admitted}, and burst + rate × time is {:.0} ({:+.2} %)",
        (least + most) / 2.0,
        (admitted / ((least + most) / 2.0) - 1.0) * 100.0
    );
}

#[test]
fn a_redis_that_is_killed_and_restarted_under_load_costs_no_request_and_no_limit() {
    const RATE: Rate = Rate {
        burst: 50.0,
        per_s: 100.0,
    };
    let _turn = crate::turn();
    let (origin, clock, mut redis) = (served(), Clock::system(), RedisServer::start());
    let sections = format!("[redis]\nurl = \"{}\"\ntimeout = \"1s\"", redis.url());
    let text = config(
        &origin,
        &sections,
        "rate = \"100/s\"\nburst = 50\nkey = \"global\"\nshared = true",
    );
    let sluice = Sluice::start(&text);
    wait_until("it counts in redis", || {
        says(&sluice, "counts for all gateways") == 1
    });
    let answers = size("TEST_STEP_REQUESTS", 300) * 3;
    let now = || clock.now().mono;
    let load = Load::start(sluice.address(), 8, &[Ask::get("/", "served")]);
    load.wait_served(answers);

    redis.kill();
    wait_until("it is noticed", || says(&sluice, "is away") >= 1);
    // What is on its way now has been judged before.
    let (from, before) = (now(), origin.total());
    load.wait_served(answers);
    let within = origin.total() - before;
    let most = RATE.burst + RATE.per_s * now().since(from).as_secs_f64() + 8.0 + 1.0;
    assert!(
        within as f64 <= most,
        "{within} admitted without redis, and {most} at the most"
    );

    redis.restart();
    wait_until("it is noticed", || says(&sluice, "is back") == 1);
    load.wait_served(answers);
    let tally = load.stop();
    assert!(tally.troubles.is_empty(), "{tally:#}");
    let statuses: Vec<_> = tally.statuses.keys().copied().collect();
    assert_eq!(statuses, [200, 429], "{tally:#}");
    assert_eq!(tally.wrong_bodies, 0);
    assert_eq!(says(&sluice, " is away, "), 1, "{:#?}", sluice.process.said());
    assert_eq!(says(&sluice, "is back"), 1);
    eprintln!("redis away: {within} admitted meanwhile, {most:.0} at the most; {tally}");
}

/// How many lines it has said with that in them.
fn says(sluice: &Sluice, text: &str) -> usize {
    sluice
        .process
        .said()
        .iter()
        .filter(|line| line.contains(text))
        .count()
}
