//! Claims of another time, for somebody else, or that nobody can read. All of them are signed as they should be.

use super::*;

fn of(name: &str, value: Value) -> Vec<u8> {
    token(Hs256, &with(name, value)).into_bytes()
}

/// A token whose end is written like this.
fn ends(text: &str) -> Vec<u8> {
    of_payload(claims().to_string().replace(&(NOW_S + 300).to_string(), text))
}

#[test]
fn a_token_says_when_it_ends() {
    let forgeries = [
        ("just now", of("exp", json!(NOW_S - 10))),
        ("just now, with a fraction", ends("1799999989.999")),
        ("long ago", of("exp", json!(1))),
        ("before 1970", of("exp", json!(-1))),
        ("before everything", ends("-1e300")),
        ("minus zero", ends("-0")),
    ];
    refused(TokenFault::Expired, forgeries);
    refused(
        TokenFault::NoExpiry,
        [
            ("never", of("exp", Value::Null)),
            (
                "in other letters",
                of_payload(r#"{"iss":"https://issuer.example","aud":"sluice","EXP":1900000000}"#),
            ),
        ],
    );
    let twice = claims()
        .to_string()
        .replacen('{', &format!("{{\"exp\":{},", NOW_S + 900), 1);
    let forgeries = [
        ("null", ends("null")),
        ("a string", ends("\"1900000000\"")),
        ("a list", ends("[1900000000]")),
        ("an object", ends("{}")),
        ("true", ends("true")),
        ("too large", ends("1e400")),
        ("no number", ends("NaN")),
        ("infinite", ends("Infinity")),
        ("hexadecimal", ends("0x7fffffff")),
        ("zeros in front", ends("01900000000")),
        ("twice", of_payload(twice)),
    ];
    refused(TokenFault::Malformed, forgeries);
}

#[test]
fn a_token_holds_from_its_time_on() {
    let forgeries = [
        ("soon", of("nbf", json!(NOW_S + 11))),
        ("in a moment", of("nbf", json!(NOW_S as f64 + 10.5))),
        ("never", of("nbf", json!(1e300))),
        ("from far ahead", of("iat", json!(NOW_S + 611))),
    ];
    refused(TokenFault::NotYet, forgeries);
    let forgeries = [
        ("a string", of("nbf", json!("0"))),
        (
            "too large",
            of_payload(claims().to_string().replace(&(NOW_S - 5).to_string(), "1e999")),
        ),
        ("a date that is a string", of("iat", json!("now"))),
    ];
    refused(TokenFault::Malformed, forgeries);
}

#[test]
fn a_token_is_from_its_issuer_and_for_us() {
    let forgeries = [
        ("another", of("iss", json!("https://other.example"))),
        ("with a slash", of("iss", json!(format!("{ISSUER}/")))),
        ("in upper case", of("iss", json!(ISSUER.to_uppercase()))),
        (
            "within a longer one",
            of("iss", json!(format!("{ISSUER}.evil.example"))),
        ),
        ("in a list", of("iss", json!([ISSUER]))),
        ("nobody", of("iss", Value::Null)),
    ];
    refused(TokenFault::Issuer, forgeries);
    let forgeries = [
        ("another", of("aud", json!("sluice2"))),
        ("in upper case", of("aud", json!("SLUICE"))),
        ("in one string with others", of("aud", json!("other,sluice"))),
        ("nobody", of("aud", Value::Null)),
        ("others", of("aud", json!(["a", "b"]))),
        ("an empty list", of("aud", json!([]))),
        ("a list with a number", of("aud", json!([AUDIENCE, 1]))),
        ("a list in a list", of("aud", json!([[AUDIENCE]]))),
        ("an object", of("aud", json!({"sluice": true}))),
    ];
    refused(TokenFault::Audience, forgeries);
}

#[test]
fn claims_are_one_object() {
    let forgeries = [
        ("a list", of_payload("[]")),
        ("a token in a token", of_payload(sound())),
        ("nothing", of_payload("")),
        ("null", of_payload("null")),
        ("something behind", of_payload(format!("{} x", claims()))),
        ("not UTF-8", of_payload(b"{\"exp\":1900000000,\"x\":\"\xff\"}")),
        ("a NUL behind", of_payload(format!("{}\0", claims()))),
        (
            "a NUL inside",
            of_payload(claims().to_string().replace("alice", "al\0ice")),
        ),
        (
            "deep",
            of_payload(format!("{{\"exp\":1900000000,\"x\":{}}}", nested(2000))),
        ),
        ("cut short", of_payload(&claims().to_string()[..60])),
    ];
    refused(TokenFault::Malformed, forgeries);
}
