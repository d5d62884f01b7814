//! The leaves of a file: a value with its place, and the kinds of text a key takes.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::ops::Range;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{Deserialize, Deserializer, Error, Unexpected, Visitor};

/// Bytes from the beginning of all texts together, see [`crate::config::source`].
pub type Span = Range<usize>;

/// A value and where it was written.
#[derive(Clone, Debug, Default)]
pub struct At<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub span: Span,
}

/// A key that may be left out.
pub type Maybe<T> = Option<At<T>>;

/// A list that may be left out.
pub type List<T> = Option<At<Vec<At<T>>>>;

impl<'de, T: Deserialize<'de>> Deserialize<'de> for At<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = toml::Spanned::<T>::deserialize(deserializer)?;
        Ok(Self {
            span: spanned.span(),
            value: spanned.into_inner(),
        })
    }
}

impl<T: JsonSchema> JsonSchema for At<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

// Names are keys of maps, where only the text counts.
impl PartialEq for At<String> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl Eq for At<String> {}

impl PartialOrd for At<String> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for At<String> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}

/// The word in the schema that tells what a text stands for; see [`crate::config::schema::Kind`].
pub const KIND: &str = "x-kind";

macro_rules! text {
    ($($(#[$doc:meta])* $name:ident: $kind:literal $(, $pattern:expr)?;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, serde::Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub String);

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", KIND: $kind $(, "pattern": $pattern)? })
            }
        }
    )*};
}

// An editor cannot know what a reference to the environment will hold, so each pattern lets one pass.
text! {
    /// "30s"
    Duration: "duration", r"^((\d+(\.\d+)?(ms|s|m|min|h|d))+|.*\$\{.*)$";
    /// "30s" or "none"
    Timeout: "timeout", r"^(none|(\d+(\.\d+)?(ms|s|m|min|h|d))+|.*\$\{.*)$";
    /// "10MiB"
    Size: "size", r"^(0|\d+(\.\d+)?(B|[KMGT]iB|[KMGT]B|kB)|.*\$\{.*)$";
    /// "10/s"
    Rate: "rate", r"^(\d+/((ms|s|m|min|h|d)|(\d+(\.\d+)?(ms|s|m|min|h|d))+)|.*\$\{.*)$";
    /// A text with variables of a request or an access line.
    Template: "template";
    /// A text in which `$1` and `${name}` have a meaning of their own.
    Replacement: "replacement";
}

/// A whole number with its bounds. A string of digits is read too, since that is what the environment holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Int<const MIN: u64, const MAX: u64>(pub u64);

impl<const MIN: u64, const MAX: u64> Int<MIN, MAX> {
    /// The number; a `MAX` beyond the type is cut.
    pub fn u16(self) -> u16 {
        u16::try_from(self.0).unwrap_or(u16::MAX)
    }

    /// The number; a `MAX` beyond the type is cut.
    pub fn u32(self) -> u32 {
        u32::try_from(self.0).unwrap_or(u32::MAX)
    }

    /// The number; a `MAX` beyond the type is cut.
    pub fn usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl<'de, const MIN: u64, const MAX: u64> Deserialize<'de> for Int<MIN, MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(Number)?;
        if (MIN..=MAX).contains(&number) {
            return Ok(Self(number));
        }
        let range = format!("a number from {MIN} to {MAX}");
        Err(D::Error::invalid_value(
            Unexpected::Unsigned(number),
            &range.as_str(),
        ))
    }
}

impl<const MIN: u64, const MAX: u64> JsonSchema for Int<MIN, MAX> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("Int_{MIN}_{MAX}").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "integer", "minimum": MIN, "maximum": MAX })
    }
}

/// A share from 0 to 1, in parts of a million. A string of digits is read too, since that is what the environment holds.
#[derive(Clone, Copy, Debug, Default)]
pub struct Share(pub u32);

impl Share {
    /// In parts of a million; None if it is no share, or finer than that.
    pub fn parse(text: &str) -> Option<Self> {
        const WHOLE_PPM: f64 = 1_000_000.0;
        let ppm = text.replace('_', "").parse::<f64>().ok()? * WHOLE_PPM;
        let is_whole = (ppm - ppm.round()).abs() < 1e-3;
        ((0.0..=WHOLE_PPM).contains(&ppm) && is_whole).then_some(Self(ppm.round() as u32))
    }
}

impl<'de> Deserialize<'de> for Share {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Part;
        impl Visitor<'_> for Part {
            type Value = Share;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a share from 0 to 1")
            }

            fn visit_i64<E: Error>(self, v: i64) -> Result<Share, E> {
                self.visit_str(&v.to_string())
            }

            fn visit_f64<E: Error>(self, v: f64) -> Result<Share, E> {
                self.visit_str(&v.to_string())
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<Share, E> {
                Share::parse(v).ok_or_else(|| E::invalid_value(Unexpected::Str(v), &self))
            }
        }
        deserializer.deserialize_any(Part)
    }
}

impl JsonSchema for Share {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

struct Number;

impl Visitor<'_> for Number {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number")
    }

    fn visit_i64<E: Error>(self, v: i64) -> Result<u64, E> {
        u64::try_from(v).map_err(|_| E::invalid_value(Unexpected::Signed(v), &self))
    }

    fn visit_u64<E: Error>(self, v: u64) -> Result<u64, E> {
        Ok(v)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<u64, E> {
        v.parse().map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
    }
}

/// true or false, or one of these words from the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Flag(pub bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(YesNo).map(Self)
    }
}

impl JsonSchema for Flag {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Flag".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "boolean" })
    }
}

struct YesNo;

impl Visitor<'_> for YesNo {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("true or false")
    }

    fn visit_bool<E: Error>(self, v: bool) -> Result<bool, E> {
        Ok(v)
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<bool, E> {
        v.parse().map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
    }
}

/// Most workers one process starts; more is a mistake.
pub const THREADS_MAX: u64 = 1_024;

/// "auto", or how many.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Threads {
    /// As many as there are cores.
    #[default]
    Auto,
    /// So many.
    Count(usize),
}

impl<'de> Deserialize<'de> for Threads {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AutoOrNumber;
        impl Visitor<'_> for AutoOrNumber {
            type Value = Threads;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("\"auto\" or a number")
            }

            fn visit_i64<E: Error>(self, v: i64) -> Result<Threads, E> {
                let count = usize::try_from(v).map_err(|_| E::invalid_value(Unexpected::Signed(v), &self))?;
                Ok(Threads::Count(count))
            }

            fn visit_str<E: Error>(self, v: &str) -> Result<Threads, E> {
                if v == "auto" {
                    return Ok(Threads::Auto);
                }
                v.parse()
                    .map(Threads::Count)
                    .map_err(|_| E::invalid_value(Unexpected::Str(v), &self))
            }
        }
        deserializer.deserialize_any(AutoOrNumber)
    }
}

impl JsonSchema for Threads {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Threads".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [
            { "const": "auto" },
            { "type": "integer", "minimum": 1, "maximum": THREADS_MAX },
        ] })
    }
}
