//! Keys of the contract that this build cannot honour yet.
//!
//! They are told from unknown keys, because whoever writes one has read the documentation well. A feature
//! that arrives takes its lines out of here and puts its keys into `raw`.

/// `*` stands for a name, `[]` for an item of a list.
const KEYS: &[&str] = &["certificates.*.acme"];

const VALUES: &[(&str, &str)] = &[];

/// Whether the key at this place will be known one day.
pub fn has_key(pattern: &str) -> bool {
    KEYS.contains(&pattern)
}

/// Whether the value at this place will be known one day.
pub fn has_value(pattern: &str, value: &str) -> bool {
    VALUES.contains(&(pattern, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    /// "listeners.[].http2" → "listeners = [{ http2 = 1 }]"
    fn written(pattern: &str) -> String {
        let mut steps = pattern.split('.').rev();
        let last = steps.next().unwrap();
        let inner = steps.fold(format!("{{ {last} = 1 }}"), |inner, step| match step {
            "[]" => format!("[{inner}]"),
            "*" => format!("{{ x = {inner} }}"),
            key => format!("{{ {key} = {inner} }}"),
        });
        inner[2..inner.len() - 2].to_owned()
    }

    #[test]
    fn each_of_them_is_told_from_an_unknown_key_and_refused() {
        for pattern in KEYS {
            let key = pattern.rsplit('.').next().unwrap();
            let problems = config::load_text("a.toml", written(pattern), &|_| None).unwrap_err();
            let told = format!("`{key}` is not in this build yet");
            assert!(
                problems.0.iter().any(|p| p.message == told),
                "{pattern}: {problems}"
            );
            assert!(!config::schema().contains(&format!("\"{key}\": {{")), "{pattern}");
        }
    }
}
