//! What is wrong with a configuration: where, what, and what to do instead.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether a configuration with this problem can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, but hardly means what its author thinks.
    Warning,
}

/// One thing that is wrong, with its place and the remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Error or warning.
    pub severity: Severity,
    /// The file's name as it was given or included.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The key, with routes by name or place: "routes.api.upstream". Empty where the text itself is at fault.
    pub path: String,
    /// What is wrong.
    pub message: String,
    /// What to do instead.
    pub help: Option<String>,
    /// The line it stands in.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// A source line and the part of it that is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line without its end.
    pub line: String,
    /// First character meant, from 0.
    pub start: usize,
    /// How many characters are meant, at least one.
    pub length: usize,
}

/// All problems of one configuration, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Problems(pub Vec<Problem>);

impl Problem {
    /// Says what to do instead.
    pub fn help(&mut self, text: impl Into<String>) -> &mut Self {
        self.help = Some(text.into());
        self
    }

    /// The problem for a person: place and message, the line, a caret, the help. Ends with a line end.
    pub fn render(&self, colour: bool) -> String {
        let paint = Paint(colour);
        let (word, style) = match self.severity {
            Severity::Error => ("error", RED),
            Severity::Warning => ("warning", YELLOW),
        };
        let place = format!("{}:{}:{}:", printable(&self.file), self.line, self.column);
        let mut out = format!(
            "{} {} {}\n",
            paint.with(BOLD, &place),
            paint.with(style, &format!("{word}:")),
            paint.with(BOLD, &printable(&self.message)),
        );
        if let Some(excerpt) = &self.excerpt {
            let (line, caret) = excerpt.window();
            out.push_str(&format!("{line}\n{}\n", paint.with(style, &caret)));
        }
        if let Some(help) = &self.help {
            out.push_str(&format!("{} {}\n", paint.with(CYAN, "help:"), printable(help)));
        }
        out
    }
}

impl Problems {
    /// All of them for a person, with a count at the end. Empty without problems.
    pub fn render(&self, colour: bool) -> String {
        let mut out: String = self.0.iter().map(|p| p.render(colour) + "\n").collect();
        if let Some(count) = self.count_line() {
            out.push_str(&count);
            out.push('\n');
        }
        out
    }

    /// How many of them are errors.
    pub fn errors(&self) -> usize {
        self.of(Severity::Error)
    }

    /// How many of them are warnings.
    pub fn warnings(&self) -> usize {
        self.of(Severity::Warning)
    }

    fn of(&self, severity: Severity) -> usize {
        self.0.iter().filter(|p| p.severity == severity).count()
    }

    fn count_line(&self) -> Option<String> {
        let counts = [(self.errors(), "error"), (self.warnings(), "warning")];
        let counts: Vec<_> = counts
            .iter()
            .filter(|(n, _)| *n > 0)
            .map(|(n, word)| format!("{n} {word}{}", if *n == 1 { "" } else { "s" }))
            .collect();
        (!counts.is_empty()).then(|| counts.join(", "))
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// Columns of a line that are shown; a longer line is cut around the caret.
const WINDOW_COLUMNS: usize = 120;
/// Columns kept before the caret in a cut line.
const LEAD_COLUMNS: usize = 40;

/// Characters of a line that are kept: a file of one line must not be kept once for each problem.
const KEPT_CHARS: usize = 400;
/// Characters kept before the part that is meant.
const KEPT_LEAD_CHARS: usize = 100;

impl Excerpt {
    /// A line, or the piece of a very long one that holds the part meant.
    pub fn around(line: &str, start: usize, length: usize) -> Self {
        let skipped = if line.len() <= KEPT_CHARS {
            0
        } else {
            start.saturating_sub(KEPT_LEAD_CHARS)
        };
        Self {
            line: line.chars().skip(skipped).take(KEPT_CHARS).collect(),
            start: start - skipped,
            length: length.min(KEPT_CHARS),
        }
    }

    /// The line, cut if it is long, and the caret line under it.
    fn window(&self) -> (String, String) {
        let chars: Vec<char> = self.line.chars().collect();
        let total: usize = chars.iter().map(|c| columns(*c)).sum();
        let start = self.start.min(chars.len());
        let first = if total <= WINDOW_COLUMNS {
            0
        } else {
            start.saturating_sub(LEAD_COLUMNS)
        };
        let mut line = String::new();
        let mut caret = String::new();
        if first > 0 {
            line.push('…');
            caret.push(' ');
        }
        let mut shown_columns = 0;
        for (at, c) in chars.iter().copied().enumerate().skip(first) {
            if shown_columns + columns(c) > WINDOW_COLUMNS {
                line.push('…');
                break;
            }
            shown_columns += columns(c);
            line.push(safe(c));
            if at < start {
                // A tab under a tab lands the caret right whatever a tab's width is.
                caret.push_str(if c == '\t' { "\t" } else { &"  "[..columns(c)] });
            } else if at < start + self.length {
                caret.push_str(&"^^"[..columns(c)]);
            }
        }
        if !caret.contains('^') {
            caret.push('^');
        }
        (line, caret)
    }
}

/// A terminal must not obey what stands in a file.
fn safe(c: char) -> char {
    if c.is_control() && c != '\t' {
        char::REPLACEMENT_CHARACTER
    } else {
        c
    }
}

fn printable(text: &str) -> String {
    text.chars().map(safe).collect()
}

/// How many columns a terminal gives a character: two for those of East Asian scripts and emoji.
fn columns(c: char) -> usize {
    let wide = matches!(u32::from(c),
        0x1100..=0x115f | 0x2e80..=0x303e | 0x3041..=0xa4cf | 0xac00..=0xd7a3 | 0xf900..=0xfaff
        | 0xfe30..=0xfe6f | 0xff00..=0xff60 | 0xffe0..=0xffe6 | 0x1f300..=0x1f64f | 0x1f900..=0x1f9ff
        | 0x20000..=0x3fffd);
    if wide { 2 } else { 1 }
}

const BOLD: &str = "1";
const RED: &str = "1;31";
const YELLOW: &str = "1;33";
const CYAN: &str = "1;36";

/// Whether to colour.
struct Paint(bool);

impl Paint {
    fn with(&self, style: &str, text: &str) -> String {
        if self.0 {
            format!("\x1b[{style}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(line: &str, start: usize, length: usize) -> Problem {
        Problem {
            severity: Severity::Error,
            file: "a.toml".into(),
            line: 3,
            column: start + 1,
            path: "routes.api.upstream".into(),
            message: "no upstream is named \"ap\"".into(),
            help: Some("did you mean \"api\"?".into()),
            excerpt: Some(Excerpt {
                line: line.into(),
                start,
                length,
            }),
        }
    }

    #[test]
    fn a_problem_is_place_message_line_caret_and_help() {
        let text = problem("upstream = \"ap\"", 11, 4).render(false);
        let expected = "a.toml:3:12: error: no upstream is named \"ap\"\nupstream = \"ap\"\n           ^^^^\nhelp: did you mean \"api\"?\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn the_caret_stays_under_its_text_behind_tabs_and_wide_characters() {
        let (_, caret) = problem("\ta = \"界\" x", 9, 1).excerpt.unwrap().window();
        assert_eq!(caret, "\t         ^");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("{}NEEDLE{}", "a".repeat(500), "b".repeat(500));
        let (line, caret) = problem(&line, 500, 6).excerpt.unwrap().window();
        assert!(line.chars().count() <= WINDOW_COLUMNS + 2);
        let at = caret.find('^').unwrap();
        let shown: String = line.chars().skip(at).take(6).collect();
        assert_eq!(shown, "NEEDLE");
    }

    #[test]
    fn of_a_very_long_line_only_a_piece_is_kept() {
        let line = format!("{}NEEDLE{}", "a".repeat(5_000), "b".repeat(5_000));
        let kept = Excerpt::around(&line, 5_000, 6);
        assert!(kept.line.len() <= KEPT_CHARS);
        assert!(kept.line[kept.start..].starts_with("NEEDLE"));
        assert_eq!(Excerpt::around("a = 1", 4, 1).line, "a = 1");
    }

    #[test]
    fn controls_of_a_file_do_not_reach_the_terminal() {
        let mut p = problem("a = \x1b[2J", 4, 4);
        p.message = "\x1b]0;x\x07".into();
        assert!(!p.render(false).contains(['\x1b', '\x07']));
    }

    #[test]
    fn colour_only_adds_escapes() {
        let p = problem("a = 1", 0, 1);
        let coloured = p.render(true);
        assert!(coloured.contains("\x1b[1;31m"));
        let plain = regex::Regex::new("\x1b\\[[0-9;]*m")
            .unwrap()
            .replace_all(&coloured, "")
            .into_owned();
        assert_eq!(plain, p.render(false));
    }

    #[test]
    fn the_count_line_counts() {
        let mut warning = problem("a", 0, 1);
        warning.severity = Severity::Warning;
        let all = Problems(vec![problem("a", 0, 1), problem("a", 0, 1), warning]);
        assert!(all.render(false).ends_with("\n2 errors, 1 warning\n"));
        assert_eq!(Problems::default().render(false), "");
    }
}
