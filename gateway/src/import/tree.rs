//! A configuration of nginx as a tree of directives, and how it is written down again.

use std::fmt;

/// Where a directive begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Place of the file in [`Tree::files`].
    pub file: usize,
    /// From 1 on.
    pub line: usize,
}

/// What follows the words of a directive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// A semicolon.
    Nothing,
    /// More directives, in braces.
    Block(Vec<Directive>),
    /// A program in braces, of another language; as it stands there.
    Code(String),
}

/// One directive. Two are equal when they say the same, wherever they stand.
#[derive(Clone, Debug)]
pub struct Directive {
    /// Counts all directives of a tree, so that a report can speak of each.
    pub id: usize,
    /// Where it begins.
    pub place: Place,
    /// Its first word.
    pub name: String,
    /// Its other words, without their quotes.
    pub args: Vec<String>,
    /// What follows.
    pub body: Body,
}

/// All directives of a file and of those it includes.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    /// Names of the files, the first being the one that was asked for.
    pub files: Vec<String>,
    /// Its directives, those of included files in place of `include`.
    pub directives: Vec<Directive>,
}

impl PartialEq for Directive {
    fn eq(&self, other: &Self) -> bool {
        (&self.name, &self.args, &self.body) == (&other.name, &other.args, &other.body)
    }
}

impl Eq for Directive {}

impl Directive {
    /// A word by its place behind the name, or "".
    pub fn arg(&self, at: usize) -> &str {
        self.args.get(at).map_or("", String::as_str)
    }

    /// The directives in its braces.
    pub fn block(&self) -> &[Self] {
        match &self.body {
            Body::Block(inner) => inner,
            Body::Nothing | Body::Code(_) => &[],
        }
    }

    /// Name and words on one line, cut off where it gets long.
    pub fn head(&self) -> String {
        const CHARS_MAX: usize = 100;
        let mut text = word(&self.name);
        for arg in &self.args {
            text.push(' ');
            text.push_str(&word(arg));
        }
        let text: String = text
            .chars()
            .map(|c| if c.is_control() { '\u{fffd}' } else { c })
            .collect();
        match text.char_indices().nth(CHARS_MAX) {
            Some((end, _)) => format!("{}…", &text[..end]),
            None => text,
        }
    }
}

impl Tree {
    /// "nginx.conf:12"
    pub fn place(&self, place: Place) -> String {
        let file = self.files.get(place.file).map_or("", String::as_str);
        format!("{file}:{}", place.line)
    }
}

/// Calls `visit` for each directive, those in blocks after the one they are in.
pub fn walk<'t>(directives: &'t [Directive], visit: &mut dyn FnMut(&'t Directive)) {
    for directive in directives {
        visit(directive);
        walk(directive.block(), visit);
    }
}

/// Writes directives so that reading them gives the same.
pub fn print(directives: &[Directive]) -> String {
    let mut out = String::new();
    write(directives, 0, &mut out);
    out
}

fn write(directives: &[Directive], depth: usize, out: &mut String) {
    let indent = "    ".repeat(depth);
    for directive in directives {
        out.push_str(&indent);
        out.push_str(&word(&directive.name));
        for arg in &directive.args {
            out.push(' ');
            out.push_str(&word(arg));
        }
        match &directive.body {
            Body::Nothing => out.push_str(";\n"),
            Body::Block(inner) => {
                out.push_str(" {\n");
                write(inner, depth + 1, out);
                out.push_str(&indent);
                out.push_str("}\n");
            }
            Body::Code(code) => {
                out.push_str(" {");
                out.push_str(code);
                out.push_str("}\n");
            }
        }
    }
}

/// One word, in quotes where it would not be one without them.
fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/.:=$-_~^*@%+,|()?![]<>&".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

impl fmt::Display for Directive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.head())
    }
}
