//! The configuration room from outside: files in, plans or problems out.

#![allow(clippy::unwrap_used, reason = "what a test's helpers meet may fail the test")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use gateway::config::plan::{Cache, RateLimit};
use gateway::config::{self, Changes, Loaded, Plan, Problems, Severity};
use proptest::prelude::*;

#[path = "config/caches.rs"]
mod caches;
#[path = "config/caching.rs"]
mod caching;
#[path = "config/discovering.rs"]
mod discovering;
#[path = "config/edges.rs"]
mod edges;
#[path = "config/edging.rs"]
mod edging;
#[path = "config/guarding.rs"]
mod guarding;
#[path = "config/guards.rs"]
mod guards;
#[path = "config/plans.rs"]
mod plans;
#[path = "config/reference.rs"]
mod reference;
#[path = "config/tracing.rs"]
mod tracing;

const VALID: &str = "../tests/config/valid";
const INVALID: &str = "../tests/config/invalid";

/// The environment all files see.
fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/sluice",
        "HOST" => "example.com",
        "PASSWORD" => "opensesame",
        "SECRETS" => "../tests/config/secrets",
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

/// What `#:schema ./sluice.schema.json` in the files beside it refers to.
#[test]
fn the_schema_for_editors_is_the_one_of_this_build() {
    let path = "../conf/sluice.schema.json";
    let schema = config::schema() + "\n";
    if std::env::var_os(ACCEPT).is_some() {
        fs::write(path, &schema).unwrap();
    }
    let stored = fs::read_to_string(path).unwrap_or_default();
    assert!(stored == schema, "{path} is not what `sluice schema` prints");
}

/// A folder with these files, of which the first is loaded.
fn folder(files: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let main = dir.path().join(files[0].0);
    (dir, main)
}

fn only_problem(path: &Path) -> String {
    let problems = load(path).unwrap_err().0;
    assert_eq!(problems.len(), 1, "{problems:?}");
    problems[0].message.clone()
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_like_any_other() {
    let (dir, main) = folder(&[("a.toml", b"x = 1\ny = \"\xff\"")]);
    let text = only_problem(&main);
    assert_eq!(text, "the file cannot be read: it is not UTF-8 (line 2)");
    let text = only_problem(&dir.path().join("nope.toml"));
    assert_eq!(text, "the file cannot be read: No such file or directory");
    assert!(only_problem(dir.path()).contains("directory"));
    assert!(only_problem(Path::new("/dev/zero")).contains("16 MiB"));
}

const LISTENER: &[u8] = b"[[listeners]]\naddress = \"127.0.0.1:0\"\n";

#[test]
fn what_is_included_is_watched_and_counts_in_the_hash() {
    let include = b"include = [\"parts/*.toml\", \"more.toml\"]\n".as_slice();
    let (dir, main) = folder(&[
        ("main.toml", &[include, LISTENER].concat()),
        (
            "parts/b.toml",
            b"[[routes]]\nname = \"b\"\nrespond = {}\nmatch = { path = \"/b\" }",
        ),
        (
            "parts/a.toml",
            b"[[routes]]\nname = \"a\"\nrespond = {}\nmatch = { path = \"/a\" }",
        ),
        ("more.toml", b"[[routes]]\nname = \"c\"\nrespond = {}"),
    ]);
    let before = load(&main).unwrap();
    let names: Vec<&str> = before.plan.routes.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    let watched: Vec<_> = before
        .files
        .iter()
        .map(|f| f.strip_prefix(dir.path()).unwrap())
        .collect();
    let expected = ["main.toml", "parts", "parts/a.toml", "parts/b.toml", "more.toml"];
    assert_eq!(watched, expected.map(Path::new));

    assert_eq!(load(&main).unwrap().hash, before.hash);
    assert_eq!(before.hash.len(), 16);
    fs::write(dir.path().join("parts/a.toml"), "# nothing any more").unwrap();
    assert_ne!(load(&main).unwrap().hash, before.hash);
}

#[test]
fn a_file_from_another_system_reads_the_same_and_its_places_are_right() {
    let text = "\u{feff}[[listeners]]\r\naddress = \"127.0.0.1:0\"\r\n[[routes]]\r\nrespond = {}\r\nmax_body = 5\r\n";
    let problems = config::load_text("dos.toml", text, &env).unwrap_err().0;
    let [only] = problems.as_slice() else {
        panic!("{problems:?}")
    };
    assert_eq!((only.line, only.column), (5, 12));
    assert_eq!(only.excerpt.as_ref().unwrap().line, "max_body = 5");
    let first = config::load_text("dos.toml", "\u{feff}colour = 1", &env)
        .unwrap_err()
        .0;
    assert_eq!((first[0].line, first[0].column), (1, 1));
    let fixed = text.replace("max_body = 5", "max_body = '5B'");
    config::load_text("dos.toml", fixed, &env).unwrap();
}

#[test]
fn a_problem_as_json_has_the_fields_scripts_rely_on() {
    let text = "[[listeners]]\naddress = \":0\"\n[[routes]]\nname = \"api\"\nupstream = \"ap\"\n";
    let problems = config::load_text("a.toml", text, &env).unwrap_err();
    let expected = serde_json::json!([{
        "severity": "error", "file": "a.toml", "line": 5, "column": 12, "path": "routes.api.upstream",
        "message": "no upstream is named \"ap\"", "help": "define it: [upstreams.ap]",
    }]);
    assert_eq!(serde_json::to_value(&problems).unwrap(), expected);
}

fn plan(text: &str) -> Plan {
    config::load_text("a.toml", text, &env)
        .unwrap_or_else(|p| panic!("{p}"))
        .plan
}

const OLD: &str = r#"
[server]
threads = 1
[[listeners]]
address = "127.0.0.1:80"
[upstreams.b]
servers = [{ address = "10.0.0.1:80" }, { address = "10.0.0.2:80" }]
[caches.old]
[caches.site]
[[routes]]
name = "one"
match = { path = "/1" }
upstream = "b"
cache = { store = "site", ttl = "1m" }
[[routes]]
name = "five"
match = { path = "/5" }
upstream = "b"
cache = { store = "site" }
[[routes]]
name = "two"
match = { path = "/2" }
respond = {}
[[routes]]
name = "three"
match = { path = "/3" }
respond = {}
"#;

/// The new upstream and the new cache come before the old ones, so ids shift: that alone alters no route.
const NEW: &str = r#"
[server]
threads = 2
[admin]
[[listeners]]
address = "127.0.0.1:81"
[upstreams.a]
servers = [{ address = "10.0.0.1:80" }]
[upstreams.b]
servers = [{ address = "10.0.0.1:80", weight = 2 }, { address = "10.0.0.3:80" }]
max_idle = 1
[caches.edge]
[caches.site]
memory = "128MiB"
[compression]
min_size = "2KiB"
[[routes]]
name = "three"
match = { path = "/3" }
respond = { body = "x" }
[[routes]]
name = "one"
match = { path = "/1" }
upstream = "b"
cache = { store = "site", ttl = "1m" }
[[routes]]
name = "five"
match = { path = "/5" }
upstream = "b"
cache = { store = "site", key = { query = "none" } }
[[routes]]
name = "four"
upstream = "a"
"#;

#[test]
fn changes_are_told_by_name_one_line_each() {
    let changes = Changes::between(&plan(OLD), &plan(NEW));
    let expected = "\
altered [server]
altered [admin]
altered [compression]
added listener 127.0.0.1:81
removed listener 127.0.0.1:80
added upstream a
altered upstream b
added server a/10.0.0.1:80
added server b/10.0.0.3:80
removed server b/10.0.0.2:80
altered server b/10.0.0.1:80
added cache edge
removed cache old
altered cache site
added route four
removed route two
altered route five
altered route three
routes stand in another order
server.threads takes effect after a restart
admin.address takes effect after a restart
";
    assert_eq!(changes.to_string(), expected);
    assert_eq!(
        Changes::between(&plan(OLD), &plan(OLD)).to_string(),
        "nothing changed\n"
    );
    let json = serde_json::to_value(&changes).unwrap();
    assert_eq!(json["routes"]["altered"], serde_json::json!(["five", "three"]));
    assert_eq!(
        json["restart"],
        serde_json::json!(["server.threads", "admin.address"])
    );
}

#[test]
fn a_token_that_the_next_start_reads_is_told_as_that() {
    let with = |token_file: &str| {
        plan(&format!(
            "[admin]\naddress = \"127.0.0.1:1\"\n{token_file}\n{OLD}"
        ))
    };
    let (none, one) = (with(""), with("token_file = \"/etc/sluice/token\""));
    for (before, after) in [(&none, &one), (&one, &none)] {
        let told = Changes::between(before, after).to_string();
        assert_eq!(
            told,
            "altered [admin]\nadmin.token_file takes effect after a restart\n"
        );
    }
}

fn read_back(plan: &Plan) -> Plan {
    let text = config::effective(plan);
    match config::load_text("effective.toml", text.as_str(), &|_| None) {
        Ok(loaded) => loaded.plan,
        Err(problems) => panic!("{problems}\n{text}"),
    }
}

/// The same caches, each a byte larger.
fn resized(caches: &[Arc<Cache>]) -> Vec<Arc<Cache>> {
    let larger = |cache: &Arc<Cache>| Cache {
        memory: cache.memory + 1,
        ..Cache::clone(cache)
    };
    caches.iter().map(|c| Arc::new(larger(c))).collect()
}

/// The same limits, each with one more request in its time.
fn faster(limits: &[Arc<RateLimit>]) -> Vec<Arc<RateLimit>> {
    let faster = |limit: &Arc<RateLimit>| RateLimit {
        count: limit.count.saturating_add(1),
        ..RateLimit::clone(limit)
    };
    limits.iter().map(|l| Arc::new(faster(l))).collect()
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
    fn there_are_changes_exactly_between_plans_that_differ(
        old in plans::plan(), other in plans::plan(), takes: [bool; 9], turns: bool,
    ) {
        let mut new = old.clone();
        if takes[0] { new.server = other.server; }
        if takes[1] { new.admin = other.admin; }
        if takes[2] { new.access_log = other.access_log; }
        if takes[3] {
            (new.upstreams, new.caches, new.routes) = (other.upstreams, other.caches, other.routes);
            (new.rate_limits, new.concurrency_limits) = (other.rate_limits, other.concurrency_limits);
            new.auths = other.auths;
        }
        if takes[4] { new.compression = other.compression; }
        if takes[5] { new.caches = resized(&new.caches); }
        if takes[6] { new.redis = other.redis; }
        if takes[7] { new.rate_limits = faster(&new.rate_limits); }
        if takes[8] { (new.listeners, new.certificates) = (other.listeners.clone(), other.certificates); for route in &mut new.routes { Arc::make_mut(route).matches.listener = None; } }
        if turns { new.routes.reverse(); }
        let (there, back) = (Changes::between(&old, &new), Changes::between(&new, &old));
        prop_assert_eq!(there.is_empty(), old == new);
        prop_assert_eq!(there.routes.added, back.routes.removed);
        prop_assert_eq!(there.servers.altered, back.servers.altered);
        prop_assert_eq!(there.caches.added, back.caches.removed);
        prop_assert_eq!(there.rate_limits.added, back.rate_limits.removed);
        prop_assert_eq!(there.auth.altered, back.auth.altered);
        prop_assert_eq!(there.certificates.added, back.certificates.removed);
        prop_assert_eq!(there.listeners.altered, back.listeners.altered);
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
