//! Times to the nanosecond, and what is told of a claim.

use super::*;

fn times(leeway: Duration, claims: &Value, now: Duration) -> Result<(), TokenFault> {
    let policy = Jwt {
        leeway,
        ..policy(&[TokenAlgorithm::Hs256])
    };
    let text = token(TokenAlgorithm::Hs256, claims);
    judge(
        text.as_bytes(),
        &[samples::public(TokenAlgorithm::Hs256)],
        &policy,
        now,
    )
    .map(|_| ())
}

fn told(value: Value) -> Option<String> {
    judged(&with("claim", value))
        .unwrap()
        .text("claim")
        .map(str::to_owned)
}

#[test]
fn a_token_holds_from_its_beginning_until_before_its_end() {
    let claims = json!({"iss": ISSUER, "aud": AUDIENCE, "nbf": 1000, "exp": 2000.5});
    let ns = Duration::from_nanos(1);
    let at = Duration::from_secs_f64;
    let none = Duration::ZERO;
    assert_eq!(times(none, &claims, at(1000.0) - ns), Err(TokenFault::NotYet));
    assert_eq!(times(none, &claims, at(1000.0)), Ok(()));
    assert_eq!(times(none, &claims, at(2000.5) - ns), Ok(()));
    assert_eq!(times(none, &claims, at(2000.5)), Err(TokenFault::Expired));
    let ten = Duration::from_secs(10);
    assert_eq!(times(ten, &claims, at(990.0) - ns), Err(TokenFault::NotYet));
    assert_eq!(times(ten, &claims, at(990.0)), Ok(()));
    assert_eq!(times(ten, &claims, at(2010.5) - ns), Ok(()));
    assert_eq!(times(ten, &claims, at(2010.5)), Err(TokenFault::Expired));
}

#[test]
fn times_beyond_all_clocks_are_long_ago_or_far_away() {
    for far in [
        json!(1e300),
        json!(u64::MAX),
        json!(1e19),
        json!(4_102_444_800_u64),
    ] {
        assert_eq!(
            times(Duration::MAX, &with("exp", far.clone()), NOW),
            Ok(()),
            "{far}"
        );
        assert_eq!(
            times(Duration::ZERO, &with("exp", far.clone()), NOW),
            Ok(()),
            "{far}"
        );
    }
    // The zero time of some libraries is long before 1970.
    for long_ago in [
        json!(-62_135_596_800_i64),
        json!(i64::MIN),
        json!(-1e300),
        json!(0),
    ] {
        assert_eq!(times(Duration::ZERO, &with("nbf", long_ago.clone()), NOW), Ok(()));
        assert_eq!(times(Duration::ZERO, &with("iat", long_ago), NOW), Ok(()));
    }
    let far = judged(&with("exp", json!(1e300))).unwrap();
    assert_eq!(far.expires_at(), Duration::MAX);
}

#[test]
fn a_date_a_little_ahead_is_a_matter_of_clocks() {
    assert!(judged(&with("iat", json!(NOW_S + 610))).is_ok());
    assert!(judged(&with("iat", Value::Null)).is_ok());
    assert!(judged(&with("nbf", Value::Null)).is_ok());
}

#[test]
fn one_of_our_audiences_is_enough() {
    for aud in [json!("other"), json!(["x", "other"]), json!([AUDIENCE, "other"])] {
        assert!(judged(&with("aud", aud)).is_ok());
    }
    let any = Jwt {
        issuer: None,
        audience: Vec::new(),
        ..policy(&[TokenAlgorithm::Hs256])
    };
    for value in [Value::Null, json!("anything"), json!([1]), json!({})] {
        for name in ["aud", "iss"] {
            let text = token(TokenAlgorithm::Hs256, &with(name, value.clone()));
            assert!(
                judge(
                    text.as_bytes(),
                    &[samples::public(TokenAlgorithm::Hs256)],
                    &any,
                    NOW
                )
                .is_ok()
            );
        }
    }
}

#[test]
fn a_claim_is_told_as_one_line_of_visible_ascii() {
    let cases = [
        (json!("alice"), Some("alice")),
        (json!("Alice Smith"), Some("Alice Smith")),
        (json!("a,b;c=\"d\""), Some("a,b;c=\"d\"")),
        (json!(" alice"), Some("%20alice")),
        (json!("alice "), Some("alice%20")),
        (json!(" "), Some("%20")),
        (json!("50%"), Some("50%25")),
        (json!("Jürgen"), Some("J%C3%BCrgen")),
        (json!("a\r\nX-Admin: 1"), None),
        (json!("a\nb"), None),
        (json!("a\0"), None),
        (json!("a\tb"), None),
        (json!("a\u{7f}"), None),
        (json!("a\u{85}"), None),
        (json!(""), None),
        (json!(7), Some("7")),
        (json!(-7), Some("-7")),
        (json!(u64::MAX), Some("18446744073709551615")),
        (json!(true), Some("true")),
        (json!(false), Some("false")),
        (json!(1.5), None),
        (json!(1e30), None),
        (json!({"a": 1}), None),
        (json!([]), None),
        (json!(["admin"]), Some("admin")),
        (json!(["a", 1, true, "b c"]), Some("a,1,true,b c")),
        (json!(["a,b", "c"]), Some("a%2Cb,c")),
        (json!(["a ", " b"]), Some("a%20,%20b")),
        (json!(["a", null]), None),
        (json!(["a", ["b"]]), None),
        (json!(["a", "b\n"]), None),
        (json!("x".repeat(8192)), Some("")),
        (json!("x".repeat(8193)), None),
    ];
    for (value, expected) in cases {
        let found = told(value.clone());
        match expected {
            Some("") => assert!(found.is_some()),
            expected => assert_eq!(found.as_deref(), expected, "{value}"),
        }
    }
    assert_eq!(judged(&claims()).unwrap().text("nothing"), None);
    // Other claims that cannot be told are no reason to refuse a token.
    assert_eq!(
        judged(&with("x", json!("\n"))).unwrap().text("sub"),
        Some("alice")
    );
}

proptest! {
    #[test]
    fn strings_that_differ_are_told_differently(a in "[ %,a2é]{0,4}", b in "[ %,a2é]{0,4}") {
        let (told_a, told_b) = (told(json!(a)), told(json!(b)));
        if told_a.is_some() && a != b {
            prop_assert_ne!(&told_a, &told_b);
        }
        for text in [told_a, told_b].into_iter().flatten() {
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            prop_assert_eq!(text.trim(), &text);
        }
    }

    #[test]
    fn lists_that_differ_are_told_differently(
        a in prop::collection::vec("[ ,a]{1,3}", 1..4), b in prop::collection::vec("[ ,a]{1,3}", 1..4),
    ) {
        prop_assert_eq!(told(json!(a)) == told(json!(b)), a == b);
    }
}
