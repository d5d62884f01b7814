//! The one description of all keys: JSON Schema for editors, and [`Shape`] for our own reading of a file.

use std::collections::BTreeMap;

use schemars::generate::SchemaSettings;
use schemars::{Schema, transform};
use serde_json::Value;

use super::raw;
use super::raw::leaf::KIND;

/// What may stand at a place of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// true or false.
    Flag,
    /// A whole number within bounds, or the word where there is one.
    Int {
        /// Smallest.
        min: u64,
        /// Largest.
        max: u64,
        /// Stands for a number that is found out elsewhere.
        word: Option<String>,
    },
    /// A list of one shape.
    List(Box<Shape>),
    /// Any of several shapes, which differ in the type of their value.
    OneOf(Vec<Shape>),
    /// A table with names of the operator's own choice.
    Named(Box<Shape>),
    /// A table with these keys.
    Table(BTreeMap<String, Shape>),
    /// A number from 0 to 1.
    Share,
    /// A string: of a kind, and one of the choices if there are any.
    Text(Kind, Vec<String>),
}

/// What a string stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// "30s"
    Duration,
    /// Itself.
    Plain,
    /// "10/s"
    Rate,
    /// It has `$1` or `${…}` of its own.
    Replacement,
    /// "10MiB"
    Size,
    /// `${variables}` of a request or an access line.
    Template,
    /// "30s" or "none"
    Timeout,
}

/// The JSON Schema (draft 2020-12) of a configuration, for `#:schema` in an editor.
pub fn schema() -> String {
    serde_json::to_string_pretty(&generate::<raw::File>()).expect("a schema is plain JSON")
}

/// The shape of a whole file.
pub fn shape() -> Shape {
    Shape::of(generate::<raw::File>().as_value())
}

/// The shape of a file of servers.
pub fn servers_shape() -> Shape {
    Shape::of(generate::<raw::ServersFile>().as_value())
}

fn generate<T: schemars::JsonSchema>() -> Schema {
    let settings = SchemaSettings::draft2020_12().with(|s| s.inline_subschemas = true);
    let transform = transform::RecursiveTransform(tidy as fn(&mut Schema));
    let mut schema = settings
        .with_transform(transform)
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".to_owned(), "Sluice".into());
    schema
}

/// TOML has no null; a default in the description becomes one for the editor; line breaks of the source go.
fn tidy(schema: &mut Schema) {
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|t| t != "null");
        if let [one] = types.as_slice() {
            let one = one.clone();
            schema.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(options)) = schema.get_mut("anyOf") {
        options.retain(|o| o.get("type") != Some(&"null".into()));
        if let [Value::Object(one)] = options.as_slice() {
            let one = one.clone();
            schema.remove("anyOf");
            for (key, value) in one {
                schema.ensure_object().entry(key).or_insert(value);
            }
        }
    }
    let Some(text) = schema.get("description").and_then(Value::as_str) else {
        return;
    };
    let text = text.replace('\n', " ");
    if let Some(default) = default_of(&text) {
        schema.insert("default".to_owned(), default);
    }
    schema.insert("description".to_owned(), text.into());
}

/// "… Default `5`." → 5
fn default_of(description: &str) -> Option<Value> {
    let (_, rest) = description.split_once("Default `")?;
    let (text, _) = rest.rsplit_once('`')?;
    let value: toml::Value = toml::from_str::<toml::Table>(&format!("v = {text}"))
        .ok()?
        .remove("v")?;
    serde_json::to_value(value).ok()
}

impl Shape {
    /// Reads what [`generate`] has made; anything else would be a mistake in `raw`, which a test finds.
    fn of(schema: &Value) -> Self {
        if let Some(options) = schema.get("anyOf").and_then(Value::as_array) {
            let has_word = options.iter().any(|o| o.get("const").is_some());
            return match has_word {
                true => word_or_number(options),
                false => Self::OneOf(options.iter().map(Self::of).collect()),
            };
        }
        let choices = choices(schema);
        match schema.get("type").and_then(Value::as_str) {
            Some("object") => match schema.get("additionalProperties") {
                Some(named @ Value::Object(_)) => Self::Named(Box::new(Self::of(named))),
                _ => Self::Table(keys(schema)),
            },
            Some("array") => Self::List(Box::new(Self::of(schema.get("items").unwrap_or(&Value::Null)))),
            Some("integer") => Self::Int {
                min: number(schema, "minimum"),
                max: number(schema, "maximum"),
                word: None,
            },
            Some("number") => Self::Share,
            Some("boolean") => Self::Flag,
            _ => Self::Text(kind(schema), choices),
        }
    }
}

fn keys(schema: &Value) -> BTreeMap<String, Shape> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let properties = properties.into_iter().flatten();
    properties
        .map(|(key, value)| (key.clone(), Shape::of(value)))
        .collect()
}

fn word_or_number(options: &[Value]) -> Shape {
    let find = |key: &str| options.iter().find(|o| o.get(key).is_some());
    let range = find("maximum").unwrap_or(&Value::Null);
    let word = find("const").and_then(|o| o.get("const")?.as_str());
    Shape::Int {
        min: number(range, "minimum"),
        max: number(range, "maximum"),
        word: word.map(str::to_owned),
    }
}

fn number(schema: &Value, key: &str) -> u64 {
    schema.get(key).and_then(Value::as_u64).unwrap_or_default()
}

/// Of `enum: […]`, or of the `oneOf: [{const: …}]` that documented variants become.
fn choices(schema: &Value) -> Vec<String> {
    let mut found = Vec::new();
    let options = schema.get("oneOf").and_then(Value::as_array);
    for part in std::iter::once(schema).chain(options.into_iter().flatten()) {
        let listed = part.get("enum").and_then(Value::as_array).into_iter().flatten();
        let words = listed.chain(part.get("const")).filter_map(Value::as_str);
        found.extend(words.map(str::to_owned));
    }
    found
}

fn kind(schema: &Value) -> Kind {
    match schema.get(KIND).and_then(Value::as_str) {
        Some("duration") => Kind::Duration,
        Some("rate") => Kind::Rate,
        Some("replacement") => Kind::Replacement,
        Some("size") => Kind::Size,
        Some("template") => Kind::Template,
        Some("timeout") => Kind::Timeout,
        _ => Kind::Plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::units;
    use proptest::prelude::*;

    fn at<'s>(shape: &'s Shape, path: &str) -> &'s Shape {
        path.split('.').fold(shape, |shape, key| match shape {
            Shape::Table(keys) => &keys[key],
            Shape::Named(inner) | Shape::List(inner) => inner,
            other => panic!("{path}: {key} in {other:?}"),
        })
    }

    #[test]
    fn every_kind_of_leaf_has_its_shape() {
        let all = shape();
        let int = |min, max| Shape::Int { min, max, word: None };
        let text = |kind| Shape::Text(kind, vec![]);
        for (path, expected) in [
            ("server.limits.max_headers", int(1, 10_000)),
            ("server.drain_timeout", text(Kind::Duration)),
            ("routes._.timeout", text(Kind::Timeout)),
            ("rate_limits._.rate", text(Kind::Rate)),
            ("routes._.max_body", text(Kind::Size)),
            ("routes._.access_log", Shape::Flag),
            ("tracing.sample", Shape::Share),
            ("routes._.request_headers.set._", text(Kind::Template)),
            ("routes._.rewrite.to", text(Kind::Replacement)),
            ("routes._.match.headers._", text(Kind::Plain)),
            ("upstreams._.servers._.weight", int(1, 65_535)),
            ("caches._.min_uses", int(1, 1_000_000)),
            ("routes._.cache.statuses._", text(Kind::Duration)),
            (
                "upstreams._.protocol",
                Shape::Text(Kind::Plain, vec!["h2c".into(), "http1".into(), "http2".into()]),
            ),
        ] {
            assert_eq!(at(&all, path), &expected, "{path}");
        }
        let Shape::Int { word, .. } = at(&all, "server.threads") else {
            panic!("threads are a number")
        };
        assert_eq!(word.as_deref(), Some("auto"));
        let Shape::Text(_, choices) = at(&all, "upstreams._.load_balancing") else {
            panic!("a choice is a text")
        };
        assert_eq!(choices.len(), 5);
    }

    #[test]
    fn a_key_that_takes_several_forms_has_the_shape_of_each() {
        let all = shape();
        let text =
            |choices: &[&str]| Shape::Text(Kind::Plain, choices.iter().map(|c| (*c).to_owned()).collect());
        let names = || Shape::List(Box::new(text(&[])));
        let except = Shape::Table(BTreeMap::from([("except".to_owned(), names())]));
        let expected = Shape::OneOf(vec![text(&["all", "none"]), names(), except]);
        assert_eq!(at(&all, "routes._.cache.key.query"), &expected);
        assert_eq!(at(&all, "defaults.cache.key.query"), &expected);
    }

    #[test]
    fn the_schema_is_of_the_draft_editors_read_and_knows_no_null() {
        let text = schema();
        assert!(text.contains("https://json-schema.org/draft/2020-12/schema"));
        assert!(!text.contains("\"null\""));
        assert!(text.contains("\"default\": \"least_conn\""));
        assert!(text.contains("\"default\": 50000"));
    }

    proptest! {
        #[test]
        fn an_editor_accepts_what_we_accept(text in r"[0-9]{1,3}(\.[0-9])?(ms|s|m|h|d|B|KiB|MB|kB|x|)") {
            let schema: Value = serde_json::from_str(&schema()).unwrap();
            let limits = &schema["properties"]["server"]["properties"]["limits"]["properties"];
            let accepts = |key: &str| {
                let pattern = limits[key]["pattern"].as_str().unwrap();
                regex::Regex::new(pattern).unwrap().is_match(&text)
            };
            prop_assert_eq!(accepts("header_timeout"), units::parse_duration(&text).is_ok());
            prop_assert_eq!(accepts("max_body"), units::parse_bytes(&text).is_ok());
        }

        #[test]
        fn an_editor_accepts_the_rates_we_accept(text in r"[1-9]?0?/?[1-9]?(\.5)?(ms|s|m|h|d|x|)(30m)?") {
            let schema: Value = serde_json::from_str(&schema()).unwrap();
            let limits = &schema["properties"]["rate_limits"]["additionalProperties"]["properties"];
            let pattern = regex::Regex::new(limits["rate"]["pattern"].as_str().unwrap()).unwrap();
            // What is more than a matter of form is not the editor's: that a rate is not zero.
            let accepted = units::parse_rate(&text).is_ok() || text.starts_with("0/") && pattern.is_match(&text);
            prop_assert_eq!(pattern.is_match(&text), accepted);
        }
    }
}
