//! The configuration room from outside: files in, plans or problems out.

use std::fs;
use std::path::{Path, PathBuf};

use gateway::config::{self, Changes, Loaded, Plan, Problems, Severity};
use proptest::prelude::*;

#[path = "config/plans.rs"]
mod plans;
#[path = "config/reference.rs"]
mod reference;

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

#[test]
fn the_files_people_copy_load_and_only_miss_folders_of_this_machine() {
    for path in files("../conf") {
        let loaded = load(&path).unwrap_or_else(|problems| panic!("{problems}"));
        for warning in &loaded.warnings.0 {
            assert!(
                warning.message.ends_with("does not exist"),
                "{}",
                warning.render(false)
            );
        }
    }
}

fn read_back(plan: &Plan) -> Plan {
    let text = config::effective(plan);
    match config::load_text("effective.toml", text.as_str(), &|_| None) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// A text with some of its bytes replaced, taken out or doubled.
fn mutated(text: &str, edits: &[(prop::sample::Index, u8, u8)]) -> String {
    let mut bytes = text.as_bytes().to_vec();
    for (at, what, with) in edits {
        let at = at.index(bytes.len());
        match what % 4 {
            0 => bytes[at] = *with,
            1 => bytes.insert(at, *with),
            2 => {
                bytes.remove(at);
            }
            _ => {
                let end = (at + usize::from(*with)).min(bytes.len());
                let copy = bytes[at..end].to_vec();
                bytes.splice(at..at, copy);
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn the_effective_form_of_any_plan_loads_to_that_plan(plan in plans::plan()) {
        prop_assert_eq!(&read_back(&plan), &plan);
    }

    #[test]
    fn there_are_changes_exactly_between_plans_that_differ(old in plans::plan(), new in plans::plan()) {
        prop_assert!(Changes::between(&old, &old).is_empty());
        prop_assert_eq!(Changes::between(&old, &new).is_empty(), old == new);
        let (there, back) = (Changes::between(&old, &new), Changes::between(&new, &old));
        prop_assert_eq!(there.routes.added, back.routes.removed);
        prop_assert_eq!(there.servers.altered, back.servers.altered);
        prop_assert_eq!(there.restart, back.restart);
    }

    #[test]
    fn no_text_whatever_makes_it_panic(
        which in any::<prop::sample::Index>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), any::<u8>()), 1..12),
    ) {
        let all = [files(VALID), files(INVALID), files("../conf")].concat();
        let path = which.get(&all);
        let text = mutated(&fs::read_to_string(path).unwrap(), &edits);
        match config::load_text(&path.display().to_string(), text.as_str(), &env) {
            Ok(loaded) => {
                prop_assert_eq!(loaded.warnings.errors(), 0);
                prop_assert_eq!(read_back(&loaded.plan), loaded.plan);
            }
            Err(problems) => {
                prop_assert!(problems.errors() > 0);
                for p in &problems.0 {
                    prop_assert!(p.line >= 1 && p.column >= 1 && !p.message.is_empty(), "{p:?}");
                    prop_assert!(p.severity == Severity::Error || p.severity == Severity::Warning);
                }
                prop_assert!(!problems.render(true).is_empty());
            }
        }
    }
}
