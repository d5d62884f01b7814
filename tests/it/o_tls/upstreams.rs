use harness::origin::reply;
use harness::wire::Framing;
use harness::{Gateway, Origin, Request, wait_until};

use super::authority_and_leaf;
use super::client::Authority;
use super::front::{Front, showing};

fn answering() -> Origin {
    Origin::new().otherwise(reply(200).body("sealed"))
}

/// An upstream with these lines at a route of its own name; `tls` is what stands in its braces.
fn upstream(name: &str, front: &Front, tls: &str) -> String {
    format!(
        "[upstreams.{name}]\nservers = [{{ address = \"{}\" }}]\ntls = {{ {tls} }}\n\
         [upstreams.{name}.outlier_detection]\nconsecutive_failures = 1000\n\
         [[routes]]\nname = \"{name}\"\nmatch = {{ path_prefix = \"/{name}\" }}\nupstream = \"{name}\"\n",
        front.address()
    )
}

#[test]
fn a_server_of_the_named_authority_is_believed_and_its_connection_used_again() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let tls = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
    // One worker: each has idle connections of its own.
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}",
        upstream("app", &front, &tls)
    ));

    let mut client = gw.connect();
    for _ in 0..10 {
        client.ask(&Request::get("/app")).expect(200).body("sealed");
    }
    gw.get("/app").expect(200);
    assert_eq!((front.accepted(), front.handshakes()), (1, 1));
    assert_eq!(front.names(), [Some("a.test".to_owned())]);
    assert_eq!(origin.connections(), 1);
}

#[test]
fn a_server_whose_connection_ended_is_greeted_by_the_old_session() {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200).close());
    let front = Front::new(&origin, showing(&leaf, None));
    let tls = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
    let gw = Gateway::start(&upstream("app", &front, &tls));

    for _ in 0..4 {
        gw.get("/app").expect(200);
    }
    assert_eq!((front.handshakes(), front.resumed()), (4, 3));
}

#[test]
fn without_sni_the_certificate_must_be_for_the_servers_address() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let gw = Gateway::start(&upstream(
        "app",
        &front,
        &format!("ca_file = {:?}", authority.file()),
    ));

    gw.get("/app").expect(200);
    assert_eq!(front.names(), [None]);
    front.set(showing(&authority.sign(&["a.test"]), None));
    drop(gw);

    let gw = Gateway::start(&upstream(
        "app",
        &front,
        &format!("ca_file = {:?}", authority.file()),
    ));
    gw.get("/app").expect(502).problem();
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_server_that_cannot_prove_its_name_gets_no_request() {
    let (authority, leaf) = authority_and_leaf();
    let strangers = Authority::new("Strangers");
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let gw = Gateway::start(&format!(
        "{}{}{}{}",
        upstream(
            "other",
            &front,
            &format!("sni = \"b.test\", ca_file = {:?}", authority.file())
        ),
        upstream(
            "strange",
            &front,
            &format!("sni = \"a.test\", ca_file = {:?}", strangers.file())
        ),
        upstream("system", &front, "sni = \"a.test\""),
        upstream("blind", &front, "sni = \"b.test\", verify = false"),
    ));

    for path in ["/other", "/strange", "/system"] {
        gw.get(path).expect(502).problem();
        gw.ask(&Request::post(path, "precious")).expect(502).problem();
    }
    assert_eq!(origin.total(), 0);
    gw.get("/blind").expect(200).body("sealed");
}

#[test]
fn a_server_that_speaks_plainly_gets_no_request() {
    let (authority, _leaf) = authority_and_leaf();
    let plain = answering();
    let gw = Gateway::start(&format!(
        "[upstreams.app]\nservers = [{{ address = \"{}\" }}]\ntls = {{ ca_file = {:?} }}\n[[routes]]\nupstream = \"app\"",
        plain.address(),
        authority.file()
    ));
    plain.greet(harness::origin::Greeting::HangUp);
    gw.get("/").expect(502).problem();
    assert_eq!(plain.total(), 0);
}

#[test]
fn a_server_that_demands_a_certificate_is_shown_ours() {
    let (authority, leaf) = authority_and_leaf();
    let clients = Authority::new("Clients");
    let ours = clients.sign(&["gateway"]);
    let (cert, key) = ours.files();
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, Some(&clients)));
    let believes = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
    let gw = Gateway::start(&format!(
        "{}{}",
        upstream("nobody", &front, &believes),
        upstream(
            "known",
            &front,
            &format!("{believes}, client_cert_file = {cert:?}, client_key_file = {key:?}")
        )
    ));

    gw.get("/known").expect(200);
    gw.get("/nobody").expect(502).problem();
    gw.get("/known").expect(200);
    gw.get("/nobody").expect(502).problem();
    assert_eq!((origin.seen("/known"), origin.seen("/nobody")), (2, 0));
}

#[test]
fn upstreams_with_one_address_and_other_trust_share_no_connection() {
    let (authority, leaf) = authority_and_leaf();
    let strangers = Authority::new("Strangers");
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let trusting = |ca: &Authority| format!("sni = \"a.test\", ca_file = {:?}", ca.file());
    let gw = Gateway::start(&format!(
        "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}{}{}{}",
        upstream("good", &front, &trusting(&authority)),
        upstream("strange", &front, &trusting(&strangers)),
        upstream("blind", &front, "verify = false"),
        format_args!(
            "[upstreams.plain]\nservers = [{{ address = \"{}\" }}]\n\
             [[routes]]\nmatch = {{ path_prefix = \"/plain\" }}\nupstream = \"plain\"\n",
            front.address()
        ),
    ));

    // An idle connection of the one, and then of the blind one as well, lies there for each of the others to find.
    for _ in 0..3 {
        gw.get("/good").expect(200);
        gw.get("/strange").expect(502).problem();
        gw.get("/blind").expect(200);
        gw.get("/strange").expect(502).problem();
        gw.get("/plain").expect(502).problem();
    }
    assert_eq!((origin.seen("/good"), origin.seen("/blind")), (3, 3));
    assert_eq!(origin.total(), 6);
    assert_eq!(
        front.handshakes(),
        2,
        "one for each that can be had, and they stay apart"
    );
}

#[test]
fn another_trust_after_a_reload_uses_no_old_connection() {
    let (authority, leaf) = authority_and_leaf();
    let strangers = Authority::new("Strangers");
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let trusting = |ca: &Authority| {
        let tls = format!("sni = \"a.test\", ca_file = {:?}", ca.file());
        format!(
            "[server]\nthreads = 1\ndrain_timeout = \"5s\"\n{}",
            upstream("app", &front, &tls)
        )
    };
    let gw = Gateway::start(&trusting(&authority));

    gw.get("/app").expect(200);
    gw.reload(&trusting(&strangers)).unwrap();
    gw.get("/app").expect(502).problem();
    gw.reload(&trusting(&authority)).unwrap();
    gw.get("/app").expect(200);
    assert_eq!(origin.total(), 2);
}

#[test]
fn a_probe_over_tls_believes_no_more_than_a_request() {
    for path in ["path = \"/health\"\n", ""] {
        let (authority, leaf) = authority_and_leaf();
        let stranger = Authority::new("Strangers").sign(&["a.test"]);
        let origin = answering();
        let front = Front::new(&origin, showing(&leaf, None));
        let tls = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
        let gw = Gateway::start(&format!(
            "{}[upstreams.app.health_check]\n{path}interval = \"20ms\"\ntimeout = \"2s\"\n\
             healthy_threshold = 1\nunhealthy_threshold = 1\n",
            upstream("app", &front, &tls)
        ));

        gw.get("/app").expect(200);
        front.set(showing(&stranger, None));
        gw.wait_state("app", front.address(), "down");
        let before = front.handshakes();
        front.set(showing(&leaf, None));
        gw.wait_state("app", front.address(), "up");
        // The gateway's side of a handshake ends first.
        wait_until("the server has seen a handshake, too", || {
            front.handshakes() > before
        });
        gw.get("/app").expect(200);
    }
}

#[test]
fn a_probe_over_tls_asks_what_is_behind() {
    let (authority, leaf) = authority_and_leaf();
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let tls = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
    let gw = Gateway::start(&format!(
        "{}[upstreams.app.health_check]\npath = \"/health\"\ninterval = \"20ms\"\ntimeout = \"2s\"\n\
         healthy_threshold = 1\nunhealthy_threshold = 1\n",
        upstream("app", &front, &tls)
    ));

    origin.wait_seen("/health", 1);
    origin.set("/health", reply(500));
    gw.wait_state("app", front.address(), "down");
    origin.set("/health", reply(200));
    gw.wait_state("app", front.address(), "up");
}

#[test]
fn upstreams_with_one_address_and_other_trust_are_probed_apart() {
    let (authority, leaf) = authority_and_leaf();
    let strangers = Authority::new("Strangers");
    let origin = answering();
    let front = Front::new(&origin, showing(&leaf, None));
    let probed = |name: &str, ca: &Authority| {
        let tls = format!("sni = \"a.test\", ca_file = {:?}", ca.file());
        format!(
            "{}[upstreams.{name}.health_check]\npath = \"/health\"\ninterval = \"20ms\"\ntimeout = \"2s\"\n\
             healthy_threshold = 1\nunhealthy_threshold = 1\n",
            upstream(name, &front, &tls)
        )
    };
    let gw = Gateway::start(&format!(
        "{}{}",
        probed("good", &authority),
        probed("strange", &strangers)
    ));

    gw.wait_state("strange", front.address(), "down");
    origin.wait_seen("/health", 3);
    assert_eq!(gw.server("good", front.address())["state"], "up");
    assert_eq!(gw.server("strange", front.address())["state"], "down");
    gw.get("/good").expect(200);
    assert_eq!(origin.seen("/strange"), 0);
}

#[test]
fn an_answer_that_anybody_could_have_cut_off_is_not_passed_on_as_whole() {
    let (authority, leaf) = authority_and_leaf();
    let origin = Origin::new().otherwise(reply(200).body("this may be all").until_close());
    let front = Front::new(&origin, showing(&leaf, None));
    let tls = format!("sni = \"a.test\", ca_file = {:?}", authority.file());
    let gw = Gateway::start(&upstream("app", &front, &tls));

    gw.get("/app").expect(200).body("this may be all");
    // RFC 9112 §9.8: without a closure alert it is incomplete.
    front.end_abruptly();
    let mut client = gw.connect();
    client.send(Request::get("/app").bytes());
    let (status, framing) = client.response_head();
    assert_eq!((status, framing), (200, Framing::Chunked));
    let rest = client.rest().expect("the connection ends");
    assert!(
        !rest.ends_with(b"0\r\n\r\n"),
        "{:?}",
        String::from_utf8_lossy(&rest)
    );

    // A client that reads until the end can be told by a reset alone.
    let mut old = gw.connect();
    old.send(Request::get("/app").http10().bytes());
    assert_eq!(old.response_head().0, 200);
    old.expect_reset();
}
