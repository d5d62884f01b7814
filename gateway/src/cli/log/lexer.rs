//! The words of a query.

use std::ops::Range;

use super::query::QueryFault;

/// A word and where it stands, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What.
    pub what: What,
    /// Where.
    pub place: Range<usize>,
}

/// What a word is.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// `(`
    Open,
    /// `)`
    Close,
    /// A comparison.
    Op(Op),
    /// A name, or `and`, `or`, `not`.
    Word(String),
    /// In quotes.
    Text(String),
    /// A number.
    Number(f64),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// `=`
    Equal,
    /// `!=`
    Unequal,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
    /// `~`
    Matches,
    /// `!~`
    MatchesNot,
}

/// What stands for each, longer ones before those they begin with. C's spellings mean the same.
const SIGNS: [(&str, What); 11] = [
    ("!=", What::Op(Op::Unequal)),
    ("!~", What::Op(Op::MatchesNot)),
    ("<=", What::Op(Op::LessOrEqual)),
    (">=", What::Op(Op::GreaterOrEqual)),
    ("==", What::Op(Op::Equal)),
    ("=", What::Op(Op::Equal)),
    ("<", What::Op(Op::Less)),
    (">", What::Op(Op::Greater)),
    ("~", What::Op(Op::Matches)),
    ("(", What::Open),
    (")", What::Close),
];

/// The same, for words.
const WORDS: [(&str, &str); 3] = [("&&", "and"), ("||", "or"), ("!", "not")];

/// All words of a text.
///
/// # Errors
/// The first place where there is none.
pub fn tokens(text: &str) -> Result<Vec<Token>, QueryFault> {
    let mut tokens = Vec::new();
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (what, length) = token(text, at, first)?;
        let place = at..at + length;
        at = place.end;
        tokens.push(Token { what, place });
    }
    Ok(tokens)
}

fn token(text: &str, at: usize, first: char) -> Result<(What, usize), QueryFault> {
    let rest = &text[at..];
    if let Some((sign, what)) = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((what.clone(), sign.len()));
    }
    if let Some((sign, word)) = WORDS.iter().find(|(sign, _)| rest.starts_with(sign)) {
        return Ok((What::Word((*word).to_owned()), sign.len()));
    }
    match first {
        '"' | '\'' => quoted(rest, at, first),
        '0'..='9' | '-' | '.' => number(rest, at),
        'a'..='z' | 'A'..='Z' | '_' => {
            let length = word_length(rest);
            Ok((What::Word(rest[..length].to_owned()), length))
        }
        _ => Err(QueryFault::new(
            at..at + first.len_utf8(),
            "nothing begins like this",
            "write FIELD OP VALUE: status>=500, route=\"api\"",
        )),
    }
}

fn word_length(text: &str) -> usize {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.bytes().take_while(|b| is_part(*b)).count()
}

fn number(rest: &str, at: usize) -> Result<(What, usize), QueryFault> {
    let digits = rest
        .bytes()
        .take_while(|b| b.is_ascii_digit() || b"-.".contains(b));
    let length = digits.count();
    let unit = word_length(&rest[length..]);
    let place = at..at + length + unit;
    if unit > 0 {
        let help = match &rest[length..length + unit] {
            "ms" => "times are in milliseconds: leave the unit out",
            "s" => "times are in milliseconds: write 1500 for 1.5 s",
            "xx" => "write status>=500 and status<600, or status~\"^5\"",
            _ => "write a text in quotes: \"…\"",
        };
        return Err(QueryFault::new(place, "not a number", help));
    }
    match rest[..length].parse() {
        Ok(number) => Ok((What::Number(number), length)),
        Err(_) => Err(QueryFault::new(place, "not a number", "write 500 or 1.5")),
    }
}

/// A backslash takes the next quote or backslash as it is; before anything else it stands for itself, so that regular
/// expressions need not be doubled.
fn quoted(rest: &str, at: usize, quote: char) -> Result<(What, usize), QueryFault> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        match c {
            c if c == quote => return Ok((What::Text(text), i + 1)),
            '\\' => match chars.next_if(|(_, next)| *next == quote || *next == '\\') {
                Some((_, next)) => text.push(next),
                None => text.push('\\'),
            },
            c => text.push(c),
        }
    }
    let message = format!("the text that begins here has no end: {quote} is missing");
    Err(QueryFault::new(at..at + rest.len(), message, ""))
}
