//! From the text an operator writes to a [`Plan`].
//!
//! text → table (`toml`) → keys and types against the schema (`walk`) → mirror (`raw`) → meaning (`check`).
//! Each stage takes out what it cannot use and goes on, so all problems of all stages come at once.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::kit::clock::Clock;

pub mod changes;
mod check;
mod document;
mod effective;
pub mod env;
mod findings;
mod hints;
mod include;
pub mod plan;
pub mod problem;
mod raw;
mod remedy;
mod schema;
mod servers_file;
mod source;
mod walk;

pub use changes::Changes;
pub use document::Document;
pub use effective::effective;
use env::Lookup;
use findings::Findings;
use plan::Admin;
pub use plan::Plan;
pub use problem::{Problem, Problems, Severity};
use raw::leaf::Span;
pub use schema::schema;
pub use servers_file::load_servers;
use source::Source;
pub use source::{FILE_BYTES_MAX, reason};
use toml::de::DeTable;
use xxhash_rust::xxh3::Xxh3;

/// A configuration that can be used.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it means.
    pub plan: Plan,
    /// What its author may want to know.
    pub warnings: Problems,
    /// XXH3 of all texts and of the files they name for keys, certificates and users, 16 hexadecimal digits: equal when no byte has changed.
    pub hash: String,
    /// What to watch: the files read, those of keys, certificates and users among them, and the folders where files of an `include`
    /// may appear.
    pub files: Vec<PathBuf>,
}

/// Reads and checks a file and what it includes.
///
/// # Errors
/// All problems at once, warnings among them; a file that cannot be read is a problem too.
pub fn load(path: &Path, env: Lookup<'_>) -> Result<Loaded, Problems> {
    let name = path.display().to_string();
    let text = source::read(path).map_err(|why| Problems(vec![unreadable(&name, &why)]))?;
    load_text(&name, text, env)
}

/// Checks a text as if it stood in a file of that name; includes are looked for beside it.
///
/// # Errors
/// All problems at once, warnings among them.
pub fn load_text(name: &str, text: impl Into<String>, env: Lookup<'_>) -> Result<Loaded, Problems> {
    let reading = understand(name, text.into(), env);
    match reading.plan {
        Some(plan) if !reading.failed => Ok(Loaded {
            plan,
            warnings: reading.problems,
            hash: reading.hash,
            files: reading.files,
        }),
        _ => Err(reading.problems),
    }
}

/// The `[admin]` section of a file, even if the rest of it cannot be used: the gateway that runs by what stood
/// there before still has to be found.
///
/// # Errors
/// All problems, when no section was understood and one may have been written.
pub fn admin_of(path: &Path, env: Lookup<'_>) -> Result<Option<Admin>, Problems> {
    let name = path.display().to_string();
    let text = source::read(path).map_err(|why| Problems(vec![unreadable(&name, &why)]))?;
    let reading = understand(&name, text, env);
    match reading.plan.and_then(|plan| plan.admin) {
        None if reading.failed => Err(reading.problems),
        admin => Ok(admin),
    }
}

/// A warning about what a file says at `key`, "admin.token_file", in the place where it says so. For what only the machine knows
/// on which a file is checked; None for a file that cannot be read any more.
pub fn warning(path: &Path, env: Lookup<'_>, key: &str, message: &str, help: &str) -> Option<Problem> {
    let text = source::read(path).ok()?;
    let main = Source::new(path.display().to_string(), text, 0);
    let (mut table, _) = parse(&main);
    let included = include::read(&main, &table, env);
    let sources: Vec<&Source> = std::iter::once(&main).chain(&included.sources).collect();
    let mut findings = Findings::new(&sources);
    for source in &included.sources {
        include::merge(&mut table, parse(source).0, source, &mut findings);
    }
    let span = span_of(&table, key).unwrap_or_default();
    findings.warning(&span, key, message).help(help);
    findings.into_problems().0.into_iter().find(|p| p.path == key)
}

/// Where the value of a dotted key stands.
fn span_of(table: &DeTable<'_>, key: &str) -> Option<Span> {
    match key.split_once('.') {
        Some((first, rest)) => span_of(table.get(first)?.get_ref().as_table()?, rest),
        None => Some(table.get(key)?.span()),
    }
}

/// What was understood of a text, and what was not.
struct Reading {
    /// As far as it was understood; for use only if nothing failed.
    plan: Option<Plan>,
    problems: Problems,
    failed: bool,
    hash: String,
    files: Vec<PathBuf>,
}

fn understand(name: &str, text: String, env: Lookup<'_>) -> Reading {
    let main = Source::new(name.to_owned(), text, 0);
    let (mut table, syntax) = parse(&main);
    let included = include::read(&main, &table, env);
    let sources: Vec<&Source> = std::iter::once(&main).chain(&included.sources).collect();
    let mut findings = Findings::new(&sources);
    syntax_problems(&syntax, &main, &mut findings);
    for (span, fault) in &included.problems {
        findings.error(span, "include", &fault.message).help(fault.help);
    }
    for source in &included.sources {
        let (other, syntax) = parse(source);
        syntax_problems(&syntax, source, &mut findings);
        include::merge(&mut table, other, source, &mut findings);
    }
    walk::walk(&mut table, &schema::shape(), env, &mut findings);
    let plan = read(table, &mut findings).map(|raw| check::check(&raw, cores(), now(), &mut findings));
    let others = findings.files();
    let hash = hash(&sources, others);
    let others = others.iter().map(|(file, _)| file.clone());
    let files = std::iter::once(PathBuf::from(name)).chain(included.watch.iter().cloned());
    let files = files.chain(others).collect();
    Reading {
        plan,
        failed: findings.failed(),
        problems: findings.into_problems(),
        hash,
        files,
    }
}

/// The table of a text and its syntax errors. With spans of the text alone.
fn parse(source: &Source) -> (DeTable<'_>, Vec<toml::de::Error>) {
    let (table, errors) = DeTable::parse_recoverable(&source.text);
    (table.into_inner(), errors)
}

fn syntax_problems(errors: &[toml::de::Error], source: &Source, findings: &mut Findings<'_>) {
    for error in errors {
        let span = error.span().unwrap_or_default();
        let span = span.start + source.base()..span.end + source.base();
        syntax_problem(error.message(), &span, source, findings);
        findings.text_is_incomplete();
    }
}

fn syntax_problem(message: &str, span: &Span, source: &Source, findings: &mut Findings<'_>) {
    if message != "duplicate key" {
        findings.error(span, "", message);
        return;
    }
    let key = &source.text[span.start - source.base()..span.end - source.base()];
    findings
        .error(span, "", format!("`{key}` is written twice in one table"))
        .help("keep one of them");
}

fn read(table: DeTable<'_>, findings: &mut Findings<'_>) -> Option<raw::File> {
    raw::File::read(table)
        .map_err(|(span, message)| {
            findings.error(&span, "", message);
        })
        .ok()
}

fn unreadable(name: &str, why: &str) -> Problem {
    Problem {
        severity: Severity::Error,
        file: name.to_owned(),
        line: 1,
        column: 1,
        path: String::new(),
        message: format!("the file cannot be read: {why}"),
        help: None,
        excerpt: None,
    }
}

/// What `threads = "auto"` becomes.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// Since the Unix epoch. Only warnings depend on it: a certificate does not change what it means by growing old.
fn now() -> Duration {
    Clock::system().now().wall
}

fn hash(sources: &[&Source], others: &[(PathBuf, u64)]) -> String {
    let mut hash = Xxh3::new();
    for source in sources {
        hash.update(source.text.as_bytes());
        // A byte no TOML holds: moving text from one file to the next is a change.
        hash.update(&[0]);
    }
    for (_, content) in others {
        hash.update(&content.to_le_bytes());
    }
    let mut out = String::new();
    write!(out, "{:016x}", hash.digest()).expect("a string takes every write");
    out
}
