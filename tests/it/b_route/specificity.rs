//! Whatever the file says and in whatever order: the answer is the most specific route's (config.md, rule 4).

use std::cmp::Reverse;

use harness::{Gateway, Request};
use proptest::prelude::*;

/// The parts of a route that decide, as indices into small sets, so that routes and requests often meet.
#[derive(Clone, Debug)]
struct Rule {
    host: &'static str,
    path: Pattern,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pattern {
    Exact(&'static str),
    Prefix(&'static str),
    Regex(&'static str),
}

const HOSTS: &[&str] = &["*", "*.test", "*.a.test", "a.test", "b.a.test"];
const ASKED_HOSTS: &[&str] = &["a.test", "b.a.test", "c.b.a.test", "b.test", "test", "other"];
const PATHS: &[&str] = &["/", "/a", "/a/b", "/a/b/c", "/ab"];
const ASKED_PATHS: &[&str] = &[
    "/", "/a", "/a/", "/a/b", "/a/bc", "/a/b/c", "/a/b/c/d", "/ab", "/b", "/b/c",
];
const REGEXES: &[&str] = &["b", "c$", "^/a"];

fn rule() -> impl Strategy<Value = Rule> {
    let path = prop_oneof![
        prop::sample::select(PATHS).prop_map(Pattern::Exact),
        prop::sample::select(PATHS).prop_map(Pattern::Prefix),
        prop::sample::select(REGEXES).prop_map(Pattern::Regex),
    ];
    (prop::sample::select(HOSTS), path).prop_map(|(host, path)| Rule { host, path })
}

impl Rule {
    /// How specific a match is; None if it is none. Greater is preferred.
    fn rank(&self, order: usize, host: &str, path: &str) -> Option<(usize, u8, usize, Reverse<usize>)> {
        let host_rank = match self.host.strip_prefix('*') {
            Some("") => 0,
            Some(suffix) => (host.len() > suffix.len() && host.ends_with(suffix)).then_some(suffix.len())?,
            None => (host == self.host).then_some(usize::MAX)?,
        };
        let (kind, length) = match self.path {
            Pattern::Exact(exact) => (path == exact).then_some((2, 0))?,
            Pattern::Prefix(prefix) => {
                let prefix = prefix.trim_end_matches('/');
                let rest = path.strip_prefix(prefix)?;
                (rest.is_empty() || rest.starts_with('/')).then_some((1, prefix.len()))?
            }
            Pattern::Regex("b") => path.contains('b').then_some((0, 0))?,
            Pattern::Regex("c$") => path.ends_with('c').then_some((0, 0))?,
            Pattern::Regex(_) => path.starts_with("/a").then_some((0, 0))?,
        };
        Some((host_rank, kind, length, Reverse(order)))
    }

    fn toml(&self, name: usize) -> String {
        let path = match self.path {
            Pattern::Exact(path) => format!("path = {path:?}"),
            Pattern::Prefix(path) => format!("path_prefix = {path:?}"),
            Pattern::Regex(path) => format!("path_regex = {path:?}"),
        };
        format!(
            "[[routes]]\nname = \"r{name}\"\nmatch = {{ host = {:?}, {path} }}\nrespond = {{ status = 200, body = \"r{name}\" }}\n",
            self.host
        )
    }
}

/// Two routes with the same match are an error, so the later one is left out.
fn distinct(rules: Vec<Rule>) -> Vec<Rule> {
    let mut kept: Vec<Rule> = Vec::new();
    for rule in rules {
        if !kept.iter().any(|k| k.host == rule.host && k.path == rule.path) {
            kept.push(rule);
        }
    }
    kept
}

fn toml(rules: &[Rule]) -> String {
    rules.iter().enumerate().map(|(i, rule)| rule.toml(i)).collect()
}

/// What a scan of all rules finds.
fn expected(rules: &[Rule], host: &str, path: &str) -> Option<String> {
    let ranked = rules.iter().enumerate();
    let best = ranked
        .filter_map(|(i, rule)| Some((rule.rank(i, host, path)?, i)))
        .max()?;
    Some(format!("r{}", best.1))
}

#[test]
fn the_most_specific_route_wins_whatever_the_file_s_order() {
    let sets = prop::collection::vec(rule(), 1..12).prop_map(distinct);
    let gw = Gateway::start(&toml(&[Rule {
        host: "*",
        path: Pattern::Prefix("/"),
    }]));
    let config = ProptestConfig {
        cases: 24,
        failure_persistence: None,
        ..ProptestConfig::default()
    };
    proptest!(config, |(rules in sets)| {
        let reloaded = gw.reload(&toml(&rules));
        prop_assert!(reloaded.is_ok(), "{:?}", reloaded.err().map(|p| p.to_string()));
        let mut client = gw.connect();
        for host in ASKED_HOSTS {
            for path in ASKED_PATHS {
                let response = client.ask(&Request::get(path).host(host));
                let found = (response.status == 200).then(|| response.text());
                prop_assert_eq!(found, expected(&rules, host, path), "{} {}", host, path);
            }
        }
    });
}
