//! `sluice import`: a configuration of nginx as one of Sluice.

use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use gateway::config::{self, Problems};
use gateway::import::{Entry, Files, Imported, Outcome};
use gateway::reload::environment;
use serde_json::json;

use crate::cli::{Fault, args, terminal};

/// Files that one pattern of `include` may mean.
const MATCHES_MAX: usize = 10_000;
/// Bytes that are read of one file; the importer refuses fewer.
const READ_BYTES_MAX: u64 = 64 << 20;

/// Translates, writes, and tells. 0: all was translated, 1: there are remarks.
pub fn import(words: &args::Import) -> Result<ExitCode, Fault> {
    let imported = gateway::import::import(&Disk, &words.file)
        .map_err(|fault| Fault::usage(fault.to_string(), fault.help()))?;
    let (accepted, problems) = checked(&imported.toml, words.output.as_deref());
    if let Some(path) = &words.output {
        write(path, &imported.toml)?;
    }
    let has_remarks = imported.report.remarks().next().is_some() || !accepted;
    if words.json {
        terminal::say(&json_report(&imported, &problems, accepted))?;
    } else {
        if words.output.is_none() {
            terminal::say(&imported.toml)?;
        }
        terminal::tell(&terminal::printable(&told(&imported, words, &problems)));
    }
    Ok(if has_remarks {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// What `sluice check` says of the translation, and whether it takes it.
fn checked(toml: &str, output: Option<&Path>) -> (bool, Problems) {
    let name = output.map_or_else(|| "imported.toml".to_owned(), |path| path.display().to_string());
    match config::load_text(&name, toml.to_owned(), &environment) {
        Ok(loaded) => (true, loaded.warnings),
        Err(problems) => (false, problems),
    }
}

fn write(path: &Path, toml: &str) -> Result<(), Fault> {
    let failed = |error: std::io::Error| {
        let help = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "name a file that is not there yet, or take that one away",
            _ => "name another file: -o FILE",
        };
        let message = format!("{} cannot be written: {error}", path.display());
        Fault::usage(message, help)
    };
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(failed)?;
    file.write_all(toml.as_bytes()).map_err(failed)
}

fn told(imported: &Imported, words: &args::Import, problems: &Problems) -> String {
    let report = &imported.report;
    let mut text = String::new();
    let shown = report
        .entries
        .iter()
        .filter(|e| words.all || e.outcome != Outcome::Translated);
    for entry in shown {
        text.push_str(&line(entry));
    }
    if !problems.0.is_empty() {
        text.push_str("what `sluice check` says of it on this machine:\n");
        text.push_str(&problems.render(false));
    }
    let [translated, differs, lost] =
        [Outcome::Translated, Outcome::Differs, Outcome::NotTranslated].map(|outcome| report.count(outcome));
    text.push_str(&format!(
        "{translated} translated, {differs} with a difference, {lost} not translated\n"
    ));
    text
}

fn line(entry: &Entry) -> String {
    let word = match entry.outcome {
        Outcome::Translated => "translated",
        Outcome::Differs => "differs",
        Outcome::NotTranslated => "not translated",
    };
    let mut text = format!("{}:{}: {word}: {}\n", entry.file, entry.line, entry.directive);
    for remark in &entry.remarks {
        text.push_str(&format!("    {remark}\n"));
    }
    text
}

fn json_report(imported: &Imported, problems: &Problems, accepted: bool) -> String {
    let report = &imported.report;
    let directives: Vec<_> = report
        .entries
        .iter()
        .map(|entry| {
            json!({
                "file": entry.file,
                "line": entry.line,
                "directive": entry.directive,
                "outcome": entry.outcome.name(),
                "remarks": entry.remarks,
            })
        })
        .collect();
    let counts = json!({
        "translated": report.count(Outcome::Translated),
        "differs": report.count(Outcome::Differs),
        "not_translated": report.count(Outcome::NotTranslated),
    });
    let whole = json!({
        "toml": imported.toml,
        "ok": accepted,
        "counts": counts,
        "directives": directives,
        "problems": problems,
    });
    format!("{whole:#}\n")
}

/// Files of this machine.
struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> std::io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        std::fs::File::open(path)?
            .take(READ_BYTES_MAX)
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn list(&self, pattern: &Path) -> Vec<PathBuf> {
        let mut found = vec![PathBuf::new()];
        for part in pattern.components() {
            let name = part.as_os_str().to_string_lossy().into_owned();
            if !name.contains(['*', '?', '[']) {
                for path in &mut found {
                    path.push(part);
                }
                continue;
            }
            found = found.iter().flat_map(|folder| matching(folder, &name)).collect();
            found.truncate(MATCHES_MAX);
        }
        found.retain(|path| path.is_file());
        found.sort();
        found
    }
}

/// What a folder has that a pattern means. As in a shell, a star means no hidden file.
fn matching(folder: &Path, pattern: &str) -> Vec<PathBuf> {
    let folder_or_here = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = std::fs::read_dir(folder_or_here).into_iter().flatten().flatten();
    entries
        .filter(|entry| {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            (!name.starts_with('.') || pattern.starts_with('.')) && gateway::import::matches(pattern, &name)
        })
        .map(|entry| folder.join(entry.file_name()))
        .collect()
}
