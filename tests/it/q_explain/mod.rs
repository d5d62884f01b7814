/// Chance that can be repeated.
mod dice;
/// A configuration of two hundred routes, and who stands behind it.
mod world;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use harness::{Connection, Gateway, Request, Response, wait_until};
use serde_json::{Value, json};

use self::dice::Dice;
use self::world::{HOSTS, KEY, SEGMENTS, World};
use crate::l_known::tokens::mint;

const REQUESTS: usize = 1_000;

/// Another is given by `EXPLAIN_SEED`.
const SEED: u64 = 20_261_121;

/// A request that is first explained and then sent.
#[derive(Clone, Debug)]
struct Asked {
    listener: &'static str,
    from: IpAddr,
    method: &'static str,
    host: String,
    target: String,
    headers: Vec<(String, String)>,
    body: usize,
}

/// What was said and what has come of it; the log tells the rest.
struct Told {
    asked: Asked,
    explained: Value,
    response: Response,
}

#[test]
fn what_is_explained_is_what_then_happens() {
    let seed = std::env::var("EXPLAIN_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or(SEED);
    let folder = tempfile::tempdir().expect("as it is written here and by the gateway");
    let mut dice = Dice::new(seed);
    let world = World::new(&mut dice, folder.path());
    let gw = Gateway::start_with_manual_clock(&world.toml);
    let (mut seats, mut recent) = (Vec::new(), Vec::<Asked>::new());
    let mut all = HashMap::new();
    for number in 0..REQUESTS {
        gw.advance(Duration::from_millis([0, 0, 300, 900, 7_000][dice.below(5)]));
        change_something(&mut dice, &gw, &world);
        // What was asked a moment ago is asked again more often than anything else: else nothing would be found stored.
        let asked = match recent.get(dice.below(8)) {
            Some(again) if dice.is(55) => Asked::clone(again),
            _ => random_request(&mut dice, &seats),
        };
        recent.insert(0, asked.clone());
        recent.truncate(8);
        let explained = explain_without_a_trace(&gw, &asked, number.is_multiple_of(25));
        let response = send(&gw, &asked);
        check_at_once(seed, number, &asked, &explained, &response, &world);
        if let Some(cookie) = response.value("set-cookie") {
            seats.push(cookie.split(';').next().unwrap_or_default().to_owned());
        }
        settle(&gw);
        let id = response
            .value("x-request-id")
            .expect("each answer has one")
            .to_owned();
        let told = Told {
            asked,
            explained,
            response,
        };
        all.insert(id, (number, told));
    }
    let mut verdicts: HashMap<String, usize> = HashMap::new();
    for line in gw.log_objects(REQUESTS) {
        let (number, told) = &all[line["request_id"]
            .as_str()
            .expect("as it is written here and by the gateway")];
        check_by_log(seed, *number, told, &line);
        *verdicts.entry(kind(&told.explained)).or_default() += 1;
    }
    if seed == SEED {
        check_variety(&verdicts);
    }
}

/// Without this much variety it would prove little.
fn check_variety(verdicts: &HashMap<String, usize>) {
    for needed in [
        "proxy",
        "proxy miss",
        "proxy bypass",
        "proxy uncacheable",
        "hit",
        "stale",
        "static",
        "respond",
        "redirect",
        "refuse 400",
        "refuse 401",
        "refuse 403",
        "refuse 404",
        "refuse 405",
        "refuse 413",
        "refuse 429",
    ] {
        assert!(
            verdicts.contains_key(needed),
            "nothing came to {needed}: {verdicts:?}"
        );
    }
}

fn kind(explained: &Value) -> String {
    let verdict = explained["verdict"]
        .as_str()
        .expect("as it is written here and by the gateway");
    match (
        verdict,
        explained["cache"]["state"].as_str(),
        explained["status"].as_u64(),
    ) {
        ("proxy", Some(state), _) => format!("proxy {state}"),
        ("refuse", _, Some(status)) => format!("refuse {status}"),
        _ => verdict.to_owned(),
    }
}

/// Now and then an operator does something.
fn change_something(dice: &mut Dice, gw: &Gateway, world: &World) {
    if !dice.is(4) {
        return;
    }
    // The servers of `even` and `busy`.
    let at = 1 + dice.below(6);
    let upstream = if at < 4 { "even" } else { "busy" };
    let order = dice.one_of(&["up", "up", "drain", "down"]);
    let weight = 1 + dice.below(4);
    let address = world.origins[at].address();
    gw.set_server(
        upstream,
        address,
        &format!("{{\"state\": \"{order}\", \"weight\": {weight}}}"),
    );
}

fn random_request(dice: &mut Dice, seats: &[String]) -> Asked {
    let mut target = String::new();
    for _ in 0..=dice.below(3) {
        let slash = dice.one_of(&["/", "/", "/", "/", "/", "/", "/", "/", "/", "%2F", "/x/../"]);
        target.push_str(if target.is_empty() { "/" } else { slash });
        target.push_str(dice.one_of(&SEGMENTS));
    }
    target.push_str(dice.one_of(&["", "", "", "", "/", "/deep", "?q", "?beta=1", "?beta=2&q=1"]));
    let method = dice.one_of(&[
        "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "GET", "HEAD", "POST",
        "PUT", "OPTIONS", "TRACE",
    ]);
    let body = match method {
        "POST" | "PUT" => [0, 10, 101, 300][dice.below(4)],
        _ => 0,
    };
    Asked {
        listener: dice.one_of(&[
            "public", "public", "public", "public", "public", "public", "public", "public", "public",
            "public", "public", "inside", "inside", "moved",
        ]),
        from: format!("127.0.0.{}", 1 + dice.below(5))
            .parse()
            .expect("as it is written here and by the gateway"),
        method,
        host: (*dice.one_of(&HOSTS.each_ref())).to_owned(),
        target,
        headers: random_headers(dice, seats),
        body,
    }
}

fn random_headers(dice: &mut Dice, seats: &[String]) -> Vec<(String, String)> {
    let mut headers = Vec::new();
    let mut add = |name: &str, value: &str| headers.push((name.to_owned(), value.to_owned()));
    let logins = [
        mint::basic("ann", "open sesame"),
        mint::basic("ann", "open sesame"),
        mint::basic("ann", "wrong"),
        mint::bearer(&mint::says(r#""sub":"ann""#)),
        mint::bearer(&mint::says(r#""sub":"ben""#)),
        mint::bearer("none.of.it"),
    ];
    if dice.is(40) {
        add("Authorization", &logins[dice.below(logins.len())]);
    }
    if dice.is(50) {
        add("X-Api-Key", dice.one_of(&[KEY, KEY, "nobody's"]));
    }
    if dice.is(40) {
        add("X-Version", dice.one_of(&["1", "2", "2"]));
    }
    if dice.is(50) {
        add("X-Plan", dice.one_of(&["gold", "tin"]));
    }
    if dice.is(15) {
        let controls = [
            "no-cache",
            "no-store",
            "max-stale=100",
            "only-if-cached",
            "max-age=3",
        ];
        add("Cache-Control", dice.one_of(&controls));
    }
    if dice.is(8) {
        add("Range", dice.one_of(&["bytes=0-1", "bytes=2-", "bytes=900-"]));
    }
    if dice.is(8) {
        add("If-None-Match", dice.one_of(&["\"v1\"", "\"v2\"", "*"]));
    }
    if dice.is(4) {
        add("If-Match", "\"v2\"");
    }
    if dice.is(6) {
        add("Origin", "https://app.test");
        add("Access-Control-Request-Method", dice.one_of(&["GET", "PUT"]));
    }
    if dice.is(10) {
        add("X-Fresh", "1");
    }
    if dice.is(2) {
        add("Expect", "a miracle");
    }
    if dice.is(5) {
        add("X-Forwarded-For", "127.0.0.3");
    }
    if let Some(seat) = seats.get(dice.below(seats.len().max(1)))
        && dice.is(20)
    {
        add("Cookie", seat);
    }
    headers
}

/// Asks twice, and looks whether anything is different for it.
fn explain_without_a_trace(gw: &Gateway, asked: &Asked, looks_closely: bool) -> Value {
    let before = counters(gw);
    let metrics = looks_closely.then(|| series(gw));
    let first = explain(gw, asked);
    let second = explain(gw, asked);
    assert_eq!(first, second, "{asked:?}");
    assert_eq!(before, counters(gw), "{asked:?}");
    if let Some(metrics) = metrics {
        assert_eq!(metrics, series(gw), "{asked:?}");
    }
    first
}

fn explain(gw: &Gateway, asked: &Asked) -> Value {
    let mut headers: Vec<String> = asked.headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
    if asked.body > 0 {
        headers.push(format!("Content-Length: {}", asked.body));
    }
    let question = json!({
        "method": asked.method,
        "url": format!("http://{}{}", asked.host, asked.target),
        "headers": headers,
        "from": asked.from,
        "listener": asked.listener,
    });
    let response = gw.ask_admin(&Request::post("/explain", question.to_string()));
    response.expect(200);
    serde_json::from_str(&response.text()).expect("as it is written here and by the gateway")
}

/// What requests are counted by.
fn counters(gw: &Gateway) -> Value {
    let mut status = gw.status();
    let kept = ["upstreams", "caches", "rate_limits", "concurrency_limits"];
    status
        .as_object_mut()
        .expect("as it is written here and by the gateway")
        .retain(|name, _| kept.contains(&name.as_str()));
    status
}

/// All that is counted, but what the process itself takes.
fn series(gw: &Gateway) -> Vec<String> {
    let page = gw.ask_admin(&Request::get("/metrics")).text();
    let is_of_requests = |line: &&str| line.starts_with("sluice_") && !line.starts_with("sluice_connections");
    page.lines().filter(is_of_requests).map(str::to_owned).collect()
}

fn send(gw: &Gateway, asked: &Asked) -> Response {
    let at = ["public", "inside", "moved"]
        .iter()
        .position(|name| *name == asked.listener);
    let address: SocketAddr = gw.addresses()[at.expect("as it is written here and by the gateway")];
    let mut request = Request::new(asked.method, &asked.target).host(&asked.host);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    if asked.body > 0 {
        request = request.body("x".repeat(asked.body));
    }
    let mut connection = Connection::open_from(asked.from, address);
    connection.ask(&request.header("Connection", "close"))
}

/// Waits until nothing is left of a request: a background fetch, a fill, a place.
fn settle(gw: &Gateway) {
    wait_until("nothing is in flight", || {
        let status = gw.status();
        let upstreams = status["upstreams"]
            .as_object()
            .expect("as it is written here and by the gateway");
        let is_idle = |upstream: &Value| {
            let servers = upstream["servers"]
                .as_array()
                .expect("as it is written here and by the gateway");
            upstream["in_flight"] == 0 && servers.iter().all(|server| server["in_flight"] == 0)
        };
        status["caches"]["edge"]["fills"] == 0
            && status["concurrency_limits"]["few"]["in_use"] == 0
            && upstreams.values().all(is_idle)
    });
}

fn check_at_once(seed: u64, number: usize, asked: &Asked, told: &Value, response: &Response, world: &World) {
    let context =
        || format!("seed {seed}, request {number}: {asked:#?}\nexplained: {told:#}\nanswered: {response}");
    let verdict = told["verdict"]
        .as_str()
        .expect("as it is written here and by the gateway");
    if is_refused_by_chance(told) {
        return;
    }
    if verdict == "proxy" {
        assert_eq!(told["status"], Value::Null, "{}", context());
    } else {
        assert_eq!(told["status"], response.status, "{}", context());
    }
    assert_eq!(
        told["location"].as_str(),
        response.value("location"),
        "{}",
        context()
    );
    // One that was asked for its answer, and not somebody's before.
    let origin = response.value("x-origin").filter(|_| verdict == "proxy");
    if let (Some(origin), Some(server)) = (origin, told["server"].as_str()) {
        let address = world.origins[origin
            .parse::<usize>()
            .expect("as it is written here and by the gateway")]
        .address();
        let is_drawn = told["candidates"].as_array().is_some_and(|all| !all.is_empty());
        let may_be_another = is_drawn || asks_again(asked, told);
        assert!(may_be_another || address.to_string() == server, "{}", context());
    }
}

/// What the origin answers may not meet a condition: then it is asked once more, for this request alone.
fn asks_again(asked: &Asked, told: &Value) -> bool {
    let has_condition = asked.headers.iter().any(|(name, _)| name == "If-Match");
    has_condition && told["cache"]["state"] == "miss"
}

/// A split may draw the other upstream, which has a server.
fn is_refused_by_chance(explained: &Value) -> bool {
    let is_assumed = explained["assumed"].as_array().is_some_and(|all| !all.is_empty());
    is_assumed && explained["verdict"] == "refuse"
}

fn check_by_log(seed: u64, number: usize, told: &Told, line: &Value) {
    let (explained, asked) = (&told.explained, &told.asked);
    let context = || {
        format!(
            "seed {seed}, request {number}: {asked:#?}\nexplained: {explained:#}\nlogged: {line:#}\nanswered: {}",
            told.response
        )
    };
    assert_eq!(explained["route"], line["route"], "{}", context());
    let verdict = explained["verdict"]
        .as_str()
        .expect("as it is written here and by the gateway");
    if is_refused_by_chance(explained) {
        return;
    }
    // Whether there is anything in a range shows when the origin has answered.
    let is_of_range = verdict == "proxy" && line["refusal"] == "range_not_satisfiable";
    assert!(
        is_of_range || explained["reason"] == line["refusal"],
        "{}",
        context()
    );
    let candidates = explained["candidates"]
        .as_array()
        .expect("as it is written here and by the gateway");
    match verdict {
        "proxy" => {
            let is_split = candidates.contains(&line["upstream"]);
            assert!(
                is_split || explained["upstream"] == line["upstream"],
                "{}",
                context()
            );
            let is_candidate = candidates.is_empty() || candidates.contains(&line["server"]) || is_split;
            assert!(is_candidate, "{}", context());
            if candidates.is_empty() && !asks_again(asked, explained) {
                assert_eq!(explained["server"], line["server"], "{}", context());
            }
        }
        _ => assert_eq!(line["server"], Value::Null, "{}", context()),
    }
    let logged = line["cache"].as_str();
    let fits = match (verdict, explained["cache"]["state"].as_str()) {
        (_, None) => logged.is_none(),
        // What the origin says is not known before: whether it may be kept, and whether it meets a condition, for which
        // it is asked once more.
        ("proxy", Some("miss")) => {
            let is_second = logged == Some("bypass") && asks_again(asked, explained);
            matches!(logged, Some("miss" | "revalidated" | "uncacheable")) || is_second
        }
        (_, Some(state)) => logged == Some(state),
    };
    assert!(fits, "{}", context());
}
