//! Where a request carries its token, and what it is answered without one.

use super::*;
use crate::wire::Fields;

/// What is found in these fields, with a cookie "token".
fn found(lines: &[(&str, &str)]) -> Result<String, NoToken> {
    let mut fields = Fields::default();
    for (name, value) in lines {
        fields.push(name.as_bytes(), value.as_bytes());
    }
    let policy = Jwt {
        cookie: Some("token".to_owned()),
        ..policy(&[TokenAlgorithm::Hs256])
    };
    bearer(&fields, &policy).map(|text| String::from_utf8_lossy(text).into_owned())
}

/// Lines of a head, and what is found in them.
type Case = (
    &'static [(&'static str, &'static str)],
    Result<&'static str, NoToken>,
);

#[test]
fn a_token_is_found_behind_its_scheme_or_in_its_cookie() {
    let cases: Vec<Case> = vec![
        (&[("authorization", "Bearer a.b.c")], Ok("a.b.c")),
        (&[("Authorization", "bEARER   a.b.c")], Ok("a.b.c")),
        (&[("Authorization", "Bearer a b")], Ok("a b")),
        (&[("Cookie", "x=1; token=a.b.c; y=2")], Ok("a.b.c")),
        (&[("Cookie", "x=1"), ("Cookie", "token=a.b.c")], Ok("a.b.c")),
        (&[("Authorization", "Bearer a"), ("Cookie", "token=b")], Ok("a")),
        (
            &[("Authorization", "Bearer a"), ("Cookie", "token=b; token=c")],
            Ok("a"),
        ),
        (&[], Err(NoToken::Missing)),
        (&[("Authorization", "")], Err(NoToken::Missing)),
        (&[("Authorization", "Bearer")], Err(NoToken::Missing)),
        (&[("Authorization", "Bearer  ")], Err(NoToken::Missing)),
        (&[("Authorization", "Bearera.b.c")], Err(NoToken::Missing)),
        (&[("Authorization", "Bearer\ta")], Err(NoToken::Missing)),
        (
            &[("Authorization", "Basic a"), ("Cookie", "token=b")],
            Err(NoToken::Missing),
        ),
        (&[("Cookie", "Token=b; xtoken=c; token")], Err(NoToken::Missing)),
        (&[("Cookie", "token=")], Err(NoToken::Missing)),
        (
            &[("Authorization", "Bearer a"), ("Authorization", "Bearer a")],
            Err(NoToken::Ambiguous),
        ),
        (
            &[("Authorization", "Bearer a"), ("authorization", "Basic b")],
            Err(NoToken::Ambiguous),
        ),
        (&[("Cookie", "token=a; token=a")], Err(NoToken::Ambiguous)),
        (
            &[("Cookie", "token=a"), ("Cookie", "token=")],
            Err(NoToken::Ambiguous),
        ),
    ];
    for (lines, expected) in cases {
        assert_eq!(found(lines), expected.map(str::to_owned), "{lines:?}");
    }
}

#[test]
fn without_a_policy_for_it_a_cookie_is_no_token() {
    let mut fields = Fields::default();
    fields.push(b"Cookie", b"token=a.b.c");
    assert_eq!(
        bearer(&fields, &policy(&[TokenAlgorithm::Hs256])),
        Err(NoToken::Missing)
    );
}

fn written(write: impl Fn(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn an_answer_tells_whether_a_new_token_would_help_and_no_more() {
    let of = |fault: TokenFault| written(|out| challenge(&fault, "app", out));
    let invalid =
        "Bearer realm=\"app\", error=\"invalid_token\", error_description=\"The token is not valid\"";
    for fault in [
        TokenFault::Signature,
        TokenFault::UnknownKey,
        TokenFault::NotYet,
        TokenFault::Audience,
    ] {
        assert_eq!(of(fault), invalid);
    }
    assert_eq!(
        of(TokenFault::Expired),
        invalid.replace("is not valid", "has expired")
    );
    assert_eq!(
        written(|out| challenge_without(NoToken::Missing, "app", out)),
        "Bearer realm=\"app\""
    );
    assert!(written(|out| challenge_without(NoToken::Ambiguous, "app", out)).contains("\"invalid_request\""));
}

#[test]
fn a_realm_does_not_end_its_quotes() {
    let of = |realm: &str| written(|out| challenge_without(NoToken::Missing, realm, out));
    assert_eq!(of(r#"a", x="\"#), r#"Bearer realm="a\", x=\"\\""#);
    assert_eq!(of("a\r\nb"), "Bearer realm=\"a??b\"");
}
