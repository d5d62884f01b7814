//! What `-q` says: which lines are wanted.
//!
//! ```text
//! query = all { "or" all }          all = one { "and" one }
//! one   = "not" one | "(" query ")" | field [ op value ]
//! op    = "=" "!=" "<" "<=" ">" ">=" "~" "!~"
//! ```
//!
//! A line that lacks a field differs from every value: `!=` and `!~` hold, everything else does not. A field alone asks
//! whether the line has it.

use std::cmp::Ordering;
use std::ops::Range;

use regex::Regex;

use super::field::{Field, Fields, Kind};
use super::lexer::{Op, Token, What, tokens};
use super::line::{Line, Value, decoded};

/// Parentheses and `not`s within each other; a person writes three.
const DEPTH_MAX: usize = 64;
/// Bytes of a query: what a command line may hold is more than anybody means.
const QUERY_BYTES_MAX: usize = 64 << 10;

/// Characters of a query that are shown before and behind what is wrong with it.
const SHOWN_AROUND: usize = 100;

/// Which lines are wanted.
#[derive(Debug)]
pub struct Query {
    expression: Expression,
    fields: Fields,
}

/// Why a query is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryFault {
    /// Where, in bytes.
    pub place: Range<usize>,
    /// What.
    pub message: String,
    /// What to do; may be empty.
    pub help: String,
}

#[derive(Debug)]
enum Expression {
    All(Vec<Self>),
    Any(Vec<Self>),
    Not(Box<Self>),
    Test(Field, Test),
}

#[derive(Debug)]
enum Test {
    IsThere,
    Number(Op, f64),
    Text(Op, String),
    Pattern(Regex),
}

impl QueryFault {
    /// A fault at a place.
    pub fn new(place: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            help: help.into(),
        }
    }

    /// The message with the query below it and carets below the place; of a long query only what is around it.
    pub fn told(&self, query: &str) -> String {
        let plain = |c: char| if c.is_control() { ' ' } else { c };
        let chars: Vec<char> = query.chars().map(plain).collect();
        let count = |end: usize| query.get(..end).map_or(chars.len(), |text| text.chars().count());
        let (start, end) = (count(self.place.start), count(self.place.end));
        let from = start.saturating_sub(SHOWN_AROUND);
        let to = (end.min(start + SHOWN_AROUND) + SHOWN_AROUND).min(chars.len());
        let dots = if from > 0 { "…" } else { "" };
        let shown: String = chars[from..to].iter().collect();
        let before = " ".repeat(dots.chars().count() + start - from);
        let carets = "^".repeat(end.min(to).saturating_sub(start).max(1));
        format!("the query: {}\n  {dots}{shown}\n  {before}{carets}", self.message)
    }
}

impl Query {
    /// Reads it.
    ///
    /// # Errors
    /// The first thing that is wrong, with its place.
    pub fn parse(text: &str) -> Result<Self, QueryFault> {
        if text.len() > QUERY_BYTES_MAX {
            return Err(QueryFault::new(0..1, "it is longer than 64 KiB", ""));
        }
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
            end: text.len(),
            fields: Fields::default(),
        };
        if parser.tokens.is_empty() {
            let help = "write FIELD OP VALUE, as in status>=500; or leave -q out";
            return Err(QueryFault::new(0..text.len(), "it is empty", help));
        }
        let expression = parser.any(0)?;
        match parser.next() {
            None => Ok(Self {
                expression,
                fields: parser.fields,
            }),
            Some(token) if token.what == What::Close => Err(QueryFault::new(
                token.place,
                "nothing was opened that ends here",
                "",
            )),
            Some(token) => Err(QueryFault::new(
                token.place,
                "`and` or `or` is missing before this",
                "",
            )),
        }
    }

    /// What has to be read of a line.
    pub fn fields(&self) -> Fields {
        self.fields
    }

    /// Whether a line is wanted, of which these fields have been read.
    pub fn matches(&self, line: &Line<'_>) -> bool {
        self.expression.holds(line)
    }
}

impl Expression {
    fn holds(&self, line: &Line<'_>) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(line)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(line)),
            Self::Not(part) => !part.holds(line),
            Self::Test(field, test) => line.value(*field).is_some_and(|value| test.holds(value)),
        }
    }
}

impl Test {
    fn holds(&self, value: Value<'_>) -> bool {
        match (self, value) {
            (Self::IsThere, Value::Bare(raw)) => raw != b"false" && raw != b"null",
            (Self::IsThere, Value::Text(_)) => true,
            (Self::Number(op, number), Value::Bare(raw)) => std::str::from_utf8(raw)
                .ok()
                .and_then(|text| text.parse::<f64>().ok())
                .and_then(|is| is.partial_cmp(number))
                .is_some_and(|order| op.takes(order)),
            (Self::Text(op, text), Value::Text(raw)) => op.takes((*decoded(raw)).cmp(text.as_str())),
            (Self::Pattern(pattern), Value::Text(raw)) => pattern.is_match(&decoded(raw)),
            (Self::Pattern(pattern), Value::Bare(raw)) => {
                std::str::from_utf8(raw).is_ok_and(|text| pattern.is_match(text))
            }
            (Self::Number(..), Value::Text(_)) | (Self::Text(..), Value::Bare(_)) => false,
        }
    }
}

impl Op {
    /// What is negated: these are parsed as `not` of their opposite, so that a missing field differs from everything.
    fn opposite(self) -> Option<Self> {
        match self {
            Self::Unequal => Some(Self::Equal),
            Self::MatchesNot => Some(Self::Matches),
            Self::Equal
            | Self::Less
            | Self::LessOrEqual
            | Self::Greater
            | Self::GreaterOrEqual
            | Self::Matches => None,
        }
    }

    fn takes(self, order: Ordering) -> bool {
        match self {
            Self::Equal => order.is_eq(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Unequal | Self::Matches | Self::MatchesNot => false,
        }
    }
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    end: usize,
    fields: Fields,
}

impl Parser {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn takes(&mut self, word: &str) -> bool {
        let is_it = matches!(self.tokens.get(self.at), Some(Token { what: What::Word(w), .. }) if w == word);
        self.at += usize::from(is_it);
        is_it
    }

    fn missing(&self, what: &str) -> QueryFault {
        QueryFault::new(self.end..self.end, format!("{what} is missing at the end"), "")
    }

    fn any(&mut self, depth: usize) -> Result<Expression, QueryFault> {
        let mut parts = vec![self.all(depth)?];
        while self.takes("or") {
            parts.push(self.all(depth)?);
        }
        Ok(single(parts, Expression::Any))
    }

    fn all(&mut self, depth: usize) -> Result<Expression, QueryFault> {
        let mut parts = vec![self.one(depth)?];
        while self.takes("and") {
            parts.push(self.one(depth)?);
        }
        Ok(single(parts, Expression::All))
    }

    fn one(&mut self, depth: usize) -> Result<Expression, QueryFault> {
        let Some(token) = self.next() else {
            return Err(self.missing("a condition"));
        };
        if depth == DEPTH_MAX {
            return Err(QueryFault::new(token.place, "this is nested too deeply", ""));
        }
        match token.what {
            What::Open => {
                let inner = self.any(depth + 1)?;
                match self.next() {
                    Some(Token {
                        what: What::Close, ..
                    }) => Ok(inner),
                    Some(other) => Err(QueryFault::new(
                        other.place,
                        "`and`, `or` or `)` is missing before this",
                        "",
                    )),
                    None => Err(QueryFault::new(token.place, "its `)` is missing", "")),
                }
            }
            What::Word(word) if word == "not" => Ok(Expression::Not(Box::new(self.one(depth + 1)?))),
            What::Word(word) => self.test(&word, token.place),
            What::Text(_) | What::Number(_) => Err(QueryFault::new(
                token.place,
                "a condition begins with a field",
                "write FIELD OP VALUE: status>=500, route=\"api\"",
            )),
            What::Op(_) | What::Close => Err(QueryFault::new(
                token.place,
                "a field is missing before this",
                "write FIELD OP VALUE: status>=500, route=\"api\"",
            )),
        }
    }

    fn test(&mut self, word: &str, place: Range<usize>) -> Result<Expression, QueryFault> {
        let Some(field) = Field::of(word.as_bytes()) else {
            return Err(unknown(word, place));
        };
        self.fields = self.fields.with(field);
        let Some(Token {
            what: What::Op(op), ..
        }) = self.tokens.get(self.at)
        else {
            return Ok(Expression::Test(field, Test::IsThere));
        };
        let op = *op;
        self.at += 1;
        let Some(value) = self.next() else {
            return Err(self.missing("a value"));
        };
        let positive = op.opposite().unwrap_or(op);
        let test = Expression::Test(field, test(field, positive, value)?);
        Ok(match op.opposite() {
            Some(_) => Expression::Not(Box::new(test)),
            None => test,
        })
    }
}

fn single(mut parts: Vec<Expression>, several: fn(Vec<Expression>) -> Expression) -> Expression {
    match parts.len() {
        1 => parts.remove(0),
        _ => several(parts),
    }
}

fn test(field: Field, op: Op, value: Token) -> Result<Test, QueryFault> {
    let name = field.name();
    match (field.kind(), value.what) {
        (Kind::Flag, _) => Err(QueryFault::new(
            value.place,
            format!("{name} is there or not, and has no value"),
            format!("write {name}, or not {name}"),
        )),
        (_, What::Text(text)) if op == Op::Matches => match Regex::new(&text) {
            Ok(pattern) => Ok(Test::Pattern(pattern)),
            Err(error) => {
                // Its last line says what is wrong; those before it draw the expression once more.
                let text = error.to_string();
                let why = text.lines().last().unwrap_or_default().trim();
                let message = format!("not a regular expression: {}", why.trim_start_matches("error: "));
                Err(QueryFault::new(value.place, message, ""))
            }
        },
        (_, What::Number(_)) if op == Op::Matches => Err(QueryFault::new(
            value.place,
            "~ takes a regular expression",
            format!("write it in quotes: {name}~\"^5\""),
        )),
        (Kind::Number, What::Number(number)) => Ok(Test::Number(op, number)),
        (Kind::Text, What::Text(text)) => Ok(Test::Text(op, text)),
        (Kind::Number, What::Text(_)) => Err(QueryFault::new(
            value.place,
            format!("{name} is a number"),
            "leave the quotes out",
        )),
        (Kind::Text, What::Number(_)) => Err(QueryFault::new(
            value.place,
            format!("{name} is a text"),
            "write it in quotes",
        )),
        (_, What::Word(word)) => Err(QueryFault::new(
            value.place,
            "a value is a number, or a text in quotes",
            format!("write \"{word}\""),
        )),
        (_, What::Op(_) | What::Open | What::Close) => {
            Err(QueryFault::new(value.place, "a value is missing before this", ""))
        }
    }
}

/// Below this likeness, from 0 to 1, a guess is none.
const LIKENESS_MIN: f64 = 0.7;

fn unknown(word: &str, place: Range<usize>) -> QueryFault {
    let likeness = |field: &Field| strsim::jaro_winkler(word, field.name());
    let nearest = Field::ALL
        .iter()
        .max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        .filter(|field| likeness(field) > LIKENESS_MIN);
    let all: Vec<&str> = Field::ALL.iter().map(|field| field.name()).collect();
    let guess = nearest.map_or(String::new(), |field| format!("did you mean {}? ", field.name()));
    QueryFault::new(
        place,
        format!("the access log has no {word}"),
        format!("{guess}there is {}", all.join(", ")),
    )
}

#[cfg(test)]
mod tests;
