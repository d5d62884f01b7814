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
            let turned: Vec<_> = text
                .strip_prefix('\u{feff}')
                .unwrap_or(text)
                .lines()
                .rev()
                .collect();
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
            let lines = || {
                text.strip_prefix('\u{feff}')
                    .unwrap_or(text)
                    .lines()
                    .filter_map(name_and_key)
            };
            for (name, key) in lines() {
                owned(&keys, name, key);
                // A key without its first byte may be another's.
                let shorter = &key.as_bytes()[1..];
                let is_another = || lines().any(|(_, key)| key.as_bytes() == shorter);
                assert!(keys.owner(shorter).is_none() || is_another());
            }
        }
        Err(fault) => assert!(
            fault.line <= lines.max(1) && !fault.message.is_empty(),
            "{fault:?}"
        ),
    }
}

/// Of a line that was read; None for one that says nothing.
fn name_and_key(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (name, key) = line.split_once(':').expect("a line that was read has a colon");
    Some((name.trim(), key.trim()))
}

/// Whoever shows the key of a line is its owner.
fn owned(keys: &ApiKeys, name: &str, key: &str) {
    if !key.starts_with("sha256:") {
        assert_eq!(keys.owner(key.as_bytes()), Some(name));
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
