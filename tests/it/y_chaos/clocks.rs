//! A wall clock that is set, back and forth by hours: what is measured does not notice, what has a date is judged by the clock as it
//! is, and nothing ends up in a state that only another year would end.

use std::time::Duration;

use harness::origin::{hang_up, reply};
use harness::tls::TlsClient;
use harness::{Gateway, Origin, Request, Response, wait_until};

use crate::all_to;
use crate::l_known::tokens::mint::{bearer, by_secret};
use crate::o_tls::pebble::Pebble;

/// What a manual clock says at the start of a play.
const NOW: u64 = 1_700_000_000;
const HOUR: i64 = 3_600;
const CENTURY: i64 = 100 * 365 * 24 * HOUR;

/// Where it came from the cache, how old it says it is.
fn age(response: &Response) -> Option<u64> {
    let is_hit = response
        .value("cache-status")
        .is_some_and(|said| said.contains("hit"));
    is_hit.then(|| {
        response
            .value("age")
            .and_then(|age| age.parse().ok())
            .expect("a hit has an age")
    })
}

#[test]
fn nothing_stored_outlives_a_clock_that_is_set_by_hours_and_no_age_is_beyond_reason() {
    const LIFETIME: u64 = 60;
    let origin = Origin::new().otherwise(reply(200).header("Cache-Control", "max-age=60").body("x"));
    let gw = Gateway::start_with_manual_clock(&format!(
        "[caches.edge]\nmemory = \"16MiB\"\n{}\n[routes.cache]\nstore = \"edge\"",
        all_to(&origin)
    ));
    let settle = || wait_until("it is stored", || gw.status()["caches"]["edge"]["fills"] == 0);

    for (turn, jump) in [2 * HOUR, -2 * HOUR, -5 * HOUR, 24 * HOUR, CENTURY, -CENTURY]
        .into_iter()
        .enumerate()
    {
        assert_eq!(age(gw.get("/").expect(200).body("x")), None, "{jump}");
        settle();
        gw.advance(Duration::from_secs(7));
        assert_eq!(age(&gw.get("/")), Some(7), "{jump}");
        gw.set_wall_ahead(jump);
        assert_eq!(origin.total(), turn + 1, "{jump}");
    }
    assert_eq!(age(&gw.get("/")), None);
    settle();
    // By less than a lifetime: how old it is cannot be known, but it ends.
    gw.set_wall_ahead(-30);
    for _ in 0..9 {
        gw.advance(Duration::from_secs(10));
        if let Some(age) = age(gw.get("/").expect(200)) {
            assert!(age < LIFETIME, "{age}");
        }
    }
    settle();
    assert_eq!(origin.total(), 8);
}

#[test]
fn a_token_is_judged_by_the_clock_as_it_is_also_if_it_was_judged_before() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("secret");
    std::fs::write(&file, crate::l_known::tokens::mint::SECRET).unwrap();
    let origin = Origin::new().otherwise(reply(200));
    let toml = format!(
        "[auth.users]\njwt = {{ secret_file = {:?} }}\n{}\nauth = \"users\"",
        file.display().to_string(),
        all_to(&origin)
    );
    let gw = Gateway::start_with_manual_clock(&toml);
    let token = by_secret(&format!(r#"{{"nbf":{},"exp":{}}}"#, NOW - 60, NOW + 600));
    let request = Request::get("/").header("Authorization", &bearer(&token));
    for (jump, status) in [
        (0, 200),
        (HOUR, 401),
        (-HOUR, 200),
        (-HOUR, 401),
        (HOUR, 200),
        (CENTURY, 401),
        (-CENTURY, 200),
    ] {
        gw.set_wall_ahead(jump);
        for _ in 0..2 {
            gw.ask(&request).expect(status);
        }
    }
    assert_eq!(origin.total(), 8);
}

#[test]
fn a_rate_is_neither_given_back_nor_withheld_by_a_clock_that_is_set() {
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&format!(
        "[rate_limits.each]\nrate = \"1/h\"\nburst = 2\n{}\nrate_limits = [\"each\"]",
        all_to(&origin)
    ));
    gw.get("/").expect(200);
    gw.get("/").expect(200);
    for jump in [0, 10 * HOUR, -20 * HOUR, CENTURY, -CENTURY] {
        gw.set_wall_ahead(jump);
        let response = gw.get("/");
        let wait: i64 = response
            .expect(429)
            .value("retry-after")
            .and_then(|s| s.parse().ok())
            .expect("it says when");
        assert!((1..=HOUR).contains(&wait), "{jump}: {response}");
    }
    gw.set_wall_ahead(-10 * HOUR);
    gw.advance(Duration::from_secs(3_600));
    gw.get("/").expect(200);
    gw.get("/").expect(429);
    assert_eq!(origin.total(), 3);
}

#[test]
fn an_ejected_server_neither_comes_back_nor_stays_away_by_a_clock_that_is_set() {
    let bad = Origin::new().on("/", hang_up()).then("/", reply(200));
    let good = Origin::new().on("/", reply(200));
    let gw = Gateway::start_with_manual_clock(&format!(
        r#"
        [upstreams.app]
        load_balancing = "round_robin"
        servers = [{{ address = "{}" }}, {{ address = "{}" }}]
        [upstreams.app.outlier_detection]
        consecutive_failures = 1
        ejection_time = "30s"

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "app"
        "#,
        bad.address(),
        good.address()
    ));
    while bad.seen("/") == 0 {
        gw.get("/").expect(200);
    }
    for jump in [HOUR, -2 * HOUR, CENTURY, -CENTURY] {
        gw.set_wall_ahead(jump);
        for _ in 0..4 {
            gw.get("/").expect(200);
        }
        assert_eq!(bad.seen("/"), 1, "{jump}");
    }
    gw.set_wall_ahead(-HOUR);
    gw.advance(Duration::from_secs(31));
    for _ in 0..4 {
        gw.get("/").expect(200);
    }
    assert!(bad.seen("/") > 1);
}

#[test]
fn a_clock_that_is_set_a_century_ahead_costs_an_order_and_not_the_certificate() {
    let ca = Pebble::start(365 * 24 * 3_600);
    let storage = tempfile::tempdir().expect("a temporary folder is to be had");
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&format!(
        "[certificates.site]\ndomains = [\"a.test\"]\n{}\n[[listeners]]\naddress = \"127.0.0.1:0\"\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"site\"]\n{}",
        ca.acme(storage.path()),
        all_to(&origin)
    ));
    let order = || gw.status()["certificates"]["site"]["order"].clone();
    ca.way.leads_to(gw.address());
    // It holds by the clock of the authority, which is years ahead of this one already.
    wait_until("it has come, and it is known when the next is due", || {
        order()["orders"] == 1
            && order()["next_attempt"]
                .as_str()
                .is_some_and(|at| !at.starts_with("2023-"))
    });
    let client = ca.client();
    let shown = || {
        TlsClient::open(gw.addresses()[1], &client, "a.test")
            .shown()
            .to_vec()
    };
    let first = shown();

    gw.set_wall_ahead(CENTURY);
    // A certificate that has just come is not followed by an order at once, whatever the clock says.
    gw.advance(Duration::from_secs(3_600));
    wait_until("it is told that something is wrong", || {
        order()["fault"]
            .as_str()
            .is_some_and(|fault| fault.contains("clock"))
    });
    assert!(shown() == first, "what it has is better than nothing");
    gw.set_wall_ahead(-CENTURY);
    wait_until("the next is due when it was", || {
        order()["next_attempt"]
            .as_str()
            .is_some_and(|at| at.starts_with("20"))
    });
    gw.advance(Duration::from_secs(24 * 3_600));
    TlsClient::open(gw.addresses()[1], &client, "a.test")
        .get("/")
        .expect(200);
    assert!(shown() == first);
    assert_eq!(ca.orders(), 2);
}
