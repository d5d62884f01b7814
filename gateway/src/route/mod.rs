//! Which route a request takes: host, then path, then the rest, by specificity and not by file order.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::config::plan::{Match, PathPattern, ValueTest};
use crate::kit::host::HostPattern;
use crate::kit::pattern::Pattern;
use crate::wire::{Fields, Method};

#[cfg(test)]
mod tests;

/// What the table asks about a request.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// Name of the listener it came in by.
    pub listener: Option<&'a str>,
    /// Lower case, without port.
    pub host: &'a str,
    /// One spelling for each path, see [`crate::wire::target::normalise`].
    pub path: &'a str,
    /// Method, as text.
    pub method: &'a str,
    /// What follows the question mark.
    pub query: Option<&'a str>,
    /// Field lines.
    pub fields: &'a Fields,
}

/// What the table answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a, T> {
    /// This route.
    Route(&'a T),
    /// There are routes, for these methods only (sorted).
    MethodNotAllowed(Vec<&'a str>),
    /// None.
    Nothing,
}

/// Routes of one configuration with what each leads to.
#[derive(Debug)]
pub struct Table<T> {
    exact: HashMap<String, Paths<T>>,
    /// Longest suffix first.
    below: Vec<(HostPattern, Paths<T>)>,
    any: Paths<T>,
}

/// The routes of one host pattern.
#[derive(Debug)]
struct Paths<T> {
    exact: HashMap<String, Vec<Rule<T>>>,
    prefix: HashMap<String, Vec<Rule<T>>>,
    /// Of the prefixes, longest first. Only these are looked up: a path of slashes has as many prefixes as bytes.
    prefix_lengths: Vec<usize>,
    /// In file order.
    regex: Vec<(Pattern, Rule<T>)>,
    any: Vec<Rule<T>>,
}

#[derive(Debug)]
struct Rule<T> {
    listener: Option<String>,
    methods: Vec<String>,
    headers: Vec<(String, ValueTest)>,
    query: Vec<(String, ValueTest)>,
    /// Place in the file.
    order: usize,
    target: T,
}

impl<T> Table<T> {
    /// Builds the table. Routes are given in file order.
    pub fn new(routes: impl IntoIterator<Item = (Match, T)>) -> Self {
        let mut table = Self {
            exact: HashMap::new(),
            below: Vec::new(),
            any: Paths::default(),
        };
        for (order, (m, target)) in routes.into_iter().enumerate() {
            let rule = Rule {
                listener: m.listener,
                methods: m.methods,
                headers: m.headers,
                query: m.query,
                order,
                target,
            };
            table.paths_of(m.host).add(m.path, rule);
        }
        table
            .below
            .sort_by_key(|(host, _)| Reverse(host.to_string().len()));
        table
    }

    /// The most specific route that matches.
    ///
    /// A host or path that is more specific wins only if one of its routes matches as a whole: a request that
    /// `example.com` has no route for may still find one for `*`.
    pub fn find<'a>(&'a self, facts: &Facts<'_>) -> Found<'a, T> {
        let mut allowed = Vec::new();
        for paths in self.hosts(facts.host) {
            if let Some(target) = paths.find(facts, &mut allowed) {
                return Found::Route(target);
            }
        }
        if allowed.is_empty() {
            return Found::Nothing;
        }
        allowed.sort_unstable();
        allowed.dedup();
        Found::MethodNotAllowed(allowed)
    }

    fn hosts(&self, host: &str) -> impl Iterator<Item = &Paths<T>> {
        let below = self
            .below
            .iter()
            .filter(move |(pattern, _)| pattern.matches(host))
            .map(|(_, paths)| paths);
        self.exact
            .get(host)
            .into_iter()
            .chain(below)
            .chain(std::iter::once(&self.any))
    }

    fn paths_of(&mut self, host: HostPattern) -> &mut Paths<T> {
        match host {
            HostPattern::Any => &mut self.any,
            HostPattern::Exact(name) => self.exact.entry(name).or_default(),
            HostPattern::Below(_) => {
                let at = self
                    .below
                    .iter()
                    .position(|(h, _)| *h == host)
                    .unwrap_or_else(|| {
                        self.below.push((host, Paths::default()));
                        self.below.len() - 1
                    });
                &mut self.below[at].1
            }
        }
    }
}

impl<T> Default for Paths<T> {
    fn default() -> Self {
        Self {
            exact: HashMap::new(),
            prefix: HashMap::new(),
            prefix_lengths: Vec::new(),
            regex: Vec::new(),
            any: Vec::new(),
        }
    }
}

impl<T> Paths<T> {
    fn add(&mut self, path: PathPattern, rule: Rule<T>) {
        let rules = match path {
            PathPattern::Any => &mut self.any,
            PathPattern::Exact(path) => self.exact.entry(path).or_default(),
            PathPattern::Prefix(prefix) => {
                if let Err(at) = self
                    .prefix_lengths
                    .binary_search_by_key(&Reverse(prefix.len()), |n| Reverse(*n))
                {
                    self.prefix_lengths.insert(at, prefix.len());
                }
                self.prefix.entry(prefix).or_default()
            }
            PathPattern::Regex(pattern) => return self.regex.push((pattern, rule)),
        };
        rules.push(rule);
        rules.sort_by_key(|r| (Reverse(r.weight()), r.order));
    }

    fn find<'a>(&'a self, facts: &Facts<'_>, allowed: &mut Vec<&'a str>) -> Option<&'a T> {
        if let Some(rule) = self
            .exact
            .get(facts.path)
            .and_then(|rules| first(rules, facts, allowed))
        {
            return Some(rule);
        }
        for length in &self.prefix_lengths {
            if let Some(rule) = prefix_of(facts.path, *length)
                .and_then(|prefix| self.prefix.get(prefix))
                .and_then(|rules| first(rules, facts, allowed))
            {
                return Some(rule);
            }
        }
        for (pattern, rule) in &self.regex {
            if pattern.is_match(facts.path)
                && let Some(target) = first(std::slice::from_ref(rule), facts, allowed)
            {
                return Some(target);
            }
        }
        first(&self.any, facts, allowed)
    }
}

impl<T> Rule<T> {
    /// More conditions are more specific: a listener first, then fields and parameters, then methods.
    fn weight(&self) -> (bool, usize, bool) {
        (
            self.listener.is_some(),
            self.headers.len() + self.query.len(),
            !self.methods.is_empty(),
        )
    }

    fn matches_but_for_method(&self, facts: &Facts<'_>) -> bool {
        self.listener
            .as_deref()
            .is_none_or(|name| facts.listener == Some(name))
            && self
                .headers
                .iter()
                .all(|(name, test)| facts.fields.values_of(name).any(|v| passes(test, v)))
            && self
                .query
                .iter()
                .all(|(name, test)| parameters(facts.query, name).any(|v| passes(test, v.as_bytes())))
    }

    /// RFC 9110 §9.3.2: HEAD is GET without the content, so whoever serves one serves the other.
    fn allows(&self, method: &str) -> bool {
        let is_named = |m: &str| self.methods.iter().any(|named| named == m);
        self.methods.is_empty()
            || is_named(method)
            || Method::of(method.as_bytes()) == Method::Head && is_named("GET")
    }
}

fn first<'a, T>(rules: &'a [Rule<T>], facts: &Facts<'_>, allowed: &mut Vec<&'a str>) -> Option<&'a T> {
    rules
        .iter()
        .filter(|r| r.matches_but_for_method(facts))
        .find_map(|rule| {
            if rule.allows(facts.method) {
                return Some(&rule.target);
            }
            allowed.extend(rule.methods.iter().map(String::as_str));
            if rule.methods.iter().any(|m| m == "GET") {
                allowed.push("HEAD");
            }
            None
        })
}

fn passes(test: &ValueTest, value: &[u8]) -> bool {
    match test {
        ValueTest::Equals(text) => value == text.as_bytes(),
        ValueTest::Present => true,
    }
}

/// The values of a query parameter, as written.
fn parameters<'a>(query: Option<&'a str>, name: &'a str) -> impl Iterator<Item = &'a str> {
    query
        .into_iter()
        .flat_map(|q| q.split('&'))
        .filter_map(move |pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (key == name).then_some(value)
        })
}

/// The first `length` bytes of a path, if a segment ends there.
fn prefix_of(path: &str, length: usize) -> Option<&str> {
    let (prefix, rest) = path.split_at_checked(length)?;
    (rest.is_empty() || rest.starts_with('/')).then_some(prefix)
}
