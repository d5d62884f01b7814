//! Names that routes and listeners refer to: which there are, and which of them are used.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::findings::Findings;
use crate::config::hints;
use crate::config::raw::leaf::At;

/// The names of one kind of thing, in the order of their ids.
pub struct Names<'r> {
    /// "rate limit"
    kind: &'static str,
    /// "rate_limits"
    section: &'static str,
    /// "route"
    user: &'static str,
    listed: Vec<&'r At<String>>,
    used: BTreeSet<usize>,
}

impl<'r> Names<'r> {
    /// Those of a section.
    pub fn of<T>(
        kind: &'static str,
        section: &'static str,
        raw: Option<&'r At<BTreeMap<At<String>, At<T>>>>,
    ) -> Self {
        Self {
            kind,
            section,
            user: "route",
            listed: raw.into_iter().flat_map(|section| section.value.keys()).collect(),
            used: BTreeSet::new(),
        }
    }

    /// They are used by something else than routes.
    pub fn used_by(self, user: &'static str) -> Self {
        Self { user, ..self }
    }

    /// The place of a name, which is used from now on; None with a problem told.
    pub fn find(&mut self, name: &At<String>, path: &str, findings: &mut Findings<'_>) -> Option<usize> {
        let found = self.listed.iter().position(|n| n.value == name.value);
        if let Some(id) = found {
            self.used.insert(id);
        } else if findings.is_complete() {
            let message = format!("no {} is named \"{}\"", self.kind, name.value);
            let known: Vec<&str> = self.listed.iter().map(|n| n.value.as_str()).collect();
            let define = format!("[{}.{}]", self.section, name.value);
            let help = match (hints::closest(&name.value, &known), known.as_slice()) {
                (Some(close), _) => hints::did_you_mean(close),
                (None, []) => format!("define it: {define}"),
                (None, [..]) => format!("define {define}, or use {}", hints::one_of(&known)),
            };
            findings.error(&name.span, path, message).help(help);
        }
        found
    }

    /// The name at a place that [`Names::find`] has given.
    pub fn name(&self, id: usize) -> &'r str {
        &self.listed[id].value
    }

    /// What nobody uses guards nothing, but its author believes it does. `how` is what to write there.
    pub fn warn_of_unused(&self, how: impl Fn(&str) -> String, findings: &mut Findings<'_>) {
        if findings.failed() || !findings.is_complete() {
            return;
        }
        for (id, name) in self.listed.iter().enumerate() {
            if !self.used.contains(&id) {
                let message = format!("no {} uses the {} \"{}\"", self.user, self.kind, name.value);
                let problem =
                    findings.warning(&name.span, &format!("{}.{}", self.section, name.value), message);
                problem.help(format!("add to a {}: {}", self.user, how(&name.value)));
            }
        }
    }
}
