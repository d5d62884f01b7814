//! Files of passwords and keys, and the fields that show one.

use gateway::guard::basic::{challenge, credentials};
use gateway::secrets::{ApiKeys, Users};
use gateway::wire::Fields;

/// The bytes as either file, and as a field.
pub fn target(data: &[u8]) {
    field(data);
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let lines = text.lines().count();
    match Users::parse(text) {
        Ok(users) => {
            assert!(users.count() <= lines);
            // The order of lines says nothing.
            let turned: Vec<_> = text.trim_start_matches('\u{feff}').lines().rev().collect();
            let turned = Users::parse(&turned.join("\n")).expect("the same lines");
            assert_eq!(turned.fingerprint(), users.fingerprint());
            // Those of bcrypt take their time.
            if !text.contains("$2") {
                assert!(!users.check("nobody in particular", "x") && !users.check("", ""));
            }
        }
        Err(fault) => assert!(
            fault.line <= lines.max(1) && !fault.message.is_empty(),
            "{fault:?}"
        ),
    }
    match ApiKeys::parse(text) {
        Ok(keys) => {
            assert!(keys.count() <= lines);
            assert_eq!(keys.owner(b""), None);
            for line in text.trim_start_matches('\u{feff}').lines().map(str::trim_end) {
                owned(&keys, line);
            }
        }
        Err(fault) => assert!(
            fault.line <= lines.max(1) && !fault.message.is_empty(),
            "{fault:?}"
        ),
    }
}

/// Whoever shows the key of a line is its owner.
fn owned(keys: &ApiKeys, line: &str) {
    if line.is_empty() || line.starts_with('#') {
        return;
    }
    let (name, key) = line.split_once(':').expect("a line that was read has a colon");
    let key = key.trim();
    if !key.starts_with("sha256:") {
        assert_eq!(keys.owner(key.as_bytes()), Some(name.trim()));
        assert_eq!(keys.owner(&key.as_bytes()[1..]), None);
    }
}

fn field(value: &[u8]) {
    let mut fields = Fields::default();
    fields.push(b"Authorization", value);
    if let Ok((name, password)) = credentials(&fields) {
        assert!(!name.is_empty() && !name.contains(':'));
        assert!(!name.chars().chain(password.chars()).any(char::is_control));
        fields.push(b"Authorization", value);
        assert!(credentials(&fields).is_err(), "two of them");
    }
    if let Ok(realm) = std::str::from_utf8(value) {
        let mut out = Vec::new();
        challenge(realm, &mut out);
        assert!(out.starts_with(b"Basic realm=\""));
    }
}
