//! Which route a request takes: host, then path, then the rest, by specificity and not by file order.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::config::plan::{Match, PathPattern, ValueTest};
use crate::kit::host::HostPattern;
use crate::kit::pattern::Pattern;
use crate::wire::{Fields, Method, target};

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

/// Where a request goes, an encoded slash in its path considered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Routed<'a, T> {
    /// By this route.
    Route(&'a T),
    /// There are routes, for these methods only (sorted).
    MethodNotAllowed(Vec<&'a str>),
    /// By none.
    Nothing,
    /// Nowhere: an origin that takes an encoded slash for a slash would serve what another route is for. Then
    /// "/admin%2Fkeys" would pass that route by, and whatever it asks of a request.
    PassesBy {
        /// The route of the path as it is.
        route: &'a T,
        /// The one it would pass by; None where that is for other methods.
        other: Option<&'a T>,
    },
}

/// Why a route whose host and path fit does not match all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Miss<'a> {
    /// It is for another listener: this one.
    Listener(&'a str),
    /// It asks for a header: its name, and its value unless any will do.
    Header(&'a str, Option<&'a str>),
    /// It asks for a query parameter, likewise.
    Query(&'a str, Option<&'a str>),
    /// It is for these methods.
    Method(&'a [String]),
}

/// Who is told of each route that is looked at, the nearest first. For nobody, `()`, it costs nothing.
pub trait Trace<T> {
    /// This route was looked at; without a miss it is the one.
    fn tried(&mut self, target: &T, miss: Option<Miss<'_>>);
}

impl<T> Trace<T> for () {
    #[inline]
    fn tried(&mut self, _: &T, _: Option<Miss<'_>>) {}
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

/// The route that matches.
struct Hit<'a, T> {
    target: &'a T,
    /// The path is written out in the configuration.
    is_written: bool,
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
        match self.search(facts, &mut ()) {
            Ok(found) => Found::Route(found.target),
            Err(allowed) if allowed.is_empty() => Found::Nothing,
            Err(allowed) => Found::MethodNotAllowed(allowed),
        }
    }

    /// Where a request goes: [`find`](Self::find), and whether an encoded slash in its path would pass another route by.
    ///
    /// `trace` is told of the routes looked at for the path as it is.
    pub fn route<'a>(&'a self, facts: &Facts<'_>, trace: &mut impl Trace<T>) -> Routed<'a, T> {
        let found = match self.search(facts, trace) {
            Ok(found) => found,
            Err(allowed) if allowed.is_empty() => return Routed::Nothing,
            Err(allowed) => return Routed::MethodNotAllowed(allowed),
        };
        let route = found.target;
        // An operator who has written the path like this means it.
        let other_path = target::other_reading(facts.path).filter(|_| !found.is_written);
        let Some(path) = other_path else {
            return Routed::Route(route);
        };
        let other = Facts {
            path: &path,
            ..*facts
        };
        match self.search(&other, &mut ()) {
            Ok(other) if std::ptr::eq(other.target, route) => Routed::Route(route),
            Ok(other) => Routed::PassesBy {
                route,
                other: Some(other.target),
            },
            Err(allowed) if allowed.is_empty() => Routed::Route(route),
            Err(_) => Routed::PassesBy { route, other: None },
        }
    }

    /// The most specific route that matches, else the methods (sorted) that one would match with.
    fn search<'a>(
        &'a self,
        facts: &Facts<'_>,
        trace: &mut impl Trace<T>,
    ) -> Result<Hit<'a, T>, Vec<&'a str>> {
        let mut allowed = Vec::new();
        for paths in self.hosts(facts.host) {
            if let Some(hit) = paths.find(facts, &mut allowed, trace) {
                return Ok(hit);
            }
        }
        allowed.sort_unstable();
        allowed.dedup();
        Err(allowed)
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

    fn find<'a>(
        &'a self,
        facts: &Facts<'_>,
        allowed: &mut Vec<&'a str>,
        trace: &mut impl Trace<T>,
    ) -> Option<Hit<'a, T>> {
        let found = |is_written| move |target| Hit { target, is_written };
        if let Some(hit) = self
            .exact
            .get(facts.path)
            .and_then(|rules| first(rules, facts, allowed, trace))
        {
            return Some(hit).map(found(true));
        }
        for length in &self.prefix_lengths {
            if let Some(hit) = prefix_of(facts.path, *length)
                .and_then(|prefix| self.prefix.get(prefix))
                .and_then(|rules| first(rules, facts, allowed, trace))
            {
                return Some(hit).map(found(false));
            }
        }
        for (pattern, rule) in &self.regex {
            if pattern.is_match(facts.path)
                && let Some(hit) = first(std::slice::from_ref(rule), facts, allowed, trace)
            {
                return Some(hit).map(found(false));
            }
        }
        first(&self.any, facts, allowed, trace).map(found(false))
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

    /// Why it does not match; the method comes last, so that a miss by it is a miss by nothing else.
    fn miss(&self, facts: &Facts<'_>) -> Option<Miss<'_>> {
        let listener = self
            .listener
            .as_deref()
            .filter(|name| facts.listener != Some(*name));
        if let Some(name) = listener {
            return Some(Miss::Listener(name));
        }
        let has_field = |name: &str, test: &ValueTest| facts.fields.values_of(name).any(|v| passes(test, v));
        if let Some((name, test)) = self.headers.iter().find(|(name, test)| !has_field(name, test)) {
            return Some(Miss::Header(name, asked(test)));
        }
        let has_parameter =
            |name: &str, test: &ValueTest| parameters(facts.query, name).any(|v| passes(test, v.as_bytes()));
        if let Some((name, test)) = self.query.iter().find(|(name, test)| !has_parameter(name, test)) {
            return Some(Miss::Query(name, asked(test)));
        }
        (!self.allows(facts.method)).then_some(Miss::Method(&self.methods))
    }

    /// RFC 9110 §9.3.2: HEAD is GET without the content, so whoever serves one serves the other.
    fn allows(&self, method: &str) -> bool {
        let is_named = |m: &str| self.methods.iter().any(|named| named == m);
        self.methods.is_empty()
            || is_named(method)
            || Method::of(method.as_bytes()) == Method::Head && is_named("GET")
    }
}

fn first<'a, T>(
    rules: &'a [Rule<T>],
    facts: &Facts<'_>,
    allowed: &mut Vec<&'a str>,
    trace: &mut impl Trace<T>,
) -> Option<&'a T> {
    for rule in rules {
        let miss = rule.miss(facts);
        trace.tried(&rule.target, miss);
        match miss {
            None => return Some(&rule.target),
            Some(Miss::Method(methods)) => {
                allowed.extend(methods.iter().map(String::as_str));
                if methods.iter().any(|m| m == "GET") {
                    allowed.push("HEAD");
                }
            }
            Some(Miss::Listener(_) | Miss::Header(..) | Miss::Query(..)) => {}
        }
    }
    None
}

/// The value a test asks for, unless any will do.
fn asked(test: &ValueTest) -> Option<&str> {
    match test {
        ValueTest::Equals(text) => Some(text),
        ValueTest::Present => None,
    }
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
