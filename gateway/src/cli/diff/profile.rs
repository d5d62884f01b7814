//! What a route means for a request that takes it, aspect by aspect, so that two routes of two configurations can be
//! compared.
//!
//! The aspects are the keys of the effective configuration, which has every default written out: a key that is added to
//! the configuration is compared from then on. How a route is matched is none: that decides which one is taken.

use std::collections::{BTreeMap, BTreeSet};

use gateway::config::plan::Auth;
use gateway::config::{Plan, effective};
use serde::Serialize;
use toml::{Table, Value};

/// What a difference is about, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Who may come in.
    Access,
    /// Whether a route is there at all.
    Served,
    /// What is kept and given again.
    Cache,
    /// How much, how fast, how long.
    Limits,
    /// Where it goes.
    Destination,
    /// Everything else.
    Other,
}

/// All aspects of a route.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// Its name.
    pub name: String,
    aspects: BTreeMap<String, Value>,
}

/// One aspect in which two routes differ.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Difference {
    /// What it is about.
    pub kind: Kind,
    /// The key, as in the configuration.
    pub key: String,
    /// None where the old route has nothing of the kind.
    pub old: Option<String>,
    /// None where the new route has nothing of the kind.
    pub new: Option<String>,
}

/// The profiles of all routes, in the order of both plans. An authority whose files alone have changed differs too.
pub fn profiles(old: &Plan, new: &Plan) -> [Vec<Profile>; 2] {
    // What is printed for people to paste is read back: the one text that says all.
    let text = |plan: &Plan| -> Table {
        toml::from_str(&effective(plan)).expect("the effective configuration is TOML")
    };
    let wholes = [text(old), text(new)];
    let definition = |whole: &Table, name: &str| whole.get("auth").and_then(|all| all.get(name)).cloned();
    let is_other_by_files = |auth: &Auth| {
        let [before, after] = [0, 1].map(|i| definition(&wholes[i], &auth.name));
        before == after && new.auths.iter().any(|a| a.name == auth.name && **a != *auth)
    };
    let changed: Vec<&str> = old
        .auths
        .iter()
        .filter(|auth| is_other_by_files(auth))
        .map(|auth| auth.name.as_str())
        .collect();
    let words = ["as OLD reads them", "as NEW reads them"];
    [0, 1].map(|i| of_plan(&wholes[i], &changed, words[i]))
}

/// The routes of a whole configuration. Authorities with changed files have these words for them.
fn of_plan(whole: &Table, changed: &[&str], words: &str) -> Vec<Profile> {
    let routes = whole.get("routes").and_then(Value::as_array);
    let routes = routes.map(Vec::as_slice).unwrap_or_default();
    let profile = |route: &Value| {
        let route = route.as_table().cloned().unwrap_or_default();
        let mut profile = Profile {
            name: text_of(&route, "name").to_owned(),
            aspects: BTreeMap::new(),
        };
        for (key, value) in &route {
            profile.add(key, value, whole);
        }
        let auth = text_of(&route, "auth");
        if changed.contains(&auth) {
            let key = format!("auth.{auth} (contents of its files)");
            profile.aspects.insert(key, words.into());
        }
        profile
    };
    routes.iter().map(profile).collect()
}

fn text_of<'t>(table: &'t Table, key: &str) -> &'t str {
    table.get(key).and_then(Value::as_str).unwrap_or_default()
}

impl Profile {
    fn add(&mut self, key: &str, value: &Value, whole: &Table) {
        match (key, value) {
            ("name" | "match", _) => {}
            ("cache", Value::Table(rule)) => {
                for (inner, value) in rule {
                    self.put(format!("cache.{inner}"), value);
                }
            }
            ("rate_limits" | "concurrency_limits", Value::Array(names)) => {
                for name in names.iter().filter_map(Value::as_str) {
                    let definition = whole.get(key).and_then(|all| all.get(name));
                    self.put(format!("{key}.{name}"), definition.unwrap_or(value));
                }
            }
            ("auth", Value::String(name)) => {
                self.put(key.to_owned(), value);
                if let Some(definition) = whole.get(key).and_then(|all| all.get(name)) {
                    self.put(format!("auth.{name}"), definition);
                }
            }
            _ => self.put(key.to_owned(), value),
        }
    }

    /// What is empty is as good as not there.
    fn put(&mut self, key: String, value: &Value) {
        let is_empty = match value {
            Value::String(text) => text.is_empty() || text == "none",
            Value::Array(list) => list.is_empty(),
            Value::Table(table) => table.values().all(is_hollow),
            _ => false,
        };
        if !is_empty {
            self.aspects.insert(key, value.clone());
        }
    }

    /// In what the other one differs, the gravest first.
    pub fn differences(&self, new: &Self) -> Vec<Difference> {
        let keys: BTreeSet<&String> = self.aspects.keys().chain(new.aspects.keys()).collect();
        let mut found = Vec::new();
        for key in keys {
            compare(key, [self.aspects.get(key), new.aspects.get(key)], &mut found);
        }
        found.sort();
        // What a route has gained or lost as a whole is told by its name; the rest of its definition adds nothing.
        let told =
            |key: &str, d: &Difference| found.iter().any(|o| o.key == key && one_sided(o) && one_sided(d));
        let is_told = |d: &Difference| {
            (d.key.starts_with("auth.") && found.iter().any(|o| o.key == "auth"))
                || (d.key.starts_with("cache.") && d.key != "cache.store" && told("cache.store", d))
        };
        found.iter().filter(|d| !is_told(d)).cloned().collect()
    }
}

/// What differs in one value; of two tables only those of their keys that do.
fn compare(key: &str, [old, new]: [Option<&Value>; 2], found: &mut Vec<Difference>) {
    if old == new {
        return;
    }
    if let (Some(Value::Table(old)), Some(Value::Table(new))) = (old, new) {
        let inner: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
        for name in inner {
            compare(&format!("{key}.{name}"), [old.get(name), new.get(name)], found);
        }
        return;
    }
    found.push(Difference {
        kind: kind_of(key),
        key: key.to_owned(),
        old: old.map(Value::to_string),
        new: new.map(Value::to_string),
    });
}

fn one_sided(difference: &Difference) -> bool {
    difference.old.is_none() || difference.new.is_none()
}

fn is_hollow(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Table(table) => table.values().all(is_hollow),
        _ => false,
    }
}

fn kind_of(key: &str) -> Kind {
    // "rate_limits.NAME" is about rate_limits, whatever the name.
    match key.split(['.', ' ']).next().unwrap_or_default() {
        "auth" | "allow" | "deny" => Kind::Access,
        "cache" => Kind::Cache,
        "rate_limits" | "concurrency_limits" | "max_body" | "timeout" => Kind::Limits,
        "upstream" | "split" | "static_files" | "respond" | "redirect" | "rewrite" => Kind::Destination,
        _ => Kind::Other,
    }
}
