use super::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// SHA-256 of "abc", published with the algorithm.
const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn keys(text: &str) -> ApiKeys {
    ApiKeys::parse(text).unwrap_or_else(|fault| panic!("{fault:?}"))
}

fn fault(text: &str) -> Fault {
    ApiKeys::parse(text).expect_err("it is refused")
}

#[test]
fn keys_are_found_whichever_way_they_are_written() {
    let upper = ABC.to_uppercase();
    let keys = keys(&format!(
        "# who\n\nalice:0123456789abcdef\r\n bob : key:with:colons:16 \nalice:another-key-of-16\ncarol:sha256:{upper}\n"
    ));
    assert_eq!(keys.count(), 4);
    assert_eq!(keys.owner(b"0123456789abcdef"), Some("alice"));
    assert_eq!(keys.owner(b"another-key-of-16"), Some("alice"));
    assert_eq!(keys.owner(b"key:with:colons:16"), Some("bob"));
    assert_eq!(keys.owner(b"abc"), Some("carol"));
    for wrong in [
        &b""[..],
        b"0123456789abcdeF",
        b"0123456789abcde",
        ABC.as_bytes(),
        b"alice",
    ] {
        assert_eq!(keys.owner(wrong), None);
    }
    assert_eq!(ApiKeys::default().owner(b""), None);
}

#[test]
fn what_is_no_key_is_refused_with_its_line() {
    for (bad, word) in [
        ("alice", "name:KEY"),
        (":0123456789abcdef", "no name"),
        ("alice:0123456789abcde", "at least 16"),
        ("alice:", "at least 16"),
        ("alice:0123456789 abcdef", "visible"),
        ("alice:0123456789abcdé", "visible"),
        ("al\u{1}ice:0123456789abcdef", "control"),
        ("alice:sha256:0123456789abcdef", "64 hex"),
        ("alice:sha256:", "64 hex"),
    ] {
        let fault = fault(&format!("# x\n{bad}\n"));
        assert_eq!(fault.line, 2, "{bad}");
        assert!(fault.message.contains(word), "{bad}: {}", fault.message);
    }
    assert!(
        fault(&format!("a:{}", "k".repeat(1025)))
            .message
            .contains("at most")
    );
    assert!(fault(&format!("a:sha256:{}", &ABC[1..])).message.contains("64"));
    assert!(
        fault(&format!("{}:0123456789abcdef", "n".repeat(256)))
            .message
            .contains("longer")
    );
}

#[test]
fn a_key_has_one_owner_in_whichever_form_it_stands_there_twice() {
    let hex = "9f9f5111f7b27a781f1f1ddde5ebc2dd2b796bfc7365c9c28b548e564176929f";
    assert_eq!(parse_hex(hex), Some(sha256(b"0123456789abcdef")));
    let found = fault(&format!(
        "a:0123456789abcdef\nb:0123456789abcdeX\nc:sha256:{hex}\nd:0123456789abcdef"
    ));
    assert_eq!(found.line, 3);
    assert!(found.message.contains("line 1"), "{}", found.message);
}

#[test]
fn a_file_has_limits() {
    let many = |n: usize| (0..n).map(|n| format!("u:{n:016}\n")).collect::<String>();
    let all = keys(&many(KEYS_MAX));
    assert_eq!(all.count(), KEYS_MAX);
    assert_eq!(all.owner(b"0000000000099999"), Some("u"));
    assert_eq!(fault(&many(KEYS_MAX + 1)).line, KEYS_MAX + 1);
    assert_eq!(
        fault(&"#\n".repeat(FILE_BYTES_MAX / 2 + 1)).line,
        FILE_BYTES_MAX / 2 + 1
    );
}

#[test]
fn nothing_is_shown_of_a_key() {
    let shown = format!("{:?}", keys(&format!("carol:sha256:{ABC}")));
    assert_eq!(shown, "ApiKeys { count: 1, .. }");
    let shown = format!("{:?}", fault("alice:hunter2hunter2 hunter2"));
    assert!(!shown.contains("hunter2"), "{shown}");
}

proptest! {
    #[test]
    fn it_is_a_map_from_keys_to_owners(
        pairs in prop::collection::btree_map("[!-~]{16,20}", "[a-c]{1,2}", 0..20),
        stranger in "[!-~]{16,20}",
    ) {
        let pairs: BTreeMap<String, String> =
            pairs.into_iter().filter(|(key, _)| !key.starts_with("sha256:")).collect();
        let text: String = pairs.iter().map(|(key, name)| format!("{name}:{key}\n")).collect();
        let keys = keys(&text);
        for (key, name) in &pairs {
            prop_assert_eq!(keys.owner(key.as_bytes()), Some(name.as_str()));
        }
        prop_assert_eq!(keys.owner(stranger.as_bytes()), pairs.get(&stranger).map(String::as_str));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,200}", presented: Vec<u8>) {
        if let Ok(keys) = ApiKeys::parse(&text) {
            let _ = keys.owner(&presented);
        }
        let _ = ApiKeys::parse(&format!("a:sha256:{text}"));
    }
}
