use std::sync::Arc;

use harness::origin::{self, reply};
use harness::{Connection, Gate, Origin, Request, Sluice, wait_until};
use rustls::version::{TLS12, TLS13};

use super::{SAYS_HI, wait_generation};
use harness::tls::{Authority, TlsClient};

const LONG_DRAIN: &str = "[server]\nthreads = 2\ndrain_timeout = \"60s\"\n";

#[test]
fn what_runs_in_the_old_process_ends_there() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on("/held", reply(200).after(&gate).body("whole"))
        .on("/chat", origin::upgrade("websocket"))
        .otherwise(reply(200).body("new"));
    let mut sluice = Sluice::start(&format!("{LONG_DRAIN}{}", crate::all_to(&origin)));
    let held = Connection::open(sluice.address()).ask_apart(Request::get("/held"));
    origin.wait_seen("/held", 1);
    let mut chat = Connection::open(sluice.address());
    let request = Request::get("/chat")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    chat.ask(&request).expect(101);
    let mut idle = Connection::open(sluice.address());
    idle.ask(&Request::get("/")).expect(200);

    sluice.upgrade();
    chat.send("still here");
    assert_eq!(chat.bytes(10), b"still here");
    idle.expect_closed();
    let mut client = Connection::open(sluice.address());
    client.ask(&Request::get("/")).expect(200).body("new");
    assert!(!held.is_done() && sluice.process.is_running());
    gate.open();
    assert!(held.response().expect(200).body("whole").closes());
    chat.send("and still");
    assert_eq!(chat.bytes(9), b"and still");
    assert!(sluice.process.is_running());
    drop(chat);
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    client.ask(&Request::get("/")).expect(200).body("new");
}

#[test]
fn a_tunnel_is_cut_when_the_drain_is_over() {
    let origin = Origin::new().on("/chat", origin::upgrade("websocket"));
    let config = crate::all_to(&origin);
    let mut sluice = Sluice::start(&format!(
        "[server]\nthreads = 2\ndrain_timeout = \"300ms\"\n{config}"
    ));
    let mut chat = Connection::open(sluice.address());
    let request = Request::get("/chat")
        .header("Connection", "upgrade")
        .header("Upgrade", "websocket");
    chat.ask(&request).expect(101);
    sluice.upgrade();
    chat.expect_closed();
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
}

fn resumes(version: &'static rustls::SupportedProtocolVersion) {
    let authority = Authority::new("Authority");
    let leaf = authority.sign(&["a.test", "127.0.0.1"]);
    let (cert, key) = leaf.files();
    let sluice = Sluice::start(&format!(
        "[certificates.a]\ndomains = [\"a.test\"]\ncert_file = {cert:?}\nkey_file = {key:?}\n\
         [[listeners]]\naddress = \"127.0.0.1:0\"\ncertificates = [\"a\"]\n{SAYS_HI}"
    ));
    let client = Arc::new(authority.client_of(&[version], None));
    let comes_back = || {
        let mut connection = TlsClient::open(sluice.address(), &client, "a.test");
        connection.get("/").expect(200);
        connection.is_resumed()
    };
    assert!(!comes_back(), "nobody knows it yet");
    for _ in 0..2 {
        let old = sluice.heirs().last().copied().unwrap_or(sluice.process.id());
        sluice.upgrade();
        sluice.wait_ended(old);
        assert!(comes_back(), "the new process knows the old one's clients");
    }
}

#[test]
fn a_session_of_tls_1_3_goes_on_in_the_new_process() {
    resumes(&TLS13);
}

#[test]
fn a_session_of_tls_1_2_goes_on_in_the_new_process() {
    resumes(&TLS12);
}

#[test]
fn an_operator_s_word_on_a_server_holds_in_the_new_process() {
    let origin = Origin::new().otherwise(reply(200));
    let sluice = Sluice::start(&crate::all_to(&origin));
    sluice
        .admin()
        .set_server("origin", origin.address(), r#"{"state":"drain","weight":7}"#);
    sluice.upgrade();
    let server = sluice.admin().server("origin", origin.address());
    assert_eq!(
        (&server["state"], &server["weight"]),
        (&"drain".into(), &7.into()),
        "{server:#}"
    );
}

#[test]
fn listeners_come_and_go_with_an_upgrade() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old.sock"), folder.path().join("new.sock"));
    let with = |socket: &std::path::Path| {
        let socket = socket.display();
        format!(
            "[[listeners]]\naddress = \"127.0.0.1:0\"\n[[listeners]]\naddress = \"unix:{socket}\"\n{SAYS_HI}"
        )
    };
    let mut sluice = Sluice::start(&with(&old));
    let address = sluice.address();
    sluice.replace_config(&with(&new));
    sluice.upgrade();
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    assert!(!old.exists() && new.exists());
    Connection::open(address).ask(&Request::get("/")).expect(200);
    let status = sluice.admin().status();
    let addresses: Vec<_> = status["listeners"]
        .as_array()
        .unwrap()
        .iter()
        .map(|l| &l["address"])
        .collect();
    assert_eq!(
        addresses,
        [&address.to_string(), &format!("unix:{}", new.display())]
    );
}

#[test]
fn the_folder_of_a_cache_is_the_new_process_s_when_the_old_one_has_ended() {
    let gate = Gate::new();
    let origin = Origin::new()
        .on(
            "/held",
            reply(200).header("Cache-Control", "no-store").after(&gate),
        )
        .otherwise(reply(200).header("Cache-Control", "max-age=600").body("kept"));
    let folder = tempfile::tempdir().unwrap();
    let mut sluice = Sluice::start(&format!(
        r#"
        {LONG_DRAIN}
        [caches.edge]
        memory = "8MiB"
        disk = "64MiB"
        path = "{}"
        min_uses = 1

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        cache = {{ store = "edge" }}
        "#,
        folder.path().join("cache").display(),
        origin.address()
    ));
    let cache = || sluice_cache(&sluice);
    Connection::open(sluice.address())
        .ask(&Request::get("/a"))
        .expect(200);
    wait_until("it is on disk", || cache()["objects_disk"] == 1);
    let held = Connection::open(sluice.address()).ask_apart(Request::get("/held"));
    origin.wait_seen("/held", 1);

    sluice.upgrade();
    let fault = cache()["disk_fault"].clone();
    assert!(
        fault.as_str().is_some_and(|fault| fault.contains("in use")),
        "{fault}"
    );
    Connection::open(sluice.address())
        .ask(&Request::get("/b"))
        .expect(200);
    gate.open();
    held.response().expect(200);
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
    wait_until("the folder is open", || {
        sluice_cache(&sluice)["disk_fault"].is_null()
    });
    wait_until("what was kept is found", || {
        sluice_cache(&sluice)["objects_disk"] == 1
    });
    Connection::open(sluice.address())
        .ask(&Request::get("/a"))
        .expect(200)
        .body("kept");
    assert_eq!(origin.seen("/a"), 1);
    wait_generation(&sluice, 1);
}

fn sluice_cache(sluice: &Sluice) -> serde_json::Value {
    sluice.admin().status()["caches"]["edge"].clone()
}

#[test]
fn what_was_purged_in_the_new_process_is_not_served_by_the_old_one_on_a_connection_it_still_has() {
    let gate = Gate::new();
    let held = reply(200)
        .header("Cache-Control", "no-store")
        .body("he")
        .pause(&gate);
    let kept = |body: &str| reply(200).header("Cache-Control", "max-age=600").body(body);
    let origin = Origin::new()
        .on("/held", held.body("ld"))
        .on("/a", kept("old"))
        .then("/a", kept("new"));
    let mut sluice = Sluice::start(&format!(
        r#"
        {LONG_DRAIN}
        [caches.edge]
        memory = "8MiB"

        [upstreams.origin]
        servers = [{{ address = "{}" }}]

        [[routes]]
        name = "all"
        match = {{ path_prefix = "/" }}
        upstream = "origin"
        cache = {{ store = "edge" }}
        "#,
        origin.address()
    ));
    let mut client = Connection::open(sluice.address());
    for _ in 0..2 {
        client.ask(&Request::get("/a")).expect(200).body("old");
    }
    client.send(Request::get("/held").bytes());
    // It says no more now that it is the last answer.
    let (_, framing) = client.response_head();
    sluice.upgrade();
    let purge = Request::post("/purge", r#"{"urls":["http://a.test/a"]}"#);
    sluice
        .admin()
        .ask(&purge.header("Content-Type", "application/json"))
        .expect(200);
    client.send(Request::get("/a").bytes());
    gate.open();
    client.response_body(framing);
    client.response().expect(200).body("new");
    assert_eq!(sluice.process.wait_exit().code(), Some(0));
}
