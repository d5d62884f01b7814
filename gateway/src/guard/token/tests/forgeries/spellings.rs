//! Other spellings of a token that is sound.

use super::*;

#[test]
fn a_token_has_three_parts() {
    let sound = sound();
    let (message, signature) = sound.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let text = |text: String| text.into_bytes();
    let forgeries = [
        ("nothing", Vec::new()),
        ("dots", b"..".to_vec()),
        ("one part", text(header.to_owned())),
        ("two parts", text(format!("{header}.{payload}"))),
        ("four parts", text(format!("{sound}.{signature}"))),
        ("six parts", text(format!("{sound}.{payload}.{signature}.x"))),
        ("a dot behind", text(format!("{sound}."))),
        ("no header", text(format!(".{payload}.{signature}"))),
    ];
    refused(TokenFault::Malformed, forgeries);
    refused(
        TokenFault::Encrypted,
        [("five parts", text(format!("{sound}.{payload}.{signature}")))],
    );
    refused(
        TokenFault::TooLong,
        [("a huge one", text(format!("{message}{}", "A".repeat(16 * 1024))))],
    );
}

#[test]
fn base64url_has_one_spelling() {
    let sound = sound();
    let (message, signature) = sound.rsplit_once('.').unwrap();
    let (header, payload) = message.split_once('.').unwrap();
    let text = |text: String| text.into_bytes();
    let mut beyond_ascii = sound.clone().into_bytes();
    beyond_ascii[3] = 0xff;
    // 32 bytes are 43 letters, and two bits of the last one are for nothing.
    let spare = format!(
        "{}{}",
        &sound[..sound.len() - 1],
        next(sound.as_bytes()[sound.len() - 1])
    );
    let forgeries = [
        ("padding", text(format!("{sound}="))),
        (
            "a padded header",
            text(format!("{header}=.{payload}.{signature}")),
        ),
        ("a space before", text(format!(" {sound}"))),
        ("a space behind", text(format!("{sound} "))),
        ("a line end behind", text(format!("{sound}\n"))),
        (
            "a line end inside",
            text(format!("{message}.{}\n{}", &signature[..9], &signature[9..])),
        ),
        ("a NUL behind", text(format!("{sound}\0"))),
        ("letters behind", text(format!("{sound}AA"))),
        ("a byte beyond ASCII", beyond_ascii),
        ("quotes", text(format!("\"{sound}\""))),
        (
            "the other alphabet",
            text(format!("{message}.+/{}", &signature[2..])),
        ),
        ("no letters", text(format!("{message}.!!!!"))),
        ("bits to spare", text(spare)),
    ];
    refused(TokenFault::Malformed, forgeries);
    refused(
        TokenFault::Signature,
        [(
            "a NUL in the payload",
            text(format!("{header}.{payload}\0.{signature}")),
        )],
    );
}

/// The letter behind this one, as base64url counts.
fn next(letter: u8) -> char {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let at = ALPHABET.iter().position(|other| *other == letter).unwrap();
    char::from(ALPHABET[at + 1])
}

#[test]
fn extensions_that_must_be_understood_are_not() {
    let forgeries = [
        ("crit", of_header(r#"{"alg":"HS256","crit":["exp"],"exp":1}"#)),
        ("an empty crit", of_header(r#"{"alg":"HS256","crit":[]}"#)),
        ("a crit that is null", of_header(r#"{"alg":"HS256","crit":null}"#)),
        (
            "crit with b64",
            of_header(r#"{"alg":"HS256","crit":["b64"],"b64":true}"#),
        ),
        (
            "b64 that is false",
            of_header(r#"{"alg":"HS256","crit":["b64"],"b64":false}"#),
        ),
        ("b64 without crit", of_header(r#"{"alg":"HS256","b64":false}"#)),
    ];
    refused(TokenFault::Critical, forgeries);
}

#[test]
fn a_header_is_one_object() {
    let deep = format!(r#"{{"alg":"HS256","x":{}}}"#, nested(5000));
    let forgeries = [
        ("nothing", of_header("")),
        ("something behind", of_header(r#"{"alg":"HS256"}{}"#)),
        ("a list", of_header(r#"["HS256"]"#)),
        ("a string", of_header(r#""HS256""#)),
        ("a byte order mark", of_header("\u{feff}{\"alg\":\"HS256\"}")),
        ("a comment", of_header(r#"{"alg":"HS256"/**/}"#)),
        ("a comma too many", of_header(r#"{"alg":"HS256",}"#)),
        ("a deep one", of_header(&deep)),
        ("half a surrogate", of_header(r#"{"alg":"HS256","x":"\ud800"}"#)),
        (
            "a member twice, deep inside",
            of_header(r#"{"alg":"HS256","x":[{"a":1,"a":1}]}"#),
        ),
    ];
    refused(TokenFault::Malformed, forgeries);
}
