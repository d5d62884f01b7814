//! JSON as signed texts need it: a member that comes twice is refused, so that no two readers see different things.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor};
use serde_json::Deserializer;
use serde_json::error::Category;

use crate::secrets::Fault;

/// Objects and lists within each other. Tokens and keys have three or four.
pub const DEPTH_MAX: usize = 16;

/// The members of an object.
pub type Members = BTreeMap<String, Json>;

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A number without fraction and exponent, from -2⁶³ to 2⁶⁴ - 1: exactly as written.
    Whole(i128),
    /// Any other number, to the precision of a double; never infinite.
    Fraction(f64),
    /// A string without its escapes.
    Text(String),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// Reads a text that is one object and nothing else.
///
/// # Errors
/// It is not; a member comes twice in one object; it is nested deeper than [`DEPTH_MAX`]; a number is too large for a
/// double.
pub fn object(text: &[u8]) -> Result<Members, Fault> {
    let mut reader = Deserializer::from_slice(text);
    let value = Depth(DEPTH_MAX).deserialize(&mut reader).map_err(fault)?;
    reader.end().map_err(fault)?;
    match value {
        Json::Object(members) => Ok(members),
        Json::Null | Json::Bool(_) | Json::Whole(_) | Json::Fraction(_) | Json::Text(_) | Json::List(_) => {
            Err(Fault {
                line: 1,
                message: "this is JSON, but not an object".to_owned(),
            })
        }
    }
}

impl Json {
    /// The text of a string.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Null
            | Self::Bool(_)
            | Self::Whole(_)
            | Self::Fraction(_)
            | Self::List(_)
            | Self::Object(_) => None,
        }
    }
}

fn fault(error: serde_json::Error) -> Fault {
    let line = error.line().max(1);
    let message = match error.classify() {
        Category::Eof => "the JSON ends too early: the text is cut short".to_owned(),
        Category::Syntax | Category::Data | Category::Io => {
            format!("this is not JSON as it should be: {error}")
        }
    };
    Fault { line, message }
}

/// How many levels may still follow.
#[derive(Clone, Copy)]
struct Depth(usize);

impl Depth {
    fn below<E: Error>(self) -> Result<Self, E> {
        let deeper = self.0.checked_sub(1).map(Self);
        deeper.ok_or_else(|| E::custom(format!("nested deeper than {DEPTH_MAX} levels")))
    }
}

impl<'de> DeserializeSeed<'de> for Depth {
    type Value = Json;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Json, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Depth {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json, E> {
        Ok(Json::Fraction(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json, E> {
        Ok(Json::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Json, E> {
        Ok(Json::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut values = Vec::new();
        while let Some(value) = list.next_element_seed(below)? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let below = self.below()?;
        let mut members = Members::new();
        while let Some(name) = object.next_key::<String>()? {
            let value = object.next_value_seed(below)?;
            if members.insert(name, value).is_some() {
                // Not named: a text that is refused is nothing to quote.
                return Err(A::Error::custom("a member comes twice in one object"));
            }
        }
        Ok(Json::Object(members))
    }
}
