//! The texts a configuration is made of, laid end to end so that one offset leads to a file and a line.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use super::problem::Excerpt;
use super::raw::leaf::Span;

/// A configuration larger than this is no configuration but a mistake, such as a log or a device.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// One text.
#[derive(Debug)]
pub struct Source {
    /// As a problem names it.
    pub name: String,
    /// The text.
    pub text: String,
    /// Offset of its first byte among all texts.
    base: usize,
    /// Offsets of the first bytes of its lines, within it.
    lines: Vec<usize>,
}

/// Where an offset leads.
pub struct Place<'a> {
    /// The file's name.
    pub file: &'a str,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// The line itself.
    pub excerpt: Excerpt,
}

impl Source {
    /// A text that begins at `base`.
    pub fn new(name: String, mut text: String, base: usize) -> Self {
        // Editors of another system put a mark there that no column should count.
        if text.starts_with('\u{feff}') {
            text.drain(..'\u{feff}'.len_utf8());
        }
        let breaks = text.bytes().enumerate().filter(|(_, b)| *b == b'\n');
        let lines = std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect();
        Self {
            name,
            text,
            base,
            lines,
        }
    }

    /// Offset of its first byte among all texts.
    pub fn base(&self) -> usize {
        self.base
    }

    /// Where the next text may begin: one byte on, so that even an empty text has a place.
    pub fn end(&self) -> usize {
        self.base + self.text.len() + 1
    }

    /// Where a span of all texts lies in this one; it is cut at the end of its first line.
    pub fn place(&self, span: &Span) -> Place<'_> {
        let start = self.boundary(span.start.saturating_sub(self.base));
        let end = self.boundary(span.end.saturating_sub(self.base)).max(start);
        let number = self.lines.partition_point(|first| *first <= start).max(1);
        let first = self.lines[number - 1];
        let line = self.text[first..].lines().next().unwrap_or_default();
        let line_end = first + line.len();
        let before = self.text[first..start.min(line_end)].chars().count();
        let length = self.text[start.min(line_end)..end.min(line_end)].chars().count();
        Place {
            file: &self.name,
            line: number,
            column: before + 1,
            excerpt: Excerpt::around(line, before, length.max(1)),
        }
    }

    /// Where `needle` stands as it is within a span of all texts.
    pub fn find(&self, span: &Span, needle: &str) -> Option<Span> {
        let start = self.boundary(span.start.saturating_sub(self.base));
        let end = self.boundary(span.end.saturating_sub(self.base)).max(start);
        let at = self.base + start + self.text[start..end].find(needle)?;
        Some(at..at + needle.len())
    }

    /// The offset itself, or the next one before it where a character begins.
    fn boundary(&self, offset: usize) -> usize {
        let mut at = offset.min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        at
    }
}

/// The source a span of all texts lies in.
pub fn of<'a>(sources: &'a [&'a Source], span: &Span) -> Option<&'a Source> {
    let after = sources.partition_point(|s| s.base <= span.start);
    sources.get(after.saturating_sub(1)).copied()
}

/// The text of a file. The message of a failure is for the operator.
pub fn read(path: &Path) -> Result<String, String> {
    text(read_bytes(path)?)
}

/// The bytes of a file. The message of a failure is for the operator.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|f| f.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
        .map_err(|e| reason(&e))?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err("it is longer than 16 MiB, which no configuration is".to_owned());
    }
    Ok(bytes)
}

/// Bytes as text. The message of a failure is for the operator.
pub fn text(bytes: Vec<u8>) -> Result<String, String> {
    String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        let line = 1 + e.as_bytes()[..at].iter().filter(|b| **b == b'\n').count();
        format!("it is not UTF-8 (line {line})")
    })
}

/// The files a pattern means: the name itself, or what its last component's `*` and `?` match, sorted.
pub fn glob(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let name = pattern.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let folder = pattern.parent().unwrap_or(Path::new(""));
    if folder.to_string_lossy().contains(['*', '?']) {
        return Err("only the last component may hold \"*\" or \"?\"".to_owned());
    }
    if !name.contains(['*', '?']) {
        return Ok(vec![pattern.to_owned()]);
    }
    let folder_to_list = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let entries = match std::fs::read_dir(folder_to_list) {
        // A folder that nobody has made yet holds no files, as an empty one.
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|e| reason(&e))?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|e| reason(&e))?.file_name();
        let Some(entry) = entry.to_str() else { continue };
        let hidden = entry.starts_with('.') && !name.starts_with('.');
        if !hidden && is_match(name.as_bytes(), entry.as_bytes()) {
            found.push(folder.join(entry));
        }
    }
    found.sort();
    Ok(found)
}

/// What the system says, without its error number.
pub fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_owned()
}

/// Whether `name` is matched by `pattern`, in which `*` is any bytes and `?` is one.
///
/// Goes back to the last star only, so it takes at most pattern × name steps.
fn is_match(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p + 1, n));
                p += 1;
            }
            Some(b) if *b == b'?' || *b == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((after, taken)) = star else { return false };
                star = Some((after, taken + 1));
                (p, n) = (after, taken + 1);
            }
        }
    }
    pattern[p..].iter().all(|b| *b == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offset_leads_to_its_file_line_and_column() {
        let a = Source::new("a".into(), "x = 1\ny = 2\n".into(), 0);
        let b = Source::new("b".into(), "ü = 3".into(), a.end());
        let both = [&a, &b];
        let place = |start: usize, end: usize| {
            let found = of(&both, &(start..end)).unwrap().place(&(start..end));
            (found.file.to_owned(), found.line, found.column)
        };
        assert_eq!(place(0, 1), ("a".into(), 1, 1));
        assert_eq!(place(10, 11), ("a".into(), 2, 5));
        assert_eq!(place(a.end() + 5, a.end() + 6), ("b".into(), 1, 5));
    }

    #[test]
    fn a_span_over_several_lines_is_shown_by_its_first() {
        let a = Source::new("a".into(), "x = [\n1,\n]\n".into(), 0);
        assert_eq!(a.place(&(4..10)).excerpt.length, 1);
        assert_eq!(a.place(&(4..10)).excerpt.line, "x = [");
    }

    #[test]
    fn stars_and_question_marks_match_as_in_a_shell() {
        for (pattern, name, yes) in [
            ("*.toml", "a.toml", true),
            ("*.toml", "a.tom", false),
            ("a?c*", "abc", true),
            ("a?c*", "ac", false),
            ("**b", "aab", true),
            ("", "", true),
        ] {
            assert_eq!(
                is_match(pattern.as_bytes(), name.as_bytes()),
                yes,
                "{pattern} {name}"
            );
        }
    }

    #[test]
    fn a_glob_is_sorted_and_leaves_hidden_files_out() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.toml", "a.toml", ".c.toml", "d.txt"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = glob(&dir.path().join("*.toml")).unwrap();
        let names: Vec<_> = found.iter().map(|p| p.file_name().unwrap()).collect();
        assert_eq!(names, ["a.toml", "b.toml"]);
        assert_eq!(glob(Path::new("no/such/*.toml")), Ok(vec![]));
        assert!(glob(Path::new("*/a.toml")).is_err());
    }

    proptest! {
        #[test]
        fn every_span_has_a_place(text in "(?s).{0,60}", start in 0usize..90, length in 0usize..90) {
            let source = Source::new("s".into(), text, 0);
            let place = source.place(&(start..start + length));
            prop_assert!(place.line >= 1 && place.column >= 1);
        }
    }
}
