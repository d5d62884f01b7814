//! What a stranger sent, read field by field: every fault is found, each with the field's name.
//!
//! A reader takes what it needs by name. A fault leaves a placeholder and is noted; [`read`] hands out the result
//! only if nothing was noted, so no placeholder gets past it. What nobody asked for is a fault too.

use std::mem;
use std::ops::RangeInclusive;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::calendar::Date;
use crate::weight::Grams;
use crate::words::Word;

/// One wrong field and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Fault {
    /// Where: `name`, `exercises[2].reps`, or empty for the body as a whole.
    pub field: String,
    /// What to send instead, as a predicate: "must be …".
    pub message: String,
}

impl Fault {
    /// A fault of `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault {
            field: field.into(),
            message: message.into(),
        }
    }
}

/// Something that is read from a JSON object.
pub trait Input: Sized {
    /// Takes the fields by name; faults are noted in `fields`.
    fn read(fields: &mut Fields) -> Self;
}

/// Reads a JSON body; all its faults at once, at most `FAULTS_MAX`.
pub fn read<T: Input>(body: Value) -> Result<T, Vec<Fault>> {
    match body {
        Value::Object(values) => Fields::read_all(values, Spelling::Json, T::read),
        _ => Err(vec![Fault::new("", "must be an object")]),
    }
}

/// Reads the parameters of a query string; a name given twice is a fault.
pub fn read_query<T>(
    pairs: &[(String, String)],
    take: impl FnOnce(&mut Fields) -> T,
) -> Result<T, Vec<Fault>> {
    let mut values = Map::new();
    for (name, value) in pairs {
        if values.insert(name.clone(), Value::from(value.as_str())).is_some() {
            return Err(vec![Fault::new(name, "must be given once")]);
        }
    }
    Fields::read_all(values, Spelling::Text, take)
}

/// No answer lists more faults than this: a body of nothing but faults must not be answered with a bigger one.
const FAULTS_MAX: usize = 50;

/// How numbers are written: as JSON numbers, or as text because a query string has nothing else.
#[derive(Clone, Copy)]
enum Spelling {
    Json,
    Text,
}

/// The fields of one object that nobody has taken yet, and the faults of all taken so far.
pub struct Fields {
    values: Map<String, Value>,
    spelling: Spelling,
    /// What stands before a field's name in a fault: `exercises[2].`, or nothing at the top.
    prefix: String,
    faults: Vec<Fault>,
}

impl Fields {
    fn read_all<T>(
        values: Map<String, Value>,
        spelling: Spelling,
        take: impl FnOnce(&mut Fields) -> T,
    ) -> Result<T, Vec<Fault>> {
        let mut fields = Fields {
            values,
            spelling,
            prefix: String::new(),
            faults: Vec::new(),
        };
        let taken = take(&mut fields);
        fields.refuse_the_rest();
        if fields.faults.is_empty() {
            Ok(taken)
        } else {
            Err(fields.faults)
        }
    }

    /// Text of so many characters, without control characters other than line breaks and tabs.
    pub fn text(&mut self, name: &str, chars: RangeInclusive<usize>) -> String {
        let Some(value) = self.required(name) else {
            return String::new();
        };
        let Value::String(text) = value else {
            return self.fault(name, "must be text");
        };
        if !chars.contains(&text.chars().count()) {
            return self.fault(
                name,
                format!("must have {} to {} characters", chars.start(), chars.end()),
            );
        }
        if text
            .chars()
            .any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'))
        {
            return self.fault(name, "must not contain control characters");
        }
        text
    }

    /// A name: text on one line that starts and ends with something to see.
    pub fn title(&mut self, name: &str, chars: RangeInclusive<usize>) -> String {
        let text = self.text(name, chars);
        if text.trim() != text || text.contains(['\n', '\r', '\t']) {
            return self.fault(name, "must be one line that neither starts nor ends with a space");
        }
        text
    }

    /// As [`Fields::text`], or empty if absent.
    pub fn optional_text(&mut self, name: &str, chars_max: usize) -> String {
        if self.has(name) {
            self.text(name, 0..=chars_max)
        } else {
            String::new()
        }
    }

    /// A whole number in `range`.
    pub fn whole(&mut self, name: &str, range: RangeInclusive<i64>) -> i64 {
        let Some(value) = self.required(name) else {
            return 0;
        };
        let number = match (&value, self.spelling) {
            (Value::Number(number), _) => number.as_i64(),
            (Value::String(digits), Spelling::Text) => digits.parse().ok(),
            _ => None,
        };
        match number.filter(|number| range.contains(number)) {
            Some(number) => number,
            None => self.fault(
                name,
                format!("must be a whole number from {} to {}", range.start(), range.end()),
            ),
        }
    }

    /// As [`Fields::whole`], or `default` if absent.
    pub fn whole_or(&mut self, name: &str, range: RangeInclusive<i64>, default: i64) -> i64 {
        if self.has(name) {
            self.whole(name, range)
        } else {
            default
        }
    }

    /// The id of another thing; whether that exists is for the store to say.
    pub fn id(&mut self, name: &str) -> i64 {
        self.whole(name, 1..=i64::MAX)
    }

    /// As [`Fields::id`], or nothing if absent.
    pub fn optional_id(&mut self, name: &str) -> Option<i64> {
        self.has(name).then(|| self.id(name))
    }

    /// A weight in kilograms, zero if absent.
    pub fn weight_kg(&mut self, name: &str, max: Grams) -> Grams {
        if !self.has(name) {
            return Grams::default();
        }
        let grams = self
            .required(name)
            .and_then(|value| value.as_f64())
            .and_then(Grams::from_kg);
        match grams.filter(|grams| (Grams(0)..=max).contains(grams)) {
            Some(grams) => grams,
            None => self.fault(
                name,
                format!("must be kilograms from 0 to {} in steps of 0.001", max.0 / 1000),
            ),
        }
    }

    /// A day, or nothing if absent.
    pub fn optional_date(&mut self, name: &str) -> Option<Date> {
        if !self.has(name) {
            return None;
        }
        let date = self.required(name).and_then(|value| value.as_str()?.parse().ok());
        date.or_else(|| self.fault(name, "must be a day that exists, as YYYY-MM-DD"))
    }

    /// True or false, false if absent.
    pub fn flag(&mut self, name: &str) -> bool {
        if !self.has(name) {
            return false;
        }
        match self.required(name) {
            Some(Value::Bool(flag)) => flag,
            _ => self.fault(name, "must be true or false"),
        }
    }

    /// One word of a closed set.
    pub fn word<W: Word>(&mut self, name: &str) -> W {
        let word = self.required(name);
        // An absent field is a fault already; the placeholder is the first word of the set.
        let Some(word) = word else { return W::ALL[0] };
        if let Some(word) = word.as_str().and_then(W::from_word) {
            return word;
        }
        let words: Vec<_> = W::ALL.iter().map(|word| word.as_str()).collect();
        self.fault::<()>(name, format!("must be one of {}", words.join(", ")));
        W::ALL[0]
    }

    /// As [`Fields::word`], or nothing if absent.
    pub fn optional_word<W: Word>(&mut self, name: &str) -> Option<W> {
        self.has(name).then(|| self.word(name))
    }

    /// A list of objects, each read by `T`.
    pub fn list<T: Input>(&mut self, name: &str, length: RangeInclusive<usize>) -> Vec<T> {
        let Some(value) = self.required(name) else {
            return Vec::new();
        };
        let Value::Array(items) = value else {
            return self.fault(name, "must be a list");
        };
        if !length.contains(&items.len()) {
            return self.fault(
                name,
                format!("must have {} to {} items", length.start(), length.end()),
            );
        }
        items
            .into_iter()
            .enumerate()
            .filter_map(|(at, item)| self.item(name, at, item))
            .collect()
    }

    fn item<T: Input>(&mut self, list: &str, at: usize, item: Value) -> Option<T> {
        let Value::Object(values) = item else {
            return self.fault(&format!("{list}[{at}]"), "must be an object");
        };
        let prefix = format!("{}{list}[{at}].", self.prefix);
        let mut fields = Fields {
            values,
            spelling: self.spelling,
            prefix,
            faults: mem::take(&mut self.faults),
        };
        let taken = T::read(&mut fields);
        fields.refuse_the_rest();
        self.faults = fields.faults;
        Some(taken)
    }

    /// Notes that `name` is wrong and returns the placeholder; for rules that only a caller knows, too.
    pub fn fault<T: Default>(&mut self, name: &str, message: impl Into<String>) -> T {
        if self.faults.len() < FAULTS_MAX {
            self.faults
                .push(Fault::new(format!("{}{name}", self.prefix), message));
        }
        T::default()
    }

    /// Whether there is something to take; `null` says the same as leaving the field out.
    fn has(&mut self, name: &str) -> bool {
        if self.values.get(name).is_some_and(Value::is_null) {
            self.values.remove(name);
        }
        self.values.contains_key(name)
    }

    fn required(&mut self, name: &str) -> Option<Value> {
        match self.values.remove(name) {
            None | Some(Value::Null) => self.fault(name, "is required"),
            present => present,
        }
    }

    fn refuse_the_rest(&mut self) {
        for name in mem::take(&mut self.values).keys() {
            // The name is a stranger's text of any length: enough of it to be found.
            let shown: String = name.chars().take(NAME_SHOWN_CHARS).collect();
            self.fault::<()>(&shown, "is not a field here");
        }
    }
}

/// How much of an unknown field's name is repeated in an answer.
const NAME_SHOWN_CHARS: usize = 64;
