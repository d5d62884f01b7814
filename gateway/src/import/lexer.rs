//! Text to words, braces and semicolons, by nginx's own rules of quoting.

use super::{Fault, FaultKind};

/// A piece of a configuration and the line it begins on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub kind: Kind,
    pub line: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A word, without quotes and with its escapes resolved.
    Word(String),
    /// `;`
    End,
    /// `{`
    Open,
    /// `}`
    Close,
}

/// Reads pieces one after the other.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
    line: usize,
    /// A quoted word has just ended: nginx wants something between it and the next.
    closed_quote: bool,
}

impl<'t> Lexer<'t> {
    pub fn new(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            line: 1,
            closed_quote: false,
        }
    }

    /// The line that is read.
    pub fn line(&self) -> usize {
        self.line
    }

    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        if c == '\n' {
            self.line += 1;
        }
        Some(c)
    }

    /// The next piece; None at the end.
    pub fn next(&mut self) -> Result<Option<Token>, Fault> {
        let after_quote = std::mem::take(&mut self.closed_quote);
        let start = self.at;
        self.skip_blank();
        let line = self.line;
        let Some(c) = self.peek() else { return Ok(None) };
        let kind = match c {
            ';' => self.single(Kind::End),
            '{' => self.single(Kind::Open),
            '}' => self.single(Kind::Close),
            // `if ($a = "b")` closes its parenthesis behind a quote.
            _ if after_quote && start == self.at && c != ')' => {
                return Err(Fault::at(line, FaultKind::Glued));
            }
            '"' | '\'' => self.quoted(c)?,
            _ => self.bare(),
        };
        Ok(Some(Token { kind, line }))
    }

    fn single(&mut self, kind: Kind) -> Kind {
        self.bump();
        kind
    }

    /// White space and comments; a comment begins where a word could.
    fn skip_blank(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                ' ' | '\t' | '\r' | '\n' => {
                    self.bump();
                }
                '#' => {
                    while self.peek().is_some_and(|c| c != '\n') {
                        self.bump();
                    }
                }
                _ => return,
            }
        }
    }

    fn bare(&mut self) -> Kind {
        let mut word = String::new();
        // `${name}` is a part of a word, a brace elsewhere ends it.
        let mut after_dollar = false;
        while let Some(c) = self.peek() {
            match c {
                '{' if after_dollar => {}
                ' ' | '\t' | '\r' | '\n' | ';' | '{' => break,
                _ => {}
            }
            self.bump();
            after_dollar = c == '$';
            if c == '\\' {
                self.escaped(&mut word);
            } else {
                word.push(c);
            }
        }
        Kind::Word(word)
    }

    fn quoted(&mut self, quote: char) -> Result<Kind, Fault> {
        let line = self.line;
        self.bump();
        let mut word = String::new();
        loop {
            match self.bump() {
                None => return Err(Fault::at(line, FaultKind::OpenQuote)),
                Some(c) if c == quote => break,
                Some('\\') => self.escaped(&mut word),
                Some(c) => word.push(c),
            }
        }
        self.closed_quote = true;
        Ok(Kind::Word(word))
    }

    /// What follows a backslash: quotes, backslashes and three controls are resolved, before all else it stays.
    fn escaped(&mut self, word: &mut String) {
        match self.bump() {
            Some(c @ ('"' | '\'' | '\\')) => word.push(c),
            Some('t') => word.push('\t'),
            Some('r') => word.push('\r'),
            Some('n') => word.push('\n'),
            Some(c) => {
                word.push('\\');
                word.push(c);
            }
            None => word.push('\\'),
        }
    }

    /// A program behind its opening brace, up to the one that closes it, which is read too.
    ///
    /// Braces in Lua's texts and comments do not count.
    pub fn code(&mut self) -> Result<String, Fault> {
        let (start, line) = (self.at, self.line);
        let mut depth = 0_usize;
        loop {
            let end = self.at;
            match self.bump() {
                None => return Err(Fault::at(line, FaultKind::OpenCode)),
                Some('{') => depth += 1,
                Some('}') if depth == 0 => return Ok(self.text[start..end].to_owned()),
                Some('}') => depth -= 1,
                Some(quote @ ('"' | '\'')) => self.skip_text(quote),
                Some('-') if self.peek() == Some('-') => {
                    self.bump();
                    if !self.skip_long() {
                        while self.peek().is_some_and(|c| c != '\n') {
                            self.bump();
                        }
                    }
                }
                Some('[') => {
                    self.at = end;
                    if !self.skip_long() {
                        self.bump();
                    }
                }
                Some(_) => {}
            }
        }
    }

    fn skip_text(&mut self, quote: char) {
        while let Some(c) = self.bump() {
            match c {
                '\\' => _ = self.bump(),
                '\n' => return,
                c if c == quote => return,
                _ => {}
            }
        }
    }

    /// `[[ … ]]` or `[==[ … ]==]`, if one begins here.
    fn skip_long(&mut self) -> bool {
        let rest = &self.text[self.at..];
        let Some(inner) = rest.strip_prefix('[') else {
            return false;
        };
        let level = inner.bytes().take_while(|b| *b == b'=').count();
        if !inner[level..].starts_with('[') {
            return false;
        }
        let close = format!("]{}]", "=".repeat(level));
        let length = rest.find(&close).map_or(rest.len(), |at| at + close.len());
        let end = self.at + length;
        while self.at < end {
            self.bump();
        }
        true
    }
}
