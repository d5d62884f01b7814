use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::origin::{Script, reply};
use harness::wire::{Head, Reader};
use harness::{Gateway, Origin, Request};

use super::super::tokens::mint::{self, basic, says};
use super::super::{Secrets, guarded};

const KEYS: [&str; 2] = ["0123456789abcdef", "fedcba9876543210"];

/// A cache besides, and whatever is asked for by GET may be kept in it.
fn cached(origin: &Origin, auth: &str) -> String {
    guarded(origin, auth, "") + "[routes.cache]\nstore = \"edge\"\n[caches.edge]\nmemory = \"16MiB\"\n"
}

/// How users are known, each way by another field: the auth, and what ann and ben send.
fn ways(secrets: &Secrets, guard: SocketAddr) -> Vec<(String, [(&'static str, String); 2])> {
    let keys = secrets.put("keys", format!("ann:{}\nben:{}\n", KEYS[0], KEYS[1]));
    let users = secrets.put(
        "users",
        "ann:{SHA}KvPXpIScDQubdcQXyPXUdUCmoqA=\nben:{SHA}KvPXpIScDQubdcQXyPXUdUCmoqA=\n",
    );
    let secret = secrets.put("secret", mint::SECRET);
    let token = |user: &str| format!("token={}", says(&format!(r#""sub":"{user}""#)));
    vec![
        (
            format!("keys = {{ file = {keys:?}, forward_name = \"X-User-Id\" }}"),
            KEYS.map(|key| ("X-Api-Key", key.to_owned())),
        ),
        (
            format!("basic = {{ users_file = {users:?}, forward_user = \"X-User-Id\" }}"),
            ["ann", "ben"].map(|user| ("Authorization", basic(user, "sha pass"))),
        ),
        (
            format!(
                "jwt = {{ secret_file = {secret:?}, cookie = \"token\", forward_claims = {{ sub = \"X-User-Id\" }} }}"
            ),
            ["ann", "ben"].map(|user| ("Cookie", token(user))),
        ),
        (
            format!(
                "forward = {{ url = \"http://{}/verify\", copy_headers = [\"X-User-Id\"] }}",
                guard
            ),
            ["ann", "ben"].map(|user| ("X-Session", user.to_owned())),
        ),
    ]
}

/// Two answers, each good for the one who gets it.
fn two(origin: &Origin, path: &str, fields: &[(&str, &str)]) -> [String; 2] {
    let answer = |body: &str| -> Script {
        let answer = fields
            .iter()
            .fold(reply(200), |answer, (name, value)| answer.header(name, value));
        answer.body(body)
    };
    let bodies = ["first", "second"].map(|which| format!("{which} of {path}"));
    origin.set(path, answer(&bodies[0]));
    bodies
}

#[test]
fn what_does_not_say_that_it_is_for_all_is_kept_for_nobody_however_users_are_known() {
    let secrets = Secrets::new();
    let guard = Origin::new().otherwise(reply(200));
    for (auth, users) in ways(&secrets, guard.address()) {
        let origin = Origin::new();
        let gw = Gateway::start(&cached(&origin, &auth));
        let ask = |path: &str, user: usize| {
            let (name, value) = &users[user];
            gw.ask(&Request::get(path).header(name, value))
        };
        let own: [&[(&str, &str)]; 10] = [
            // Two who send nothing look alike, and the origin was told who each of them is.
            &[("Cache-Control", "public, max-age=600"), ("Vary", "X-User-Id")],
            &[("Cache-Control", "max-age=600")],
            &[("Cache-Control", "max-age=600, private")],
            &[("Cache-Control", "public, private, max-age=600")],
            &[("Cache-Control", "public, no-store, max-age=600")],
            &[("Expires", "Fri, 01 Jan 2100 00:00:00 GMT")],
            &[("CDN-Cache-Control", "max-age=600")],
            &[("Surrogate-Control", "max-age=600")],
            &[(
                "Cache-Control",
                "max-age=600, stale-while-revalidate=600, stale-if-error=600",
            )],
            &[("Cache-Control", "max-age=600"), ("Vary", "X-User-Id")],
        ];
        for (n, fields) in own.iter().enumerate() {
            let path = format!("/own/{n}");
            let [first, second] = two(&origin, &path, fields);
            ask(&path, 0).expect(200).body(&first);
            origin.set(
                &path,
                fields
                    .iter()
                    .fold(reply(200), |a, (k, v)| a.header(k, v))
                    .body(&second),
            );
            ask(&path, 1).expect(200).body(&second);
            ask(&path, 0).expect(200).body(&second);
            assert_eq!(origin.seen(&path), 3, "{auth}, {fields:?}");
        }
        let shared: [&[(&str, &str)]; 4] = [
            &[("Cache-Control", "public, max-age=600")],
            &[("Cache-Control", "s-maxage=600")],
            &[("Cache-Control", "max-age=600, must-revalidate")],
            &[
                ("Cache-Control", "no-cache"),
                ("CDN-Cache-Control", "public, max-age=600"),
            ],
        ];
        for (n, fields) in shared.iter().enumerate() {
            let path = format!("/all/{n}");
            let [first, _] = two(&origin, &path, fields);
            ask(&path, 0).expect(200).body(&first);
            ask(&path, 1).expect(200).body(&first);
            assert_eq!(origin.seen(&path), 1, "{auth}, {fields:?}");
            // And it is for those only who may come in.
            if !auth.starts_with("forward") {
                gw.get(&path).expect(401);
            }
        }
        if auth.starts_with("forward") {
            guard.set("/verify", reply(403));
            gw.get("/all/0").expect(403);
        }
    }
}

#[test]
fn what_was_for_all_and_is_no_more_when_it_is_confirmed_is_kept_no_longer() {
    let secrets = Secrets::new();
    let guard = Origin::new().otherwise(reply(200));
    for (auth, users) in ways(&secrets, guard.address()) {
        let origin = Origin::new();
        let gw = Gateway::start_with_manual_clock(&cached(&origin, &auth));
        let ask = |user: usize| {
            let (name, value) = &users[user];
            gw.ask(&Request::get("/").header(name, value))
        };
        let tagged = |status, control: &str| {
            reply(status)
                .header("ETag", "\"a\"")
                .header("Cache-Control", control)
        };
        origin.set("/", tagged(200, "public, max-age=10").body("of all"));
        ask(0).expect(200).body("of all");
        // As it was: it is for all.
        gw.advance(Duration::from_secs(11));
        origin.set("/", tagged(304, "public, max-age=10"));
        ask(0).expect(200).body("of all");
        ask(1).expect(200).body("of all");
        assert_eq!(origin.total(), 2, "{auth}");
        gw.advance(Duration::from_secs(11));
        origin.set("/", tagged(304, "max-age=600"));
        ask(0).expect(200).body("of all");
        origin.set("/", tagged(200, "max-age=600").body("of ben"));
        ask(1).expect(200).body("of ben");
        assert_eq!(origin.total(), 4, "{auth}");
    }
}

/// A server that answers each request by what stands in its head.
struct Mirror {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Mirror {
    fn start(answer: fn(&Head) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is to be had");
        let address = listener.local_addr().expect("it is bound");
        let asked = Arc::<AtomicUsize>::default();
        let counting = Arc::clone(&asked);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let asked = Arc::clone(&counting);
                std::thread::spawn(move || reflect(stream, answer, &asked));
            }
        });
        Self { address, asked }
    }
}

fn reflect(stream: TcpStream, answer: fn(&Head) -> String, asked: &AtomicUsize) {
    let mut answers = stream.try_clone().expect("sockets can be shared");
    let mut reader = Reader::new(stream);
    while let Ok(Some(head)) = reader.head() {
        asked.fetch_add(1, Ordering::AcqRel);
        if answers.write_all(answer(&head).as_bytes()).is_err() {
            return;
        }
    }
}

/// What an origin says that tells each his own name, as the gateway has told it.
fn own_name(head: &Head) -> String {
    let user = head.one("x-user-id").unwrap_or("nobody");
    let control = match head.start.contains("revalidated") {
        true => "no-cache\r\nETag: \"a\"",
        false => "max-age=600",
    };
    format!(
        "HTTP/1.1 200 OK\r\nCache-Control: {control}\r\nSet-Cookie: user={user}\r\nContent-Length: {}\r\n\r\n{user}",
        user.len()
    )
}

/// What a guard says that lets in everybody with a session.
fn own_verdict(head: &Head) -> String {
    match head.one("x-session") {
        Some(user) => format!("HTTP/1.1 200 OK\r\nX-User-Id: {user}\r\nContent-Length: 0\r\n\r\n"),
        None => "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned(),
    }
}

#[test]
fn two_users_at_once_never_see_each_others_answers() {
    const ROUNDS: usize = 200;
    let secrets = Secrets::new();
    let (origin, mirror, guard) = (Origin::new(), Mirror::start(own_name), Mirror::start(own_verdict));
    let mut asked = 0;
    for (auth, users) in ways(&secrets, guard.address) {
        let toml = cached(&origin, &auth);
        let gw = Gateway::start(&toml.replace(&origin.address().to_string(), &mirror.address.to_string()));
        let abreast = std::sync::Barrier::new(4);
        let foreign = AtomicUsize::new(0);
        let all = users.iter().zip(["ann", "ben"]).cycle().take(4);
        std::thread::scope(|scope| {
            for ((name, value), user) in all {
                let (gw, abreast, foreign) = (&gw, &abreast, &foreign);
                scope.spawn(move || {
                    let mut client = gw.connect();
                    for round in 0..ROUNDS {
                        let path = ["kept", "revalidated"][round % 2];
                        let request = Request::get(&format!("/{path}/{round}")).header(name, value);
                        abreast.wait();
                        let answer = client.ask(&request.header("X-User-Id", "eve"));
                        let is_own = answer.status == 200
                            && answer.text() == user
                            && answer.value("set-cookie") == Some(&format!("user={user}"));
                        foreign.fetch_add(usize::from(!is_own), Ordering::AcqRel);
                    }
                });
            }
        });
        asked += 4 * ROUNDS;
        assert_eq!(foreign.into_inner(), 0, "{auth}");
        assert_eq!(mirror.asked.load(Ordering::Acquire), asked, "{auth}");
    }
    assert_eq!(guard.asked.load(Ordering::Acquire), 4 * ROUNDS);
}

#[test]
fn who_is_turned_away_neither_sees_nor_removes_what_is_kept() {
    let secrets = Secrets::new();
    let guard = Origin::new().otherwise(reply(200));
    let ways = ways(&secrets, guard.address());
    for (auth, users) in ways.iter().filter(|(auth, _)| !auth.starts_with("forward")) {
        let origin = Origin::new().on(
            "/",
            reply(200)
                .header("Cache-Control", "public, max-age=600")
                .body("kept"),
        );
        let gw = Gateway::start(&cached(&origin, auth));
        let (name, value) = &users[0];
        let known = || Request::get("/").header(name, value);
        gw.ask(&known()).expect(200).body("kept");
        for method in ["GET", "HEAD", "POST", "DELETE", "PUT", "OPTIONS"] {
            let stranger = || Request::new(method, "/").header("Content-Length", "0");
            for request in [
                stranger(),
                stranger().header(name, "x"),
                stranger().header("Cache-Control", "only-if-cached"),
                stranger()
                    .header("If-None-Match", "*")
                    .header("Range", "bytes=0-0"),
            ] {
                let answer = gw.ask(&request);
                answer.expect(401);
                assert!(!answer.text().contains("kept") && !answer.head.all("cache-status").any(|_| true));
            }
        }
        gw.ask(&known()).expect(200).body("kept");
        assert_eq!(origin.total(), 1, "{auth}");
    }
}
