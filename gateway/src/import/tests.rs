//! Whole configurations through the importer.

mod lines;
mod samples;
mod trees;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use super::{Files, Imported, Outcome, import};

/// Files in memory.
#[derive(Default)]
struct Shelf(BTreeMap<PathBuf, Vec<u8>>);

impl Shelf {
    fn with(mut self, path: &str, text: impl AsRef<[u8]>) -> Self {
        self.0.insert(path.into(), text.as_ref().to_vec());
        self
    }
}

impl Files for Shelf {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0
            .get(path)
            .cloned()
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn list(&self, pattern: &Path) -> Vec<PathBuf> {
        let pattern = pattern.to_string_lossy();
        let fits = |path: &&PathBuf| super::matches(&pattern, &path.to_string_lossy());
        self.0.keys().filter(fits).cloned().collect()
    }
}

/// A whole configuration.
#[track_caller]
fn imported(text: &str) -> Imported {
    import(
        &Shelf::default().with("nginx.conf", text),
        Path::new("nginx.conf"),
    )
    .unwrap()
}

/// The translation of what stands in `http`, which Sluice has to take.
#[track_caller]
fn http(text: &str) -> Imported {
    let imported = imported(&format!("http {{ {text} }}"));
    if let Err(problems) = crate::config::load_text("a.toml", imported.toml.clone(), &|_| None) {
        panic!("{problems}\n{}", imported.toml);
    }
    imported
}

/// The same of one server, told as a table.
#[track_caller]
fn server(text: &str) -> toml::Table {
    table(&http(&format!("server {{ {text} }}")))
}

#[track_caller]
fn table(imported: &Imported) -> toml::Table {
    imported.toml.parse().unwrap()
}

/// The route of that name.
#[track_caller]
fn route(table: &toml::Table, name: &str) -> toml::Table {
    let routes = table["routes"].as_array().unwrap();
    let found = routes.iter().find(|r| r["name"].as_str() == Some(name));
    found
        .unwrap_or_else(|| panic!("no route {name} in\n{table}"))
        .as_table()
        .unwrap()
        .clone()
}

/// What became of the first directive that begins so.
#[track_caller]
fn outcome(imported: &Imported, start: &str) -> Outcome {
    let mut entries = imported.report.entries.iter();
    let found = entries.find(|e| e.directive.starts_with(start));
    found
        .unwrap_or_else(|| panic!("{start} is not in {:#?}", imported.report))
        .outcome
}

#[test]
fn what_is_to_be_written_in_place_of_a_mirror_is_told() {
    let imported = http("server { listen 1; location / { mirror /m; proxy_pass http://h:1; } }");
    let entries = &imported.report.entries;
    let mirror = entries
        .iter()
        .find(|e| e.directive.starts_with("mirror"))
        .unwrap();
    assert_eq!(mirror.outcome, Outcome::NotTranslated);
    assert!(mirror.remarks[0].contains("mirror = \"NAME\""), "{mirror:?}");
}

#[test]
fn nothing_is_passed_over() {
    let imported = imported(
        "user www; stream { server { listen 1; } } http { no_such_thing on; error_page 404 /404.html; server { listen 1; } }",
    );
    for start in ["user", "stream", "no_such_thing", "error_page"] {
        assert_eq!(outcome(&imported, start), Outcome::NotTranslated, "{start}");
    }
    assert!(
        imported
            .report
            .entries
            .iter()
            .all(|e| e.outcome == Outcome::Translated || !e.remarks.is_empty())
    );
}
