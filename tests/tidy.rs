//! The rules of the house, checked from the source itself.
//!
//! Lints see one crate and one item at a time; these rules are about the whole tree.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/source.rs"]
mod source;

use layers::{LAYERS, WITHIN};

const FUNCTION_LINES_MAX: usize = 70;
const FILE_LINES_MAX: usize = 500;

/// Longer on purpose. The list may only shrink: an entry that is not needed any more fails too.
const LONG_FILES: &[(&str, &str)] = &[];

/// Longer on purpose. The list may only shrink.
const LONG_FUNCTIONS: &[(&str, &str, &str)] = &[];

/// A source file of the workspace.
struct File {
    /// Relative to the workspace, with forward slashes.
    path: String,
    text: String,
    /// The text without comments and literals.
    code: String,
}

#[test]
fn functions_fit_on_a_screen() {
    let mut faults = Vec::new();
    let mut needed = BTreeSet::new();
    for file in files() {
        for function in source::functions(&file.code) {
            if function.length <= FUNCTION_LINES_MAX {
                continue;
            }
            let excused =
                |(path, name, _): &&(&str, &str, &str)| *path == file.path && *name == function.name;
            match LONG_FUNCTIONS.iter().find(excused) {
                Some(entry) => _ = needed.insert(entry),
                None => faults.push(format!(
                    "{}:{}: {} has {} lines",
                    file.path, function.line, function.name, function.length
                )),
            }
        }
    }
    let unneeded = LONG_FUNCTIONS.iter().filter(|e| !needed.contains(e));
    faults.extend(unneeded.map(|(path, name, _)| format!("{name} in {path} needs no exception any more")));
    report(
        &faults,
        "split it: a function that does not fit on a screen does more than one thing",
    );
}

#[test]
fn files_stay_short() {
    let mut faults = Vec::new();
    for file in files() {
        let lines = file.text.lines().count();
        let excused = LONG_FILES.iter().any(|(path, _)| *path == file.path);
        match (lines > FILE_LINES_MAX, excused) {
            (true, false) => faults.push(format!("{} has {lines} lines", file.path)),
            (false, true) => faults.push(format!("{} needs no exception any more", file.path)),
            (true, true) | (false, false) => {}
        }
    }
    report(&faults, "a longer file is a room that wants a door");
}

#[test]
fn imports_go_downwards() {
    let mut faults = Vec::new();
    for file in files().iter().filter(|f| f.path.starts_with("gateway/src/")) {
        let own = module_of(&file.path);
        if own == "lib" {
            continue;
        }
        for (line, other) in crate_paths(&file.code) {
            if let Some(fault) = arrow_fault(&own, &other) {
                faults.push(format!("{}:{line}: {fault}", file.path));
            }
        }
    }
    report(
        &faults,
        "pass what is needed as an argument, or move it to a lower layer",
    );
}

#[test]
fn arrows_upwards_and_sideways_are_found() {
    assert_eq!(arrow_fault("route", "kit"), None);
    assert_eq!(arrow_fault("balance", "upstream"), None);
    assert!(arrow_fault("kit", "config").is_some());
    assert!(arrow_fault("upstream", "balance").is_some());
    assert!(arrow_fault("route", "nowhere").is_some());
    let code = "use crate::{kit::clock, wire};\nlet x = crate::server::Y;";
    let found = crate_paths(code);
    let expected = [(1, "kit"), (1, "wire"), (2, "server")].map(|(line, name)| (line, name.to_owned()));
    assert_eq!(found, expected);
}

#[test]
fn the_time_is_asked_for_in_one_place() {
    let clock = "gateway/src/kit/clock.rs";
    let ours = |f: &File| f.path.starts_with("gateway/") || f.path.starts_with("tests/");
    let mut faults = Vec::new();
    for file in files().into_iter().filter(ours).filter(|f| f.path != clock) {
        faults.extend(finds(&file, &["Instant::now", "SystemTime::now"]));
    }
    report(&faults, "take Now as an argument; see gateway/src/kit/clock.rs");
}

#[test]
fn no_play_sleeps() {
    let mut faults = Vec::new();
    let is_play = |f: &File| {
        ["tests/it/", "tests/promises/"]
            .iter()
            .any(|p| f.path.starts_with(p))
    };
    for file in files().into_iter().filter(is_play) {
        faults.extend(finds(&file, &["sleep", "sleep_ms", "park_timeout"]));
    }
    report(
        &faults,
        "wait for a fact (wait_until), or hold an actor at a gate",
    );
}

#[test]
fn no_test_is_ignored() {
    let mut faults = Vec::new();
    for file in files() {
        faults.extend(
            file.code
                .match_indices("#[ignore")
                .map(|(at, _)| place(&file, at)),
        );
    }
    report(&faults, "mend it or delete it");
}

#[test]
fn what_is_left_to_do_has_an_issue() {
    let mut faults = Vec::new();
    // Spelled in two halves, so that this file does not find itself.
    let word = ["TO", "DO"].concat();
    for file in files() {
        for at in source::words(&file.text, &word) {
            let after = file.text[at + word.len()..].trim_start_matches(['(', ' ', ':']);
            let number = after
                .strip_prefix('#')
                .is_some_and(|n| n.starts_with(|c: char| c.is_ascii_digit()));
            if !number {
                faults.push(place(&file, at));
            }
        }
    }
    report(&faults, "name the issue (#12), or do it");
}

#[test]
fn every_test_module_has_a_test() {
    let mut faults = Vec::new();
    for file in files() {
        for at in source::words(&file.code, "mod tests") {
            let inline = file.code[at + "mod tests".len()..].trim_start().starts_with('{');
            let has_test = match inline {
                true => is_tested(source::braces(&file.code, at)),
                false => test_files(&file.path, &file.text, at)
                    .iter()
                    .any(|p| is_tested(&read(p))),
            };
            if !has_test {
                faults.push(place(&file, at));
            }
        }
    }
    report(&faults, "a test module without a test tests nothing");
}

#[test]
fn every_source_file_is_compiled() {
    let mut reached = BTreeSet::new();
    let mut open: Vec<String> = crate_roots();
    while let Some(path) = open.pop() {
        let text = read(&path);
        let code = source::blank(&text);
        for at in source::words(&code, "mod") {
            let rest = code[at + 3..].trim_start();
            let name: String = rest
                .chars()
                .take_while(|c| c.is_alphanumeric() || *c == '_')
                .collect();
            if rest[name.len()..].trim_start().starts_with(';') {
                open.extend(child(&path, &name, &text, at));
            }
        }
        reached.insert(path);
    }
    let lost = files()
        .into_iter()
        .map(|f| f.path)
        .filter(|p| !reached.contains(p));
    report(
        &lost.collect::<Vec<_>>(),
        "no `mod` leads to it: it is not compiled, not linted, not tested",
    );
}

#[test]
fn every_configuration_that_people_copy_loads() {
    let mut faults = Vec::new();
    let folder = workspace().join("conf");
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let names = entries
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned());
    let mut texts: Vec<_> = names
        .filter(|name| name.ends_with(".toml"))
        .map(|name| (format!("conf/{name}"), read(&format!("conf/{name}"))))
        .collect();
    assert!(!texts.is_empty(), "there is nothing to copy in conf");
    texts.extend(toml_blocks("README.md"));
    for (name, text) in texts {
        if let Err(problems) = gateway::config::load_text(&name, text, &|_| None) {
            faults.push(format!("{name}:\n{problems}"));
        }
    }
    report(&faults, "who copies it must not have to mend it");
}

/// The blocks of a document that are marked as TOML, each with its place.
fn toml_blocks(path: &str) -> Vec<(String, String)> {
    if !workspace().join(path).is_file() {
        return Vec::new();
    }
    let text = read(path);
    let starts = text
        .match_indices("```toml\n")
        .map(|(at, fence)| at + fence.len());
    let block = |at: usize| {
        let inside = text[at..].split("```").next().unwrap_or_default();
        (
            format!("{path}:{}", source::line_at(&text, at)),
            inside.to_owned(),
        )
    };
    starts.map(block).collect()
}

/// Why a module may not import another.
fn arrow_fault(own: &str, other: &str) -> Option<String> {
    let layer = |name: &str| LAYERS.iter().position(|l| l.contains(&name));
    let (Some(from), Some(to)) = (layer(own), layer(other)) else {
        return Some(format!(
            "{own} → {other}: one of them has no layer in tests/tidy.rs"
        ));
    };
    let allowed = to < from || own == other || to == from && WITHIN.contains(&(own, other));
    (!allowed).then(|| format!("{own} (L{from}) → {other} (L{to})"))
}

/// "gateway/src/kit/clock.rs" → "kit"
fn module_of(path: &str) -> String {
    let inside = path.trim_start_matches("gateway/src/");
    let first = inside.split('/').next().unwrap_or(inside);
    first.trim_end_matches(".rs").to_owned()
}

/// The modules named by `crate::…`, with their lines.
fn crate_paths(code: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for at in source::words(code, "crate") {
        let Some(rest) = code[at..].strip_prefix("crate::") else {
            continue;
        };
        let line = source::line_at(code, at);
        if !rest.starts_with('{') {
            found.push((line, first_word(rest)));
            continue;
        }
        let mut depth = 0;
        let inside = source::braces(rest, 0);
        for piece in inside[1..inside.len() - 1].split_inclusive([',', '{', '}']) {
            let name = first_word(piece.trim_start());
            if depth == 0 && !name.is_empty() {
                found.push((line, name));
            }
            depth += piece.matches('{').count();
            depth -= piece.matches('}').count();
        }
    }
    // `pub(crate)`, `$crate` and the like name no module; neither does an item of the crate's root.
    found.retain(|(_, name)| name.starts_with(|c: char| c.is_ascii_lowercase()));
    found
}

fn first_word(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn is_tested(code: &str) -> bool {
    ["#[test]", "::test]", "::test(", "proptest!"]
        .iter()
        .any(|m| code.contains(m))
}

/// The files of a test module that stands apart, its own modules among them.
fn test_files(parent: &str, text: &str, at: usize) -> Vec<String> {
    let mut found = child(parent, "tests", text, at);
    let folders: Vec<_> = found
        .iter()
        .filter_map(|path| path.strip_suffix("/mod.rs"))
        .map(str::to_owned)
        .collect();
    found.extend(folders.iter().flat_map(|folder| rust_files(folder, true)));
    found
}

/// The file that `mod name;` at `at` stands for: one path, or two where either would do.
fn child(parent: &str, name: &str, text: &str, at: usize) -> Vec<String> {
    let folder = parent.rsplit_once('/').map_or("", |(folder, _)| folder);
    let line_start = text[..at].trim_end_matches("pub ").trim_end();
    if let Some(written) = line_start
        .strip_suffix("\"]")
        .and_then(|t| t.rsplit_once("#[path = \""))
    {
        return vec![format!("{folder}/{}", written.1)];
    }
    let stem = parent
        .rsplit('/')
        .next()
        .unwrap_or(parent)
        .trim_end_matches(".rs");
    let is_root = matches!(stem, "mod" | "lib" | "main") || crate_roots().iter().any(|r| r == parent);
    let base = if is_root {
        folder.to_owned()
    } else {
        format!("{folder}/{stem}")
    };
    let candidates = [format!("{base}/{name}.rs"), format!("{base}/{name}/mod.rs")];
    candidates
        .into_iter()
        .filter(|p| workspace().join(p).is_file())
        .collect()
}

/// Where compilation begins: what Cargo finds by itself and what the manifests name.
fn crate_roots() -> Vec<String> {
    let mut roots = Vec::new();
    for member in ["gateway", "backend", "tests", "tests/fuzz", "benches"] {
        let manifest = read(&format!("{member}/Cargo.toml"));
        let named = manifest
            .lines()
            .filter_map(|l| l.strip_prefix("path = \"")?.strip_suffix('"'));
        roots.extend(named.map(|path| format!("{member}/{path}")));
        for own in ["src/lib.rs", "src/main.rs", "build.rs"] {
            roots.push(format!("{member}/{own}"));
        }
        for folder in ["benches", "tests", "examples", "src/bin"] {
            roots.extend(rust_files(&format!("{member}/{folder}"), false));
        }
    }
    // Of a workspace of their own, each a crate.
    roots.extend(rust_files("tests/fuzz/cargo-fuzz/fuzz_targets", false));
    roots.retain(|path| workspace().join(path).is_file());
    roots
}

fn finds(file: &File, needles: &[&str]) -> Vec<String> {
    let places = needles
        .iter()
        .flat_map(|needle| source::words(&file.code, needle));
    places.map(|at| place(file, at)).collect()
}

fn place(file: &File, at: usize) -> String {
    format!("{}:{}", file.path, source::line_at(&file.text, at))
}

#[track_caller]
fn report(faults: &[String], remedy: &str) {
    assert!(faults.is_empty(), "{}\n→ {remedy}", faults.join("\n"));
}

fn files() -> Vec<File> {
    let members = ["gateway", "backend", "tests", "benches"];
    let paths: Vec<_> = members.iter().flat_map(|m| rust_files(m, true)).collect();
    assert!(paths.len() > 20, "the workspace has more files than {paths:?}");
    paths
        .into_iter()
        .map(|path| {
            let text = read(&path);
            let code = source::blank(&text);
            File { path, text, code }
        })
        .collect()
}

fn rust_files(folder: &str, deep: bool) -> Vec<String> {
    let Ok(entries) = fs::read_dir(workspace().join(folder)) else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if entry.path().is_dir() && deep && name != "target" {
            found.extend(rust_files(&path, true));
        } else if name.ends_with(".rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn read(path: &str) -> String {
    fs::read_to_string(workspace().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
