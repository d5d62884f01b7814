//! Collects the problems of all stages and gives each its place.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::problem::{Problem, Problems, Severity};
use super::raw::leaf::Span;
use super::source::{self, Source};

/// More problems than anybody reads; a binary file would have millions.
const PROBLEMS_MAX: usize = 1_000;

/// What has been found so far.
pub struct Findings<'a> {
    sources: &'a [&'a Source],
    found: Vec<(usize, Problem)>,
    /// Problems beyond the limit are written here and forgotten.
    overflow: Option<Problem>,
    /// Tables that something was taken out of: what they lack may have been there.
    spoiled: HashSet<Span>,
    /// Parts of the text could not be read: what it lacks may have been there.
    incomplete: bool,
    /// Other files that were read on the way, and the hash of what stood in each.
    read: Vec<(PathBuf, u64)>,
}

impl<'a> Findings<'a> {
    /// Nothing found yet in these texts.
    pub fn new(sources: &'a [&'a Source]) -> Self {
        Self {
            sources,
            found: Vec::new(),
            overflow: None,
            spoiled: HashSet::new(),
            incomplete: false,
            read: Vec::new(),
        }
    }

    /// Notes an error.
    pub fn error(&mut self, span: &Span, path: &str, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Error, span, path, message.into())
    }

    /// Notes a warning.
    pub fn warning(&mut self, span: &Span, path: &str, message: impl Into<String>) -> &mut Problem {
        self.add(Severity::Warning, span, path, message.into())
    }

    /// Something was taken out of the table that stands at `span`.
    pub fn spoil(&mut self, span: &Span) {
        self.spoiled.insert(span.clone());
    }

    /// Parts of the text could not be read.
    pub fn text_is_incomplete(&mut self) {
        self.incomplete = true;
    }

    /// Whether nothing was taken out of the table, so that a key it lacks was never written.
    pub fn is_whole(&self, table: &Span) -> bool {
        !self.incomplete && !self.spoiled.contains(table)
    }

    /// Whether all of the text was read, so that a name nobody defines was never defined.
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Another file was read, and what it means is part of the plan.
    pub fn has_read(&mut self, file: &Path, content: &[u8]) {
        if !self.read.iter().any(|(known, _)| known == file) {
            self.read.push((file.to_owned(), xxh3_64(content)));
        }
    }

    /// The other files that were read, and the hash of what stood in each.
    pub fn files(&self) -> &[(PathBuf, u64)] {
        &self.read
    }

    /// "FILE:LINE" of a span, to name another place in a message.
    pub fn place(&self, span: &Span) -> String {
        source::of(self.sources, span).map_or_else(String::new, |s| {
            let place = s.place(span);
            format!("{}:{}", place.file, place.line)
        })
    }

    /// Whether there is an error.
    pub fn failed(&self) -> bool {
        self.found.iter().any(|(_, p)| p.severity == Severity::Error)
    }

    /// The part of `span` in which `needle` stands as it is; all of it where it does not.
    pub fn part(&self, span: &Span, needle: &str) -> Span {
        source::of(self.sources, span)
            .and_then(|s| s.find(span, needle))
            .unwrap_or_else(|| span.clone())
    }

    /// All problems in the order of the text.
    ///
    /// Where the text itself is at fault, one problem a line is enough: the others follow from it.
    pub fn into_problems(mut self) -> Problems {
        self.found.sort_by_key(|(offset, _)| *offset);
        let is_syntax = |p: &Problem| p.severity == Severity::Error && p.path.is_empty();
        let mut broken: HashSet<(String, usize)> = HashSet::new();
        let lines = self.found.iter().filter(|(_, p)| is_syntax(p));
        let lines: HashSet<(String, usize)> = lines.map(|(_, p)| (p.file.clone(), p.line)).collect();
        let mut problems: Vec<Problem> = self.found.into_iter().map(|(_, p)| p).collect();
        problems.retain(|p| {
            let line = (p.file.clone(), p.line);
            !lines.contains(&line) || is_syntax(p) && broken.insert(line)
        });
        problems.dedup();
        Problems(problems)
    }

    fn add(&mut self, severity: Severity, span: &Span, path: &str, message: String) -> &mut Problem {
        let place = source::of(self.sources, span).map(|s| s.place(span));
        let problem = Problem {
            severity,
            file: place.as_ref().map_or_else(String::new, |p| p.file.to_owned()),
            line: place.as_ref().map_or(1, |p| p.line),
            column: place.as_ref().map_or(1, |p| p.column),
            path: path.to_owned(),
            message,
            help: None,
            // The file as a whole has no line of its own.
            excerpt: place.map(|p| p.excerpt).filter(|_| *span != (0..0)),
        };
        if self.found.len() >= PROBLEMS_MAX {
            return self.overflow.insert(problem);
        }
        self.found.push((span.start, problem));
        let (_, last) = self.found.last_mut().expect("one was pushed above");
        last
    }
}
