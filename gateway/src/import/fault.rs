//! Why a configuration of nginx cannot be read.

use std::fmt;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file, as it was named.
    pub file: String,
    /// From 1 on.
    pub line: usize,
    /// What is wrong.
    pub kind: FaultKind,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Something follows a quoted word without a space.
    Glued,
    /// Bytes in a word are not UTF-8.
    NotUtf8(String),
    /// A block is not closed.
    OpenBlock,
    /// A program is not closed.
    OpenCode,
    /// A quote is not closed.
    OpenQuote,
    /// A brace that nothing asks for.
    StrayBrace(char),
    /// A semicolon without a directive.
    StraySemicolon,
    /// There is more of this than anybody has.
    TooMuch(&'static str),
    /// A directive without its end.
    Unfinished(String),
    /// The file system says no.
    Unreadable(String),
}

impl Fault {
    pub(super) fn at(line: usize, kind: FaultKind) -> Self {
        Self {
            file: String::new(),
            line,
            kind,
        }
    }

    /// The same, in that file; one that has a file already keeps it.
    pub(super) fn in_file(mut self, name: &str) -> Self {
        if self.file.is_empty() {
            name.clone_into(&mut self.file);
        }
        self
    }

    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self.kind {
            FaultKind::Unreadable(_) => "copy it here from the machine that nginx runs on, or run this there",
            FaultKind::NotUtf8(_) => "write the word in UTF-8",
            FaultKind::TooMuch(_) => "does a file include itself?",
            FaultKind::Glued
            | FaultKind::OpenBlock
            | FaultKind::OpenCode
            | FaultKind::OpenQuote
            | FaultKind::StrayBrace(_)
            | FaultKind::StraySemicolon
            | FaultKind::Unfinished(_) => "`nginx -t` says the same: import what nginx accepts",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Glued => f.write_str("a quoted word goes on behind its quote"),
            Self::NotUtf8(word) => write!(f, "\"{word}\" is not UTF-8"),
            Self::OpenBlock => f.write_str("a block is never closed"),
            Self::OpenCode => f.write_str("a program is never closed"),
            Self::OpenQuote => f.write_str("a quote is never closed"),
            Self::StrayBrace(brace) => write!(f, "a \"{brace}\" that nothing asks for"),
            Self::StraySemicolon => f.write_str("a \";\" that ends nothing"),
            Self::TooMuch(what) => write!(f, "too many {what}"),
            Self::Unfinished(name) => write!(f, "\"{name}\" has neither \";\" nor a block"),
            Self::Unreadable(error) => write!(f, "the file cannot be read: {error}"),
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.kind)
    }
}
