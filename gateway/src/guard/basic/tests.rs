use super::*;
use crate::kit::clock::Mono;
use crate::secrets::Users;
use proptest::prelude::*;
use std::time::Duration;

fn fields(values: &[&[u8]]) -> Fields {
    let mut fields = Fields::default();
    for value in values {
        fields.push(b"Authorization", value);
    }
    fields
}

fn ask(value: &str) -> Result<(String, String), BasicFault> {
    credentials(&fields(&[value.as_bytes()]))
}

fn written(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

fn pair(name: &str, password: &str) -> Result<(String, String), BasicFault> {
    Ok((name.to_owned(), password.to_owned()))
}

#[test]
fn the_examples_of_the_rfc_are_read() {
    assert_eq!(
        ask("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        pair("Aladdin", "open sesame")
    );
    assert_eq!(ask("Basic dGVzdDoxMjPCow=="), pair("test", "123£"));
}

#[test]
fn the_first_colon_separates_and_the_scheme_has_no_case() {
    assert_eq!(ask(&written("a", "b:c:")), pair("a", "b:c:"));
    assert_eq!(ask(&written("a", "")), pair("a", ""));
    assert_eq!(
        ask(&written("a", "b").replace("Basic ", "bASIC   ")),
        pair("a", "b")
    );
}

#[test]
fn what_is_not_one_clear_pair_is_refused() {
    assert_eq!(credentials(&Fields::default()), Err(BasicFault::Missing));
    let value = written("a", "b");
    assert_eq!(
        credentials(&fields(&[value.as_bytes(); 2])),
        Err(BasicFault::Repeated)
    );
    for other in ["", "Bearer abc", "Basicx QTpi", "Digest username=\"a\""] {
        assert_eq!(ask(other), Err(BasicFault::Scheme), "{other}");
    }
    for bad in [
        "Basic",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ",
        "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ===",
        "Basic QTp i",
        "Basic QTpi,Basic QTpi",
        "Basic QTr=",
        "Basic -_8=",
        "Basic Og==",
        "Basic YWJj",
        "Basic YTr/",
        "Basic YToKYg==",
        "Basic YToA",
        "Basic YTp/",
        "Basic YTrChQ==",
    ] {
        assert!(
            matches!(ask(bad), Err(BasicFault::Malformed(_))),
            "{bad}: {:?}",
            ask(bad)
        );
    }
}

#[test]
fn names_and_passwords_are_bounded() {
    let name = "n".repeat(NAME_BYTES_MAX);
    let password = "p".repeat(PASSWORD_BYTES_MAX);
    assert_eq!(ask(&written(&name, &password)), pair(&name, &password));
    for (name, password) in [
        (format!("{name}n"), "p".to_owned()),
        ("n".to_owned(), format!("{password}p")),
        (name, "p".repeat(100_000)),
    ] {
        assert!(matches!(
            ask(&written(&name, &password)),
            Err(BasicFault::Malformed(_))
        ));
    }
}

#[test]
fn a_challenge_is_one_quoted_string_whatever_the_realm() {
    let challenge = |realm| {
        let mut out = Vec::new();
        challenge(realm, &mut out);
        String::from_utf8(out).unwrap()
    };
    assert_eq!(
        challenge("Staff only"),
        "Basic realm=\"Staff only\", charset=\"UTF-8\""
    );
    assert_eq!(
        challenge("a\"b\\c\r\nd"),
        "Basic realm=\"a\\\"b\\\\c  d\", charset=\"UTF-8\""
    );
}

const ALICE: &str = "alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";

#[test]
fn a_success_holds_for_a_minute_from_the_check() {
    let (cell, users) = (Successes::new(&[7; 32]), Users::parse(ALICE).unwrap());
    let login = cell.login("staff", &users, "alice", "myPassword");
    let start = Mono(1_000_000_000);
    let after = |secs| start.plus(Duration::from_secs(secs));
    assert!(!cell.holds(&login, start) && !cell.peek(&login, start));
    cell.note(login, start);
    assert!(cell.holds(&login, start) && cell.holds(&login, after(59)));
    // A look at it says the same and forgets nothing, be it too old.
    assert!(cell.peek(&login, start) && cell.peek(&login, after(59)));
    assert!(!cell.peek(&login, after(60)) && !cell.peek(&login, after(61)));
    assert_eq!(cell.count(), 1);
    assert!(
        !cell.holds(&login, after(60)),
        "looking at it did not make it younger"
    );
    assert_eq!(cell.count(), 0);
    cell.note(login, after(60));
    assert!(cell.holds(&login, after(61)));
}

#[test]
fn a_success_is_that_of_one_auth_one_file_one_user_and_one_password() {
    let (cell, users) = (Successes::new(&[7; 32]), Users::parse(ALICE).unwrap());
    let changed = Users::parse(&format!("{ALICE}\nbob:{}", &ALICE[6..])).unwrap();
    let login = cell.login("staff", &users, "alice", "secret");
    cell.note(login, Mono(0));
    for other in [
        cell.login("other", &users, "alice", "secret"),
        cell.login("staff", &changed, "alice", "secret"),
        cell.login("staff", &users, "alic", "esecret"),
        cell.login("staff", &users, "alice", "secret2"),
        Successes::new(&[8; 32]).login("staff", &users, "alice", "secret"),
    ] {
        assert!(other != login && !cell.holds(&other, Mono(0)));
    }
    assert!(cell.holds(&cell.login("staff", &users, "alice", "secret"), Mono(0)));
}

#[test]
fn successes_are_bounded_and_show_nothing() {
    let (cell, users) = (Successes::new(&[7; 32]), Users::parse(ALICE).unwrap());
    for n in 0..SUCCESSES_MAX + 2_000 {
        cell.note(cell.login("staff", &users, &n.to_string(), "hunter2"), Mono(0));
    }
    assert!(
        cell.count() > 0 && cell.count() <= SUCCESSES_MAX,
        "{}",
        cell.count()
    );
    let login = cell.login("staff", &users, "alice", "hunter2");
    assert_eq!(format!("{login:?}"), "Login(..)");
    assert!(!format!("{cell:?}").contains("hunter2"));
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(name in "[^:\\p{Cc}]{1,20}", password in "\\P{Cc}{0,40}") {
        prop_assert_eq!(ask(&written(&name, &password)), pair(&name, &password));
    }

    #[test]
    fn no_value_makes_it_panic(value: Vec<u8>, behind: Vec<u8>) {
        let _ = credentials(&fields(&[&value]));
        let basic = [b"Basic ".as_slice(), STANDARD.encode(&behind).as_bytes()].concat();
        if let Ok((name, password)) = credentials(&fields(&[&basic])) {
            prop_assert_eq!(format!("{name}:{password}").into_bytes(), behind);
        }
    }
}
