//! What is remembered, and what is not.

use super::*;
use crate::guard::token::compact::TOKEN_BYTES_MAX;
use crate::kit::clock::Mono;

const ALGORITHM: TokenAlgorithm = TokenAlgorithm::Hs256;

fn terms() -> Terms {
    Terms::new(policy(&[ALGORITHM]))
}

fn keys() -> Keys {
    Keys::given(&[samples::public(ALGORITHM)])
}

#[test]
fn the_same_token_is_verified_once() {
    let verified = Verified::new(100);
    let text = token(ALGORITHM, &claims());
    let first = verified.judge(text.as_bytes(), &keys(), &terms(), NOW).unwrap();
    // Terms and keys that are equal are the same, whoever has made them.
    let second = verified.judge(text.as_bytes(), &keys(), &terms(), NOW).unwrap();
    assert!(Arc::ptr_eq(&first, &second));
    assert_eq!(verified.len(), 1);
}

#[test]
fn a_token_that_is_remembered_still_ends() {
    let verified = Verified::new(100);
    let text = token(ALGORITHM, &claims());
    let at = |seconds| {
        verified
            .judge(text.as_bytes(), &keys(), &terms(), Duration::from_secs(seconds))
            .map(|_| ())
    };
    assert_eq!(at(NOW_S), Ok(()));
    assert_eq!(at(NOW_S + 309), Ok(()));
    assert_eq!(at(NOW_S - 16), Err(TokenFault::NotYet));
    assert_eq!(verified.len(), 1);
    assert_eq!(at(NOW_S + 310), Err(TokenFault::Expired));
    assert!(verified.is_empty());
    // The leeway is the present policy's, not that of who verified it.
    assert_eq!(at(NOW_S), Ok(()));
    let strict = Terms::new(Jwt {
        leeway: Duration::ZERO,
        ..policy(&[ALGORITHM])
    });
    let late = verified.judge(
        text.as_bytes(),
        &keys(),
        &strict,
        Duration::from_secs(NOW_S + 300),
    );
    assert_eq!(late, Err(TokenFault::Expired));
}

#[test]
fn under_other_terms_or_keys_nothing_is_remembered() {
    let verified = Verified::new(100);
    let text = token(ALGORITHM, &claims());
    let judged = |keys: &Keys, policy: Jwt| {
        verified
            .judge(text.as_bytes(), keys, &Terms::new(policy), NOW)
            .map(|_| ())
    };
    let plain = || policy(&[ALGORITHM]);
    assert_eq!(judged(&keys(), plain()), Ok(()));
    let cases = [
        (
            Jwt {
                issuer: Some("x".to_owned()),
                ..plain()
            },
            TokenFault::Issuer,
        ),
        (
            Jwt {
                audience: vec!["x".to_owned()],
                ..plain()
            },
            TokenFault::Audience,
        ),
        (
            Jwt {
                algorithms: vec![TokenAlgorithm::Hs384],
                ..plain()
            },
            TokenFault::Algorithm,
        ),
    ];
    for (policy, fault) in cases {
        assert_eq!(judged(&keys(), policy), Err(fault));
    }
    let other = Keys::given(&[TokenKey::of_secret(&[7; 32]).unwrap()]);
    assert_eq!(judged(&other, plain()), Err(TokenFault::Signature));
    // Two issuers count their generations alike.
    let fetched = |key: TokenKey| {
        let issuer = Issuer::default();
        issuer.replace(vec![key], Mono(1));
        issuer.keys()
    };
    let (ours, theirs) = (
        fetched(samples::public(ALGORITHM)),
        fetched(TokenKey::of_secret(&[7; 32]).unwrap()),
    );
    assert_eq!(ours.generation, theirs.generation);
    assert_eq!(judged(&ours, plain()), Ok(()));
    assert_eq!(judged(&theirs, plain()), Err(TokenFault::Signature));
    assert_eq!(
        judged(&Issuer::default().keys(), plain()),
        Err(TokenFault::UnknownKey)
    );
}

#[test]
fn terms_that_differ_are_never_taken_for_each_other() {
    let texts = [None, Some(""), Some("a"), Some("b")];
    let lists: [&[&str]; 7] = [&[], &[""], &["a"], &["b"], &["a", "b"], &["b", "a"], &["ab"]];
    let algorithms: [&[TokenAlgorithm]; 3] = [
        &[TokenAlgorithm::Es256],
        &[TokenAlgorithm::Hs256],
        &[TokenAlgorithm::Es256, TokenAlgorithm::Hs256],
    ];
    let mut digests = std::collections::BTreeSet::new();
    for (issuer, audience, algorithms) in texts
        .iter()
        .flat_map(|text| lists.iter().map(move |list| (text, list)))
        .flat_map(|(text, list)| algorithms.iter().map(move |some| (text, list, some)))
    {
        let terms = Terms::new(Jwt {
            issuer: issuer.map(str::to_owned),
            audience: audience.iter().map(|text| (*text).to_owned()).collect(),
            ..policy(algorithms)
        });
        assert!(
            digests.insert(terms.digest()),
            "{issuer:?} {audience:?} {algorithms:?}"
        );
    }
    assert_eq!(digests.len(), 4 * 7 * 3);
}

#[test]
fn a_token_that_is_not_believed_is_not_remembered() {
    let verified = Verified::new(100);
    let text = token(ALGORITHM, &with("nbf", json!(NOW_S + 60)));
    let at = |seconds| {
        verified
            .judge(text.as_bytes(), &keys(), &terms(), Duration::from_secs(seconds))
            .map(|_| ())
    };
    assert_eq!(at(NOW_S), Err(TokenFault::NotYet));
    assert!(verified.is_empty());
    assert_eq!(at(NOW_S + 60), Ok(()));
    assert_eq!(
        verified.judge(&[b'A'; 20_000], &keys(), &terms(), NOW),
        Err(TokenFault::TooLong)
    );
}

#[test]
fn no_more_is_remembered_than_was_said() {
    for entries_max in [0, 1, 8] {
        let verified = Verified::new(entries_max);
        for n in 0..200 {
            let text = token(ALGORITHM, &with("sub", json!(n)));
            let claims = verified.judge(text.as_bytes(), &keys(), &terms(), NOW).unwrap();
            assert_eq!(claims.text("sub"), Some(n.to_string().as_str()));
            assert!(verified.len() <= entries_max.max(1));
        }
    }
    // Large ones count as several.
    let verified = Verified::new(64);
    for n in 0..64 {
        let text = token(
            ALGORITHM,
            &with("groups", json!([n.to_string(), "x".repeat(7_000)])),
        );
        assert!(verified.judge(text.as_bytes(), &keys(), &terms(), NOW).is_ok());
    }
    assert!(verified.len() <= 64 / 4, "{}", verified.len());
}

#[test]
fn each_that_is_believed_is_counted() {
    let verified = Verified::new(100);
    for n in 0..3 {
        let text = token(ALGORITHM, &with("sub", json!(n)));
        assert!(verified.judge(text.as_bytes(), &keys(), &terms(), NOW).is_ok());
    }
    assert_eq!((verified.len(), verified.is_empty()), (3, false));
}

#[test]
fn a_longer_text_costs_its_bytes() {
    let bytes = |length: usize| {
        let text = token(ALGORITHM, &with("sub", json!("x".repeat(length))));
        let claims = judge(text.as_bytes(), &keys().list, &policy(&[ALGORITHM]), NOW).unwrap();
        claims.bytes()
    };
    assert_eq!(bytes(1010) - bytes(10), 1000);
}

#[test]
fn a_peek_says_what_a_judgement_would() {
    let fine = token(ALGORITHM, &claims());
    let early = token(ALGORITHM, &with("nbf", json!(NOW_S + 60)));
    let longest = "A".repeat(TOKEN_BYTES_MAX);
    let longer = "A".repeat(TOKEN_BYTES_MAX + 1);
    for text in [&fine, &early, &longest, &longer] {
        let said = Verified::new(8).judge(text.as_bytes(), &keys(), &terms(), NOW);
        let peeked = Verified::peek(text.as_bytes(), &keys(), &terms(), NOW);
        let is_too_long = said.as_ref().err() == Some(&TokenFault::TooLong);
        assert_eq!(is_too_long, text.len() > TOKEN_BYTES_MAX);
        assert_eq!(said.map(|_| ()), peeked.map(|_| ()));
    }
}
