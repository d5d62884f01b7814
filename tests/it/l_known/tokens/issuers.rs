use std::sync::Barrier;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use harness::origin::{Script, hang_up, never, raw, reply, reset};
use harness::{Gate, Gateway, Origin, wait_until};

use super::super::guarded;
use super::mint::{self, ANN_BY_A, BEN_BY_B, CAT_BY_C, KEY_A, KEY_B};
use super::with;

/// Keys as an issuer answers with them.
fn publishes(keys: &[&str]) -> Script {
    reply(200)
        .header("Content-Type", "application/json")
        .body(mint::set(keys))
}

/// A route whose tokens are by the keys of this issuer.
fn by_issuer(origin: &Origin, issuer: &Origin, more: &str) -> String {
    let auth = format!(
        "jwt = {{ jwks_url = \"http://{}/keys\", refresh = \"1h\"{more} }}",
        issuer.address()
    );
    guarded(origin, &auth, "")
}

#[test]
fn keys_of_an_issuer_are_fetched_once_and_let_in_whoever_has_a_token_by_them() {
    let issuer = Origin::new().on("/keys", publishes(&[KEY_A, KEY_B]));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&by_issuer(
        &origin,
        &issuer,
        ", forward_claims = { sub = \"X-User-Id\" }",
    ));
    for _ in 0..20 {
        gw.ask(&with(ANN_BY_A)).expect(200);
        gw.ask(&with(BEN_BY_B)).expect(200);
        gw.ask(&with(mint::BY_PEM)).expect(401);
    }
    assert_eq!(issuer.total(), 1);
    let asked = issuer.only("/keys");
    assert_eq!(asked.method, "GET");
    assert!(!asked.has("authorization") && !asked.has("cookie"));
    let seen = origin.requests("/");
    assert_eq!(seen[0].value("x-user-id"), Some("ann"));
    assert_eq!(seen[1].value("x-user-id"), Some("ben"));
}

#[test]
fn a_key_that_the_issuer_has_taken_into_use_is_known_after_one_fetch_for_all_who_wait() {
    let (second, third) = (Gate::new(), Gate::new());
    let issuer = Origin::new()
        .on("/keys", publishes(&[KEY_A]))
        .then("/keys", publishes(&[KEY_B]).after(&second))
        .then("/keys", publishes(&[KEY_A]).after(&third));
    let origin = Origin::new().otherwise(reply(200));
    let toml = by_issuer(&origin, &issuer, "").replace("1h", "1s");
    let gw = Gateway::start_with_manual_clock(&toml);
    gw.ask(&with(ANN_BY_A)).expect(200);
    // Asked for before it is due or not: the second fetch is on its way, and others may ask for one.
    gw.advance(Duration::from_secs(31));
    issuer.wait_seen("/keys", 2);
    gw.ask(&with(ANN_BY_A)).expect(200);
    let waiting: Vec<_> = (0..20).map(|_| gw.ask_apart(&with(BEN_BY_B))).collect();
    second.open();
    for client in waiting {
        client.response().expect(200);
    }
    // What the issuer has taken back is no key any more, and the token by it was verified before.
    gw.ask(&with(ANN_BY_A)).expect(401);
    third.open();
    wait_until("the old key is back", || gw.ask(&with(ANN_BY_A)).status == 200);
}

#[test]
fn tokens_that_name_keys_nobody_has_do_not_make_the_gateway_ask_for_each() {
    let issuer = Origin::new().on("/keys", publishes(&[KEY_A]));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start_with_manual_clock(&by_issuer(&origin, &issuer, ""));
    gw.ask(&with(ANN_BY_A)).expect(200);
    for n in 0..200 {
        let header = format!(r#"{{"alg":"ES256","kid":"{n}"}}"#);
        let signature = BEN_BY_B.rsplit('.').next().unwrap();
        let token = format!("{}.{signature}", mint::unsigned(&header, r#"{"sub":"eve"}"#));
        gw.ask(&with(&token)).expect(401);
    }
    assert_eq!((issuer.total(), origin.total()), (1, 1));
}

#[test]
fn an_issuer_that_is_down_takes_no_known_key_along_and_lets_in_nobody_new() {
    let (origin, issuer) = (
        Origin::new().otherwise(reply(200)),
        Origin::new().on("/keys", publishes(&[KEY_A])),
    );
    let toml = by_issuer(&origin, &issuer, "").replace("1h", "1s");
    let gw = Gateway::start(&toml);
    gw.ask(&with(ANN_BY_A)).expect(200);
    let rounds: [(&str, Script); 7] = [
        ("an error", reply(500)),
        ("nothing", hang_up()),
        ("a reset", reset()),
        ("an empty set", reply(200).body(r#"{"keys":[]}"#)),
        ("no JSON", reply(200).body("<html>Service")),
        (
            "half a set",
            reply(200).body(mint::set(&[KEY_B])).claims(4_000).hang_up(),
        ),
        ("no HTTP", raw("\0\x01\x02 nonsense\r\n\r\n").hang_up()),
    ];
    for (what, script) in rounds {
        let before = issuer.total();
        issuer.set("/keys", script);
        wait_until(what, || issuer.total() > before);
        gw.ask(&with(ANN_BY_A)).expect(200);
        gw.ask(&with(BEN_BY_B)).expect(401);
    }
    issuer.kill();
    for _ in 0..20 {
        gw.ask(&with(ANN_BY_A)).expect(200);
        gw.ask(&with(BEN_BY_B)).expect(401);
    }
}

#[test]
fn while_nothing_has_been_fetched_nobody_is_judged() {
    let (origin, issuer) = (Origin::new().otherwise(reply(200)), Origin::down());
    let gw = Gateway::start(&by_issuer(&origin, &issuer, ""));
    let answer = gw.ask(&with(ANN_BY_A));
    answer
        .expect(503)
        .problem()
        .header("Retry-After", "5")
        .no_header("WWW-Authenticate");
    assert!(answer.text().contains("auth_unavailable"), "{answer}");
    // What no key could help is said at once.
    gw.get("/")
        .expect(401)
        .header("WWW-Authenticate", "Bearer realm=\"users\"");
    gw.ask(&with("x")).expect(401);
    assert_eq!(origin.total(), 0);
    issuer.set("/keys", publishes(&[KEY_A]));
    issuer.revive();
    wait_until("the keys have come", || gw.ask(&with(ANN_BY_A)).status == 200);
    gw.ask(&with(BEN_BY_B)).expect(401);
}

#[test]
fn an_issuer_that_does_not_answer_holds_up_only_those_it_is_asked_for_and_not_for_long() {
    let issuer = Origin::new().on("/keys", never());
    let origin = Origin::new().otherwise(reply(200));
    let toml = by_issuer(&origin, &issuer, "")
        + "[[routes]]\nmatch = { path_prefix = \"/open\" }\nupstream = \"origin\"\n";
    let gw = Gateway::start(&toml);
    issuer.wait_seen("/keys", 1);
    let waiting: Vec<_> = (0..20).map(|_| gw.ask_apart(&with(ANN_BY_A))).collect();
    gw.get("/open").expect(200);
    gw.get("/").expect(401);
    for client in waiting {
        client.response().expect(503).header("Retry-After", "5");
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn who_waits_for_keys_that_are_on_their_way_is_let_in_when_they_are_there() {
    let gate = Gate::new();
    let issuer = Origin::new().on("/keys", publishes(&[KEY_A]).after(&gate));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&by_issuer(&origin, &issuer, ""));
    issuer.wait_seen("/keys", 1);
    let waiting: Vec<_> = (0..20).map(|_| gw.ask_apart(&with(ANN_BY_A))).collect();
    // They cannot be let in before.
    assert_eq!(origin.total(), 0);
    gate.open();
    for client in waiting {
        client.response().expect(200);
    }
    assert_eq!((issuer.total(), origin.total()), (1, 20));
    gw.ask(&with(CAT_BY_C)).expect(401);
}

#[test]
fn a_secret_that_an_issuer_publishes_signs_nothing() {
    let shared = format!(
        r#"{{"kty":"oct","kid":"s","k":"{}"}}"#,
        mint::base64url(mint::SECRET.as_bytes())
    );
    let issuer = Origin::new().on("/keys", publishes(&[&shared, KEY_A]));
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&by_issuer(&origin, &issuer, ""));
    gw.ask(&with(ANN_BY_A)).expect(200);
    let payload = format!(r#"{{"sub":"eve","exp":{}}}"#, mint::LATE);
    for header in [r#"{"alg":"HS256","kid":"s"}"#, r#"{"alg":"HS256"}"#] {
        gw.ask(&with(&mint::by(mint::SECRET, header, &payload)))
            .expect(401);
    }
    assert_eq!(origin.total(), 1);
}

#[test]
fn a_reload_keeps_the_keys_of_an_issuer_and_takes_none_along_to_another_one() {
    let issuer = Origin::new().on("/keys", publishes(&[KEY_A]));
    let other = Origin::new().on("/keys", publishes(&[KEY_B]));
    let origin = Origin::new().otherwise(reply(200));
    let of = |issuer: &Origin, more: &str| by_issuer(&origin, issuer, more);
    let gw = Gateway::start(&of(&issuer, ""));
    let mut client = gw.connect();
    client.ask(&with(ANN_BY_A)).expect(200);
    gw.reload(&of(&issuer, ", leeway = \"1s\"")).unwrap();
    client.ask(&with(ANN_BY_A)).expect(200);
    assert_eq!(issuer.total(), 1);
    gw.reload(&of(&other, "")).unwrap();
    client.ask(&with(ANN_BY_A)).expect(401);
    client.ask(&with(BEN_BY_B)).expect(200);
    // One that cannot be used takes nothing away, and asks nobody.
    gw.reload(&of(&issuer, ", nonsense = 1")).unwrap_err();
    client.ask(&with(BEN_BY_B)).expect(200);
    assert_eq!((issuer.total(), other.total()), (1, 1));
    // Back at the first one, whose keys nobody has kept meanwhile.
    gw.reload(&of(&issuer, "")).unwrap();
    client.ask(&with(ANN_BY_A)).expect(200);
    client.ask(&with(BEN_BY_B)).expect(401);
}

#[test]
fn keys_that_come_while_a_token_is_judged_are_not_missed() {
    const ROUNDS: usize = 100;
    let origin = Origin::new().otherwise(reply(200));
    let issuers = [KEY_A, KEY_B].map(|key| Origin::new().on("/keys", publishes(&[key])));
    let toml = issuers.each_ref().map(|issuer| by_issuer(&origin, issuer, ""));
    let gw = Gateway::start(&toml[1]);
    let (abreast, let_in) = (Barrier::new(5), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let mut client = gw.connect();
                for round in 0..ROUNDS {
                    abreast.wait();
                    let answer = client.ask(&with([ANN_BY_A, BEN_BY_B][round % 2]));
                    let_in.fetch_add(usize::from(answer.status == 200), Ordering::AcqRel);
                    abreast.wait();
                }
            });
        }
        for round in 0..ROUNDS {
            gw.reload(&toml[round % 2]).unwrap();
            abreast.wait();
            abreast.wait();
        }
    });
    assert_eq!(let_in.into_inner(), 4 * ROUNDS);
}
