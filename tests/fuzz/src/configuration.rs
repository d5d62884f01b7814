//! The text an operator writes.

use gateway::config::{effective, load_text};

/// What loads, is told as a text that loads to the same; what does not, is told where.
pub fn target(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    // A text names files, and these do not end, or wait for somebody.
    if ["/dev", "/proc", "/sys", "include", ".."]
        .iter()
        .any(|word| text.contains(word))
    {
        return;
    }
    match load(text) {
        Ok(loaded) => {
            let told = effective(&loaded.plan);
            let again = load(&told).unwrap_or_else(|problems| panic!("{problems}\n{told}"));
            // Secrets are not told, but a text has none of them unless it names a collector or a password.
            if !text.contains("headers") && !text.contains("password") && !text.contains("user") {
                assert_eq!(again.plan, loaded.plan, "{told}");
            }
            check(&loaded.warnings.to_string());
        }
        Err(problems) => {
            let lines = text.lines().count().max(1);
            assert!(!problems.0.is_empty());
            for problem in &problems.0 {
                assert!(
                    (1..=lines + 1).contains(&problem.line) && problem.column >= 1,
                    "{problem:?}"
                );
                assert!(!problem.message.is_empty());
                check(&problem.render(false));
            }
        }
    }
}

fn load(text: &str) -> Result<gateway::config::Loaded, gateway::config::Problems> {
    load_text("no-such-folder/fuzz.toml", text, &|name| {
        (name.len() == 1).then(|| "value".to_owned())
    })
}

/// What is shown in a terminal orders it about nothing.
fn check(shown: &str) {
    assert!(!shown.contains('\u{1b}'), "{}", shown.escape_debug());
}
