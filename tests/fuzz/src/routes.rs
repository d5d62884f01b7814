//! A table of routes drawn from bytes, against going through all of them.

use std::cmp::Reverse;

use gateway::config::plan::{Match, PathPattern, ValueTest};
use gateway::kit::host::HostPattern;
use gateway::kit::pattern::Pattern;
use gateway::route::{Facts, Found, Routed, Table};
use gateway::wire::{Fields, Method, target::other_reading};

const HOSTS: [&str; 6] = ["*", "a.b", "*.b", "*.a.b", "c.a.b", "b"];
const ASKED_HOSTS: [&str; 6] = ["a.b", "b", "c.a.b", "d.c.a.b", "x", "xa.b"];
const PATHS: [&str; 7] = ["/", "/a", "/a/b", "/a/b/c", "/a%2Fb", "/ab", "/a/"];
const EXPRESSIONS: [&str; 3] = ["^/a", "b$", "."];
const METHODS: [&[&str]; 4] = [&[], &["GET"], &["POST", "PUT"], &["HEAD"]];
const ROUTES_MAX: usize = 24;

/// Bytes as choices; zero when they are used up.
struct Choices<'a>(&'a [u8]);

impl Choices<'_> {
    fn of(&mut self, count: usize) -> usize {
        let (first, rest) = super::chooser(self.0);
        self.0 = rest;
        usize::from(first) % count
    }
}

/// Builds a table and asks it until the bytes are used up.
pub fn target(data: &[u8]) {
    let mut choices = Choices(data);
    let count = choices.of(ROUTES_MAX);
    let routes: Vec<Match> = (0..count).map(|_| route(&mut choices)).collect();
    let table = Table::new(routes.iter().cloned().enumerate().map(|(at, m)| (m, at)));
    for _ in 0..64 {
        ask(&table, &routes, &mut choices);
        if choices.0.is_empty() {
            break;
        }
    }
}

fn route(choices: &mut Choices<'_>) -> Match {
    let path = PATHS[choices.of(PATHS.len())];
    let test = |at: usize| match at {
        0 => ValueTest::Present,
        _ => ValueTest::Equals("1".to_owned()),
    };
    Match {
        listener: (choices.of(4) == 0).then(|| "l".to_owned()),
        host: HostPattern::parse(HOSTS[choices.of(HOSTS.len())]).expect("a pattern of the list"),
        path: match choices.of(4) {
            0 => PathPattern::Any,
            1 => PathPattern::Exact(path.to_owned()),
            2 => PathPattern::Prefix(path.trim_end_matches('/').to_owned()),
            _ => PathPattern::Regex(Pattern::parse(EXPRESSIONS[choices.of(3)]).expect("one of the list")),
        },
        methods: METHODS[choices.of(4)].iter().map(|m| (*m).to_owned()).collect(),
        headers: (choices.of(5) == 0)
            .then(|| ("x".to_owned(), test(choices.of(2))))
            .into_iter()
            .collect(),
        query: (choices.of(5) == 0)
            .then(|| ("q".to_owned(), test(choices.of(2))))
            .into_iter()
            .collect(),
    }
}

fn ask(table: &Table<usize>, routes: &[Match], choices: &mut Choices<'_>) {
    let mut fields = Fields::default();
    for value in &["1", "2"][..choices.of(3)] {
        fields.push(b"X", value.as_bytes());
    }
    let path = format!(
        "{}{}",
        PATHS[choices.of(PATHS.len())],
        ["", "/c", "b", "%5Cc"][choices.of(4)]
    );
    let facts = Facts {
        listener: [None, Some("l"), Some("m")][choices.of(3)],
        host: ASKED_HOSTS[choices.of(ASKED_HOSTS.len())],
        path: &path.replace("//", "/"),
        method: ["GET", "HEAD", "POST", "X"][choices.of(4)],
        query: [None, Some("q=1"), Some("p&q=2"), Some("q")][choices.of(4)],
        fields: &fields,
    };
    let expected = plainly(routes, &facts);
    match table.find(&facts) {
        Found::Route(at) => assert_eq!(Some(*at), expected, "{facts:?}"),
        Found::MethodNotAllowed(allowed) => {
            assert!(expected.is_none() && allowed.is_sorted() && !allowed.contains(&facts.method));
            for method in allowed {
                assert!(
                    plainly(routes, &Facts { method, ..facts }).is_some(),
                    "{method} of {facts:?}"
                );
            }
        }
        Found::Nothing => assert_eq!(None, expected, "{facts:?}"),
    }
    // An encoded slash takes nobody past a route: what is let through is for the same route either way.
    if let Routed::Route(at) = table.route(&facts, &mut ()) {
        assert_eq!(Some(*at), expected);
        let is_written = matches!(&routes[*at].path, PathPattern::Exact(path) if path == facts.path);
        let other = other_reading(facts.path).filter(|_| !is_written);
        let found = other.and_then(|path| plainly(routes, &Facts { path: &path, ..facts }));
        assert!(found.is_none_or(|other| other == *at), "{facts:?}");
    }
}

/// The most specific route that fits as a whole: host, path, conditions, place.
fn plainly(routes: &[Match], facts: &Facts<'_>) -> Option<usize> {
    let fitting = routes.iter().enumerate().filter(|(_, m)| fits(m, facts));
    fitting
        .min_by_key(|(at, m)| (Reverse(specific(m)), *at))
        .map(|(at, _)| at)
}

type Specific = ((u8, usize), (u8, usize), (bool, usize, bool));

fn specific(m: &Match) -> Specific {
    let host = match &m.host {
        HostPattern::Any => (0, 0),
        HostPattern::Below(suffix) => (1, suffix.len()),
        HostPattern::Exact(_) => (2, 0),
    };
    let weight = (
        m.listener.is_some(),
        m.headers.len() + m.query.len(),
        !m.methods.is_empty(),
    );
    match &m.path {
        PathPattern::Any => (host, (0, 0), weight),
        // In the order of the file, whatever else they ask.
        PathPattern::Regex(_) => (host, (1, 0), (false, 0, false)),
        PathPattern::Prefix(path) => (host, (2, path.len()), weight),
        PathPattern::Exact(_) => (host, (3, 0), weight),
    }
}

fn fits(m: &Match, facts: &Facts<'_>) -> bool {
    let host = match &m.host {
        HostPattern::Any => true,
        HostPattern::Below(suffix) => {
            facts.host.len() > suffix.len() && facts.host.ends_with(suffix.as_str())
        }
        HostPattern::Exact(name) => name == facts.host,
    };
    let path = match &m.path {
        PathPattern::Any => true,
        PathPattern::Exact(path) => path == facts.path,
        PathPattern::Prefix(prefix) => facts.path == prefix || facts.path.starts_with(&format!("{prefix}/")),
        PathPattern::Regex(pattern) => pattern.is_match(facts.path),
    };
    let is = |test: &ValueTest, value: &str| match test {
        ValueTest::Present => true,
        ValueTest::Equals(text) => text == value,
    };
    let values: Vec<_> = facts
        .fields
        .iter()
        .map(|f| String::from_utf8_lossy(f.value))
        .collect();
    let parameters: Vec<_> = facts
        .query
        .unwrap_or_default()
        .split('&')
        .map(|p| p.split_once('=').unwrap_or((p, "")))
        .collect();
    host && path
        && m.listener.as_deref().is_none_or(|l| facts.listener == Some(l))
        && m.headers
            .iter()
            .all(|(_, test)| values.iter().any(|v| is(test, v)))
        && m.query
            .iter()
            .all(|(name, test)| parameters.iter().any(|(n, v)| n == name && is(test, v)))
        && (m.methods.is_empty()
            || m.methods.iter().any(|m| m == facts.method)
            || Method::of(facts.method.as_bytes()) == Method::Head && m.methods.iter().any(|m| m == "GET"))
}
