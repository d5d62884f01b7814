use std::io::Write;

use harness::origin::{Script, hang_up, never, reply, reset, upgrade};
use harness::{Connection, Gate, Gateway, Origin, Request, wait_until};

use super::{get_with, guarded, refused, wait_inside};

/// One limit with these lines on the route for everything, and one worker: what is sent later is looked at later.
fn with_places(origin: &Origin, lines: &str) -> String {
    let sections =
        format!("[server]\nthreads = 1\ndrain_timeout = \"5s\"\n[concurrency_limits.places]\n{lines}");
    guarded(origin, &sections, "concurrency_limits = [\"places\"]")
}

/// Nobody waits so long in a play that passes.
const ONE_AND_A_LINE: &str = "max = 1\nqueue = 9\nqueue_timeout = \"60s\"";

fn held(gate: &Gate) -> Script {
    reply(200).after(gate).body("held")
}

/// Fails unless all places and all who may wait are taken.
#[track_caller]
fn is_full(gw: &Gateway, request: &Request) {
    let response = gw.ask(request);
    let problem = refused(&response, 503, "concurrency_limited");
    assert_eq!(problem["violated-policies"], serde_json::json!(["places"]));
    response.header("retry-after", "1");
}

/// Fails unless a request is let in by a limit of one place. Whoever was in before may be on its way out still, which
/// is what the line is for; a place that is never given back would be waited for in vain.
#[track_caller]
fn gets_in(gw: &Gateway, what: &str) {
    let response = gw.get("/next");
    assert_eq!(response.status, 200, "after {what}: {response}");
}

#[test]
fn those_who_wait_are_served_in_their_order_and_who_finds_no_room_is_told_to_come_again() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(
        &origin,
        "max = 2\nqueue = 3\nqueue_timeout = \"60s\"",
    ));
    let mut clients = Vec::new();
    for i in 0..5 {
        clients.push(gw.ask_apart(&Request::get(&format!("/{i}"))));
        wait_inside(&gw, i + 1);
    }
    wait_until("two are at the origin", || gate.waiting() == 2);
    for _ in 0..3 {
        is_full(&gw, &Request::get("/6"));
    }
    // A refusal takes neither a place nor a place in the line.
    assert_eq!(origin.total(), 2);
    for i in 2..5 {
        gate.let_through(1);
        origin.wait_seen(&format!("/{i}"), 1);
        assert_eq!(origin.total(), i + 1);
        wait_until("no more than two are at the origin", || gate.waiting() == 2);
    }
    gate.open();
    for client in clients {
        client.response().expect(200).body("held");
    }
    assert_eq!(origin.seen("/6"), 0);
    gw.wait_metrics("three were refused", |m| {
        m.sum("sluice_refusals_total", &[("reason", "concurrency_limited")]) == 3.0
    });
}

#[test]
fn a_client_that_leaves_the_line_makes_room_in_it_and_is_not_served() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(
        &origin,
        "max = 1\nqueue = 1\nqueue_timeout = \"60s\"",
    ));
    let inside = gw.ask_apart(&Request::get("/inside"));
    origin.wait_seen("/inside", 1);
    for _ in 0..3 {
        let mut leaving = gw.connect();
        leaving.send(Request::get("/leaving").bytes());
        wait_inside(&gw, 2);
        is_full(&gw, &Request::get("/refused"));
        leaving.reset();
        wait_inside(&gw, 1);
    }
    let waiting = gw.ask_apart(&Request::get("/waiting"));
    wait_inside(&gw, 2);
    gate.open();
    inside.response().expect(200);
    waiting.response().expect(200);
    assert_eq!(
        [origin.seen("/leaving"), origin.seen("/refused"), origin.total()],
        [0, 0, 2]
    );
}

#[test]
fn a_client_that_only_has_no_more_to_say_keeps_its_place_in_the_line() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(&origin, ONE_AND_A_LINE));
    let inside = gw.ask_apart(&Request::get("/inside"));
    origin.wait_seen("/inside", 1);
    let mut waiting = gw.connect();
    waiting.send(Request::get("/waiting").bytes()).finish();
    wait_inside(&gw, 2);
    gate.open();
    waiting.response().expect(200).body("held");
    inside.response().expect(200);
}

#[test]
fn who_has_waited_long_enough_is_told_to_come_again() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(
        &origin,
        "max = 1\nqueue = 1\nqueue_timeout = \"20ms\"",
    ));
    let inside = gw.ask_apart(&Request::get("/inside"));
    origin.wait_seen("/inside", 1);
    for _ in 0..3 {
        let response = gw.get("/late");
        refused(&response, 503, "queue_timeout");
        response.header("retry-after", "1");
    }
    gate.open();
    inside.response().expect(200);
    gets_in(&gw, "those who came too late");
    assert_eq!(origin.seen("/late"), 0);
}

#[test]
fn a_place_is_given_back_however_a_request_ends() {
    let (gate, never_opened) = (Gate::new(), Gate::new());
    let origin = Origin::new()
        .on("/next", reply(200))
        .on("/error", reply(500))
        .on("/hang-up", hang_up())
        .on("/reset", reset())
        .on("/never", never())
        .on(
            "/half",
            reply(200).pattern(1 << 10).pause(&never_opened).pattern(1 << 10),
        )
        .on(
            "/torn",
            reply(200).pattern(1 << 10).pause(&gate).claims(1 << 20).hang_up(),
        );
    let mut gw = Gateway::start(&with_places(&origin, ONE_AND_A_LINE));
    gw.may_end_unclean();

    for (target, status) in [("/error", 500), ("/hang-up", 502), ("/reset", 502)] {
        gw.get(target).expect(status);
        gets_in(&gw, target);
    }
    let mut torn = gw.connect();
    torn.send(Request::get("/torn").bytes()).response_head();
    gate.open();
    gets_in(&gw, "an origin that breaks off in the middle of a body");

    let mut gone = gw.connect();
    gone.send(Request::get("/half").bytes()).response_head();
    gone.reset();
    gets_in(&gw, "a client that breaks off in the middle of an answer");
    let mut gone = gw.connect();
    gone.send(Request::get("/never").bytes());
    origin.wait_seen("/never", 1);
    gone.reset();
    gets_in(&gw, "a client that does not wait for the answer");
    let mut gone = gw.connect();
    gone.send(Request::post("/next", "x".repeat(99)).head_bytes())
        .send("half");
    origin.wait_received("/next", 0);
    gone.reset();
    gets_in(&gw, "a client that breaks off in the middle of a body");
    let mut broken = gw.connect();
    broken.send("POST /next HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\nnonsense\r\n");
    broken.response().expect(400);
    gets_in(&gw, "a body that is none");
}

#[test]
fn hits_and_answers_of_our_own_take_a_place_and_give_it_back() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on(
            "/kept",
            reply(200).header("Cache-Control", "max-age=60").body("kept"),
        )
        .on("/held", held(&gate))
        .on("/next", reply(200));
    let sections =
        "[server]\nthreads = 1\n[concurrency_limits.places]\nmax = 1\n[caches.edge]\nmemory = \"16MiB\"";
    let lines = "concurrency_limits = [\"places\"]\ncache = { store = \"edge\" }\n[[routes]]\nname = \"own\"\n\
                 match = { path = \"/own\" }\nrespond = { status = 200 }\nconcurrency_limits = [\"places\"]";
    let gw = Gateway::start(&guarded(&origin, sections, lines));
    let mut client = gw.connect();
    // On one connection each request begins after the one before it has ended.
    for target in ["/kept", "/kept", "/own", "/kept", "/own", "/next"] {
        client.ask(&Request::get(target)).expect(200);
    }
    client.ask(&get_with("/kept", "Range", "bytes=0-1")).expect(206);
    assert_eq!(origin.seen("/kept"), 1);
    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    for target in ["/kept", "/own"] {
        let response = client.ask(&Request::get(target));
        refused(&response, 503, "concurrency_limited");
    }
    gate.open();
    inside.response().expect(200);
}

#[test]
fn each_key_has_places_of_its_own() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", held(&gate)).on("/next", reply(200));
    let lines = "key = \"header:X-Api-Key\"\nmax = 1\nqueue = 0\nmax_keys = 2";
    let gw = Gateway::start(&with_places(&origin, lines));
    let a = gw.ask_apart(&get_with("/held", "X-Api-Key", "a"));
    origin.wait_seen("/held", 1);
    is_full(&gw, &get_with("/next", "X-Api-Key", "a"));
    let mut client = gw.connect();
    for _ in 0..3 {
        client.ask(&get_with("/next", "X-Api-Key", "b")).expect(200);
        // Without a key it is the address that counts.
        client.ask(&Request::get("/next")).expect(200);
    }
    let b = gw.ask_apart(&get_with("/held", "X-Api-Key", "b"));
    origin.wait_seen("/held", 2);
    // Two keys are inside, and no third one is.
    is_full(&gw, &get_with("/next", "X-Api-Key", "c"));
    gate.open();
    a.response().expect(200);
    b.response().expect(200);
    wait_inside(&gw, 0);
    client.ask(&get_with("/next", "X-Api-Key", "c")).expect(200);
}

#[test]
fn who_is_refused_by_one_limit_keeps_no_place_of_another() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", held(&gate)).on("/next", reply(200));
    let sections = "[server]\nthreads = 1\n[concurrency_limits.wide]\nmax = 2\n\
                    [concurrency_limits.narrow]\nmax = 1\nkey = \"header:X-Api-Key\"";
    let gw = Gateway::start(&guarded(
        &origin,
        sections,
        "concurrency_limits = [\"wide\", \"narrow\"]",
    ));
    let inside = gw.ask_apart(&get_with("/held", "X-Api-Key", "a"));
    origin.wait_seen("/held", 1);
    let mut client = gw.connect();
    for _ in 0..5 {
        let problem = refused(
            &client.ask(&get_with("/next", "X-Api-Key", "a")),
            503,
            "concurrency_limited",
        );
        assert_eq!(problem["violated-policies"], serde_json::json!(["narrow"]));
    }
    client.ask(&get_with("/next", "X-Api-Key", "b")).expect(200);
    gate.open();
    inside.response().expect(200);
}

#[test]
fn the_time_of_a_route_runs_while_a_request_waits_for_its_place() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", held(&gate))
        .on("/late", reply(200))
        .on("/never", never());
    let text = with_places(&origin, ONE_AND_A_LINE);
    let route = |path: &str, lines: &str| {
        format!(
            "[[routes]]\nmatch = {{ path = \"{path}\" }}\nupstream = \"origin\"\ntimeout = \"500ms\"\n{lines}\n"
        )
    };
    let late = route("/late", "concurrency_limits = [\"places\"]");
    let gw = Gateway::start(&format!("{text}{late}{}", route("/never", "")));

    let inside = gw.ask_apart(&Request::get("/held"));
    origin.wait_seen("/held", 1);
    let waiting = gw.ask_apart(&Request::get("/late"));
    wait_inside(&gw, 2);
    // Begun later: when its time is over, that of the one in the line is too.
    gw.get("/never").expect(504);
    gate.open();
    inside.response().expect(200);
    waiting.response().expect(504).problem();
    assert_eq!(origin.seen("/late"), 0, "nobody would wait for its answer");
}

#[test]
fn a_tunnel_holds_its_place_until_its_end() {
    let origin = Origin::new()
        .on("/chat", upgrade("websocket"))
        .on("/next", reply(200));
    let gw = Gateway::start(&with_places(&origin, ONE_AND_A_LINE));
    let mut chat = gw.connect();
    let asks = get_with("/chat", "Connection", "Upgrade").header("Upgrade", "websocket");
    chat.send(asks.bytes());
    assert_eq!(chat.response_head().0, 101);
    let next = gw.ask_apart(&Request::get("/next"));
    wait_inside(&gw, 2);
    for _ in 0..3 {
        chat.send("hello");
        assert_eq!(chat.bytes(5), b"hello");
        assert_eq!(origin.seen("/next"), 0);
    }
    drop(chat);
    next.response().expect(200);
}

#[test]
fn another_limit_after_a_reload_holds_for_those_who_are_inside_already() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(
        &origin,
        "max = 1\nqueue = 1\nqueue_timeout = \"60s\"",
    ));
    let mut clients = vec![gw.ask_apart(&Request::get("/a"))];
    origin.wait_seen("/a", 1);
    clients.push(gw.ask_apart(&Request::get("/b")));
    wait_inside(&gw, 2);
    is_full(&gw, &Request::get("/x"));
    gw.reload(&with_places(
        &origin,
        "max = 3\nqueue = 1\nqueue_timeout = \"60s\"",
    ))
    .unwrap();
    // The next one brings the new limit, and whoever waited comes before it.
    clients.push(gw.ask_apart(&Request::get("/c")));
    origin.wait_seen("/b", 1);
    origin.wait_seen("/c", 1);
    gw.reload(&with_places(&origin, "max = 1\nqueue = 0")).unwrap();
    is_full(&gw, &Request::get("/x"));
    gate.open();
    for client in clients {
        client.response().expect(200);
    }
    wait_inside(&gw, 0);
    gw.get("/d").expect(200);
    assert_eq!(origin.seen("/x"), 0);
}

#[test]
fn a_stop_lets_those_in_who_wait() {
    let gate = Gate::new();
    let origin = Origin::new().otherwise(held(&gate));
    let gw = Gateway::start(&with_places(&origin, ONE_AND_A_LINE));
    let address = gw.address();
    let clients: Vec<_> = (0..3).map(|_| gw.ask_apart(&Request::get("/a"))).collect();
    wait_inside(&gw, 3);
    let stopping = gw.stop_apart();
    wait_until("it drains", || Connection::try_open(address).is_err());
    gate.open();
    for client in clients {
        client.response().expect(200);
    }
    assert!(stopping.wait());
}

#[test]
fn clients_of_a_unix_socket_share_the_places_of_an_address() {
    let gate = Gate::new();
    let origin = Origin::new().on("/held", held(&gate)).on("/next", reply(200));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sluice.sock");
    let listeners = format!(
        "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"unix:{}\"\n",
        path.display()
    );
    let text = with_places(&origin, "max = 1\nkey = \"client_ip\"");
    let gw = Gateway::start(&format!("{listeners}{text}"));
    let mut inside = std::os::unix::net::UnixStream::connect(&path).unwrap();
    inside.write_all(&Request::get("/held").bytes()).unwrap();
    origin.wait_seen("/held", 1);
    let mut second = std::os::unix::net::UnixStream::connect(&path).unwrap();
    second
        .set_read_timeout(Some(harness::patience::patience()))
        .unwrap();
    second.write_all(&Request::get("/next").bytes()).unwrap();
    let mut reader = harness::wire::Reader::new(second);
    let head = reader.head().unwrap().unwrap();
    assert!(head.start.starts_with("HTTP/1.1 503 "), "{head}");
    gw.get("/next").expect(200);
    gate.open();
    let mut reader = harness::wire::Reader::new(inside);
    assert!(reader.head().unwrap().unwrap().start.starts_with("HTTP/1.1 200 "));
}
