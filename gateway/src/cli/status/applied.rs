//! What has become of the configuration that was applied last.

use serde::Deserialize;

use crate::cli::terminal::printable;

/// The configuration that was applied last.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct LastApply {
    at: String,
    file: String,
    outcome: String,
    reason: Option<String>,
}

impl LastApply {
    pub(super) fn line(&self) -> String {
        let what = match self.outcome.as_str() {
            "watching" => "is in use on probation",
            "kept" => "was kept",
            "rolled_back" => "was rolled back",
            "superseded" => "gave way to a newer one",
            // Of a newer gateway.
            other => other,
        };
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}"));
        let reason = reason.unwrap_or_default().replace('\n', " ");
        printable(&format!("{}, applied at {}, {what}{reason}", self.file, self.at)) + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> String {
        let last: LastApply = serde_json::from_str(json).unwrap();
        last.line()
    }

    #[test]
    fn what_was_applied_is_told_with_what_became_of_it() {
        assert_eq!(
            line(
                r#"{ "id": 1, "at": "T", "file": "new.toml", "outcome": "watching", "reason": null, "requests": 3 }"#
            ),
            "new.toml, applied at T, is in use on probation\n"
        );
        assert_eq!(
            line(r#"{ "at": "T", "file": "new.toml", "outcome": "rolled_back", "reason": "5xx>2x holds" }"#),
            "new.toml, applied at T, was rolled back: 5xx>2x holds\n"
        );
        assert!(!line(r#"{ "file": "\u001b[2J", "outcome": "\u0007" }"#).contains(['\x1b', '\x07']));
    }
}
