use serde_json::{Map, Value};
use yaml_rust2::{Yaml, YamlLoader};

use crate::read;

/// The documents of a file, as JSON has them.
#[track_caller]
pub fn documents(path: &str) -> Vec<Value> {
    let documents = YamlLoader::load_from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"));
    documents.iter().map(|d| value(path, d)).collect()
}

/// The only document of a file.
#[track_caller]
pub fn document(path: &str) -> Value {
    let mut documents = documents(path);
    assert_eq!(documents.len(), 1, "documents in {path}");
    documents.remove(0)
}

#[track_caller]
fn value(path: &str, yaml: &Yaml) -> Value {
    match yaml {
        Yaml::Null => Value::Null,
        Yaml::Boolean(is) => (*is).into(),
        Yaml::Integer(number) => (*number).into(),
        Yaml::Real(text) => text.parse::<f64>().map_or(Value::Null, Value::from),
        Yaml::String(text) => text.as_str().into(),
        Yaml::Array(items) => items.iter().map(|item| value(path, item)).collect(),
        Yaml::Hash(pairs) => {
            let pair = |(name, item): (&Yaml, &Yaml)| {
                let name = name
                    .as_str()
                    .unwrap_or_else(|| panic!("{path}: a name that is no text: {name:?}"));
                (name.to_owned(), value(path, item))
            };
            Value::Object(pairs.iter().map(pair).collect::<Map<_, _>>())
        }
        Yaml::Alias(_) | Yaml::BadValue => panic!("{path}: neither anchors nor what else this is: {yaml:?}"),
    }
}

/// The texts of a list, or of the names of a table.
#[track_caller]
pub fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(|i| i.as_str().unwrap_or_else(|| panic!("{i} is no text")))
            .collect(),
        Value::Object(pairs) => pairs.keys().map(String::as_str).collect(),
        Value::Null => Vec::new(),
        other => panic!("{other} is no list"),
    }
}

/// The items of a list; none where there is no list.
pub fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
