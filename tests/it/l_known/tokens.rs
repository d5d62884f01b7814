/// Issuers that publish their keys.
mod issuers;
/// Tokens as issuers make them.
pub(crate) mod mint;

use std::time::Duration;

use harness::origin::reply;
use harness::{Gateway, Origin, Request, wait_until};

use self::mint::{bearer, by_secret, says};
use super::{Secrets, guarded};

/// What the manual clock says at the start of a play.
const NOW: u64 = 1_700_000_000;

fn with(token: &str) -> Request {
    Request::get("/").header("Authorization", &bearer(token))
}

fn by_file(file: &str, more: &str) -> String {
    format!("jwt = {{ secret_file = {file:?}{more} }}")
}

#[test]
fn each_kind_of_key_file_lets_in_whoever_has_a_token_by_it_and_nobody_else() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let set = mint::set(&[mint::KEY_A, mint::KEY_B]);
    let ann = says(r#""sub":"ann""#);
    let all = [&*ann, mint::BY_PEM, mint::ANN_BY_A, mint::BEN_BY_B];
    let kinds: [(&str, &str, &[&str]); 4] = [
        ("secret_file", mint::SECRET, &[&ann]),
        ("public_key_file", mint::PEM, &[mint::BY_PEM]),
        ("public_key_file", mint::OTHER_PEM, &[mint::BEN_BY_B]),
        ("jwks_file", &set, &[mint::ANN_BY_A, mint::BEN_BY_B]),
    ];
    for (key, content, good) in kinds {
        let file = secrets.put(key, content);
        let gw = Gateway::start(&guarded(&origin, &format!("jwt = {{ {key} = {file:?} }}"), ""));
        let mut passed = origin.total();
        for token in all {
            let is_good = good.contains(&token);
            gw.ask(&with(token)).expect(if is_good { 200 } else { 401 });
            passed += usize::from(is_good);
            assert_eq!(origin.total(), passed, "{token}");
        }
    }
}

#[test]
fn who_is_turned_away_is_told_what_would_help_and_no_more() {
    let secrets = Secrets::new();
    let origin = Origin::new();
    let auth = by_file(&secrets.put("secret", mint::SECRET), ", cookie = \"token\"");
    let gw = Gateway::start_with_manual_clock(&guarded(&origin, &auth, ""));
    let invalid =
        "Bearer realm=\"users\", error=\"invalid_token\", error_description=\"The token is not valid\"";
    let expired =
        "Bearer realm=\"users\", error=\"invalid_token\", error_description=\"The token has expired\"";
    let several = "Bearer realm=\"users\", error=\"invalid_request\", error_description=\"There is more than one token\"";
    let good = says(r#""sub":"ann""#);
    let late = by_secret(&format!(r#"{{"exp":{}}}"#, NOW - 31));
    for (request, challenge, reason) in [
        (Request::get("/"), "Bearer realm=\"users\"", "credentials_missing"),
        (with(""), "Bearer realm=\"users\"", "credentials_missing"),
        (with("x"), invalid, "credentials_invalid"),
        (with(&late), expired, "credentials_invalid"),
        (
            with(&good).header("authorization", &bearer(&good)),
            several,
            "credentials_invalid",
        ),
        (
            Request::get("/").header("Cookie", &format!("token={good}; token={good}")),
            several,
            "credentials_invalid",
        ),
    ] {
        let answer = gw.ask(&request);
        answer.expect(401).problem().header("WWW-Authenticate", challenge);
        answer.header("Cache-Control", "no-store");
        assert!(answer.text().contains(reason), "{answer}");
        let same = gw.ask(&Request::head("/"));
        same.expect(401)
            .header("WWW-Authenticate", "Bearer realm=\"users\"");
    }
    assert_eq!(origin.total(), 0);
}

#[test]
fn a_token_holds_from_its_beginning_to_its_end_as_far_as_clocks_may_differ() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let auth = by_file(&secrets.put("secret", mint::SECRET), ", leeway = \"10s\"");
    let gw = Gateway::start_with_manual_clock(&guarded(&origin, &auth, ""));
    let times = |from: u64, to: u64| by_secret(&format!(r#"{{"nbf":{},"exp":{}}}"#, NOW + from, NOW + to));
    let (short, later) = (times(0, 20), times(30, 60));
    let ask = |short_is: u16, later_is: u16| {
        // Twice: a token that was verified is judged by the clock all the same.
        for _ in 0..2 {
            gw.ask(&with(&short)).expect(short_is);
            gw.ask(&with(&later)).expect(later_is);
        }
    };
    ask(200, 401);
    gw.advance(Duration::from_secs(19));
    ask(200, 401);
    gw.advance(Duration::from_secs(1));
    ask(200, 200);
    gw.advance(Duration::from_secs(9));
    ask(200, 200);
    gw.advance(Duration::from_secs(1));
    ask(401, 200);
    gw.advance(Duration::from_secs(40));
    ask(401, 401);
}

#[test]
fn a_cookie_carries_a_token_where_there_is_no_authorization() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let auth = by_file(
        &secrets.put("secret", mint::SECRET),
        ", cookie = \"token\", forward_claims = { sub = \"X-User-Id\" }",
    );
    let gw = Gateway::start(&guarded(&origin, &auth, ""));
    let (ann, ben) = (says(r#""sub":"ann""#), says(r#""sub":"ben""#));
    let cookie = |value: &str| Request::get("/").header("Cookie", value);
    gw.ask(&cookie(&format!("a=b; token={ann}; c=d"))).expect(200);
    gw.ask(&cookie(&format!("token={ann}")).header("Authorization", &bearer(&ben)))
        .expect(200);
    let users = origin.requests("/").into_iter();
    let users: Vec<_> = users
        .map(|seen| seen.value("x-user-id").unwrap().to_owned())
        .collect();
    assert_eq!(users, ["ann", "ben"]);
    for refused in [
        cookie(&format!("Token={ann}")),
        cookie(&format!("xtoken={ann}")),
        cookie(&format!("token=\"{ann}\"")),
        cookie("token="),
        cookie(&format!("token={ann}; token={ben}")),
        cookie(&format!("token={ann}")).header("Cookie", &format!("token={ben}")),
        // Whoever shows credentials is judged by them.
        cookie(&format!("token={ann}")).header("Authorization", "Basic YTpi"),
        cookie(&format!("token={ann}")).header("Authorization", &bearer("x")),
        cookie(&format!("token={ann}")).header("Authorization", ""),
    ] {
        gw.ask(&refused).expect(401);
    }
    assert_eq!(origin.total(), 2);
}

#[test]
fn issuer_and_audience_must_be_those_that_were_asked_for() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let auth = by_file(
        &secrets.put("secret", mint::SECRET),
        ", issuer = \"https://id.test/\", audience = [\"api\", \"web\"]",
    );
    let gw = Gateway::start(&guarded(&origin, &auth, ""));
    for (claims, status) in [
        (r#""iss":"https://id.test/","aud":"api""#, 200),
        (r#""iss":"https://id.test/","aud":["else","web"]"#, 200),
        (r#""iss":"https://id.test","aud":"api""#, 401),
        (r#""iss":["https://id.test/"],"aud":"api""#, 401),
        (r#""aud":"api""#, 401),
        (r#""iss":"https://id.test/""#, 401),
        (r#""iss":"https://id.test/","aud":"API""#, 401),
        (r#""iss":"https://id.test/","aud":[]"#, 401),
        (r#""iss":"https://id.test/","aud":["api",1]"#, 401),
        (
            r#""iss":"https://evil.test/","iss":"https://id.test/","aud":"api""#,
            401,
        ),
    ] {
        gw.ask(&with(&says(claims))).expect(status);
    }
}

#[test]
fn a_limit_by_a_claim_counts_users_and_not_tokens() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let auth = by_file(&secrets.put("secret", mint::SECRET), "");
    let limit = r#"
        [rate_limits.each]
        key = "jwt:sub"
        rate = "1/h"
        burst = 2
        "#;
    let toml = guarded(&origin, &auth, "rate_limits = [\"each\"]") + limit;
    let gw = Gateway::start_with_manual_clock(&toml);
    let ann = |n: usize| says(&format!(r#""sub":"ann","jti":"{n}""#));
    // Who is not let in is not counted, whatever he says he is.
    for _ in 0..5 {
        gw.ask(&with(&mint::by(
            "another secret of thirty-two bytes",
            r#"{"alg":"HS256"}"#,
            r#"{"sub":"ann"}"#,
        )))
        .expect(401);
    }
    gw.ask(&with(&ann(1))).expect(200);
    gw.ask(&with(&ann(2))).expect(200);
    gw.ask(&with(&ann(3))).expect(429);
    let ben = says(r#""sub":"ben""#);
    gw.ask(&with(&ben).header("X-Forwarded-For", "10.1.2.3"))
        .expect(200);
    gw.ask(&with(&ann(1)).header("X-Forwarded-For", "10.1.2.3"))
        .expect(429);
    // Without the claim they are counted by address, all together.
    let nobody = says(r#""a":1"#);
    let statuses = [(); 3].map(|()| gw.ask(&with(&nobody)).status);
    assert_eq!(statuses, [200, 200, 429]);
    assert_eq!(origin.total(), 5);
}

#[test]
fn after_a_reload_with_another_key_the_old_tokens_are_refused_on_open_connections_too() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let toml = guarded(&origin, &by_file(&secrets.put("secret", mint::SECRET), ""), "");
    let gw = Gateway::start(&toml);
    let (old, payload) = (says(r#""sub":"ann""#), format!(r#"{{"exp":{}}}"#, mint::LATE));
    let other = "another secret of thirty-two bytes or more";
    let new = mint::by(other, r#"{"alg":"HS256"}"#, &payload);
    let mut client = gw.connect();
    client.ask(&with(&old)).expect(200);
    client.ask(&with(&new)).expect(401);
    secrets.put("secret", other);
    gw.reload(&toml).unwrap();
    client.ask(&with(&old)).expect(401);
    client.ask(&with(&new)).expect(200);
    // A file that cannot be used changes nothing.
    secrets.put("secret", "short");
    gw.reload(&toml).unwrap_err();
    client.ask(&with(&new)).expect(200);
    client.ask(&with(&old)).expect(401);
}

#[test]
fn a_key_file_that_changes_is_read_again_by_itself() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let file = secrets.put("keys", mint::set(&[mint::KEY_A]));
    let gw = Gateway::start(&guarded(
        &origin,
        &format!("jwt = {{ jwks_file = {file:?} }}"),
        "",
    ));
    gw.ask(&with(mint::ANN_BY_A)).expect(200);
    gw.ask(&with(mint::BEN_BY_B)).expect(401);
    secrets.put("keys", mint::set(&[mint::KEY_B]));
    wait_until("the new key is in use", || {
        gw.ask(&with(mint::BEN_BY_B)).status == 200
    });
    gw.ask(&with(mint::ANN_BY_A)).expect(401);
    secrets.put("keys", "nonsense");
    wait_until("the bad file is reported", || {
        gw.status()["config"]["last_reload"]["ok"] == false
    });
    gw.ask(&with(mint::BEN_BY_B)).expect(200);
}
