//! Logged requests, each through the route tables of two configurations.
//!
//! The log has no headers and no listener. A route that was taken says what of them must have been true, so a request is
//! given the headers and the listener its route asks for, and nothing else.

use std::collections::{BTreeMap, HashMap};

use gateway::config::Plan;
use gateway::config::plan::{Route, ValueTest};
use gateway::kit::host;
use gateway::route::{Facts, Routed, Table};
use gateway::wire::{Fields as Head, target};

use super::profile::{Difference, Kind, Profile, profiles};
use crate::cli::log::field::{Field, Fields};
use crate::cli::log::line::Line;

/// Examples kept of requests that differ in the same way.
const EXAMPLES_MAX: usize = 3;
/// What stands for a header of which only the presence is asked.
const PRESENT: &[u8] = b"1";

/// What comes of replaying a log.
pub struct Replay<'p> {
    tables: [Table<usize>; 2],
    profiles: [Vec<Profile>; 2],
    plans: [&'p Plan; 2],
    /// By the name of a route of the old plan.
    assumed: HashMap<&'p str, Assumed>,
    pairs: HashMap<[Outcome; 2], Pair>,
    /// Requests that were judged.
    pub requests: u64,
    /// Lines without a request that could be routed: heads that were not understood.
    pub unjudged: u64,
    /// Requests that have taken another route than the old table gives them.
    pub elsewhere: u64,
}

/// What a request is assumed to have had, by the route it took.
#[derive(Default)]
struct Assumed {
    listener: Option<String>,
    fields: Head,
}

/// What a table says of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Outcome {
    /// The route of that index.
    Route(usize),
    /// 404
    Nothing,
    /// 405
    WrongMethod,
    /// 400: an origin that takes an encoded slash for a slash would serve another route.
    Ambiguous,
}

/// Requests with the same two outcomes.
struct Pair {
    differences: Vec<Difference>,
    requests: u64,
    examples: Vec<String>,
}

/// Requests that would be served differently, in the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// What the old configuration does with them.
    pub old: String,
    /// What the new one does.
    pub new: String,
    /// In what it differs, the gravest first; empty where only the route's name does.
    pub differences: Vec<Difference>,
    /// How many.
    pub requests: u64,
    /// A few of them.
    pub examples: Vec<String>,
}

impl<'p> Replay<'p> {
    /// Nothing replayed yet.
    pub fn new(old: &'p Plan, new: &'p Plan) -> Self {
        let table = |plan: &Plan| {
            let routes = plan.routes.iter().enumerate();
            Table::new(routes.map(|(i, route)| (route.matches.clone(), i)))
        };
        Self {
            tables: [table(old), table(new)],
            profiles: profiles(old, new),
            plans: [old, new],
            assumed: old.routes.iter().map(|r| (&*r.name, assumed(r))).collect(),
            pairs: HashMap::new(),
            requests: 0,
            unjudged: 0,
            elsewhere: 0,
        }
    }

    /// What has to be read of a line.
    pub fn fields() -> Fields {
        Fields::of(&[
            Field::Method,
            Field::Scheme,
            Field::Host,
            Field::Path,
            Field::Query,
            Field::Route,
        ])
    }

    /// Judges one more request.
    pub fn take(&mut self, line: &Line<'_>) {
        let text = |field| line.text(field);
        let mut path = String::new();
        let judged = match (text(Field::Method), text(Field::Path)) {
            (Some(method), Some(raw)) if target::normalise(&raw, &mut path).is_ok() => Some((method, raw)),
            _ => None,
        };
        let Some((method, raw)) = judged else {
            self.unjudged += 1;
            return;
        };
        let logged = text(Field::Route);
        let query = text(Field::Query);
        let host = text(Field::Host).map_or(String::new(), |host| host::normal(&host));
        let unknown = Assumed::default();
        let assumed = logged.as_deref().and_then(|name| self.assumed.get(name));
        let assumed = assumed.unwrap_or(&unknown);
        let facts = Facts {
            listener: assumed.listener.as_deref(),
            host: &host,
            path: &path,
            method: &method,
            query: query.as_deref(),
            fields: &assumed.fields,
        };
        let outcomes = [0, 1].map(|i| outcome(&self.tables[i], &facts));
        self.requests += 1;
        let by_table = match outcomes[0] {
            Outcome::Route(i) => Some(&*self.plans[0].routes[i].name),
            Outcome::Nothing | Outcome::WrongMethod | Outcome::Ambiguous => None,
        };
        self.elsewhere += u64::from(by_table != logged.as_deref());
        let pair = self.pairs.entry(outcomes).or_insert_with(|| Pair {
            differences: differences(&self.profiles, outcomes),
            requests: 0,
            examples: Vec::new(),
        });
        pair.requests += 1;
        let is_of_interest = !pair.differences.is_empty() || outcomes[0].is_route() != outcomes[1].is_route();
        if is_of_interest && pair.examples.len() < EXAMPLES_MAX {
            let scheme = text(Field::Scheme).unwrap_or("http".into());
            let query = query.map_or(String::new(), |query| format!("?{query}"));
            let example = format!("{method} {scheme}://{host}{raw}{query}");
            if !pair.examples.contains(&example) {
                pair.examples.push(example);
            }
        }
    }

    /// Those that would be served differently, the gravest first, and then the most.
    pub fn groups(&self) -> Vec<Group> {
        let mut groups: Vec<Group> = self
            .pairs
            .iter()
            .map(|(outcomes, pair)| Group {
                old: self.name(0, outcomes[0]),
                new: self.name(1, outcomes[1]),
                differences: pair.differences.clone(),
                requests: pair.requests,
                examples: pair.examples.clone(),
            })
            .filter(|group| group.old != group.new || !group.differences.is_empty())
            .collect();
        groups.sort_by_key(|group| (group.rank(), std::cmp::Reverse(group.requests), group.old.clone()));
        groups
    }

    fn name(&self, plan: usize, outcome: Outcome) -> String {
        match outcome {
            Outcome::Route(i) => self.plans[plan].routes[i].name.clone(),
            Outcome::Nothing => "404, no route".to_owned(),
            Outcome::WrongMethod => "405, no route for the method".to_owned(),
            Outcome::Ambiguous => "400, an ambiguous path".to_owned(),
        }
    }
}

impl Group {
    /// The gravest kind of difference; None where only the name differs.
    pub fn kind(&self) -> Option<Kind> {
        self.differences.first().map(|d| d.kind)
    }

    /// What people are told first comes first.
    fn rank(&self) -> (bool, Option<Kind>) {
        (self.kind().is_none(), self.kind())
    }
}

impl Outcome {
    fn is_route(self) -> bool {
        matches!(self, Self::Route(_))
    }

    /// The status of a refusal; None for a route.
    fn status(self) -> Option<&'static str> {
        match self {
            Self::Route(_) => None,
            Self::Nothing => Some("404"),
            Self::WrongMethod => Some("405"),
            Self::Ambiguous => Some("400"),
        }
    }
}

fn assumed(route: &Route) -> Assumed {
    let mut fields = Head::default();
    for (name, test) in &route.matches.headers {
        match test {
            ValueTest::Equals(value) => fields.push(name.as_bytes(), value.as_bytes()),
            ValueTest::Present => fields.push(name.as_bytes(), PRESENT),
        }
    }
    Assumed {
        listener: route.matches.listener.clone(),
        fields,
    }
}

fn outcome(table: &Table<usize>, facts: &Facts<'_>) -> Outcome {
    match table.route(facts, &mut ()) {
        Routed::Route(i) => Outcome::Route(*i),
        Routed::MethodNotAllowed(_) => Outcome::WrongMethod,
        Routed::Nothing => Outcome::Nothing,
        Routed::PassesBy { .. } => Outcome::Ambiguous,
    }
}

fn differences(profiles: &[Vec<Profile>; 2], outcomes: [Outcome; 2]) -> Vec<Difference> {
    match outcomes {
        [Outcome::Route(old), Outcome::Route(new)] => profiles[0][old].differences(&profiles[1][new]),
        [old, new] if old == new => Vec::new(),
        [old, new] => {
            let said = |outcome: Outcome| outcome.status().map(str::to_owned);
            vec![Difference {
                kind: Kind::Served,
                key: "status".to_owned(),
                old: said(old),
                new: said(new),
            }]
        }
    }
}

/// Routes whose requests are not in the log.
pub fn unlogged(plan: &Plan) -> Vec<&str> {
    let unlogged = plan.routes.iter().filter(|route| !route.access_log);
    unlogged.map(|route| route.name.as_str()).collect()
}

/// How many requests differ in each kind.
pub fn sums(groups: &[Group]) -> BTreeMap<Kind, u64> {
    let mut sums = BTreeMap::new();
    for group in groups {
        let mut kinds: Vec<Kind> = group.differences.iter().map(|d| d.kind).collect();
        kinds.dedup();
        for kind in kinds {
            *sums.entry(kind).or_default() += group.requests;
        }
    }
    sums
}
