use std::path::Path;
use std::process::Command;

use harness::process::binary;

/// Line and column of each mistake in the file, what is said of it, and what would be right.
const MISTAKES: [(u64, u64, &str, &str); 7] = [
    (3, 17, "drain_timeout", "\"30s\""),
    (7, 1, "adress", "\"address\""),
    (10, 18, "least_connections", "\"least_conn\""),
    (11, 24, "10.0.0.1", "\"10.0.0.1:80\""),
    (15, 28, "begin with a slash", "\"/api\""),
    (21, 28, "${hostname}", "${host}"),
    (25, 12, "\"ap\"", "\"app\""),
];

#[test]
fn seven_different_mistakes_get_seven_pointed_problems_at_once() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/invalid/seven.toml");
    let check = |flags: &[&str]| {
        let mut command = Command::new(binary("sluice"));
        command.args(["check", "-c"]).arg(&file).args(flags);
        command.output().expect("it starts")
    };

    let output = check(&[]);
    let told = String::from_utf8(output.stderr).expect("what is said is text");
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert_eq!(told.matches(" error: ").count(), MISTAKES.len(), "{told}");
    for (line, column, word, right) in MISTAKES {
        let place = format!("{}:{line}:{column}: error: ", file.display());
        let problem = told.split_once(&place);
        let (_, problem) = problem.unwrap_or_else(|| panic!("no {place} in:\n{told}"));
        let problem = problem.split("\n\n").next().unwrap_or_default();
        assert!(problem.contains(word), "{word} in:\n{problem}");
        assert!(
            problem.contains("^") && problem.contains("help: ") && problem.contains(right),
            "a caret, and {right} in:\n{problem}"
        );
    }

    let output = check(&["--json"]);
    assert_eq!(output.status.code(), Some(2));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    let problems = report["problems"].as_array().expect("problems are a list");
    let places: Vec<_> = problems
        .iter()
        .map(|p| (p["line"].as_u64(), p["column"].as_u64()))
        .collect();
    assert_eq!(
        places,
        MISTAKES.map(|(line, column, ..)| (Some(line), Some(column)))
    );
}
