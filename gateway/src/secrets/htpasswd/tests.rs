use super::*;
use proptest::prelude::*;

/// Published with the first implementations of bcrypt, all of cost 5.
const BCRYPT: &[(&str, &str)] = &[
    (
        "U*U",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
    ),
    (
        "U*U*",
        "$2a$05$CCCCCCCCCCCCCCCCCCCCC.VGOzA784oUp/Z0DY336zx7pLYAy0lwK",
    ),
    (
        "U*U*U",
        "$2a$05$XXXXXXXXXXXXXXXXXXXXXOAcXxm9kjPGEMsLznoKqmqw7tc8WCx4a",
    ),
    ("", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.7uG0VCzI2bS7j6ymqJi9CdcdxiRTWNy"),
];

fn users(text: &str) -> Users {
    Users::parse(text).unwrap_or_else(|fault| panic!("{fault:?}"))
}

fn fault(text: &str) -> Fault {
    Users::parse(text).expect_err("it is refused")
}

#[test]
fn users_are_known_by_their_passwords_and_by_nothing_else() {
    let users = users(
        "# people\n\nalice:$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.\r\n\
         bob:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=:a comment\n\
         carol:$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW\n",
    );
    assert_eq!(users.count(), 3);
    for (name, password) in [("alice", "myPassword"), ("bob", "myPassword"), ("carol", "U*U")] {
        assert!(users.check(name, password), "{name}");
        for wrong in ["", "mypassword", "myPassword ", "U*U*"] {
            assert!(!users.check(name, wrong), "{name} {wrong:?}");
        }
    }
    for stranger in ["", "Alice", "alice ", "dave"] {
        assert!(!users.check(stranger, "myPassword"));
    }
}

#[test]
fn bcrypt_agrees_with_published_vectors_in_all_its_spellings() {
    for (password, hash) in BCRYPT {
        for version in ["$2a$", "$2b$", "$2y$"] {
            let users = users(&format!("u:{}", hash.replacen("$2a$", version, 1)));
            assert!(users.check("u", password), "{password:?}");
            assert!(!users.check("u", "x"));
        }
    }
}

#[test]
fn a_stranger_is_never_let_in_by_the_hash_his_password_is_held_against() {
    let users = users("alice:{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=");
    assert!(users.check("alice", "myPassword"));
    assert!(!users.check("mallory", "myPassword"));
    assert!(!Users::default().check("mallory", ""));
}

#[test]
fn strangers_cost_what_most_users_cost() {
    let sha = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
    let apr1 = "$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.";
    let bcrypt = BCRYPT[0].1;
    let kind = |lines: &[&str]| {
        let lines = lines
            .iter()
            .enumerate()
            .map(|(n, hash)| format!("user{n}:{hash}\n"));
        users(&lines.collect::<String>()).decoy.map(|hash| hash.kind())
    };
    assert!(kind(&[sha, sha, bcrypt]) == Some(Kind::Sha1));
    assert!(kind(&[sha, apr1, apr1, bcrypt]) == Some(Kind::Apr1));
    assert!(kind(&[sha, apr1, bcrypt]) == Some(Kind::Bcrypt(5)));
    assert!(kind(&[]).is_none());
}

#[test]
fn what_cannot_be_used_is_refused_with_what_to_do() {
    for (hash, word) in [
        ("$6$salt$abc", "$6$"),
        ("$5$salt$abc", "$5$"),
        ("rqXexS6ZhobKA", "DES"),
        ("secret", "plain text"),
        ("{SSHA}abcdefghijkl", "kind of hash"),
        ("$argon2id$v=19$m=1", "kind of hash"),
        (
            "$2x$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "$2x$",
        ),
        (
            "$2y$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyO",
            "60 letters",
        ),
        (
            "$2y$+5$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
            "damaged",
        ),
        ("$apr1$lZL6V/ci$sQw6g73nRuoOIj", "damaged"),
        ("$apr1$morethaneight$sQw6g73nRuoOIj/gnD18Z.", "damaged"),
        ("$apr1$$sQw6g73nRuoOIj/gnD18Z.", "damaged"),
        ("{SHA}VBPuJHI7uixaa6LQGWx4s", "damaged"),
        ("", "no hash"),
    ] {
        let fault = fault(&format!("# a comment\nalice:{hash}\n"));
        assert_eq!(fault.line, 2, "{hash}");
        assert!(fault.message.contains(word), "{hash}: {}", fault.message);
        assert!(fault.message.contains("htpasswd -B"), "{hash}: {}", fault.message);
    }
}

#[test]
fn a_cost_that_would_take_seconds_is_refused_for_that_reason() {
    let of_cost = |cost: &str| format!("u:$2y${cost}$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW");
    for fine in ["04", "10", "14"] {
        assert_eq!(users(&of_cost(fine)).count(), 1);
    }
    for bad in ["15", "31", "99"] {
        assert!(fault(&of_cost(bad)).message.contains("seconds"));
    }
    assert!(fault(&of_cost("03")).message.contains("below 4"));
}

#[test]
fn a_line_that_says_nothing_clear_is_refused() {
    let sha = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
    for bad in [
        "alice".to_owned(),
        format!(":{sha}"),
        format!("a\tb:{sha}"),
        format!(" alice:{sha}"),
        format!("alice\u{a0}:{sha}"),
        format!("{}:{sha}", "a".repeat(256)),
    ] {
        assert_eq!(fault(&bad).line, 1, "{bad}");
    }
    let twice = fault(&format!("alice:{sha}\nbob:{sha}\nalice:{sha}\n"));
    assert_eq!(twice.line, 3);
    assert!(twice.message.contains("alice"));
}

#[test]
fn a_file_has_limits() {
    let sha = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
    let many = |n: usize| (0..n).map(|n| format!("u{n}:{sha}\n")).collect::<String>();
    assert_eq!(users(&many(USERS_MAX)).count(), USERS_MAX);
    assert_eq!(fault(&many(USERS_MAX + 1)).line, USERS_MAX + 1);
    let long = "#\n".repeat(FILE_BYTES_MAX / 2) + "#";
    assert_eq!(fault(&long).line, FILE_BYTES_MAX / 2 + 1);
}

#[test]
fn no_hash_is_shown() {
    let users = users("alice:$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.");
    let shown = format!("{users:?}");
    assert!(!shown.contains("sQw6") && !shown.contains("lZL6"), "{shown}");
    let shown = format!("{:?}", fault("alice:hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

#[test]
fn the_fingerprint_changes_with_every_name_and_hash_and_with_nothing_else() {
    let sha = "{SHA}VBPuJHI7uixaa6LQGWx4s+5GKNE=";
    let one = users(&format!("a:{sha}\nb:{sha}"));
    assert_eq!(one, users(&format!("\u{feff}b:{sha}\n# x\na:{sha}:y")));
    for other in [
        format!("a:{sha}"),
        format!("a:{sha}\nc:{sha}"),
        format!("a:{sha}\nb:{}", BCRYPT[0].1),
    ] {
        assert_ne!(one.fingerprint(), users(&other).fingerprint());
    }
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}") {
        let _ = Users::parse(&text);
    }

    #[test]
    fn no_line_makes_it_panic(
        name in "[a-z]{0,3}",
        start in prop::sample::select(vec!["$2y$", "$2a$05$", "$apr1$", "{SHA}", "$", ""]),
        rest in "\\PC{0,64}",
    ) {
        if let Ok(users) = Users::parse(&format!("{name}:{start}{rest}")) {
            prop_assert!(users.count() <= 1);
        }
    }

    #[test]
    fn no_bytes_make_the_check_panic(name: String, password: String) {
        let users = users("alice:$apr1$lZL6V/ci$sQw6g73nRuoOIj/gnD18Z.");
        prop_assert!(!users.check(&name, &password) || name == "alice");
    }
}
