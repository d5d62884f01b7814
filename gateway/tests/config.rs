//! The configuration room from outside: files in, plans or problems out.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::config::{self, Changes, Loaded, Problems};

const VALID: &str = "../tests/config/valid";
const INVALID: &str = "../tests/config/invalid";

/// The environment all files see.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/sluice",
        "HOST" => "example.com",
        "THREADS" => "2",
        "WORD" => "word",
        _ => return None,
    };
    Some(value.to_owned())
}

fn load(path: &Path) -> Result<Loaded, Problems> {
    config::load(path, &env)
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|e| e.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|p| p.extension().is_some_and(|e| e == "toml"))
        .collect();
    found.sort();
    assert!(!found.is_empty(), "{folder}");
    found
}

/// To accept what is now told of the invalid files: `SLUICE_ACCEPT=1 cargo test -p gateway --test config`.
const ACCEPT: &str = "SLUICE_ACCEPT";

#[test]
fn every_invalid_file_is_told_as_expected() {
    for path in files(INVALID) {
        let problems = match load(&path) {
            Ok(loaded) => panic!("{} has no error, only\n{}", path.display(), loaded.warnings),
            Err(problems) => problems,
        };
        let told = problems.to_string().replace(&format!("{INVALID}/"), "");
        let expected = path.with_extension("expected");
        if std::env::var_os(ACCEPT).is_some() {
            fs::write(&expected, &told).unwrap();
        }
        let expected = fs::read_to_string(&expected).unwrap_or_default();
        assert!(
            told == expected,
            "{}:\n{told}\nexpected:\n{expected}",
            path.display()
        );
    }
}

#[test]
fn every_valid_file_loads_without_a_word_and_its_effective_form_is_the_same_plan() {
    for path in files(VALID) {
        let loaded = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
        let text = config::effective(&loaded.plan);
        let again = config::load_text("effective.toml", text.as_str(), &env)
            .unwrap_or_else(|problems| panic!("{problems}\n{text}"));
        assert_eq!(again.plan, loaded.plan, "{text}");
        assert_eq!(config::effective(&again.plan), text);
        assert!(Changes::between(&loaded.plan, &again.plan).is_empty());
    }
}
