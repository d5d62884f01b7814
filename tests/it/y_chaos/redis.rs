//! Between the gateway and Redis: whatever becomes of a question or its answer, nobody is admitted beyond a limit, and nobody is
//! judged by somebody else's answer.

use harness::origin::reply;
use harness::{Fault, Gateway, Origin, RedisServer, Relay, Request, Response, wait_until};

const BURST: usize = 6;

/// Each key has a burst for an hour, counted in the Redis behind this way; where that cannot be asked nobody comes in.
fn limited(origin: &Origin, way: &Relay) -> String {
    format!(
        r#"
        [redis]
        url = "redis://{}/0"
        timeout = "400ms"

        [rate_limits.each]
        rate = "1/h"
        burst = {BURST}
        key = "header:X-Api-Key"
        shared = true
        on_redis_error = "closed"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        rate_limits = ["each"]
        "#,
        way.address(),
        origin.address()
    )
}

fn ask(gw: &Gateway, key: &str) -> Response {
    gw.ask(&Request::get(&format!("/{key}")).header("X-Api-Key", key))
}

/// Asks until Redis judges again, for a key that is spent by it.
#[track_caller]
fn wait_judged(gw: &Gateway) {
    wait_until("redis judges again", || ask(gw, "nobody").status != 503);
}

const FAULTS: [Fault; 6] = [
    Fault::HoleBack,
    Fault::Hole,
    Fault::Cut,
    Fault::CutAfter(3),
    Fault::EndAfter(1),
    Fault::Bytewise,
];

#[test]
fn whatever_becomes_of_the_way_to_redis_nobody_is_admitted_beyond_the_limit() {
    let (origin, redis) = (Origin::new().otherwise(reply(200)), RedisServer::start());
    let way = Relay::to(redis.address());
    let gw = Gateway::start(&limited(&origin, &way));
    wait_judged(&gw);

    for (turn, fault) in FAULTS.into_iter().enumerate() {
        let key = format!("key{turn}");
        ask(&gw, &key).expect(200);
        way.set(fault);
        let mut refused = 0;
        for _ in 0..4 {
            let response = ask(&gw, &key);
            match response.status {
                503 => refused += 1,
                // On its way, or on a connection that has carried fewer bytes than that until now.
                status => assert_eq!(status, 200, "{fault:?}: {response}"),
            }
        }
        let is_passing = fault == Fault::Bytewise;
        assert_eq!(refused > 0, !is_passing, "{fault:?}: {refused} of 4 were refused");
        way.set(Fault::None);
        wait_judged(&gw);
        while ask(&gw, &key).status == 200 {}
        let admitted = origin.seen(&format!("/{key}"));
        assert!((1..=BURST).contains(&admitted), "{fault:?}: {admitted}");
    }
    redis.flush();
    for _ in 0..BURST {
        ask(&gw, "last").expect(200);
    }
    ask(&gw, "last").expect(429);
    assert_eq!(origin.seen("/last"), BURST);
}

#[test]
fn an_answer_of_redis_that_comes_too_late_judges_nobody_else() {
    let (origin, redis) = (Origin::new().otherwise(reply(200)), RedisServer::start());
    let way = Relay::to(redis.address());
    let gw = Gateway::start(&limited(&origin, &way));
    wait_judged(&gw);
    for _ in 0..BURST {
        ask(&gw, "spent").expect(200);
    }

    for turn in 0..5 {
        let fresh = format!("fresh{turn}");
        way.set(Fault::HoleBack);
        // Redis admits this one, and its word does not come.
        ask(&gw, &fresh).expect(503);
        way.wait_held();
        way.set(Fault::None);
        for _ in 0..3 {
            let response = ask(&gw, "spent");
            assert!(matches!(response.status, 429 | 503), "{response}");
        }
        wait_judged(&gw);
        ask(&gw, "spent").expect(429);
        ask(&gw, &fresh).expect(200);
        assert_eq!(origin.seen(&format!("/{fresh}")), 1);
    }
    assert_eq!(origin.seen("/spent"), BURST);
}
