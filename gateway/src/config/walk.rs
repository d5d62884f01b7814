//! A parsed table against the [`Shape`] of a file: unknown keys, wrong types, the environment.
//!
//! What is at fault is taken out, so that what is left can be read and checked as well: an operator sees
//! the problems of all stages at once.

use std::collections::BTreeMap;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::env::{self, Escapes, Fault, Lookup};
use super::findings::Findings;
use super::raw::leaf::{Share, Span};
use super::schema::{Kind, Shape};
use super::{hints, remedy};
use crate::kit::template::{RequestVariable, Variable};

/// Takes out of `table` what cannot be read as `shape`, and replaces the environment's variables.
pub fn walk(table: &mut DeTable<'_>, shape: &Shape, env: Lookup<'_>, findings: &mut Findings<'_>) {
    let mut walk = Walk {
        env,
        findings,
        root: shape,
    };
    if let Shape::Table(keys) = shape {
        walk.table(keys, table, &(0..0), &Path::default());
    }
}

struct Walk<'a, 'f> {
    env: Lookup<'a>,
    findings: &'a mut Findings<'f>,
    /// To find where a misplaced key belongs.
    root: &'a Shape,
}

/// A place in the file.
#[derive(Clone, Default)]
struct Path {
    /// "routes.api.timeout"
    shown: String,
    /// The same with `*` for names and `[]` for items: "routes.[].timeout".
    pattern: String,
    /// The last key of it.
    key: String,
    /// Whether an item of the list `key` is meant.
    is_item: bool,
}

impl Path {
    fn key(&self, key: &str) -> Self {
        Self {
            shown: joined(&self.shown, key),
            pattern: joined(&self.pattern, key),
            key: key.to_owned(),
            is_item: false,
        }
    }

    fn name(&self, name: &str) -> Self {
        Self {
            pattern: joined(&self.pattern, "*"),
            ..self.key(name)
        }
    }

    fn item(&self, name: &str) -> Self {
        Self {
            shown: joined(&self.shown, name),
            pattern: joined(&self.pattern, "[]"),
            key: self.key.clone(),
            is_item: true,
        }
    }

    /// What stands here, for the beginning of a sentence.
    fn subject(&self) -> String {
        if self.is_item {
            return format!("an item of `{}`", self.key);
        }
        format!("`{}`", self.key)
    }
}

fn joined(path: &str, key: &str) -> String {
    if path.is_empty() {
        return key.to_owned();
    }
    format!("{path}.{key}")
}

impl Walk<'_, '_> {
    fn table(
        &mut self,
        keys: &BTreeMap<String, Shape>,
        table: &mut DeTable<'_>,
        table_span: &Span,
        path: &Path,
    ) {
        for (key, mut value) in std::mem::take(table) {
            let at = path.key(key.get_ref());
            let keep = match keys.get(key.get_ref().as_ref()) {
                Some(shape) => self.value(shape, &mut value, &at),
                None => {
                    self.unknown(keys, key.get_ref(), &key.span(), path);
                    false
                }
            };
            if keep {
                table.insert(key, value);
            } else {
                self.findings.spoil(table_span);
            }
        }
    }

    /// Whether the value can stay; a table that cannot is replaced by an empty one and stays.
    fn value(&mut self, shape: &Shape, value: &mut Spanned<DeValue<'_>>, path: &Path) -> bool {
        let span = value.span();
        if span.is_empty() {
            // What the parser puts where it could not read a value; it has told why.
            return false;
        }
        let form = form_of(shape, value.get_ref());
        match (form, value.get_mut()) {
            (Shape::Table(keys), DeValue::Table(table)) => self.table(keys, table, &span, path),
            (Shape::Named(inner), DeValue::Table(table)) => self.named(inner, table, &span, path),
            (Shape::List(inner), DeValue::Array(items)) => self.list(inner, items, &span, path),
            (Shape::Text(kind, choices), DeValue::String(_)) => {
                return self.text(*kind, choices, value, shape, path);
            }
            (Shape::Int { word, .. }, DeValue::String(text))
                if word.as_deref() == Some(text) || env::refers(text) =>
            {
                return self.number_of_the_environment(shape, value, path);
            }
            (Shape::Int { .. }, DeValue::Integer(number)) => {
                let number = i128::from_str_radix(number.as_str(), number.radix());
                return self.in_range(shape, number.ok(), &span, path);
            }
            (Shape::Share, DeValue::Integer(_) | DeValue::Float(_)) => return self.share(value, path),
            (Shape::Share, DeValue::String(text)) if env::refers(text) => {
                return self.expand(Kind::Plain, value, path) && self.share(value, path);
            }
            (Shape::Flag, DeValue::Boolean(_)) => {}
            (Shape::Flag, DeValue::String(text)) if env::refers(text) => {
                return self.flag_of_the_environment(value, path);
            }
            (shape, found) => {
                let message = format!(
                    "{} takes {}, not {}",
                    path.subject(),
                    wanted(shape),
                    self::found(found)
                );
                let help = remedy::remedy(shape, found, &path.key);
                self.findings.error(&span, &path.shown, message).help = help;
                if let Shape::Table(_) | Shape::Named(_) = shape {
                    *value.get_mut() = DeValue::Table(DeTable::new());
                    self.findings.spoil(&span);
                    return true;
                }
                return false;
            }
        }
        true
    }

    fn named(&mut self, inner: &Shape, table: &mut DeTable<'_>, span: &Span, path: &Path) {
        for (key, mut value) in std::mem::take(table) {
            let at = path.name(key.get_ref());
            if self.value(inner, &mut value, &at) {
                table.insert(key, value);
            } else {
                self.findings.spoil(span);
            }
        }
    }

    fn list(&mut self, inner: &Shape, items: &mut DeArray<'_>, span: &Span, path: &Path) {
        let mut kept = DeArray::new();
        for (index, mut item) in std::mem::replace(items, DeArray::new()).into_iter().enumerate() {
            let name = item.get_ref().get("name").and_then(|n| n.get_ref().as_str());
            let shown = name.map_or_else(|| index.to_string(), str::to_owned);
            if self.value(inner, &mut item, &path.item(&shown)) {
                kept.push(item);
            } else {
                self.findings.spoil(span);
            }
        }
        *items = kept;
    }

    fn text(
        &mut self,
        kind: Kind,
        choices: &[String],
        value: &mut Spanned<DeValue<'_>>,
        shape: &Shape,
        path: &Path,
    ) -> bool {
        if !self.expand(kind, value, path) {
            return false;
        }
        let span = value.span();
        let text = value.get_ref().as_str().unwrap_or_default();
        if kind == Kind::Plain {
            self.warn_of_variables(text, &span, path);
        }
        if choices.is_empty() || choices.iter().any(|c| c == text) {
            return true;
        }
        let message = format!("{} does not know \"{text}\"", path.subject());
        let help = hints::closest(text, choices).map_or_else(
            || match shape {
                Shape::OneOf(_) => format!("write {}, or [\"{text}\"]", hints::one_of(choices)),
                _ => format!("write {}", hints::one_of(choices)),
            },
            hints::did_you_mean,
        );
        self.findings.error(&span, &path.shown, message).help(help);
        false
    }

    /// Replaces references to the environment. False with problems told.
    fn expand(&mut self, kind: Kind, value: &mut Spanned<DeValue<'_>>, path: &Path) -> bool {
        let escapes = if kind == Kind::Template {
            Escapes::Kept
        } else {
            Escapes::Resolved
        };
        let span = value.span();
        let DeValue::String(text) = value.get_mut() else {
            return true;
        };
        match env::expand(text, self.env, escapes) {
            Ok(None) => true,
            Ok(Some(expanded)) => {
                *text = expanded.into();
                true
            }
            Err(faults) => {
                for fault in faults {
                    let (message, help) = told(&fault);
                    let span = self.findings.part(&span, &fault.text());
                    self.findings.error(&span, &path.shown, message).help(help);
                }
                false
            }
        }
    }

    fn warn_of_variables(&mut self, text: &str, span: &Span, path: &Path) {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("${") {
            rest = after;
            let name = after.split('}').next().unwrap_or_default();
            if RequestVariable::named(name).is_some() {
                let message = format!(
                    "{} holds no variables: \"${{{name}}}\" stays as it is",
                    path.subject()
                );
                self.findings.warning(span, &path.shown, message);
                return;
            }
        }
    }

    fn number_of_the_environment(
        &mut self,
        shape: &Shape,
        value: &mut Spanned<DeValue<'_>>,
        path: &Path,
    ) -> bool {
        if !self.expand(Kind::Plain, value, path) {
            return false;
        }
        let text = value.get_ref().as_str().unwrap_or_default();
        if let Shape::Int { word: Some(word), .. } = shape
            && word == text
        {
            return true;
        }
        let Ok(number) = text.parse() else {
            let message = format!(
                "{} takes a number, but the environment says \"{text}\"",
                path.subject()
            );
            self.findings.error(&value.span(), &path.shown, message);
            return false;
        };
        self.in_range(shape, Some(number), &value.span(), path)
    }

    fn flag_of_the_environment(&mut self, value: &mut Spanned<DeValue<'_>>, path: &Path) -> bool {
        if !self.expand(Kind::Plain, value, path) {
            return false;
        }
        let text = value.get_ref().as_str().unwrap_or_default();
        if matches!(text, "true" | "false") {
            return true;
        }
        let message = format!(
            "{} takes true or false, but the environment says \"{text}\"",
            path.subject()
        );
        self.findings.error(&value.span(), &path.shown, message);
        false
    }

    fn in_range(&mut self, shape: &Shape, number: Option<i128>, span: &Span, path: &Path) -> bool {
        let Shape::Int { min, max, .. } = shape else {
            return true;
        };
        let range = i128::from(*min)..=i128::from(*max);
        if number.is_some_and(|n| range.contains(&n)) {
            return true;
        }
        let mut message = format!("{} takes a number from {min} to {max}", path.subject());
        if let Some(n) = number {
            message += &format!(", not {n}");
        }
        let problem = self.findings.error(span, &path.shown, message);
        if number == Some(0) && path.pattern == "upstreams.*.servers.[].weight" {
            problem.help("`down = true` takes a server out");
        }
        false
    }

    /// Whether a value is a share of the whole.
    fn share(&mut self, value: &Spanned<DeValue<'_>>, path: &Path) -> bool {
        let text = match value.get_ref() {
            DeValue::Float(float) => float.as_str(),
            DeValue::Integer(number) => number.as_str(),
            other => other.as_str().unwrap_or_default(),
        };
        if Share::parse(text).is_some() {
            return true;
        }
        let message = format!("{} takes a share from 0 to 1, not {text}", path.subject());
        let problem = self.findings.error(&value.span(), &path.shown, message);
        problem.help("0.01 is one in a hundred, 1 is all; at the finest 0.000001");
        false
    }

    fn unknown(&mut self, keys: &BTreeMap<String, Shape>, key: &str, span: &Span, path: &Path) {
        let at = path.key(key);
        let place = if path.shown.is_empty() {
            "at the top of a configuration".to_owned()
        } else {
            format!("in `{}`", path.shown)
        };
        let message = format!("`{key}` is not a key {place}");
        let help = hints::for_key(key, keys, self.root);
        self.findings.error(span, &at.shown, message).help(help);
    }
}

fn told(fault: &Fault) -> (String, String) {
    match fault {
        Fault::Malformed(text) => (
            format!("\"${{{text}\" is not a reference to the environment"),
            "write ${NAME} or ${NAME:-default}; $${NAME} stands for ${NAME} itself".to_owned(),
        ),
        Fault::Unset(name) => (
            format!("the environment has no variable {name}"),
            format!("set it, or give a default: ${{{name}:-default}}"),
        ),
    }
}

/// Of a shape with several forms, the one that a value of this type has.
fn form_of<'s>(shape: &'s Shape, found: &DeValue<'_>) -> &'s Shape {
    let Shape::OneOf(forms) = shape else {
        return shape;
    };
    let has_type = |form: &&Shape| {
        matches!(
            (form, found),
            (Shape::Text(..), DeValue::String(_))
                | (Shape::List(_), DeValue::Array(_))
                | (Shape::Table(_) | Shape::Named(_), DeValue::Table(_))
        )
    };
    forms.iter().find(has_type).unwrap_or(shape)
}

fn wanted(shape: &Shape) -> String {
    let text = match shape {
        Shape::Flag => "true or false",
        Shape::Int { word: Some(_), .. } => "\"auto\" or a number",
        Shape::Int { .. } => "a number",
        Shape::List(_) => "a list",
        Shape::Named(_) | Shape::Table(_) => "a table",
        Shape::OneOf(options) => return hints::or(&options.iter().map(wanted).collect::<Vec<_>>()),
        Shape::Share => "a share from 0 to 1",
        Shape::Text(Kind::Duration | Kind::Timeout, _) => "a duration",
        Shape::Text(Kind::Rate, _) => "a rate",
        Shape::Text(Kind::Size, _) => "a size",
        Shape::Text(Kind::Plain | Kind::Replacement | Kind::Template, _) => "a string",
    };
    text.to_owned()
}

fn found(value: &DeValue<'_>) -> String {
    match value {
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Boolean(b) => format!("{b}"),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Float(f) => format!("the number {}", f.as_str()),
        DeValue::Integer(i) => format!("the number {i}"),
        DeValue::String(_) => "a string".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}
