//! A value of the wrong type: how to write what was probably meant.

use std::collections::BTreeMap;

use toml::de::{DeInteger, DeValue};

use super::hints;
use super::raw::leaf::Share;
use super::schema::{Kind, Shape};
use crate::kit::units;

/// What to write instead of `found` where `wanted` should stand, if that can be told.
pub fn remedy(wanted: &Shape, found: &DeValue<'_>, key: &str) -> Option<String> {
    match wanted {
        Shape::Flag => found.as_str().map(flag),
        Shape::Int { .. } => {
            let number: u64 = found.as_str()?.parse().ok()?;
            Some(format!("write {number} without quotes"))
        }
        Shape::List(inner) => list(inner, found, key),
        Shape::Named(_) => found
            .is_array()
            .then(|| format!("write [{key}.NAME] with single brackets, once for each")),
        Shape::Table(keys) => match found {
            DeValue::Array(items) => match items.iter().any(|i| i.get_ref().is_str()) {
                true => lists_of(keys),
                false => Some(format!("write [{key}] with single brackets, once")),
            },
            _ => {
                let main = MAIN_KEYS.iter().find(|main| keys.contains_key(**main))?;
                Some(format!("write {{ {main} = \"{}\" }}", found.as_str()?))
            }
        },
        Shape::OneOf(forms) => Some(format!(
            "write {}",
            hints::or(&forms.iter().flat_map(examples).collect::<Vec<_>>())
        )),
        Shape::Share => Share::parse(found.as_str()?).map(|_| "write it without quotes".to_owned()),
        Shape::Text(kind, choices) => text(*kind, choices, found),
    }
}

/// The keys of a table that somebody may mean who writes a list instead of the table.
fn lists_of(keys: &BTreeMap<String, Shape>) -> Option<String> {
    let lists = keys.iter().filter(|(_, shape)| matches!(shape, Shape::List(_)));
    let lists: Vec<String> = lists.map(|(key, _)| format!("{{ {key} = […] }}")).collect();
    (!lists.is_empty()).then(|| format!("write {}", hints::or(&lists)))
}

/// How one of several forms is written.
fn examples(form: &Shape) -> Vec<String> {
    match form {
        Shape::Text(_, choices) if choices.is_empty() => vec!["\"…\"".to_owned()],
        Shape::Text(_, choices) => choices.iter().map(|c| format!("\"{c}\"")).collect(),
        Shape::List(_) => vec!["[…]".to_owned()],
        Shape::Table(keys) => keys.keys().map(|key| format!("{{ {key} = … }}")).collect(),
        Shape::Flag | Shape::Int { .. } | Shape::Named(_) | Shape::OneOf(_) | Shape::Share => Vec::new(),
    }
}

/// Of several tables, the key that somebody means who writes a string instead of the table.
const MAIN_KEYS: [&str; 9] = [
    "address",
    "to",
    "path_prefix",
    "root",
    "body",
    "store",
    "path",
    "users_file",
    "url",
];

fn flag(text: &str) -> String {
    let yes = ["true", "yes", "on", "1"].contains(&text);
    let no = ["false", "no", "off", "0"].contains(&text);
    match (yes, no) {
        (true, _) => "write true without quotes".to_owned(),
        (_, true) => "write false without quotes".to_owned(),
        (false, false) => "write true or false".to_owned(),
    }
}

fn list(inner: &Shape, found: &DeValue<'_>, key: &str) -> Option<String> {
    match (inner, found) {
        (Shape::Table(_), DeValue::Table(_)) => {
            Some(format!("write [[{key}]] with two brackets for each of them"))
        }
        (Shape::Text(..), DeValue::String(text)) => Some(format!("put it in brackets: [\"{text}\"]")),
        _ => None,
    }
}

fn text(kind: Kind, choices: &[String], found: &DeValue<'_>) -> Option<String> {
    if !choices.is_empty() {
        return Some(format!("write {}", hints::one_of(choices)));
    }
    match (kind, found) {
        (_, DeValue::Array(_)) => Some("write one string without brackets".to_owned()),
        (Kind::Duration | Kind::Timeout, DeValue::Integer(n)) => {
            Some(format!("a number needs its unit: \"{n}s\" or \"{n}ms\""))
        }
        (Kind::Duration | Kind::Timeout, DeValue::Float(n)) => {
            Some(format!("a number needs its unit: \"{}s\"", n.as_str()))
        }
        (Kind::Duration | Kind::Timeout, _) => Some("write \"500ms\", \"5s\" or \"2m\"".to_owned()),
        (Kind::Rate, DeValue::Integer(n)) => Some(format!("a rate needs its time: \"{n}/s\" or \"{n}/m\"")),
        (Kind::Rate, _) => Some("write \"10/s\" or \"600/m\"".to_owned()),
        (Kind::Size, DeValue::Integer(n)) => Some(format!("a number needs its unit: {}", sizes(n))),
        (Kind::Size, _) => Some("write \"64KiB\" or \"10MiB\"".to_owned()),
        (Kind::Plain | Kind::Replacement | Kind::Template, DeValue::Integer(n)) => {
            Some(format!("put it in quotes: \"{n}\""))
        }
        (Kind::Plain | Kind::Replacement | Kind::Template, DeValue::Boolean(b)) => {
            Some(format!("put it in quotes: \"{b}\""))
        }
        (Kind::Plain | Kind::Replacement | Kind::Template, _) => None,
    }
}

/// A bare number of bytes is often meant exactly, a small one in a larger unit.
fn sizes(number: &DeInteger<'_>) -> String {
    let bytes = u64::from_str_radix(number.as_str(), number.radix()).unwrap_or_default();
    if bytes >= 1 << 10 {
        return format!("\"{}\"", units::format_bytes(bytes));
    }
    format!("\"{number}KiB\" or \"{number}MiB\"")
}
