/// Answers that are kept, or shared by those who wait.
mod shared;

use harness::origin::{Seen, reply};
use harness::{Gateway, Origin, Request};

use super::tokens::mint::{bearer, says};
use super::{Secrets, guarded, tokens::mint};

/// Values of fields that many read as this one, in lower case and with hyphens.
fn alike(seen: &Seen, name: &str) -> Vec<String> {
    let fold = |other: &str| {
        let fold = |b: char| {
            if b.is_ascii_alphanumeric() {
                b.to_ascii_lowercase()
            } else {
                '-'
            }
        };
        other.chars().map(fold).collect::<String>()
    };
    let lines = seen.head.fields.iter().filter(|(other, _)| fold(other) == name);
    lines.map(|(_, value)| value.clone()).collect()
}

fn telling(secrets: &Secrets, claims: &str) -> String {
    let file = secrets.put("secret", mint::SECRET);
    format!("jwt = {{ secret_file = {file:?}, forward_claims = {{ {claims} }} }}")
}

fn with(token: &str) -> Request {
    Request::get("/").header("Authorization", &bearer(token))
}

#[test]
fn nobody_but_the_gateway_tells_an_origin_who_asks() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let auth = telling(&secrets, "sub = \"X-User-Id\", role = \"X-Role\"");
    let gw = Gateway::start(&guarded(&origin, &auth, ""));
    let token = says(r#""sub":"ann""#);
    let spoofs: [&[(&str, &str)]; 9] = [
        &[("X-User-Id", "eve")],
        &[("x-user-id", "eve"), ("X-USER-ID", "eve")],
        &[("X_User_Id", "eve"), ("x_user_id", "eve"), ("X-User_Id", "eve")],
        &[("X.User.Id", "eve"), ("X~User~Id", "eve"), ("X!User'Id", "eve")],
        &[("X-User-Id", "")],
        &[("X-User-Id", "ann")],
        &[("Connection", "X-User-Id, X-Role"), ("X-User-Id", "eve")],
        &[("Connection", "Authorization")],
        &[("X-Role", "admin"), ("X_Role", "admin"), ("x-role", "")],
    ];
    for spoof in spoofs {
        let request = spoof
            .iter()
            .fold(with(&token), |request, (name, value)| request.header(name, value));
        gw.ask(&request).expect(200);
        let seen = origin.requests("/").pop().unwrap();
        assert_eq!(alike(&seen, "x-user-id"), ["ann"], "{spoof:?}");
        // The token has no such claim: then nobody says it.
        assert_eq!(alike(&seen, "x-role"), [""; 0], "{spoof:?}");
    }
}

#[test]
fn a_claim_stays_one_line_and_two_users_stay_two_whatever_is_in_it() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&guarded(&origin, &telling(&secrets, "sub = \"X-User-Id\""), ""));
    for (sub, told) in [
        (r#""ann""#, Some("ann")),
        (r#""a b""#, Some("a b")),
        (r#"" ann""#, Some("%20ann")),
        (r#""ann ""#, Some("ann%20")),
        (r#""ann%20""#, Some("ann%2520")),
        (r#""änn""#, Some("%C3%A4nn")),
        (r#""\u00e4nn""#, Some("%C3%A4nn")),
        (r#""\ud83d\ude00""#, Some("%F0%9F%98%80")),
        (r#""a,b""#, Some("a,b")),
        (r#"["a,b","c"]"#, Some("a%2Cb,c")),
        (r#""a;b=\"c\"""#, Some("a;b=\"c\"")),
        ("7", Some("7")),
        ("-7", Some("-7")),
        ("true", Some("true")),
        (r#""ann\r\nX-Role: admin""#, None),
        (r#""ann\nX-Role: admin""#, None),
        (r#""ann\u0000""#, None),
        (r#""ann\u0085""#, None),
        (r#""ann\t""#, None),
        ("1.0", None),
        ("18446744073709551616", None),
        ("null", None),
        (r#""""#, None),
        ("{}", None),
        (r#"{"a":"ann"}"#, None),
        (r#"["ann",["ben"]]"#, None),
        (r#"["ann","b\n"]"#, None),
        ("[]", None),
    ] {
        let answer = gw.ask(&with(&says(&format!(r#""sub":{sub}"#))).header("X-User-Id", "eve"));
        answer.expect(200);
        let seen = origin.requests("/").pop().unwrap();
        let expected: Vec<_> = told.into_iter().map(str::to_owned).collect();
        assert_eq!(alike(&seen, "x-user-id"), expected, "{sub}");
        assert!(!seen.has("x-role"), "{sub}");
    }
    // No lone surrogate, and nothing that is no JSON.
    for sub in [r#""\ud83d""#, "\"ann\n\"", "\"\u{0}\"", "'ann'", "ann"] {
        gw.ask(&with(&says(&format!(r#""sub":{sub}"#)))).expect(401);
    }
    let long = "a".repeat(9_000);
    gw.ask(&with(&says(&format!(r#""sub":"{long}""#)))).expect(200);
    let seen = origin.requests("/").pop().unwrap();
    assert_eq!(alike(&seen, "x-user-id"), [""; 0]);
}

#[test]
fn what_a_route_says_itself_of_the_user_stands_instead() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let edits = "request_headers = { set = { X-User-Id = \"somebody\" }, remove = [\"Authorization\"] }";
    let gw = Gateway::start(&guarded(
        &origin,
        &telling(&secrets, "sub = \"X-User-Id\""),
        edits,
    ));
    gw.ask(&with(&says(r#""sub":"ann""#)).header("X_User_Id", "eve"))
        .expect(200);
    let seen = origin.only("/");
    assert_eq!(alike(&seen, "x-user-id"), ["somebody"]);
    assert!(!seen.has("authorization"));
}

#[test]
fn whoever_is_tried_again_elsewhere_is_the_same_user() {
    let secrets = Secrets::new();
    let (bad, good) = (
        Origin::new().otherwise(harness::origin::hang_up()),
        Origin::new().otherwise(reply(200)),
    );
    let auth = telling(&secrets, "sub = \"X-User-Id\"");
    let both = format!("servers = [{{ address = \"{}\" }}, {{", bad.address());
    let toml = guarded(&good, &auth, "").replace("servers = [{", &both);
    let gw = Gateway::start(&toml);
    for n in 0..4 {
        let token = says(&format!(r#""sub":"user {n}""#));
        gw.ask(&with(&token).header("X-User-Id", "eve")).expect(200);
    }
    let told: Vec<_> = good
        .requests("/")
        .iter()
        .flat_map(|seen| alike(seen, "x-user-id"))
        .collect();
    assert_eq!(told, ["user 0", "user 1", "user 2", "user 3"]);
    assert!(bad.total() > 0);
    assert!(
        bad.requests("/")
            .iter()
            .all(|seen| alike(seen, "x-user-id")[0].starts_with("user"))
    );
}

#[test]
fn a_trailer_tells_no_origin_who_asks() {
    let secrets = Secrets::new();
    let origin = Origin::new().otherwise(reply(200));
    let gw = Gateway::start(&guarded(&origin, &telling(&secrets, "sub = \"X-User-Id\""), ""));
    let token = says(r#""sub":"ann""#);
    let request = Request::new("POST", "/").header("Authorization", &bearer(&token));
    let trailers = [("X-User-Id", "eve"), ("x_user_id", "eve"), ("X-Checksum", "7")];
    gw.ask(&request.chunked_with_trailers(["body"], &trailers))
        .expect(200);
    let seen = origin.only("/");
    assert_eq!(alike(&seen, "x-user-id"), ["ann"]);
    assert_eq!(seen.trailers, [("X-Checksum".to_owned(), "7".to_owned())]);
}
