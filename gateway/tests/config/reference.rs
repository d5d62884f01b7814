//! conf/reference.toml and, for the guards and for TLS, conf/guards.toml and conf/tls.toml hold every key of the
//! schema, and their values are the defaults.

use std::collections::BTreeSet;

use gateway::config;
use serde_json::Value as Schema;
use toml::Value;

const REFERENCE: &str = "../conf/reference.toml";
const GUARDS: &str = "../conf/guards.toml";
const TLS: &str = "../conf/tls.toml";

/// What the files say, with the lines for which people make files first, and with files of the tests for them.
fn references() -> [toml::Table; 3] {
    let reference = std::fs::read_to_string(REFERENCE).unwrap();
    [reference.parse().unwrap(), with_files(GUARDS), with_files(TLS)]
}

fn with_files(path: &str) -> toml::Table {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = text.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => key,
        _ => line,
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    let text = ["/etc/sluice/", "/etc/tls/"].iter().fold(text, |text, folder| {
        text.replace(folder, "../tests/config/secrets/")
    });
    text.parse().unwrap()
}

fn schema() -> Schema {
    serde_json::from_str(&config::schema()).unwrap()
}

/// The schema of a key or, where names are free, of any name; in any of several forms.
fn below<'s>(schema: &'s Schema, key: &str) -> Option<&'s Schema> {
    schema["properties"]
        .get(key)
        .or_else(|| schema.get("additionalProperties").filter(|s| s.is_object()))
        .or_else(|| forms(schema).iter().find_map(|form| below(form, key)))
}

/// What a key may be that may be several things.
fn forms(schema: &Schema) -> &[Schema] {
    schema["anyOf"].as_array().map_or(&[], Vec::as_slice)
}

/// All paths the schema knows, names as `*`.
fn known(schema: &Schema, path: &str, found: &mut BTreeSet<String>) {
    if !path.is_empty() {
        found.insert(path.to_owned());
    }
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        known(inner, format!("{path}.{key}").trim_start_matches('.'), found);
    }
    for inner in schema.get("items").into_iter().chain(forms(schema)) {
        known(inner, path, found);
    }
    // Names of the operator's own, except where a text hangs on each: those have no keys to list.
    if let Some(named) = schema
        .get("additionalProperties")
        .filter(|n| n["type"] == "object")
    {
        known(named, &format!("{path}.*"), found);
    }
}

/// All paths a value has, names as `*`, and where in the value each default stands.
fn written(
    value: &Value,
    schema: &Schema,
    (path, place): (&str, &[String]),
    found: &mut BTreeSet<String>,
    defaults: &mut Vec<Vec<String>>,
) {
    if !path.is_empty() {
        found.insert(path.to_owned());
    }
    if schema.get("default") == Some(&serde_json::to_value(value).unwrap()) {
        defaults.push(place.to_vec());
    }
    let deeper = |step: String| [place, &[step]].concat();
    match value {
        Value::Table(table) => {
            for (key, inner) in table {
                let named = schema.get("additionalProperties").is_some_and(Schema::is_object);
                let step = if named { "*" } else { key };
                let path = format!("{path}.{step}");
                let at = (path.trim_start_matches('.'), &*deeper(key.clone()));
                written(inner, below(schema, key).unwrap(), at, found, defaults);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                let at = (path, &*deeper(index.to_string()));
                written(item, &schema["items"], at, found, defaults);
            }
        }
        _ => {}
    }
}

/// Whether the value has this place.
fn stands(value: &Value, place: &[String]) -> bool {
    match (value, place) {
        (_, []) => true,
        (Value::Table(table), [step, rest @ ..]) => table.get(step).is_some_and(|inner| stands(inner, rest)),
        (Value::Array(items), [step, rest @ ..]) => {
            let item = step.parse::<usize>().ok().and_then(|at| items.get(at));
            item.is_some_and(|inner| stands(inner, rest))
        }
        _ => false,
    }
}

fn remove(value: &mut Value, place: &[String]) {
    match (value, place) {
        (Value::Table(table), [last]) => {
            table.remove(last).unwrap();
        }
        (Value::Table(table), [step, rest @ ..]) => remove(table.get_mut(step).unwrap(), rest),
        (Value::Array(items), [step, rest @ ..]) => remove(&mut items[step.parse::<usize>().unwrap()], rest),
        (value, place) => panic!("{place:?} in {value}"),
    }
}

fn text(value: &Value) -> String {
    toml::to_string(value).unwrap()
}

fn load(text: &str) -> config::Loaded {
    config::load_text("reference.toml", text, &|_| None)
        .unwrap_or_else(|problems| panic!("{problems}\n{text}"))
}

#[test]
fn the_reference_loads_and_holds_every_key() {
    let (mut in_schema, mut in_file) = (BTreeSet::new(), BTreeSet::new());
    known(&schema(), "", &mut in_schema);
    for reference in references() {
        let reference = Value::Table(reference);
        let loaded = load(&text(&reference));
        assert!(loaded.warnings.0.is_empty(), "{}", loaded.warnings);
        written(&reference, &schema(), ("", &[]), &mut in_file, &mut Vec::new());
    }
    let missing: Vec<_> = in_schema.difference(&in_file).collect();
    assert!(
        missing.is_empty(),
        "neither in {REFERENCE} nor in {GUARDS} nor in {TLS}: {missing:?}"
    );
}

#[test]
fn every_default_of_the_schema_stands_in_the_reference_and_changes_nothing() {
    let mut told: BTreeSet<String> = BTreeSet::new();
    for reference in references() {
        let whole = Value::Table(reference);
        let plan = load(&text(&whole)).plan;
        let mut defaults = Vec::new();
        written(&whole, &schema(), ("", &[]), &mut BTreeSet::new(), &mut defaults);
        // What these two fall back to is another key, so that the schema has no value for them.
        let fallbacks = [&["defaults", "max_body"][..], &["routes", "0", "max_body"]];
        let fallbacks = fallbacks.map(|place| place.iter().map(|step| (*step).to_owned()).collect());
        defaults.extend(
            fallbacks
                .into_iter()
                .filter(|place: &Vec<_>| stands(&whole, place)),
        );
        for place in &defaults {
            let mut less = whole.clone();
            remove(&mut less, place);
            assert_eq!(load(&text(&less)).plan, plan, "without {place:?}");
        }
        told.extend(defaults.iter().filter_map(|place| place.last().cloned()));
    }
    let mut with_default = BTreeSet::new();
    keys_with_default(&schema(), &mut with_default);
    let untold: Vec<_> = with_default.iter().filter(|k| !told.contains(*k)).collect();
    assert!(untold.is_empty(), "not shown with their default: {untold:?}");
}

fn keys_with_default(schema: &Schema, found: &mut BTreeSet<String>) {
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        if inner.get("default").is_some() {
            found.insert(key.clone());
        }
        keys_with_default(inner, found);
    }
    for inner in [schema.get("items"), schema.get("additionalProperties")]
        .into_iter()
        .flatten()
    {
        keys_with_default(inner, found);
    }
}
