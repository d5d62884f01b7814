//! `include = ["conf.d/*.toml"]`: other files whose tables join those of this one.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::env::{self, Escapes, Lookup};
use super::findings::Findings;
use super::raw::leaf::Span;
use super::source::{self, Source};

/// More files than any sane folder of configurations holds.
const FILES_MAX: usize = 1_000;

/// Tables whose keys are names of the operator's own.
const NAMED: [&str; 5] = ["auth", "caches", "concurrency_limits", "rate_limits", "upstreams"];

/// Files that were included.
#[derive(Default)]
pub struct Included {
    /// Their texts, sorted within each pattern.
    pub sources: Vec<Source>,
    /// What went wrong, at the pattern of the including file, and what to do.
    pub problems: Vec<(Span, Fault)>,
    /// What to watch for changes: each file, and each folder a pattern looks into.
    pub watch: Vec<PathBuf>,
}

/// What went wrong with a pattern, and what to do.
pub struct Fault {
    /// What.
    pub message: String,
    /// What to do.
    pub help: &'static str,
}

/// Reads what `table`, parsed from `main`, includes.
///
/// A pattern that is no string, or names an unset variable, is left for the check of types to tell.
pub fn read(main: &Source, table: &DeTable<'_>, env: Lookup<'_>) -> Included {
    let mut included = Included::default();
    let patterns = table.get("include").and_then(|v| v.get_ref().as_array());
    let folder = Path::new(&main.name).parent().unwrap_or(Path::new(""));
    let mut seen: HashSet<PathBuf> = HashSet::from([identity(Path::new(&main.name))]);
    for pattern in patterns.into_iter().flat_map(|p| p.iter()) {
        let Some(text) = pattern.get_ref().as_str() else {
            continue;
        };
        let Ok(expanded) = env::expand(text, env, Escapes::Resolved) else {
            continue;
        };
        let wanted = folder.join(expanded.as_deref().unwrap_or(text));
        if let Err(fault) = included.add(&wanted, main, &mut seen) {
            included.problems.push((pattern.span(), fault));
        }
    }
    included
}

impl Included {
    fn add(&mut self, pattern: &Path, main: &Source, seen: &mut HashSet<PathBuf>) -> Result<(), Fault> {
        let files = source::glob(pattern).map_err(|why| Fault {
            message: format!("{}: {why}", pattern.display()),
            help: "write a file, or a folder and in its last part * and ?: \"conf.d/*.toml\"",
        })?;
        let is_literal = files.len() == 1 && files[0] == pattern;
        if !is_literal && let Some(folder) = pattern.parent() {
            self.watch.push(folder.to_owned());
        }
        for file in files {
            if !seen.insert(identity(&file)) {
                continue;
            }
            if self.sources.len() >= FILES_MAX {
                return Err(Fault {
                    message: format!("more than {FILES_MAX} files are included"),
                    help: "put several tables into one file",
                });
            }
            let text = source::read(&file).map_err(|why| Fault {
                message: format!("the included file {} cannot be read: {why}", file.display()),
                help: "it has to be there, in UTF-8, and the user that the gateway runs as has to be allowed to read it",
            })?;
            let base = self.sources.last().unwrap_or(main).end();
            self.sources
                .push(Source::new(file.display().to_string(), text, base));
            self.watch.push(file);
        }
        Ok(())
    }
}

/// A file is included once, by whatever names.
fn identity(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

/// Joins the table of an included file, whose spans count from its own beginning, into the main one.
pub fn merge<'i>(main: &mut DeTable<'i>, other: DeTable<'i>, source: &Source, findings: &mut Findings<'_>) {
    let mut other = shifted(other, source.base());
    if let Some((key, _)) = other.remove_entry("include") {
        findings
            .error(&key.span(), "include", "an included file cannot include others")
            .help("list all files in the main file");
    }
    join(main, other, "", findings);
}

/// Tables are joined key by key, lists of tables are put end to end; anything else stands once.
fn join<'i>(main: &mut DeTable<'i>, other: DeTable<'i>, path: &str, findings: &mut Findings<'_>) {
    for (key, value) in other {
        let at = if path.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{path}.{}", key.get_ref())
        };
        let Some((first, _)) = main.get_key_value(key.get_ref().as_ref()) else {
            main.insert(key, value);
            continue;
        };
        let first = first.span();
        let Some(mine) = main.get_mut(key.get_ref().as_ref()) else {
            continue;
        };
        match (mine.get_mut(), value.into_inner()) {
            // A thing with a name is one thing: it is not put together from two files.
            (DeValue::Table(mine), DeValue::Table(theirs)) if !NAMED.contains(&path) => {
                join(mine, theirs, &at, findings);
            }
            (DeValue::Array(mine), DeValue::Array(theirs))
                if matches!(at.as_str(), "listeners" | "routes") =>
            {
                for item in theirs {
                    mine.push(item);
                }
            }
            _ => {
                let message = format!("`{at}` is written twice");
                let help = format!("the first stands at {}", findings.place(&first));
                findings.error(&key.span(), &at, message).help(help);
            }
        }
    }
}

/// The same table with every span moved by `by`.
fn shifted(table: DeTable<'_>, by: usize) -> DeTable<'_> {
    let moved = |span: Span| span.start + by..span.end + by;
    let mut out = DeTable::new();
    for (key, value) in table {
        let span = moved(key.span());
        out.insert(Spanned::new(span, key.into_inner()), shifted_value(value, by));
    }
    out
}

fn shifted_value(value: Spanned<DeValue<'_>>, by: usize) -> Spanned<DeValue<'_>> {
    let span = value.span().start + by..value.span().end + by;
    let inner = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, by)),
        DeValue::Array(items) => {
            let mut out = DeArray::new();
            for item in items {
                out.push(shifted_value(item, by));
            }
            DeValue::Array(out)
        }
        leaf => leaf,
    };
    Spanned::new(span, inner)
}
