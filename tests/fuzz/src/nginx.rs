//! Configurations of nginx.

use std::io;
use std::path::{Path, PathBuf};

use gateway::config::load_text;
use gateway::import::{Files, import, matches, print, read_text};

/// A folder of two files, "a.conf" and "b.conf".
struct Shelf<'a>(&'a [u8], &'a [u8]);

impl Files for Shelf<'_> {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        match path.to_str() {
            Some("a.conf") => Ok(self.0.to_vec()),
            Some("b.conf") => Ok(self.1.to_vec()),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn list(&self, pattern: &Path) -> Vec<PathBuf> {
        let fits = |name: &&str| matches(&pattern.to_string_lossy(), name);
        ["a.conf", "b.conf"]
            .into_iter()
            .filter(fits)
            .map(PathBuf::from)
            .collect()
    }
}

/// What is read can be printed and read again; what is imported is a text of TOML that the configuration bears.
pub fn target(data: &[u8]) {
    if let Ok(directives) = std::str::from_utf8(data)
        .map_err(drop)
        .and_then(|text| read_text(text).map_err(drop))
    {
        let printed = print(&directives);
        let again = read_text(&printed).unwrap_or_else(|fault| panic!("{fault}\n{printed}"));
        assert_eq!(again, directives, "{printed}");
    }
    // "#---" on a line of its own begins the second file.
    let parting = b"\n#---\n";
    let (main, other) = match data.windows(parting.len()).position(|w| w == parting) {
        Some(at) => (&data[..at], &data[at + parting.len()..]),
        None => (data, &b""[..]),
    };
    match import(&Shelf(main, other), Path::new("a.conf")) {
        Ok(imported) => check(&imported.toml),
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

fn check(told: &str) {
    let table: Result<toml::Table, _> = told.parse();
    assert!(table.is_ok(), "{table:?}\n{told}");
    if ["/dev", "/proc", "/sys", ".."]
        .iter()
        .any(|word| told.contains(word))
    {
        return;
    }
    // Files that are named are not there, and nothing else is wrong.
    if let Err(problems) = load_text("no-such-folder/imported.toml", told, &|_| None) {
        assert!(
            problems.0.iter().all(|p| !p.message.contains("unknown key")),
            "{problems}\n{told}"
        );
    }
}
