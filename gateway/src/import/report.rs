//! What became of each directive.

use std::collections::BTreeMap;

use super::tree::{Directive, Tree, walk};

/// What became of a directive, the better first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Sluice does the same.
    Translated,
    /// Sluice does nearly the same.
    Differs,
    /// Sluice does not do it.
    NotTranslated,
}

/// One directive of the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The file, as nginx's configuration names it.
    pub file: String,
    /// From 1 on.
    pub line: usize,
    /// The directive as it stands there.
    pub directive: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, and what to do instead; none for what was translated without more to say.
    pub remarks: Vec<String>,
}

/// Every directive of a configuration, in the order they stand in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Those that count, and those that do not.
    pub entries: Vec<Entry>,
}

impl Outcome {
    /// The word in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Self::Translated => "translated",
            Self::Differs => "differs",
            Self::NotTranslated => "not_translated",
        }
    }
}

impl Report {
    /// How many ended so.
    pub fn count(&self, outcome: Outcome) -> usize {
        self.entries.iter().filter(|e| e.outcome == outcome).count()
    }

    /// Those somebody has to look at.
    pub fn remarks(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.outcome != Outcome::Translated)
    }
}

/// What the translation has said of directives so far.
#[derive(Debug, Default)]
pub(super) struct Ledger(BTreeMap<usize, (Option<Outcome>, Vec<String>)>);

impl Ledger {
    /// It is in the document, or needs not be.
    pub fn done(&mut self, directive: &Directive) {
        self.enter(directive, Outcome::Translated, "");
    }

    /// The same, with a word on how.
    pub fn done_as(&mut self, directive: &Directive, remark: &str) {
        self.enter(directive, Outcome::Translated, remark);
    }

    /// It is in the document, and means something else there.
    pub fn differs(&mut self, directive: &Directive, remark: &str) {
        self.enter(directive, Outcome::Differs, remark);
    }

    /// It is not in the document.
    pub fn lost(&mut self, directive: &Directive, remark: &str) {
        self.enter(directive, Outcome::NotTranslated, remark);
    }

    /// Whether anything was said of it.
    pub fn knows(&self, directive: &Directive) -> bool {
        self.0.contains_key(&directive.id)
    }

    fn enter(&mut self, directive: &Directive, outcome: Outcome, remark: &str) {
        let (worst, remarks) = self.0.entry(directive.id).or_default();
        *worst = Some(worst.map_or(outcome, |w| w.max(outcome)));
        if !remark.is_empty() && !remarks.iter().any(|r| r == remark) {
            remarks.push(remark.to_owned());
        }
    }

    /// The report; `otherwise` judges what nobody has spoken of.
    pub fn report(mut self, tree: &Tree, otherwise: impl Fn(&Directive) -> (Outcome, String)) -> Report {
        let mut report = Report::default();
        walk(&tree.directives, &mut |directive| {
            let (outcome, remarks) = match self.0.remove(&directive.id) {
                Some((outcome, remarks)) => (outcome.unwrap_or(Outcome::NotTranslated), remarks),
                None => {
                    let (outcome, remark) = otherwise(directive);
                    (
                        outcome,
                        Some(remark).filter(|r| !r.is_empty()).into_iter().collect(),
                    )
                }
            };
            report.entries.push(Entry {
                file: tree.files.get(directive.place.file).cloned().unwrap_or_default(),
                line: directive.place.line,
                directive: directive.head(),
                outcome,
                remarks,
            });
        });
        report
    }
}
